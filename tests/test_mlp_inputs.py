"""What a network takes for X and y, what it refuses, and what it answers."""

import re
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn.neural_network
from scipy import sparse
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score

from skopt_est import MLPClassifier, MLPRegressor

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad")
EVERY_SOLVER = (*EPOCHWISE, "lbfgs")
BOTH = (MLPClassifier, MLPRegressor)
KINDS = ("regression", "targets", "binary", "three", "labels")
METHODS = ("predict", "predict_proba", "predict_log_proba")


def data(kind, n=60, seed=0):
    """Small integers: they are the same number in every type."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 5, (n, 4)).astype(float)
    z = X @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=n)
    targets = {
        "regression": np.round(z),
        "targets": np.round(np.column_stack([z, np.abs(z)])),
        "binary": (z > 1).astype(int),
        "three": np.digitize(z, [0, 2]),
        "labels": np.column_stack([z > 0, z > 1, X[:, 0] > 1]).astype(int),
    }
    return X, targets[kind]


def model(kind, **params):
    params = {"hidden_layer_sizes": (4, 3), "batch_size": 16, "max_iter": 4} | params
    params = {"learning_rate_init": 0.01, "random_state": 0} | params
    return (MLPRegressor if kind in ("regression", "targets") else MLPClassifier)(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])


def assert_same_bits(a, b):
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_


def digest(est):
    return {name: joblib.hash(value) for name, value in vars(est).items()}


# -- forms of X and y ----------------------------------------------------------------------------


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array):
    wide = np.zeros([3 * size for size in array.shape], dtype=array.dtype)
    view = wide[tuple(slice(1, None, 3) for _ in array.shape)]
    view[...] = array
    return view


NATIVE = {"little": "<", "big": ">"}[sys.byteorder]
LAYOUTS = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "order of bytes named": lambda array: array.view(array.dtype.newbyteorder(NATIVE)),
    "int64": lambda array: array.astype(np.int64),
    "int8": lambda array: array.astype(np.int8),
    "object": lambda array: array.astype(object),
    "list": lambda array: array.tolist(),
    "frame": lambda a: pd.DataFrame(a, columns=list("abcd")) if a.shape[1:] == (4,) else a,
    "series": lambda array: pd.Series(array) if array.ndim == 1 else array,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_layout_of_the_arrays_changes_nothing_and_is_not_changed(solver, kind, layout):
    if layout == "object" and kind in ("binary", "three", "labels"):
        layout = "list"  # object labels are another matter
    X, y = data(kind)
    weight = np.random.default_rng(1).integers(1, 4, len(X)).astype(float)
    est = model(kind, solver=solver)
    reference = fit(clone(est), X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    given = [LAYOUTS[layout](array) for array in (X, y, weight)]
    kept = [joblib.hash(array) for array in given]
    val = dict(zip(("X_val", "y_val", "sample_weight_val"), given, strict=True))
    assert_same_bits(fit(est, *given, **val), reference)
    for method in METHODS:
        if hasattr(est, method):
            expected = getattr(reference, method)(X)
            np.testing.assert_array_equal(getattr(est, method)(given[0]), expected)
    assert [joblib.hash(array) for array in given] == kept


def shuffled_entries(X):
    """CSR whose rows list their columns backwards."""
    X = sparse.csr_matrix(X)
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    X.has_sorted_indices = False
    return X


def wide_indices(X):
    X = sparse.csr_matrix(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


SPARSE = {
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "unsorted": shuffled_entries,
    "int64 indices": wide_indices,
    "integers": lambda X: sparse.csr_matrix(X.astype(np.int32)),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("form", SPARSE)
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_every_sparse_form_is_the_same_matrix(solver, form, early):
    X, y = data("three")
    est = model("three", solver=solver, early_stopping=early, scoring=None)
    reference = fit(clone(est), sparse.csr_matrix(X), y)
    rows, kept = SPARSE[form](X), SPARSE[form](X)
    assert_same_bits(fit(est, rows, y), reference)
    np.testing.assert_allclose(est.predict_proba(rows), est.predict_proba(X), rtol=1e-12)
    for name in ("data", "row") if form == "coo" else ("data", "indices", "indptr"):
        now, before = getattr(rows, name), getattr(kept, name)
        np.testing.assert_array_equal(now, before)
        assert now.dtype == before.dtype


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, list])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("scoring", ["loss", None])
def test_labels_may_be_a_sparse_matrix(form, early, scoring):
    X, y = data("labels")
    given = form(y) if form is not list else y.tolist()
    est = model("labels", early_stopping=early, scoring=scoring)
    assert_same_bits(fit(clone(est), X, given), fit(clone(est), X, y))
    val = {"X_val": X, "y_val": given}
    assert_same_bits(fit(clone(est), X, given, **val), fit(est, X, y, X_val=X, y_val=y))


def test_labels_in_another_sparse_form_may_be_held_out():
    X, y = data("labels")
    est = model("labels", early_stopping=True, scoring=None)
    assert_same_bits(fit(clone(est), X, sparse.coo_matrix(y)), fit(est, X, y))


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", ["regression", "binary", "three"])
def test_one_column_of_targets_is_a_vector(kind, early):
    X, y = data(kind)
    est = model(kind, early_stopping=early, scoring=None)
    reference = fit(clone(est), X, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        est.fit(X, y[:, None])
    assert_same_bits(est, reference)
    assert est.predict(X).shape == (60,)
    # as in scikit-learn, whose classifier warns and whose regressor does not
    told = [w for w in caught if w.category is DataConversionWarning]
    assert bool(told) == (kind != "regression")


def test_rows_in_twos_or_threes_of_classes_are_refused():
    X, y = data("labels")
    for bad in (y * np.array([1, 2, 1]), 2 * y - 1, y + 0.5):
        est = model("labels")
        with pytest.raises(ValueError, match=r"\by\b|label|target|class"):
            est.fit(X, bad)
        assert vars(est) == est.get_params()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sparse_rows", [False, True])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_one_row_and_one_column(solver, sparse_rows, kind):
    X, y = data(kind)
    form = sparse.csr_matrix if sparse_rows else np.asarray
    for rows, columns in ((slice(0, 1), slice(0, 4)), (slice(0, 60), slice(0, 1))):
        est = fit(model(kind, solver=solver), form(X[rows, columns]), y[rows])
        assert np.isfinite(weights_of(est)).all()
        assert est.predict(form(X[:1, columns])).shape == y[:1].shape
        assert est.coefs_[0].shape == (X[:, columns].shape[1], 4)


@pytest.mark.parametrize("hidden", [(), [], np.array([], int)], ids=["()", "[]", "array"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_hidden_layer_is_a_linear_model(kind, hidden):
    X, y = data(kind)
    est = fit(model(kind, hidden_layer_sizes=hidden), X, y)
    assert est.n_layers_ == 2 and len(est.coefs_) == len(est.intercepts_) == 1
    f = X @ est.coefs_[0] + est.intercepts_[0]
    if kind in ("regression", "targets"):
        np.testing.assert_allclose(est.predict(X).reshape(60, -1), f, rtol=1e-12)
    elif kind == "three":
        np.testing.assert_allclose(est.predict_proba(X), softmax(f, axis=1), rtol=1e-12)


@pytest.mark.parametrize("sizes", [3, np.int64(3), [3], (3,), np.array([3]), range(3, 4)], ids=repr)
def test_sizes_come_in_many_forms(sizes):
    X, y = data("regression")
    est = fit(model("regression", hidden_layer_sizes=sizes), X, y)
    assert_same_bits(est, fit(model("regression", hidden_layer_sizes=(3,)), X, y))


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_attributes_are_those_of_scikit_learn(kind):
    X, y = data(kind)
    est = fit(model(kind), X, y)
    other = getattr(sklearn.neural_network, type(est).__name__)
    other = other(hidden_layer_sizes=(4, 3), max_iter=4, random_state=0)
    fit(other, X, y)
    for method in METHODS:
        assert hasattr(est, method) == hasattr(other, method)
        if hasattr(est, method):
            ours, theirs = getattr(est, method)(X), getattr(other, method)(X)
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), method
            one = getattr(est, method)(X[:1])
            assert one.shape == ours[:1].shape
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "n_iter_"):
        assert getattr(est, name) == getattr(other, name), name
    public = {name for name in vars(other) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(vars(est))
    for ours, theirs in zip(
        est.coefs_ + est.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        assert ours.shape == theirs.shape
    if kind not in ("regression", "targets"):
        np.testing.assert_array_equal(est.classes_, other.classes_)
        assert not hasattr(est, "decision_function")


@pytest.mark.parametrize("label", [1, 7, "yes", True])
def test_one_class_is_predicted_with_certainty(label):
    X, _ = data("binary")
    y = np.full(60, label)
    est = fit(model("binary"), X, y)
    assert est.classes_.tolist() == [label]
    assert est.predict(X).tolist() == [label] * 60
    assert est.predict_proba(X).tolist() == [[1.0]] * 60
    assert est.predict_log_proba(X).tolist() == [[0.0]] * 60
    assert est.score(X, y) == 1.0


LABELS = {
    "str": np.array(["cold", "mild", "warm"]),
    "object": np.array(["cold", "mild", "warm"], dtype=object),
    "bool": np.array([False, True]),
    "negative": np.array([-3, 0, 12]),
    "int8": np.array([0, 1], dtype=np.int8),
    "float": np.array([1.0, 2.0, 4.0]),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_come_back_as_they_were(labels, early):
    X, codes = data("binary" if len(labels) == 2 else "three")
    est = model("three", max_iter=60, early_stopping=early, scoring=None)
    plain, est = fit(clone(est), X, codes), fit(est, X, labels[codes])
    np.testing.assert_array_equal(est.classes_, np.unique(labels))
    predicted = est.predict(X)
    assert est.classes_.dtype == predicted.dtype == labels.dtype
    np.testing.assert_array_equal(predicted, labels[plain.predict(X)])
    np.testing.assert_array_equal(est.predict_proba(X), plain.predict_proba(X))
    assert est.score(X, labels[codes]) == plain.score(X, codes) > 0.35


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("kind", ["binary", "three", "labels"])
def test_log_probabilities_stay_finite_at_extreme_weights(kind, scale, dtype):
    X, y = data(kind)
    est = fit(model(kind, hidden_layer_sizes=(), max_iter=30), X.astype(dtype), y)
    est.coefs_[0][:] *= dtype(scale)
    raw = (X.astype(dtype) @ est.coefs_[0] + est.intercepts_[0]).astype(float)
    assert np.abs(raw).max() > scale / 10
    proba, log_proba = est.predict_proba(X.astype(dtype)), est.predict_log_proba(X.astype(dtype))
    if kind == "binary":
        expected = np.column_stack([log_expit(-raw), log_expit(raw)])
        p = np.column_stack([expit(-raw), expit(raw)])
    elif kind == "three":
        expected, p = log_softmax(raw, axis=1), softmax(raw, axis=1)
    else:
        expected, p = log_expit(raw), expit(raw)
    assert np.isfinite(log_proba).all() and (log_proba <= 0).all()
    assert ((proba >= 0) & (proba <= 1)).all()
    if dtype is np.float64:
        np.testing.assert_allclose(log_proba, expected, rtol=1e-8, atol=1e-30)
        np.testing.assert_allclose(proba, p, rtol=1e-7, atol=1e-30)
    if kind != "labels":
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=12 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", KINDS)
def test_score_is_accuracy_or_r2(kind):
    X, y = data(kind)
    est = fit(model(kind), X, y)
    weight = np.random.default_rng(1).uniform(size=60)
    metric = r2_score if kind in ("regression", "targets") else accuracy_score
    assert est.score(X, y, sample_weight=weight) == metric(y, est.predict(X), sample_weight=weight)


@pytest.mark.parametrize("solver", ["adam", "gd", "lbfgs"])
@pytest.mark.parametrize(
    ("given", "asked", "trained"),
    [
        ("float32", "auto", "float32"),
        ("float64", "auto", "float64"),
        ("int64", "auto", "float64"),
        ("bool", "auto", "float64"),
        ("float16", "auto", "float64"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float32"),
    ],
)
def test_dtype_of_the_weights(given, asked, trained, solver):
    for kind in ("regression", "three"):
        X, y = data(kind)
        est = fit(model(kind, solver=solver, dtype=asked), X.astype(given), y)
        assert {array.dtype.name for array in est.coefs_ + est.intercepts_} == {trained}
        if kind == "regression":
            for rows in (X.astype("float32"), X.astype("float64"), sparse.csr_matrix(X)):
                predicted = est.predict(rows)
                # the more precise of both, as NumPy (and scikit-learn's network) has it
                assert predicted.dtype == np.result_type(rows.dtype, trained)
                expected = est.predict(X.astype(trained))
                np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_rows_are_predicted_like_few(dtype, as_rows):
    # rows of another type are converted by parts
    X, y = data("regression", n=9001)
    est = fit(model("regression", dtype="float32", max_iter=1), X.astype(np.float32), y)
    whole = est.predict(as_rows(X.astype(dtype)))
    assert whole.shape == (9001,)
    for rows in (slice(0, 5), slice(4090, 4100), slice(8999, 9001)):
        part = est.predict(as_rows(X[rows].astype(dtype)))
        np.testing.assert_allclose(whole[rows], part, rtol=1e-5, atol=1e-6)


# -- refusals ------------------------------------------------------------------------------------


def changed(array, value, dtype=float):
    array = np.array(array, dtype=dtype)
    array[(3, 1) if array.ndim == 2 else 3] = value
    return array


def bad_data(cls):
    """Case name -> (the arguments of fit to replace, what the message must match)."""
    X, y = data("three" if cls is MLPClassifier else "regression")
    ones, csr = np.ones(60), sparse.csr_matrix(X)
    csr.data[4] = np.nan
    frame = pd.DataFrame(changed(X, "red", object), columns=["age", "colour", "income", "hours"])
    val = {"X_val": X, "y_val": y}
    return {
        "X has NaN": ({"X": changed(X, np.nan)}, [r"\bX\b", "NaN"]),
        "X has inf": ({"X": changed(X, np.inf)}, [r"\bX\b", "inf"]),
        "X in CSR has NaN": ({"X": csr}, [r"\bX\b", "NaN"]),
        "X is complex": ({"X": X + 1j}, ["(?i)complex"]),
        "X is 1d": ({"X": X[:, 0]}, ["2D", "1D"]),
        "X has no rows": ({"X": X[:0], "y": y[:0]}, ["0 sample"]),
        "X has no columns": ({"X": X[:, :0]}, ["feature", r"\b0\b"]),
        "X is a frame with strings": ({"X": frame}, ["colour", "red"]),
        "y is None": ({"y": None}, [r"\by\b", "None"]),
        "y is shorter": ({"y": y[:-2]}, [r"\by\b", "60", "58"]),
        "y has NaN": ({"y": changed(y, np.nan)}, [r"\by\b", "NaN"]),
        "y is 3d": ({"y": y[:, None, None]}, [r"\by\b|dim|label", r"3|\(60, 1, 1\)|unknown"]),
        "weight has NaN": ({"sample_weight": changed(ones, np.nan)}, ["sample_weight", "NaN"]),
        "weight is shorter": ({"sample_weight": ones[:-2]}, ["sample_weight", "58", "60"]),
        "weight is negative": ({"sample_weight": changed(ones, -1.0)}, ["sample_weight", "-1"]),
        "weight is all zero": ({"sample_weight": 0 * ones}, ["sample_weight", "zero"]),
        "X_val without y_val": ({"X_val": X}, ["y_val", "X_val"]),
        "sample_weight_val alone": ({"sample_weight_val": ones}, ["sample_weight_val", "X_val"]),
        "X_val has fewer columns": ({**val, "X_val": X[:, :2]}, ["X_val", "2", "4"]),
        "X_val has NaN": ({**val, "X_val": changed(X, np.nan)}, ["X_val", "NaN"]),
        "y_val is shorter": ({**val, "y_val": y[:-2]}, ["y_val", "58", "60"]),
        "y_val has columns": (
            {**val, "y_val": np.column_stack([y, y])},
            ["y_val|shape", "2|columns"],
        ),
    }


BAD_DATA = [
    pytest.param(cls, arguments, patterns, id=f"{cls.__name__}-{name}")
    for cls in BOTH
    for name, (arguments, patterns) in bad_data(cls).items()
]


@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")
@pytest.mark.parametrize("method", ["first fit", "fit", "partial_fit"])
@pytest.mark.parametrize(("cls", "arguments", "patterns"), BAD_DATA)
def test_bad_data_is_named_and_changes_nothing(cls, arguments, patterns, method):
    kind = "three" if cls is MLPClassifier else "regression"
    X, y = data(kind)
    est = model(kind)
    if method != "first fit":
        fit(est, X, y)
    before = digest(est)
    with pytest.raises(ValueError) as caught:
        getattr(est, method.split()[-1])(**{"X": X, "y": y} | arguments)
    for pattern in patterns:
        assert re.search(pattern, str(caught.value)), f"{pattern!r} not in {caught.value!s}"
    assert digest(est) == before


COMBINATIONS = [
    (
        "three",
        {"solver": "adamw", "weight_decay": 2.0, "learning_rate_init": 0.6},
        r"weight_decay=2.*0\.6",
    ),
    ("three", {"solver": "lbfgs", "dropout": 0.1}, r"lbfgs.*dropout=0.1"),
    ("three", {"solver": "lbfgs", "dropout": [0.0, 0.1]}, r"lbfgs.*dropout=\[0.0, 0.1\]"),
    ("three", {"solver": "lbfgs", "input_dropout": 0.1}, r"lbfgs.*input_dropout=0.1"),
    ("three", {"solver": "lbfgs", "max_grad_norm": 1.0}, r"lbfgs.*max_grad_norm.*1.0"),
    ("labels", {"class_weight": "balanced"}, "class_weight='balanced'.*label"),
    ("labels", {"class_weight": {0: 1.0}}, "class_weight=.*label"),
    ("regression", {"standardize_target": True, "loss": "poisson"}, "standardize_target.*poisson"),
    ("regression", {"standardize_target": True, "loss": "gamma"}, "standardize_target.*gamma"),
]


@pytest.mark.parametrize(("kind", "params", "message"), COMBINATIONS, ids=str)
def test_settings_that_do_not_go_together_are_named(kind, params, message):
    X, y = data(kind)
    y = np.abs(y) + 1 if kind == "regression" else y
    est = model(kind, **params)
    with pytest.raises(ValueError, match=message):
        est.fit(X, y)
    assert vars(est) == est.get_params()


@pytest.mark.parametrize("cls", BOTH)
def test_lbfgs_has_no_partial_fit(cls):
    est = cls(solver="lbfgs")
    assert not hasattr(est, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        est.partial_fit([[1.0]], [1])
    assert hasattr(est.set_params(solver="adam"), "partial_fit")


@pytest.mark.parametrize("kind", ["regression", "three"])
def test_partial_fit_cannot_hold_out_rows(kind):
    X, y = data(kind)
    classes = {"classes": [0, 1, 2]} if kind == "three" else {}
    est = model(kind, early_stopping=True)
    with pytest.raises(ValueError, match=r"early_stopping.*X_val"):
        est.partial_fit(X, y, **classes)
    assert vars(est) == est.get_params()
    est.partial_fit(X, y, X_val=X, y_val=y, **classes)
    assert len(est.validation_scores_) == est.n_iter_ == 1


@pytest.mark.parametrize(("rows", "fraction"), [(2, 0.1), (10, 0.1), (2, 0.9)])
def test_validation_split_that_is_too_small_is_named(rows, fraction):
    X, y = data("regression")
    est = model("regression", early_stopping=True, validation_fraction=fraction)
    with pytest.raises(ValueError, match=rf"validation_fraction.*|of {rows} rows"):
        est.fit(X[:rows], y[:rows])
    fit(est.set_params(validation_fraction=0.5), X[:4], y[:4])
    assert len(est.validation_scores_) == est.n_iter_


def test_class_with_one_row_cannot_be_split_for_validation():
    X, y = data("binary")
    with pytest.raises(ValueError, match="early_stopping"):
        model("binary", early_stopping=True).fit(X, np.r_[y[:-1], 2])


def test_classes_of_partial_fit_are_checked():
    X, y = data("binary")
    est = model("binary")
    for classes, message in ((None, "classes"), ([0, 2], r"\[1\]"), ([5, 6], "labels")):
        with pytest.raises(ValueError, match=message):
            est.partial_fit(X, y, classes=classes)
        assert vars(est) == est.get_params()
    est.partial_fit(X, y, classes=[2, 1, 0])
    assert est.classes_.tolist() == [0, 1, 2]
    assert est.predict_proba(X).shape == (60, 3)
    for y_bad, classes in ((np.r_[y[:-1], 7], None), (y, [0, 1])):
        before = digest(est)
        with pytest.raises(ValueError, match="classes"):
            est.partial_fit(X, y_bad, classes=classes)
        assert digest(est) == before
    est.partial_fit(X[:2], y[:2]).partial_fit(X, y, classes=np.array([0, 1, 2]))
    assert est.t_ == 122


def test_labels_of_partial_fit_are_checked():
    X, y = data("labels")
    est = model("labels").partial_fit(X, y, classes=[0, 1, 2])
    est.partial_fit(X, sparse.csr_matrix(y))
    assert est.predict(X).shape == y.shape and est.t_ == 120
    with pytest.raises(ValueError, match=r"labels|column"):
        est.partial_fit(X, y[:, :2])


@pytest.mark.parametrize("cls", BOTH)
def test_nothing_is_predicted_before_fit(cls):
    X, y = data("binary")
    for method in METHODS:
        if hasattr(cls, method):
            with pytest.raises(NotFittedError, match=cls.__name__):
                getattr(cls(), method)(X)
    with pytest.raises(NotFittedError, match=cls.__name__):
        cls().score(X, y)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "red"])
@pytest.mark.parametrize("kind", ["regression", "three"])
def test_bad_rows_are_refused_in_predict(kind, bad):
    X, y = data(kind)
    est = fit(model(kind), X, y)
    X = X.astype(object if bad == "red" else float)
    X[3, 1] = bad
    with pytest.raises(ValueError, match=rf"\bX\b[\s\S]*({'NaN' if bad != bad else bad})"):
        est.predict(X)
