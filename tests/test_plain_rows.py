"""Rows that a prediction takes as they are, without scikit-learn's validation: what that checks
stays checked, and the numbers are those of validated rows."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._checks import plain_rows

MODELS = {
    "linear": LinearRegression(max_iter=3, tol=0, random_state=0),
    "linear, two targets": LinearRegression(max_iter=3, tol=0, random_state=0),
    "logistic": LogisticRegression(max_iter=3, tol=0, random_state=0),
    "three classes": LogisticRegression(max_iter=3, tol=0, random_state=0),
    "MLP classifier": MLPClassifier((8,), max_iter=3, tol=0, random_state=0),
    "MLP regressor": MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, tol=0, random_state=0),
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
D = 5


def rows(n=300, dtype=np.float64):
    return np.random.default_rng(0).standard_normal((n, D)).astype(dtype)


@pytest.fixture(params=list(MODELS))
def model(request):
    X = rows()
    if "targets" in request.param:
        y = X[:, :2]
    elif "three" in request.param:
        y = np.digitize(X[:, 0], [-0.5, 0.5])
    else:
        y = (X[:, 0] > 0).astype(int)
    return MODELS[request.param].fit(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 7, 300, 10_000])
def test_the_same_bits_as_validated_rows(model, n, dtype):
    X = rows(n, dtype)
    assert plain_rows(model, X)
    # neither a list nor rows in columns' order is plain
    for other in (np.asfortranarray(X), *([X.tolist()] if dtype == np.float64 else [])):
        assert n == 1 or not plain_rows(model, other)
        np.testing.assert_array_equal(model.predict(X), model.predict(other))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n, at", [(1, 0), (10_000, 0), (10_000, 5001), (10_000, 9999)])
def test_numbers_that_are_not_finite_are_refused(model, n, at, bad):
    X = rows(n)
    X[at, at % D] = bad
    with pytest.raises(ValueError, match="NaN" if np.isnan(bad) else "infinity"):
        model.predict(X)


def test_infinities_that_cancel_are_refused(model):
    X = rows(20)
    X[3, 0], X[4, 0] = np.inf, -np.inf
    with pytest.raises(ValueError, match="infinity"):
        model.predict(X)


@pytest.mark.filterwarnings("error")
def test_a_sum_that_overflows_is_no_fault_of_its_numbers():
    X = np.full((4, D), 3e38, np.float32)
    model = LinearRegression(max_iter=3).fit(rows(dtype=np.float32), 1e-6 * rows()[:, 0])
    exact = X.astype(np.float64) @ model.coef_
    np.testing.assert_allclose(model.predict(X), exact, rtol=1e-4)


@pytest.mark.parametrize(
    "X, message",
    [
        (rows()[:, :4].copy(), "features"),
        (rows()[0], "2D array"),
        (rows()[:0], "0 sample"),
        (rows()[None], "dim 3"),
        (np.array([["a"] * D]), "convert"),
        (rows().astype(complex), "[Cc]omplex"),
    ],
)
def test_wrong_shapes_and_types_are_refused(model, X, message):
    with pytest.raises(ValueError, match=message):
        model.predict(X)


def test_names_are_asked_for_as_ever():
    frame = pd.DataFrame(rows(), columns=list("abcde"))
    model = LogisticRegression(max_iter=3, tol=0).fit(frame, frame["a"] > 0)
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(rows(3))


def test_not_fitted():
    for model in (LogisticRegression(), MLPRegressor()):
        with pytest.raises(NotFittedError):
            model.predict(rows(1))


def test_coefficients_that_somebody_put_there():
    model, X = LinearRegression(max_iter=3).fit(rows(), rows()[:, 0]), rows(3)
    model.coef_ = np.arange(D, dtype=np.longdouble)
    np.testing.assert_allclose(model.predict(X), X @ np.arange(D) + model.intercept_, rtol=1e-6)
    model.coef_ = np.arange(D - 1.0)
    with pytest.raises(ValueError, match="mismatch"):
        model.predict(X)
