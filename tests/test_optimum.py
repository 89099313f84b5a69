"""Every solver ends at the minimum of the one objective F, computed apart in exact.py.

Gaps are (F - F*) / (F* - floor): relative to what is lost, so that a loss of counts, whose F
leaves out a constant and may be negative, is held to the same bound as the others.
"""

from functools import cache

import numpy as np
import pytest
from exact import Objective
from problems import KINDS, PENALTIES, ROWS, problem
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

SMOOTH = [kind for kind in KINDS if kind not in ("absolute_error", "quantile")]
SPARSE_MAKING = ["l1", "elastic_net"]
FULL_BATCH = ["gd", "lbfgs"]
# A rate to start from, which the cosine takes to zero. Each is far from the edge of stability.
STOCHASTIC = {
    "sgd": "auto",
    "adagrad": 0.5,
    "rmsprop": 0.02,
    "adam": 0.05,
    "nadam": 0.05,
    "amsgrad": 0.05,
}

# A run on a falling schedule is meant to use up max_iter.
pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def estimator(kind, solver, **settings):
    """Stops for lack of progress when full-batch, and never otherwise."""
    if solver in FULL_BATCH:
        base = {"max_iter": 20_000, "tol": 1e-14}
    else:
        base = {
            "batch_size": 24,
            "learning_rate": "cosine",
            "learning_rate_init": STOCHASTIC[solver],
            "max_iter": 300,
            "n_iter_no_change": 300,
            "tol": 0.0,
            "random_state": 0,
        }
    if kind == "huber" and solver == "sgd":
        base["learning_rate_init"] = 0.1
    base |= KINDS[kind][1] | {"dtype": "float64"} | settings
    if kind in ("binary", "multiclass"):
        return LogisticRegression(solver=solver, **base)
    return LinearRegression(solver=solver, loss=KINDS[kind][0], **base)


@cache
def minimum(kind, form, penalty):
    X, y = problem(kind, form)
    F = Objective(X, y, KINDS[kind][0], **PENALTIES[penalty], **KINDS[kind][1])
    return X, y, F, F.minimise()


def zeros(model, best):
    return (np.asarray(model.coef_).reshape(best.coef.shape) == 0).tolist()


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("solver", FULL_BATCH)
def test_full_batch_solvers_reach_the_minimum(solver, kind, penalty, form, precondition):
    X, y, F, best = minimum(kind, form, penalty)
    model = estimator(kind, solver, precondition=precondition, **PENALTIES[penalty]).fit(X, y)
    assert F.gap(model, best) <= 1e-6
    if penalty != "l2":
        assert zeros(model, best) == (best.coef == 0).tolist()


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_stochastic_solvers_come_close_alone(solver, kind, penalty, form, precondition):
    """Without the polish: the proximal steps themselves lead to the minimum of F."""
    X, y, F, best = minimum(kind, form, penalty)
    settings = {"precondition": precondition, "polish_iter": 0} | PENALTIES[penalty]
    assert F.gap(estimator(kind, solver, **settings).fit(X, y), best) <= 1e-3


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", SPARSE_MAKING)
@pytest.mark.parametrize("kind", SMOOTH)
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_polish_gives_the_zeros_of_the_minimum(solver, kind, penalty, form):
    X, y, F, best = minimum(kind, form, penalty)
    polished = estimator(kind, solver, **PENALTIES[penalty]).fit(X, y)
    assert F.gap(polished, best) <= 1e-5
    assert zeros(polished, best) == (best.coef == 0).tolist()


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "squared_error", "poisson"])
@pytest.mark.parametrize("solver", STOCHASTIC)
def test_noise_leaves_non_zeros_that_only_the_polish_removes(solver, kind, form):
    X, y, F, best = minimum(kind, form, "l1")
    noisy = {"batch_size": 8, "max_iter": 100, "n_iter_no_change": 100} | PENALTIES["l1"]
    rough, polished = (
        estimator(kind, solver, polish_iter=passes, **noisy).fit(X, y) for passes in (0, 10)
    )
    assert np.count_nonzero(rough.coef_) > np.count_nonzero(best.coef)
    assert zeros(polished, best) == (best.coef == 0).tolist()
    assert F.gap(polished, best) <= min(1e-5, F.gap(rough, best))


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["absolute_error", "quantile"])
@pytest.mark.parametrize("solver", [*FULL_BATCH, *STOCHASTIC])
def test_losses_with_a_kink(solver, kind, penalty, form):
    """No fixed step converges on them, and gd is a subgradient method here. With slopes of size
    G the noise floor of a step eta is of order eta G^2 / 2; the cosine takes eta to zero."""
    X, y, F, best = minimum(kind, form, penalty)
    settings = dict(PENALTIES[penalty])
    if solver in ("gd", "sgd"):
        settings |= {"learning_rate": "cosine", "learning_rate_init": 0.2}
    if solver == "gd":
        settings |= {"max_iter": 2000, "n_iter_no_change": 2000}
    assert F.gap(estimator(kind, solver, **settings).fit(X, y), best) <= 1e-3


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["binary", "squared_error"])
def test_momentum_keeps_the_fixed_point(kind, penalty, nesterov):
    """The velocity multiplies a step by 1 / (1 - momentum); the threshold must follow."""
    X, y, F, best = minimum(kind, "dense", penalty)
    settings = {"momentum": 0.9, "nesterovs_momentum": nesterov, "learning_rate_init": 0.01}
    model = estimator(kind, "sgd", polish_iter=0, **settings, **PENALTIES[penalty]).fit(X, y)
    assert F.gap(model, best) <= 1e-3


@pytest.mark.parametrize("batch_size", [1, 7, 100, ROWS])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "adam"])
def test_alpha_means_the_same_for_every_batch_size(solver, batch_size):
    """240 rows are not a multiple of 7 or of 100: the last batch is shorter."""
    X, y, F, best = minimum("binary", "dense", "elastic_net")
    rates = {"sgd": 0.3 if batch_size > 1 else 0.05, "adagrad": 0.5, "adam": 0.03}
    settings = {"batch_size": batch_size, "learning_rate_init": rates[solver], "polish_iter": 0}
    settings["max_iter"] = 300 if batch_size < 100 else 2000
    settings["n_iter_no_change"] = settings["max_iter"]
    model = estimator("binary", solver, **settings, **PENALTIES["elastic_net"]).fit(X, y)
    assert F.gap(model, best) <= 1e-3


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "squared_error", "poisson"])
@pytest.mark.parametrize("solver", [*FULL_BATCH, *STOCHASTIC])
def test_minimum_with_sample_weights(solver, kind, form):
    X, y = problem(kind, form)
    weights = np.random.default_rng(7).uniform(0.1, 4, len(y))
    weights[::5] = 0
    penalty = PENALTIES["l2"]
    F = Objective(X, y, KINDS[kind][0], sample_weight=weights, **penalty)
    model = estimator(kind, solver, **penalty).fit(X, y, sample_weight=weights)
    assert F.gap(model, F.minimise()) <= (1e-6 if solver in FULL_BATCH else 1e-3)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_minimum_with_class_weights(solver, kind, balanced):
    """Class weights are multiplied into the sample weights, and then into S."""
    X, y = problem(kind, "dense")
    classes, counts = np.unique(y, return_counts=True)
    factors = len(y) / (len(classes) * counts) if balanced else np.arange(1.0, len(classes) + 1)
    class_weight = "balanced" if balanced else dict(zip(classes, factors, strict=True))
    weights = np.random.default_rng(7).uniform(0.5, 2, len(y)) if not balanced else np.ones(len(y))
    F = Objective(
        X, y, "log_loss", alpha=0.01, sample_weight=weights * factors[np.searchsorted(classes, y)]
    )
    model = estimator(kind, solver, class_weight=class_weight, alpha=0.01)
    model.fit(X, y, sample_weight=weights)
    assert F.gap(model, F.minimise()) <= (1e-6 if solver == "lbfgs" else 1e-3)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("kind", ["squared_error", "huber", "poisson"])
@pytest.mark.parametrize("solver", [*FULL_BATCH, *STOCHASTIC])
def test_minimum_with_several_targets(solver, kind, form):
    """The losses of the targets add up."""
    X, y = problem(kind, form)
    Y = np.column_stack([y, 1 + 2 * y, y[::-1]])
    F = Objective(X, Y, KINDS[kind][0], **PENALTIES["elastic_net"], **KINDS[kind][1])
    model = estimator(kind, solver, **PENALTIES["elastic_net"]).fit(X, Y)
    assert model.coef_.shape == (3, X.shape[1])
    assert F.gap(model, F.minimise()) <= (1e-6 if solver in FULL_BATCH else 1e-3)


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("kind", ["binary", "squared_error"])
@pytest.mark.parametrize("solver", [*FULL_BATCH, *STOCHASTIC])
def test_minimum_without_intercept(solver, kind, form, precondition):
    X, y = problem(kind, form)
    penalty = PENALTIES["elastic_net"]
    F = Objective(X, y, KINDS[kind][0], fit_intercept=False, **penalty)
    settings = {"fit_intercept": False, "precondition": precondition} | penalty
    model = estimator(kind, solver, **settings).fit(X, y)
    assert np.all(np.asarray(model.intercept_) == 0)
    assert F.gap(model, F.minimise()) <= (1e-6 if solver in FULL_BATCH else 1e-3)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "squared_error", "poisson"])
@pytest.mark.parametrize("solver", [*FULL_BATCH, *STOCHASTIC])
def test_minimum_in_single_precision(solver, kind):
    X, y, F, best = minimum(kind, "dense", "l2")
    model = estimator(kind, solver, **PENALTIES["l2"] | {"dtype": "float32", "tol": 1e-7})
    assert F.gap(model.fit(X, y), best) <= (1e-5 if solver in FULL_BATCH else 1e-3)


@cache
def heavy_tailed():
    """Column j occurs about 1 / (j + 5) as often as the commonest; a few rows have the rarest."""
    rng = np.random.default_rng(0)
    n, d = 3000, 400
    often = np.minimum(0.5, 5.0 / (np.arange(d) + 5.0) ** 1.1)
    X = sparse.csr_matrix((rng.random((n, d)) < often) * rng.uniform(0.5, 1.5, (n, d)))
    weights = rng.standard_normal(d) * (rng.random(d) < 0.5)
    y = (X @ weights + rng.logistic(size=n) > 0).astype(int)
    F = Objective(X, y, "log_loss", alpha=1e-3, l1_ratio=1.0)
    return X, y, F, F.minimise()


@pytest.mark.parametrize("solver, rate", [("rmsprop", "auto"), ("adam", 0.01), ("adagrad", 0.3)])
def test_rare_features_after_the_polish(solver, rate):
    """A moving average that decays while a feature is absent biases rmsprop on rare features;
    the polish repairs it. adam and adagrad are close before."""
    X, y, F, best = heavy_tailed()
    settings = {
        "batch_size": 8,
        "max_iter": 40,
        "n_iter_no_change": 40,
        "learning_rate_init": rate,
        "alpha": F.alpha,
        "l1_ratio": 1.0,
    }
    polished, rough = (
        estimator("binary", solver, polish_iter=passes, **settings).fit(X, y)
        for passes in ("auto", 0)
    )
    assert np.count_nonzero(rough.coef_) > np.count_nonzero(polished.coef_)
    assert F.gap(polished, best) <= 1e-3
    assert solver == "rmsprop" or F.gap(rough, best) <= 1e-3


def test_full_batch_solvers_warn_when_they_run_out_of_iterations():
    X, y, F, best = minimum("binary", "dense", "l2")
    for solver in FULL_BATCH:
        with pytest.warns(ConvergenceWarning, match="max_iter"):
            short = estimator("binary", solver, max_iter=2, **PENALTIES["l2"]).fit(X, y)
        assert F.gap(short, best) > 1e-6
