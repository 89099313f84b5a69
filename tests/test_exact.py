"""The oracle of exact minima, before it is used: optimality is a proof for a convex F, and
scikit-learn's converged solvers are second witnesses."""

import numpy as np
import pytest
import sklearn
from exact import Objective, pointwise
from problems import KINDS, PENALTIES, problem
from scipy.optimize import minimize
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.utils.fixes import parse_version

SMOOTH = [kind for kind in KINDS if kind not in ("absolute_error", "quantile")]


def objective(kind, form="dense", penalty="l2", **kwargs):
    loss, extra = KINDS[kind]
    X, y = problem(kind, form)
    return X, y, Objective(X, y, loss, **PENALTIES[penalty], **extra, **kwargs)


def some_weights(n):
    weights = np.random.default_rng(5).uniform(0, 3, n)
    weights[::7] = 0
    return weights


@pytest.mark.parametrize("loss", ["squared_error", "huber", "poisson", "gamma", "log_loss"])
def test_derivatives_of_the_smooth_losses(loss):
    f = np.linspace(-3, 3, 41) + 0.013
    y, step = np.where(np.arange(41) % 2, 1.0, 0.5), 1e-5
    if loss == "log_loss":
        y = np.round(y)
    before, middle, after = (pointwise(loss, y, f + move) for move in (-step, 0, step))
    np.testing.assert_allclose(middle[1], (after[0] - before[0]) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(middle[2], (after[1] - before[1]) / (2 * step), atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", SMOOTH)
def test_subgradient_vanishes_at_the_minimum(kind, penalty, form, intercept, weighted):
    X, _, _ = objective(kind, form)
    _, _, F = objective(
        kind,
        form,
        penalty,
        fit_intercept=intercept,
        sample_weight=some_weights(X.shape[0]) if weighted else None,
    )
    best = F.minimise()
    assert F.stationarity(best.coef, best.intercept) < 1e-8
    # The measure itself is not always small: it sees a step of a millionth away.
    assert F.stationarity(best.coef + 1e-6, best.intercept) > 1e-8


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_subgradient_vanishes_whatever_the_units_of_a_column(scale):
    X, y = problem("squared_error", "dense")
    X = X * np.geomspace(1, scale, X.shape[1]) + 3 * scale
    F = Objective(X, 1000 * y, "squared_error", alpha=1e-4)
    best = F.minimise()
    assert F.stationarity(best.coef, best.intercept) < 1e-8


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("delta", [1e-3, 0.1, 10.0, 1e5])
def test_subgradient_vanishes_for_every_delta_of_the_huber_loss(delta, penalty):
    """From nearly the absolute error, where no row has curvature at first, to the squared one."""
    X, y = problem("huber", "dense")
    F = Objective(X, 1000 * y, "huber", delta=delta, **PENALTIES[penalty])
    best = F.minimise()
    assert F.stationarity(best.coef, best.intercept) < 1e-8


@pytest.mark.parametrize("penalty", PENALTIES)
def test_huber_loss_over_a_tiny_delta_is_the_absolute_error(penalty):
    X, y = problem("huber", "dense")
    settings, delta = PENALTIES[penalty], 1e-6
    rounded = Objective(X, y, "huber", delta=delta, **settings | {"alpha": 0.01 * delta})
    kinked = Objective(X, y, "absolute_error", **settings | {"alpha": 0.01})
    assert rounded.minimise().value / delta == pytest.approx(kinked.minimise().value, rel=1e-6)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("penalty", ["l1", "elastic_net"])
def test_problems_have_clear_zeros(kind, penalty, form):
    """No weight is a zero, or not a zero, by a hair: exact zeros can be asked of a solver."""
    _, _, F = objective(kind, form, penalty)
    best = F.minimise()
    slack, smallest = F.margin(best)
    assert slack > 0.02
    assert smallest > 0.005
    assert 0 < np.sum(best.coef == 0) < best.coef.size


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["absolute_error", "quantile"])
def test_duality_gap_of_losses_with_a_kink(kind, penalty, form):
    """max over slopes a of sum a y - conjugate of the penalty at X'a bounds F from below."""
    X, y, F = objective(kind, form, penalty)
    best = F.minimise()
    a = F.weight * best.dual[:, 0]
    l1, l2 = F.alpha * F.l1_ratio, F.alpha * (1 - F.l1_ratio)
    correlation = np.abs(X.T @ a)
    if l2 == 0:
        a = a * min(1.0, l1 / correlation.max())
        bound = a @ y
    else:
        bound = a @ y - np.sum(np.maximum(correlation - l1, 0) ** 2) / (2 * l2)
    assert abs(a.sum()) < 1e-9
    assert abs(best.value - bound) < 1e-8 * best.value


def agree(F, coef, intercept, bound=1e-6):
    best = F.minimise()
    assert best.value <= F(coef, intercept) + 1e-13
    assert F(coef, intercept) - best.value < 1e-8
    np.testing.assert_allclose(best.coef, np.atleast_2d(coef), atol=bound)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_agrees_with_logistic_regression(kind, penalty, weighted):
    X, y, _ = objective(kind)
    weights = some_weights(len(y)) if weighted else np.ones(len(y))
    alpha, l1_ratio = PENALTIES[penalty].values()
    # Before scikit-learn 1.8, where it became superfluous, `penalty` decided on `l1_ratio`.
    old = parse_version(sklearn.__version__) < parse_version("1.8")
    model = LogisticRegression(
        **({"penalty": "elasticnet"} if old and l1_ratio else {}),
        C=1 / (alpha * weights.sum()),
        l1_ratio=l1_ratio,
        solver="saga" if l1_ratio else "newton-cg",
        tol=1e-10,
        max_iter=100_000,
    ).fit(X, y, sample_weight=weights)
    F = Objective(X, y, "log_loss", alpha=alpha, l1_ratio=l1_ratio, sample_weight=weights)
    agree(F, model.coef_, model.intercept_)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", ["l1", "elastic_net"])
def test_agrees_with_elastic_net(penalty, weighted):
    X, y, _ = objective("squared_error")
    weights = some_weights(len(y)) if weighted else np.ones(len(y))
    settings = PENALTIES[penalty]
    model = ElasticNet(**settings, tol=1e-14, max_iter=100_000).fit(X, y, sample_weight=weights)
    F = Objective(X, y, "squared_error", **settings, sample_weight=weights)
    agree(F, model.coef_, model.intercept_)


def test_agrees_with_ridge_and_the_normal_equations():
    X, y, F = objective("squared_error")
    model = Ridge(alpha=F.alpha * len(y), solver="cholesky").fit(X, y)
    agree(F, model.coef_, model.intercept_, 1e-12)
    centred = X - X.mean(axis=0)
    normal = centred.T @ centred / len(y) + F.alpha * np.eye(X.shape[1])
    coef = np.linalg.solve(normal, centred.T @ y / len(y))
    agree(F, coef, y.mean() - X.mean(axis=0) @ coef, 1e-12)


@pytest.mark.parametrize("kind, model", [("poisson", PoissonRegressor), ("gamma", GammaRegressor)])
def test_agrees_with_the_generalised_linear_models(kind, model):
    X, y, F = objective(kind)
    model = model(alpha=F.alpha, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(X, y)
    agree(F, model.coef_, model.intercept_)


def test_agrees_with_quantile_regression():
    X, y, F = objective("quantile", penalty="l1")
    model = QuantileRegressor(quantile=F.quantile, alpha=F.alpha, solver="highs").fit(X, y)
    agree(F, model.coef_, model.intercept_)
    doubled = QuantileRegressor(quantile=0.5, alpha=F.alpha / 2, solver="highs").fit(X, y)
    agree(Objective(X, y, "absolute_error", **PENALTIES["l1"]), doubled.coef_, doubled.intercept_)


@pytest.mark.parametrize("kind", SMOOTH)
def test_agrees_with_a_general_minimiser_of_smooth_functions(kind):
    """BFGS from scipy on F alone; the only witness for the Huber loss."""
    _, _, F = objective(kind)
    k, d = F.outputs, F.features

    def value(theta):
        return F(theta[: k * d].reshape(k, d), theta[k * d :])

    found = minimize(value, np.zeros(k * (d + 1)), method="BFGS", options={"gtol": 1e-7})
    agree(F, found.x[: k * d].reshape(k, d), found.x[k * d :], 1e-3)


def test_weights_are_repetitions_and_outputs_are_separate():
    X, y = problem("poisson", "dense")
    counts = np.arange(len(y)) % 3
    weighted = Objective(X, y, "poisson", alpha=0.01, sample_weight=counts).minimise()
    again = Objective(np.repeat(X, counts, axis=0), np.repeat(y, counts), "poisson", alpha=0.01)
    np.testing.assert_allclose(again.minimise().coef, weighted.coef, atol=1e-12)

    both = Objective(X, np.column_stack([y, 2 + y[::-1]]), "poisson", alpha=0.01).minimise()
    alone = [Objective(X, part, "poisson", alpha=0.01).minimise() for part in (y, 2 + y[::-1])]
    np.testing.assert_allclose(both.coef, np.vstack([s.coef for s in alone]), atol=1e-14)
    assert both.value == pytest.approx(sum(s.value for s in alone), rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_floor_is_what_perfect_predictions_would_cost(kind):
    """The gap is relative to F - floor: shifting it by a constant of y changes nothing."""
    _, y, F = objective(kind)
    if kind in ("poisson", "gamma"):
        raw = np.log(np.maximum(y, 1e-300))[:, None]
        value, _ = F.losses(raw)
        assert F.weight @ value == pytest.approx(F.floor(), rel=1e-12)
    else:
        assert F.floor() == 0
    assert F.minimise().value > F.floor()
