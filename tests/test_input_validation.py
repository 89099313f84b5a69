"""Bad input ends in an error that names what is wrong, and leaves the estimator as it was."""

import functools
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

BOTH = (LinearRegression, LogisticRegression)
# A frame given to an estimator fitted on arrays is told apart from what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")


def data(cls):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(scale=0.3, size=40)
    return X, (y > 0).astype(int) if cls is LogisticRegression else y


def fit_quietly(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def fitted(cls, **params):
    return fit_quietly(cls(**{"max_iter": 3, "random_state": 0, **params}), *data(cls))


def state(est):
    """A digest per attribute: arrays, generators and containers are compared by content."""
    return {name: joblib.hash(value) for name, value in vars(est).items()}


def assert_fails(est, call, *patterns):
    """The call raises, its message matches every pattern, and no attribute of est changed."""
    before = state(est)
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    for pattern in patterns:
        assert re.search(pattern, message), f"{pattern!r} is not in {message!r}"
    after = state(est)
    assert after == before, {k for k in before | after if before.get(k) != after.get(k)}


def changed(array, value, dtype=float):
    """A copy of array with one entry replaced."""
    array = np.array(array, dtype=dtype)
    array[(3, 1) if array.ndim == 2 else 3] = value
    return array


def bad_data(cls):
    """Case name -> (the arguments of fit to replace, what the message must match)."""
    X, y = data(cls)
    ones = np.ones(40)
    csr_nan, csr_inf = sp.csr_matrix(X), sp.csr_matrix(X)
    csr_nan.data[4], csr_inf.data[4] = np.nan, np.inf
    frame = pd.DataFrame(changed(X, "red", object), columns=["age", "colour", "income"])
    val = {"X_val": X, "y_val": y}
    cases = {
        "X is None": ({"X": None}, [r"\bX\b|array", "None|array"]),
        "X has NaN": ({"X": changed(X, np.nan)}, [r"\bX\b", "NaN"]),
        "X has inf": ({"X": changed(X, np.inf)}, [r"\bX\b", "inf"]),
        "X has -inf": ({"X": changed(X, -np.inf)}, [r"\bX\b", "inf"]),
        "X in CSR has NaN": ({"X": csr_nan}, [r"\bX\b", "NaN"]),
        "X in CSR has inf": ({"X": csr_inf}, [r"\bX\b", "inf"]),
        "X is complex": ({"X": changed(X, 1j, complex)}, ["(?i)complex"]),
        "X in CSR is complex": ({"X": sp.csr_matrix(X * 1j)}, ["(?i)complex"]),
        "X is 1d": ({"X": X[:, 0]}, ["2D", "1D"]),
        "X is 3d": ({"X": X[:, :, None]}, ["2D|dim", "3"]),
        "X has no rows": ({"X": X[:0], "y": y[:0]}, ["0 sample"]),
        "X has no columns": ({"X": X[:, :0]}, ["feature", r"\b0\b"]),
        "X has strings": ({"X": changed(X, "red", object)}, [r"\bX\b", "red"]),
        "X is a frame with strings": ({"X": frame}, ["colour", "red"]),
        "y is None": ({"y": None}, [r"\by\b", "None"]),
        "y is shorter": ({"y": y[:-2]}, [r"\by\b", "40", "38"]),
        "y has NaN": ({"y": changed(y, np.nan)}, [r"\by\b", "NaN"]),
        "y has inf": ({"y": changed(y, np.inf)}, [r"\by\b", "inf"]),
        "y is complex": ({"y": changed(y, 1j, complex)}, ["(?i)complex"]),
        "y is 3d": ({"y": y[:, None, None]}, [r"\by\b|dim|label", r"3|\(40, 1, 1\)|unknown"]),
        "weight has NaN": ({"sample_weight": changed(ones, np.nan)}, ["sample_weight", "NaN"]),
        "weight has inf": ({"sample_weight": changed(ones, np.inf)}, ["sample_weight", "inf"]),
        "weight is shorter": ({"sample_weight": ones[:-2]}, ["sample_weight", "38", "40"]),
        "weight is 2d": ({"sample_weight": np.ones((40, 2))}, ["(?i)sample.?weight", "2"]),
        "weight is negative": (
            {"sample_weight": changed(ones, -1.0)},
            ["sample_weight", "(?i)negative|-1"],
        ),
        "weight is all zero": ({"sample_weight": 0 * ones}, ["sample_weight", "zero|positive"]),
        "X_val without y_val": ({"X_val": X}, ["y_val", "X_val"]),
        "y_val without X_val": ({"y_val": y}, ["y_val", "X_val"]),
        "sample_weight_val alone": ({"sample_weight_val": ones}, ["sample_weight_val", "X_val"]),
        "X_val has fewer columns": ({**val, "X_val": X[:, :2]}, ["X_val", "2", "3"]),
        "X_val has NaN": ({**val, "X_val": changed(X, np.nan)}, ["X_val", "NaN"]),
        "X_val has strings": ({**val, "X_val": changed(X, "red", object)}, ["X_val", "red"]),
        "X_val has no rows": ({"X_val": X[:0], "y_val": y[:0]}, ["X_val", r"\b0\b"]),
        "y_val is shorter": ({**val, "y_val": y[:-2]}, ["y_val", "38", "40"]),
        "val weight is shorter": (
            {**val, "sample_weight_val": ones[:5]},
            ["sample_weight_val", "5", "40"],
        ),
        "val weight is negative": (
            {**val, "sample_weight_val": -ones},
            ["sample_weight_val", "(?i)negative|-1"],
        ),
        "val weight is all zero": (
            {**val, "sample_weight_val": 0 * ones},
            ["sample_weight_val", "zero|positive"],
        ),
    }
    if cls is LinearRegression:
        text = np.array(["low", "high"] * 20)
        cases |= {
            "y is text": ({"y": text}, [r"\by\b", "low|high|string|str|text"]),
            "y_val has NaN": ({**val, "y_val": changed(y, np.nan)}, ["y_val", "NaN"]),
            "y_val has two targets": ({**val, "y_val": np.column_stack([y, y])}, ["y_val", "2"]),
        }
    else:
        cases |= {
            "labels in two columns": ({"y": np.column_stack([y, y])}, [r"\by\b|label", "2|multi"]),
            "labels are continuous": ({"y": y + X[:, 0]}, ["label|class", "continuous"]),
            "y_val has an unseen class": ({**val, "y_val": np.r_[y[:-1], 7]}, ["y_val", "7"]),
        }
    return cases


BAD_DATA = [
    pytest.param(cls, arguments, patterns, id=f"{cls.__name__}-{name}")
    for cls in BOTH
    for name, (arguments, patterns) in bad_data(cls).items()
]


def call_with(est, method, arguments):
    X, y = data(type(est))
    return lambda: getattr(est, method)(**({"X": X, "y": y} | arguments))


@pytest.mark.parametrize(("cls", "arguments", "patterns"), BAD_DATA)
def test_bad_data_fails_in_a_first_fit_and_sets_nothing(cls, arguments, patterns):
    est = cls()
    assert_fails(est, call_with(est, "fit", arguments), *patterns)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("cls", "arguments", "patterns"), BAD_DATA)
def test_bad_data_leaves_a_fitted_estimator_as_it_was(cls, arguments, patterns, method):
    est = fitted(cls)
    assert_fails(est, call_with(est, method, arguments), *patterns)


@pytest.mark.parametrize("labels", [np.full(40, 7), np.array(["yes"] * 40)])
def test_one_class_is_named_as_such(labels):
    est = fitted(LogisticRegression)
    assert_fails(est, lambda: est.fit(data(LogisticRegression)[0], labels), "class", "7|yes|one|1")


@pytest.mark.parametrize("cls", BOTH)
def test_value_beyond_the_range_of_float32_is_named(cls):
    X, y = data(cls)
    est = fitted(cls, dtype="float32")
    assert_fails(est, lambda: est.fit(changed(X, 1e300), y), r"\bX\b", "float32|inf")


@pytest.mark.parametrize("argument", ["y", "y_val"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("loss", "bad"), [("poisson", -1.5), ("gamma", 0.0), ("gamma", -2.5)])
def test_target_outside_the_range_of_its_loss_is_named(loss, bad, method, argument):
    X, y = data(LinearRegression)
    y = np.abs(y) + 1
    est = fit_quietly(LinearRegression(loss=loss, max_iter=2), X, y)
    arguments = {"X": X, "y": y, "X_val": X, "y_val": y} | {argument: changed(y, bad)}
    call = functools.partial(getattr(est, method), **arguments)
    assert_fails(est, call, rf"\b{argument}\b", loss, str(bad)[:2])


@pytest.mark.parametrize(
    ("cls", "rows", "fraction"),
    [(LinearRegression, 1, 0.1), (LinearRegression, 2, 0.9), (LogisticRegression, 2, 0.1)],
)
def test_validation_split_that_is_too_small_is_named(cls, rows, fraction):
    X, y = data(cls)
    rows = [int(np.argmin(y)), int(np.argmax(y))][:rows]
    est = fitted(cls, early_stopping=True, validation_fraction=fraction)
    assert_fails(est, lambda: est.fit(X[rows], y[rows]), "validation_fraction", str(len(rows)))


def test_one_row_is_too_few_to_validate_by():
    X, y = data(LinearRegression)
    est = fitted(LinearRegression, early_stopping=True)
    assert_fails(est, lambda: est.fit(X[:10], y[:10]), "held out 1 of 10", "validation_fraction")
    fit_quietly(est.set_params(validation_fraction=0.2), X[:10], y[:10])
    assert est.t_ == est.n_iter_ * 8


def test_class_with_one_row_cannot_be_split_for_validation():
    X, y = data(LogisticRegression)
    est = fitted(LogisticRegression, early_stopping=True)
    assert_fails(est, lambda: est.fit(X, np.r_[y[:-1], 2]), "validation_fraction|early_stopping")


@pytest.mark.parametrize("cls", BOTH)
def test_partial_fit_cannot_hold_out_rows(cls):
    est = fitted(cls).set_params(early_stopping=True)
    assert_fails(est, lambda: est.partial_fit(*data(cls)), "early_stopping", "X_val")


def test_partial_fit_keeps_the_number_of_columns_and_targets():
    X, y = data(LinearRegression)
    est = fitted(LinearRegression)
    assert_fails(est, lambda: est.partial_fit(X[:, :2], y), "2 features", "3 features")
    assert_fails(est, lambda: est.partial_fit(X, np.column_stack([y, y])), r"\by\b|target", "2")


def test_classes_of_partial_fit_are_checked():
    X, y = data(LogisticRegression)
    est = LogisticRegression(max_iter=2)
    assert_fails(est, lambda: est.partial_fit(X, y), "classes")
    assert_fails(est, lambda: est.partial_fit(X, y, classes=[0, 2]), "classes|label", r"\b1\b")
    assert_fails(est, lambda: est.partial_fit(X, y, classes=[0]), "class")
    est.partial_fit(X, y, classes=[0, 1])
    assert_fails(est, lambda: est.partial_fit(X, np.r_[y[:-1], 7]), "class|label", "7")
    assert_fails(est, lambda: est.partial_fit(X, y, classes=[0, 1, 2]), "classes", "2")


def test_balanced_class_weight_is_undefined_in_partial_fit():
    X, y = data(LogisticRegression)
    for est in (LogisticRegression(), fitted(LogisticRegression)):
        est.set_params(class_weight="balanced")
        call = functools.partial(est.partial_fit, X, y, classes=[0, 1])
        assert_fails(est, call, "class_weight", "balanced")


def explodes_halfway(progress):
    return 1.0 if progress < 0.5 else 1e200


DIVERGING = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")
# Without a penalty: its proximal step would tame any rate.
HUGE_STEPS = {"alpha": 0.0, "batch_size": 4, "random_state": 0, "learning_rate_init": 0.01}


@pytest.mark.parametrize("solver", DIVERGING)
def test_last_finite_weights_come_back_when_training_explodes(solver):
    est = LinearRegression(
        solver=solver, max_iter=20, learning_rate=explodes_halfway, tol=0.0, **HUGE_STEPS
    )
    with pytest.warns(ConvergenceWarning, match="learning_rate"):
        est.fit(*data(LinearRegression))
    curve = np.array(est.loss_curve_)
    assert np.isfinite(est.coef_).all()
    assert np.isfinite(est.intercept_)
    assert 10 <= est.n_iter_ == len(curve) < 20
    assert np.isnan(curve[-1])
    assert np.isnan(est.history_[-1]["loss"])
    assert np.isfinite(curve[:-1]).all()
    assert est.best_loss_ == curve[:-1].min()
    assert np.abs(est.coef_).max() < 10  # the weights from before the explosion


@pytest.mark.parametrize("solver", DIVERGING)
def test_training_that_was_never_finite_is_an_error(solver):
    est = fitted(LinearRegression, solver=solver)
    est.set_params(**HUGE_STEPS | {"learning_rate_init": 1e200, "max_iter": 20})
    if solver == "gd":  # its first loss is that of the weights before the step, which is finite
        with pytest.warns(ConvergenceWarning, match="learning_rate"):
            est.fit(*data(LinearRegression))
        assert np.isfinite(est.coef_).all()
        assert np.isnan(est.loss_curve_[-1])
    else:
        assert_fails(
            est, lambda: est.fit(*data(LinearRegression)), "learning_rate_init", r"1e\+200"
        )


@pytest.mark.parametrize("solver", DIVERGING)
def test_partial_fit_that_explodes_never_leaves_nan_in_the_weights(solver):
    X, y = data(LinearRegression)
    est = LinearRegression(solver=solver, **HUGE_STEPS).partial_fit(X, y)
    est.set_params(learning_rate_init=1e200)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for _ in range(3):
                est.partial_fit(X, y)
        except ValueError as error:
            message = str(error)
        else:
            message = "".join(str(w.message) for w in caught if w.category is ConvergenceWarning)
    assert "learning_rate" in message
    assert np.isfinite(est.coef_).all()
    assert np.isfinite(est.intercept_)
    # gd meets its loss before its step, so a first huge step still counts as finite
    assert solver == "gd" or np.abs(est.predict(X)).max() < 100


@pytest.mark.parametrize("odd", [1, None, float("nan")])
def test_a_label_that_does_not_sort_with_the_others_is_named(odd):
    X = np.random.default_rng(0).standard_normal((20, 3))
    y, y_val = np.array(["a", "b"] * 10), np.array(["a", odd] * 10, dtype=object)
    with pytest.raises(ValueError, match="y"):
        LogisticRegression(early_stopping=True).fit(X, y, X_val=X, y_val=y_val)
