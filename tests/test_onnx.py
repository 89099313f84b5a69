"""ONNX: onnxruntime predicts what the estimators do, alone and in pipelines."""

import subprocess
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, VotingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._core import engine
from skopt_est.onnx import convert_sklearn, to_onnx

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 4)) * [1, 3, 0.5, 1] + [0, 1, 0, 0]
SIGNAL = X @ [1.0, -0.7, 0.5, 0.0] + RNG.normal(size=150)
POSITIVE = np.exp(0.3 * SIGNAL)
BINS = np.digitize(SIGNAL, [-1, 1])
TARGETS = {
    "number": SIGNAL,
    "column": SIGNAL[:, None],
    "numbers": np.c_[SIGNAL, 1 - SIGNAL, SIGNAL**2],
    "positive": POSITIVE,
    "positives": np.c_[POSITIVE, 2 * POSITIVE],
    "booleans": SIGNAL > 0,
    "integers": BINS * 5 - 3,
    "two integers": (SIGNAL > 0).astype(np.uint8) + 7,
    "whole floats": BINS * 2.0,
    "strings": np.array(["tief", "Mittel", "höher"])[BINS],
    "two strings": np.where(SIGNAL > 0, "yes", "no"),
    "objects": np.array(["b", "a", "c"], object)[BINS],
    "labels": np.c_[SIGNAL > 0, SIGNAL > 1].astype(int),
    "three labels": np.c_[SIGNAL > 0, SIGNAL > 1, SIGNAL < 2].astype(int),
    "one class": np.full(150, 4),
}
CLASSES = ("booleans", "integers", "two integers", "whole floats", "strings", "two strings")
CLASSES += ("objects",)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def fit(est, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(X, y)


def small(cls, **params):
    if cls in (MLPClassifier, MLPRegressor):
        params = {"hidden_layer_sizes": (6,), **params}
    return cls(**{"random_state": 0, "max_iter": 20, **params})


def session(model):
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def run(est, rows, **options):
    model = to_onnx(est, rows[:1], options=options or None)
    if type(est).__module__.startswith("skopt_est"):
        onnx.checker.check_model(model, full_check=True)
    return session(model).run(None, {"X": rows})


def assert_close(got, expected, dtype):
    """To 1e-5; where all is float64, to rounding."""
    assert got.dtype == dtype
    rtol, atol = (1e-5, 1e-6) if dtype == np.float32 else (1e-12, 1e-13)
    np.testing.assert_allclose(got, np.reshape(expected, got.shape), rtol=rtol, atol=atol)


def assert_classifies(est, rows, dtype, **options):
    labels, scores = run(est, rows, zipmap=False, **options)
    expected = est.predict(rows)
    assert labels.shape == expected.shape
    np.testing.assert_array_equal(labels, expected)
    assert_close(scores, est.predict_proba(rows), dtype)


@DTYPES
@pytest.mark.parametrize(
    "loss, target",
    [
        ("squared_error", "number"),
        ("squared_error", "column"),
        ("squared_error", "numbers"),
        ("absolute_error", "number"),
        ("huber", "numbers"),
        ("quantile", "number"),
        ("poisson", "positive"),
        ("gamma", "positives"),
    ],
)
@pytest.mark.parametrize("cls", [LinearRegression, MLPRegressor])
def test_regressors(cls, loss, target, dtype):
    rows = X.astype(dtype)
    est = fit(small(cls, loss=loss), rows, TARGETS[target])
    (got,) = run(est, rows)
    n_targets = 1 if target in ("number", "column", "positive") else TARGETS[target].shape[1]
    assert got.shape == (150, n_targets)
    assert_close(got, est.predict(rows), dtype)


@DTYPES
@pytest.mark.parametrize("target", CLASSES)
@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_classifiers(cls, target, dtype):
    rows = X.astype(dtype)
    est = fit(small(cls), rows, TARGETS[target])
    assert_classifies(est, rows, dtype)


@DTYPES
@pytest.mark.parametrize("target", ["labels", "three labels", "one class"])
def test_networks_with_several_labels_or_one_class(target, dtype):
    rows = X.astype(dtype)
    assert_classifies(fit(small(MLPClassifier), rows, TARGETS[target]), rows, dtype)


@DTYPES
@pytest.mark.parametrize("activation", engine.ACTIVATION_CODES)
def test_activations(activation, dtype):
    rows = X.astype(dtype)
    est = small(MLPRegressor, hidden_layer_sizes=(7, 5), activation=activation, solver="lbfgs")
    fit(est, rows, TARGETS["numbers"])
    for scale in (1, 100):  # both ends of the activations, too
        scaled = (scale * rows).astype(dtype)
        (got,) = run(est, scaled)
        assert got.dtype == dtype
        expected = est.predict(scaled)
        size = np.abs(expected).max()
        exact = dtype == np.float64 and activation != "gelu"
        np.testing.assert_allclose(got, expected, rtol=0, atol=size * (1e-12 if exact else 1e-5))


@DTYPES
def test_activations_that_differ_by_layer_and_none_at_all(dtype):
    rows = X.astype(dtype)
    names = ["gelu", "tanh", "leaky_relu"]
    for params in ({"activation": names, "hidden_layer_sizes": (5, 4, 3)},):
        est = fit(small(MLPClassifier, **params), rows, TARGETS["strings"])
        labels, proba = run(est, rows, zipmap=False)
        np.testing.assert_array_equal(labels, est.predict(rows))
        np.testing.assert_allclose(proba, est.predict_proba(rows), rtol=1e-5, atol=1e-6)
    est = fit(small(MLPClassifier, hidden_layer_sizes=()), rows, TARGETS["strings"])
    assert_classifies(est, rows, dtype)


def test_activations_keep_signs_and_infinities():
    """Where exp overflows nothing turns into NaN."""
    for name in engine.ACTIVATION_CODES:
        est = small(MLPRegressor, hidden_layer_sizes=(1,), activation=name)
        fit(est, np.ones((4, 1)), np.ones(4))
        est.coefs_, est.intercepts_ = [np.ones((1, 1))] * 2, [np.zeros(1)] * 2
        rows = np.array([[-1e3], [-90.0], [0.0], [90.0], [1e3]])
        for dtype in (np.float32, np.float64):
            (got,) = run(est, rows.astype(dtype))
            np.testing.assert_allclose(got[:, 0], est.predict(rows), rtol=1e-5, atol=1e-6)


def test_raw_predictions_are_large_where_probabilities_are_saturated():
    est = fit(small(LogisticRegression), X, TARGETS["integers"])
    est.coef_ = est.coef_ * 1e3
    labels, proba = run(est, X, zipmap=False)
    np.testing.assert_array_equal(labels, est.predict(X))
    np.testing.assert_allclose(proba, est.predict_proba(X), rtol=1e-12, atol=1e-300)


def test_a_model_in_float64_takes_rows_in_float32_and_the_other_way():
    for own, given in ((np.float64, np.float32), (np.float32, np.float64)):
        est = fit(small(MLPRegressor), X.astype(own), SIGNAL)
        rows = X.astype(given)
        (got,) = run(est, rows)
        np.testing.assert_allclose(got[:, 0], est.predict(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_integer_columns(cls):
    rows = np.round(X * 3).astype(np.int64)
    est = fit(small(cls), rows, TARGETS["strings"])
    model = convert_sklearn(
        est, initial_types=[("rows", Int64TensorType([None, 4]))], options={"zipmap": False}
    )
    labels, proba = session(model).run(None, {"rows": rows})
    np.testing.assert_array_equal(labels, est.predict(rows))
    np.testing.assert_allclose(proba, est.predict_proba(rows), rtol=1e-5, atol=1e-6)


# -- the habits of skl2onnx -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ["integers", "two strings", "strings"])
@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_zipmap(cls, target):
    rows = X.astype(np.float32)
    est = fit(small(cls), rows, TARGETS[target])
    proba = est.predict_proba(rows)
    for options in ({}, {"zipmap": True}):
        labels, maps = run(est, rows, **options)
        np.testing.assert_array_equal(labels, est.predict(rows))
        assert list(maps[0]) == est.classes_.tolist()
        assert_close(np.array([list(row.values()) for row in maps], np.float32), proba, np.float32)
    model = to_onnx(est, rows[:1], options={"zipmap": "columns"})
    names = [output.name for output in session(model).get_outputs()]
    initial = "i" if target == "integers" else "s"
    assert names == ["output_label", *(f"{initial}{label}" for label in est.classes_)]
    _, *columns = session(model).run(None, {"X": rows})
    assert_close(np.column_stack(columns), proba, np.float32)


@DTYPES
@pytest.mark.parametrize("target", ["integers", "two strings"])
@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_other_options_of_classifiers(cls, target, dtype):
    rows = X.astype(dtype)
    est = fit(small(cls), rows, TARGETS[target])
    positions, _ = run(est, rows, zipmap=False, nocl=True)
    np.testing.assert_array_equal(est.classes_[positions], est.predict(rows))
    *_, classes = run(est, rows, zipmap=False, output_class_labels=True)
    np.testing.assert_array_equal(classes, est.classes_)
    _, raw = run(est, rows, zipmap=False, raw_scores=True)
    f = est._raw_prediction(rows)
    assert_close(raw, np.hstack([-f, f]) if f.shape[1] == 1 else f, dtype)


def test_raw_scores_of_several_labels():
    est = fit(small(MLPClassifier), X, TARGETS["labels"])
    _, raw = run(est, X, zipmap=False, raw_scores=True)
    assert_close(raw, est._raw_prediction(X), np.float64)


@pytest.mark.parametrize("opset", [14, 18, 21])
def test_operator_sets(opset):
    est = fit(small(MLPClassifier, activation="mish"), X, TARGETS["strings"])
    model = to_onnx(est, X[:1], options={"zipmap": False}, target_opset=opset)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] <= opset
    labels, _ = session(model).run(None, {"X": X})
    np.testing.assert_array_equal(labels, est.predict(X))


# -- pipelines, and skl2onnx's own converters -----------------------------------------------------


@DTYPES
@pytest.mark.parametrize("cls, target", [(LogisticRegression, "strings"), (MLPRegressor, "number")])
def test_a_scaler_in_front(cls, target, dtype):
    rows = X.astype(dtype)
    pipe = fit(make_pipeline(StandardScaler(), small(cls)), rows, TARGETS[target])
    if cls is LogisticRegression:
        assert_classifies(pipe, rows, dtype)
    else:
        (got,) = run(pipe, rows)
        assert_close(got, pipe.predict(rows), dtype)


@DTYPES
@pytest.mark.parametrize(
    "cls, target", [(MLPClassifier, "two strings"), (LinearRegression, "column")]
)
def test_columns_of_several_kinds(cls, target, dtype):
    """Categories as strings and as integers beside numbers, sparse in scikit-learn."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}).astype(dtype)
    frame["city"] = rng.choice(["Köln", "Paris", "Rome"], len(X))
    frame["day"] = rng.integers(0, 7, len(X))
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["a", "b"]),
            ("words", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("days", OneHotEncoder(), ["day"]),
        ],
        sparse_threshold=1.0,
    )
    pipe = fit(make_pipeline(columns, small(cls)), frame, TARGETS[target])
    real = DoubleTensorType if dtype == np.float64 else FloatTensorType
    kinds = {"a": real, "b": real, "city": StringTensorType, "day": Int64TensorType}
    model = convert_sklearn(
        pipe,
        initial_types=[(name, kind([None, 1])) for name, kind in kinds.items()],
        options={id(pipe): {"zipmap": False}} if cls is MLPClassifier else None,
    )
    frame.loc[0, "city"] = "elsewhere"
    given = {name: frame[[name]].to_numpy() for name in kinds}
    got = session(model).run(None, given)
    if cls is MLPClassifier:
        np.testing.assert_array_equal(got[0], pipe.predict(frame))
        np.testing.assert_allclose(got[1], pipe.predict_proba(frame), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(got[0], pipe.predict(frame), rtol=1e-5, atol=1e-5)


def test_inside_of_other_estimators():
    rows = X.astype(np.float32)
    members = [("linear", small(LinearRegression)), ("net", small(MLPRegressor))]
    vote = fit(VotingRegressor(members), rows, SIGNAL)
    (got,) = run(vote, rows)
    assert_close(got, vote.predict(rows), np.float32)
    members = [("logistic", small(LogisticRegression)), ("net", small(MLPClassifier))]
    stack = fit(StackingClassifier(members, small(LogisticRegression)), rows, TARGETS["integers"])
    calibrated = fit(
        CalibratedClassifierCV(small(LogisticRegression), cv=2), rows, TARGETS["integers"]
    )
    for est in (stack, calibrated):
        labels, proba = run(est, rows, zipmap=False)
        np.testing.assert_array_equal(labels, est.predict(rows))
        np.testing.assert_allclose(proba, est.predict_proba(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "est, target",
    [
        (small(LinearRegression, alpha=0.0), "numbers"),
        (small(LinearRegression, alpha=0.1), "number"),
        (small(LinearRegression, loss="poisson"), "positive"),
        (small(LogisticRegression), "strings"),
        (small(LogisticRegression), "two integers"),
        (small(MLPClassifier), "strings"),
        (small(MLPClassifier), "two integers"),
        (small(MLPClassifier), "three labels"),
        (small(MLPRegressor, activation="tanh"), "number"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_converters_of_skl2onnx_agree_about_the_exported_estimator(est, target):
    rows = X.astype(np.float32)
    other = fit(est, rows, TARGETS[target]).to_sklearn()
    options = {"zipmap": False} if hasattr(est, "classes_") else {}
    for got, expected in zip(run(est, rows, **options), run(other, rows, **options), strict=True):
        if got.dtype.kind == "f":
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(got, expected)


def test_without_skl2onnx_the_import_says_what_to_install():
    code = """
import sys
import skopt_est
assert not [name for name in sys.modules if "onnx" in name]
sys.modules["skl2onnx"] = None
import skopt_est.onnx
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: skopt_est.onnx needs skl2onnx")
    assert last.endswith("pip install 'skopt-est[onnx]'")
