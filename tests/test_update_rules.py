"""Every solver's recurrence: against PyTorch, against the oracle, and the oracle itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from scipy.special import expit, huber, softmax
from sklearn import linear_model, metrics

from skopt_est import LinearRegression, LogisticRegression
from skopt_est._losses import LOSSES
from skopt_est.schedules import SCHEDULES
from skopt_est.solvers import LINEAR_SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

VECTORS = json.loads((Path(__file__).parent / "vectors" / "torch_vectors.json").read_text())
CASES = [
    pytest.param(case, id=f"{case['optimizer']}-{case['loss']}-{weights}-{intercept}")
    for case in VECTORS["cases"]
    for weights in [("equal", "weighted")[case["weighted"]]]
    for intercept in [("through zero", "intercept")[case["fit_intercept"]]]
]
# Rates at which 100 updates travel far, and stay insensitive to rounding.
SETTINGS = {
    "gd": {"solver": "gd", "learning_rate_init": 0.1},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    "momentum": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": False,
    },
    "nesterov": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": True,
    },
    "adagrad": {"solver": "adagrad", "learning_rate_init": 0.1, "epsilon": 1e-6},
    "rmsprop": {"solver": "rmsprop", "learning_rate_init": 0.01, "rho": 0.8},
    "adam": {"solver": "adam", "learning_rate_init": 0.02, "beta_1": 0.8, "beta_2": 0.99},
    "nadam": {"solver": "nadam", "learning_rate_init": 0.02, "beta_1": 0.8, "beta_2": 0.99},
    "amsgrad": {"solver": "amsgrad", "learning_rate_init": 0.02, "beta_1": 0.8, "beta_2": 0.9},
}
N_ROWS, N_FEATURES, BATCH_SIZE, N_EPOCHS = 37, 8, 5, 12  # 8 batches, the last of 2 rows
MINI = {"batch_size": BATCH_SIZE, "max_iter": N_EPOCHS}
LOSS_PARAMS = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}


def make_data(loss, seed=0):
    """Rows that are mostly exact zeros, positive weights and targets that suit the loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, N_FEATURES)) * (rng.random((N_ROWS, N_FEATURES)) < 0.2)
    W = rng.uniform(1, 2, size=(N_FEATURES, 3)) * rng.choice([-1, 1], size=(N_FEATURES, 3))
    f = X @ W
    y = {
        "poisson": rng.poisson(np.exp(f[:, 0] / 2 + 1)).astype(float),
        "gamma": rng.gamma(2, np.exp(f[:, 0] / 2)) + 0.1,
        "log_loss_binary": (f[:, 0] + rng.logistic(size=N_ROWS) > 0).astype(int),
        "log_loss_multinomial": (f + rng.gumbel(size=f.shape)).argmax(axis=1),
    }.get(loss, f[:, 0] + 1 + rng.normal(scale=0.5, size=N_ROWS))
    return X, y, rng.uniform(0.2, 3.0, size=N_ROWS)


def fit(loss, X, y, sample_weight=None, **params):
    """The estimator on its textbook path: from zeros, rows in order, until max_iter."""
    textbook = {"precondition": False, "polish_iter": 0, "shuffle": False, "alpha": 0.0}
    endless = {"learning_rate": "constant", "tol": 0.0, "n_iter_no_change": 10**6}
    params = textbook | endless | params
    if loss.startswith("log_loss"):
        return LogisticRegression(**params).fit(X, y, sample_weight=sample_weight)
    return LinearRegression(loss=loss, **params).fit(X, y, sample_weight=sample_weight)


def oracle(loss, X, y, settings, n_epochs=N_EPOCHS, batch_size=BATCH_SIZE, **kwargs):
    hyper = dict(settings)
    solver, eta = hyper.pop("solver"), hyper.pop("learning_rate_init")
    batches = None if solver == "gd" else reference.consecutive(len(X), batch_size)
    return reference.train(
        X,
        y,
        loss,
        solver,
        eta=eta,
        n_epochs=n_epochs,
        batches=batches,
        solver_params=hyper,
        **kwargs,
    )


def flat(coef, intercept):
    return np.r_[np.ravel(coef), np.ravel(intercept)]


def distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def weights_of(est):
    return flat(est.coef_, est.intercept_)


def case_arguments(case):
    X, y = np.array(VECTORS["X"]), np.array(VECTORS["y"][case["loss"]])
    s = np.array(VECTORS["sample_weight"]) if case["weighted"] else None
    return X, y, s, VECTORS["settings"][case["optimizer"]]


@pytest.mark.parametrize("case", CASES)
def test_estimator_reproduces_pytorch_after_100_full_batch_steps(case):
    X, y, s, settings = case_arguments(case)
    est = fit(
        case["loss"],
        X,
        y,
        s,
        **settings,
        batch_size=len(X),
        max_iter=VECTORS["n_steps"],
        fit_intercept=case["fit_intercept"],
    )
    assert distance(weights_of(est), flat(case["coef"], case["intercept"])) < 1e-10


@pytest.mark.parametrize("case", CASES)
def test_oracle_reproduces_pytorch_after_100_full_batch_steps(case):
    X, y, s, settings = case_arguments(case)
    coef, intercept, _ = oracle(
        case["loss"],
        X,
        y,
        settings,
        n_epochs=VECTORS["n_steps"],
        batch_size=len(X),
        sample_weight=s,
        fit_intercept=case["fit_intercept"],
    )
    assert distance(flat(coef, intercept), flat(case["coef"], case["intercept"])) < 1e-10


def test_every_registered_solver_but_lbfgs_has_an_oracle_a_vector_and_a_setting_here():
    names = set(LINEAR_SOLVERS) - {"lbfgs"}  # scipy's, without a recurrence of its own
    assert "lbfgs" in LINEAR_SOLVERS
    assert names - set(reference.SOLVERS) == set()
    assert names - {settings["solver"] for settings in VECTORS["settings"].values()} == set()
    assert names - {settings["solver"] for settings in SETTINGS.values()} == set()


@pytest.mark.parametrize(
    ("registered", "oracles"),
    [(SCHEDULES, reference.SCHEDULES), (LOSSES, reference.LOSSES)],
    ids=["schedules", "losses"],
)
def test_every_registered_name_has_an_oracle(registered, oracles):
    assert len(registered) > 0
    assert set(registered) - set(oracles) == set()


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("name", SETTINGS)
def test_mini_batches_with_a_penalty_and_weights_equal_the_oracle(name, loss, l1_ratio):
    X, y, s = make_data(loss)
    extra = LOSS_PARAMS.get(loss, {})
    penalty = {"alpha": 0.05, "l1_ratio": l1_ratio}
    coef, intercept, losses = oracle(
        loss, X, y, SETTINGS[name], sample_weight=s, loss_params=extra, **penalty
    )
    est = fit(loss, X, y, s, **SETTINGS[name], **extra, **penalty, **MINI)
    assert distance(weights_of(est), flat(coef, intercept)) < 1e-9
    assert distance(np.array(est.loss_curve_), np.array(losses)) < 1e-9


@pytest.mark.parametrize("batch_size", [1, N_ROWS, 10 * N_ROWS])
@pytest.mark.parametrize("name", SETTINGS)
def test_batches_of_one_row_and_of_all_rows_equal_the_oracle(name, batch_size):
    X, y, _ = make_data("squared_error")
    penalty = {"alpha": 0.1, "l1_ratio": 0.5, "fit_intercept": False}
    coef, _, losses = oracle(
        "squared_error", X, y, SETTINGS[name], 5, min(batch_size, N_ROWS), **penalty
    )
    est = fit("squared_error", X, y, **SETTINGS[name], **penalty, batch_size=batch_size, max_iter=5)
    assert distance(np.ravel(est.coef_), np.ravel(coef)) < 1e-9
    assert np.all(est.intercept_ == 0)
    assert distance(np.array(est.loss_curve_), np.array(losses)) < 1e-9


@pytest.mark.parametrize("name", SETTINGS)
def test_several_targets_equal_the_oracle(name):
    X, y, s = make_data("squared_error")
    Y = np.column_stack([y, -2 * y + X[:, 0], np.cos(y)])
    penalty = {"alpha": 0.05, "l1_ratio": 0.4}
    coef, intercept, _ = oracle("squared_error", X, Y, SETTINGS[name], sample_weight=s, **penalty)
    est = fit("squared_error", X, Y, s, **SETTINGS[name], **penalty, **MINI)
    assert est.coef_.shape == (3, N_FEATURES)
    assert distance(weights_of(est), flat(coef, intercept)) < 1e-9


@pytest.mark.parametrize("name", ["rmsprop", "adam", "nadam", "amsgrad"])
def test_these_data_tell_a_held_step_size_from_a_fresh_one(name, monkeypatch):
    """Otherwise the comparisons above would not see the rule for steps without gradient."""
    X, y, s = make_data("squared_error")
    penalty = {"alpha": 0.05, "l1_ratio": 0.4, "sample_weight": s}
    held = oracle("squared_error", X, y, SETTINGS[name], **penalty)
    monkeypatch.setattr(reference, "held", lambda D, g, state: D)
    fresh = oracle("squared_error", X, y, SETTINGS[name], **penalty)
    assert distance(flat(*fresh[:2]), flat(*held[:2])) > 1e-5


@pytest.mark.parametrize("loss", ["squared_error", "log_loss_multinomial"])
def test_adam_without_first_moment_is_rmsprop_with_its_bias_corrected(loss):
    X, y, s = make_data(loss)
    rho, n_updates = 0.9, 3 * 8
    common = {"learning_rate_init": 0.02, "epsilon": 1e-16, "batch_size": BATCH_SIZE, "max_iter": 3}
    adam = fit(loss, X, y, s, solver="adam", beta_1=0.0, beta_2=rho, **common)

    def correction(progress):
        return np.sqrt(1 - rho ** (round(progress * n_updates) + 1))

    rmsprop = fit(loss, X, y, s, solver="rmsprop", rho=rho, learning_rate=correction, **common)
    assert distance(weights_of(adam), weights_of(rmsprop)) < 1e-9


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "log_loss_multinomial"])
def test_sgd_on_all_rows_without_momentum_is_gd(loss):
    X, y, s = make_data(loss)
    common = {"learning_rate_init": 0.05, "alpha": 0.1, "l1_ratio": 0.5, "max_iter": 20}
    gd = fit(loss, X, y, s, solver="gd", momentum=0.9, batch_size=3, **common)
    sgd = fit(loss, X, y, s, solver="sgd", momentum=0.0, batch_size=N_ROWS, **common)
    assert distance(weights_of(sgd), weights_of(gd)) < 1e-12


@pytest.mark.parametrize("name", ["gd", "momentum", "nesterov", "adagrad"])
def test_oracle_rests_at_the_minimiser_of_the_objective(name):
    X, y, s = make_data("squared_error")
    penalty = {"alpha": 0.1, "l1_ratio": 0.6}
    settings = SETTINGS[name] | {
        "learning_rate_init": 0.05 if "momentum" in SETTINGS[name] else 0.4
    }
    coef, intercept, losses = oracle(
        "squared_error", X, y, settings, 3000, N_ROWS, sample_weight=s, **penalty
    )
    exact = linear_model.ElasticNet(**penalty, tol=1e-14, max_iter=10**6).fit(X, y, sample_weight=s)
    assert distance(flat(coef, intercept), flat(exact.coef_, exact.intercept_)) < 1e-7
    at_exact = reference.objective(
        X, y, "squared_error", exact.coef_, exact.intercept_, sample_weight=s, **penalty
    )
    assert losses[-1] == pytest.approx(at_exact, rel=1e-10)


def some_predictions(loss, seed=1):
    _, y, _ = make_data(loss)
    n_outputs = 3 if loss == "log_loss_multinomial" else 1
    f = np.random.default_rng(seed).normal(scale=1.5, size=(N_ROWS, n_outputs))
    return y.reshape(-1, 1), f


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_oracle_gradient_is_the_central_difference_of_its_loss(loss):
    (y, f), rule, extra = some_predictions(loss), reference.LOSSES[loss], LOSS_PARAMS.get(loss, {})
    _, gradient = rule(y, f, **extra)
    for output, h in enumerate(np.eye(f.shape[1]) * 1e-6):
        above, below = rule(y, f + h, **extra)[0], rule(y, f - h, **extra)[0]
        slope = (above - below).sum(axis=1) / 2e-6
        np.testing.assert_allclose(gradient[:, output], slope, rtol=1e-6, atol=1e-8)


# loss: what it is in scikit-learn's and scipy's words, up to a term of y alone
METRICS = {
    "squared_error": lambda y, f: metrics.mean_squared_error(y, f) / 2,
    "absolute_error": metrics.mean_absolute_error,
    "huber": lambda y, f: huber(0.8, f - y).mean(),
    "quantile": lambda y, f: metrics.mean_pinball_loss(y, f, alpha=0.3),
    "poisson": lambda y, f: metrics.mean_poisson_deviance(y, np.exp(f)) / 2,
    "gamma": lambda y, f: metrics.mean_gamma_deviance(y, np.exp(f)) / 2,
    "log_loss_binary": lambda y, f: metrics.log_loss(y, expit(f)),
    "log_loss_multinomial": lambda y, f: metrics.log_loss(y, softmax(f, axis=1)),
}


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_oracle_loss_is_the_metric_of_its_name(loss):
    (y, f), rule, extra = some_predictions(loss), reference.LOSSES[loss], LOSS_PARAMS.get(loss, {})
    _, other = some_predictions(loss, seed=2)
    difference = rule(y, f, **extra)[0].mean() - rule(y, other, **extra)[0].mean()
    assert difference == pytest.approx(METRICS[loss](y, f) - METRICS[loss](y, other), rel=1e-10)
