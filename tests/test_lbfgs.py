"""Where lbfgs ends: at the minimum, however small it is and wherever training began. Minima are
those of exact.py."""

import numpy as np
import pytest
from exact import Objective

from skopt_est import LinearRegression, LogisticRegression

DTYPES = [np.float32, np.float64]


def rows(n=300, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng


@pytest.mark.parametrize("seed", range(3))
def test_it_goes_on_where_the_objective_is_small(seed):
    """Classes that can be told almost without loss: an iteration that brings a millionth is a
    hundredth of what is left."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(400, 20)) @ rng.normal(size=(20, 30)) + 0.3 * rng.normal(size=(400, 30))
    y = (X @ rng.normal(size=30) + 2 * rng.normal(size=400) > 0).astype(int)
    X = X.astype(np.float32)
    F = Objective(X, y, "log_loss", alpha=1e-6)
    best = F.minimise()
    assert best.value < 0.01
    fit = LogisticRegression(solver="lbfgs", alpha=1e-6, tol=1e-6, max_iter=1000).fit(X, y)
    assert F.gap(fit, best) <= 2e-3


# In the data's own units tol is of gradients in those.
UNITS = [(True, 1.0), (True, 1e-6), (True, 1e6), (False, 1.0)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("precondition, scale", UNITS)
@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_it_ends_at_the_minimum_for_targets_of_any_place_and_scale(
    dtype, precondition, scale, offset, l1_ratio
):
    """From zeros, where the objective may be 10¹⁰ times that of the best constant."""
    X, rng = rows()
    X = X.astype(dtype)
    y = scale * (X @ rng.normal(size=5) + rng.normal(size=300) + offset)
    params = {"alpha": 1e-3 * (scale if l1_ratio else 1.0), "l1_ratio": l1_ratio}
    F = Objective(X, y - y.mean(), "squared_error", **params)
    best = F.minimise()
    fit = LinearRegression(solver="lbfgs", precondition=precondition, max_iter=2000, **params)
    fit.fit(X, y)
    # the targets themselves are known to 1e-7 of the offset in single precision
    fit.intercept_ = fit.intercept_ - y.mean()
    assert F.gap(fit, best) <= 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_start_far_above_the_minimum_does_not_end_it(dtype):
    """Poisson, from the weights of smaller rows: exp of 20 times their predictions."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6)).astype(dtype)
    y = rng.poisson(np.exp(X @ rng.normal(size=6) * 0.4)).astype(float)
    params = {"loss": "poisson", "solver": "lbfgs", "alpha": 1e-3}
    warm = LinearRegression(**params, warm_start=True, max_iter=2000).fit(X, y).fit(20 * X, y)
    cold = LinearRegression(**params).fit(20 * X, y)
    assert warm.loss_ <= cold.loss_ + 1e-4 * abs(cold.loss_)
