"""lbfgs on correlated columns: the coordinates it works in, and what they save and keep."""

import numpy as np
import pytest
from exact import Objective
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, _whitening
from skopt_est._scaling import Scaling


def correlated(n=600, d=20, seed=0):
    """Columns in unequal units that share four factors."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)) + 0.05 * rng.normal(size=(n, d))
    X = X * np.geomspace(0.01, 100, d) + rng.normal(size=d)
    f = (X - X.mean(0)) / X.std(0) @ rng.normal(size=d)
    return X, (f + rng.logistic(size=n) > 0).astype(int)


def standard(X):
    return Scaling(X.mean(0), X.std(0), np.zeros(1), np.ones(1))


def root_of(X, rows=None, weights=None, penalty=0.0):
    rows = np.arange(len(X)) if rows is None else rows
    penalty = np.full(X.shape[1], penalty)
    return _whitening.whitener(X, rows, weights, standard(X), penalty)


def test_correlated_columns_cost_few_iterations():
    """Sparse rows have no whitening: they tell what the valleys cost."""
    X, y = correlated()
    X = X - X.mean(0)  # so that both forms see the same columns
    fits = [
        LogisticRegression(solver="lbfgs", alpha=1e-4).fit(form, y)
        for form in (X, sparse.csr_matrix(X))
    ]
    assert fits[0].loss_ <= fits[1].loss_ * (1 + 1e-6)
    assert 3 * fits[0].n_iter_ < fits[1].n_iter_


@pytest.mark.parametrize("n, d, ridge", [(2000, 20, 0.001), (600, 240, 0.006)])
def test_root_is_that_of_the_moments_and_the_penalty(n, d, ridge):
    """A twentieth of the columns a row of a full sample is added, a thousandth at least."""
    X, _ = correlated(n, d)
    Z = (X - X.mean(0)) / X.std(0)
    R = root_of(X, penalty=0.3)
    expected = Z.T @ Z / len(Z) + (0.3 + ridge) * np.eye(d)
    np.testing.assert_allclose(R.T @ R, expected, rtol=0, atol=1e-12)
    assert (np.tril(R, -1) == 0).all()


@pytest.mark.parametrize("n", [300, 4000])
def test_weighted_rows_count_as_repeated_ones(n):
    """Of few rows all are taken, in any order; of many those that repetitions side by side give."""
    X, _ = correlated(n=n)
    weights = np.random.default_rng(1).integers(0, 4, n).astype(float)
    repeated = np.repeat(np.arange(n), weights.astype(int))
    if n <= _whitening.LEAST_ROWS:
        repeated = np.random.default_rng(2).permutation(repeated)
    expected = root_of(X, repeated)
    np.testing.assert_allclose(root_of(X, np.flatnonzero(weights), weights), expected, rtol=1e-9)


def test_rare_columns_keep_the_mean_square_of_all_rows():
    """One that is empty in the sample would else be thought to have no curvature."""
    X, _ = correlated(n=20_000)
    unseen = np.setdiff1d(np.arange(len(X)), _whitening._drawn(2000, None, np.arange(len(X))))[:5]
    X[:, 3] = 0
    X[unseen, 3] = 1
    R = root_of(X)
    Z = (X - X.mean(0)) / X.std(0)
    largest = max(1.0, (Z[_whitening._drawn(2000, None, np.arange(len(X)))] ** 2).mean(0).max())
    np.testing.assert_allclose((R.T @ R)[3, 3], 1 + _whitening.RIDGE * largest, rtol=1e-12)


@pytest.mark.parametrize("d, whitened", [(40, True), (400, False)])
def test_independent_columns_are_whitened_only_where_that_is_cheap(d, whitened):
    X = np.random.default_rng(0).normal(size=(2000, d))
    assert (root_of(X) is not None) == whitened
    assert root_of(X @ np.triu(np.ones((d, d)))) is not None


def test_wide_rows_and_single_ones_are_not_whitened():
    X = np.random.default_rng(0).normal(size=(50, 120)).cumsum(axis=1)
    assert root_of(X) is None
    assert root_of(X[:, :2], rows=np.array([3])) is None


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradients_go_with_the_coordinates(n_outputs):
    """x and back, and dF = (dF/dx) dx = (dF/dtheta) dtheta."""
    rng = np.random.default_rng(2)
    X, _ = correlated(d=6)
    size, n = 7 * n_outputs, 6 * n_outputs
    for upper in (None, root_of(X)):
        coordinates = _whitening.Coordinates(rng.uniform(1, 2, n), upper)
        theta, g = rng.normal(size=(2, size))
        x = coordinates.enter(theta)
        back = np.empty(size)
        coordinates.leave(x, back)
        np.testing.assert_allclose(back, theta, rtol=1e-9, atol=1e-12)
        assert np.abs(x[:n] - theta[:n]).max() > 1e-3
        np.testing.assert_array_equal(x[n:], theta[n:])
        np.testing.assert_allclose(coordinates.gradient(g) @ x, g @ theta, rtol=1e-9)


def dependent(X):
    """A copy, a sum of others, a constant, an indicator and its complement, all zeros."""
    indicator = (X[:, :1] > np.median(X[:, 0])).astype(float)
    more = (X[:, 1:2], X[:, :3].sum(1, keepdims=True), np.full_like(indicator, 7.0))
    return np.hstack([X, *more, indicator, 1 - indicator, np.zeros_like(indicator)])


@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "poisson", "huber"])
@pytest.mark.parametrize("weighted", [False, True])
def test_dependent_columns_reach_the_minimum(loss, weighted):
    X, y = correlated(n=400, d=8)
    X = dependent((X - X.mean(0)) / X.std(0))
    weights = np.random.default_rng(3).uniform(0.1, 3, len(y)) if weighted else np.ones(len(y))
    F = Objective(X, y, loss, alpha=1e-3, sample_weight=weights)
    params = {"solver": "lbfgs", "alpha": 1e-3, "tol": 1e-10, "max_iter": 500}
    if loss == "log_loss":
        model = LogisticRegression(**params)
    else:
        model = LinearRegression(loss=loss, **params)
    model.fit(X, y, sample_weight=weights)
    assert F.gap(model, F.minimise()) <= 1e-8


def test_dependent_columns_and_an_outlier_in_float32():
    """Rounding must not make the moments indefinite."""
    X, y = correlated(n=2000, d=100)
    X = dependent((X - X.mean(0)) / X.std(0)).astype(np.float32)
    X[
        np.flatnonzero(np.isin(np.arange(2000), _whitening._drawn(2000, None, np.arange(2000))))[7]
    ] *= 1e4
    model = LogisticRegression(solver="lbfgs", alpha=1e-3, max_iter=300).fit(X, y)
    exact = LogisticRegression(solver="lbfgs", alpha=1e-3, max_iter=5000, dtype="float64").fit(X, y)
    np.testing.assert_allclose(model.loss_, exact.loss_, rtol=1e-3)


def test_l1_terms_keep_the_weights_own_coordinates():
    """Zeros are zeros of single weights."""
    X, y = correlated()
    model = LogisticRegression(solver="lbfgs", alpha=0.02, l1_ratio=1.0).fit(X, y)
    assert 0 < np.count_nonzero(model.coef_) < X.shape[1]
