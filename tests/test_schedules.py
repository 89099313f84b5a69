"""Learning rate schedules through the public estimators: the rates, and what training does."""

import math

import numpy as np
import pytest
import reference
from by_feature import steps
from scipy import sparse

from skopt_est import LinearRegression, MLPRegressor, _epoch
from skopt_est.solvers import SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS, BATCH_SIZE, N_EPOCHS = 23, 4, 10  # 6 updates an epoch, the last batch of 3 rows
N_UPDATES = 6
ETA = {"gd": 0.2, "sgd": 0.05, "adagrad": 0.2, "rmsprop": 0.02, "lbfgs": 0.1}  # others: 0.05
FIXED = [name for name in reference.SCHEDULES if name != "adaptive"]
SCHEDULED = [pytest.param(name, id=name) for name in FIXED] + [
    pytest.param(lambda p: 1 - p, id="linear"),
    pytest.param(lambda p: 0.1 if p >= 0.5 else 1.0, id="step"),
]
ENDLESS = {"tol": 0.0, "n_iter_no_change": 10**6}
STALLING = {"tol": 1e9, "n_iter_no_change": 3}  # no epoch improves on the first by so much


def make_data():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(N_ROWS, 4))
    return X, X @ [2.0, -1.5, 1.0, 1.2] + 1.0 + rng.normal(scale=0.5, size=N_ROWS)


def make(solver, schedule, **params):
    params = ENDLESS | {"max_iter": N_EPOCHS, "learning_rate_init": ETA.get(solver, 0.05)} | params
    return LinearRegression(
        solver=solver,
        learning_rate=schedule,
        batch_size=BATCH_SIZE,
        shuffle=False,
        precondition=False,
        polish_iter=0,
        alpha=0.01,
        momentum=0.0,
        **params,
    )


def oracle(solver, schedule, eta, **params):
    X, y = make_data()
    params = ENDLESS | {"n_epochs": N_EPOCHS} | params
    batches = None if solver == "gd" else reference.consecutive(N_ROWS, BATCH_SIZE)
    return reference.train(
        X,
        y,
        "squared_error",
        solver,
        eta=eta,
        schedule=schedule,
        batches=batches,
        alpha=0.01,
        **params,
    )


def weights_of(est):
    return np.r_[np.ravel(est.coef_), np.ravel(est.intercept_)]


def distance(got, want):
    return np.linalg.norm(np.asarray(got) - want) / np.linalg.norm(want)


def rates_of(est):
    return [record["learning_rate"] for record in est.history_]


@pytest.mark.parametrize("power_t", [0.25, 0.5])
@pytest.mark.parametrize("schedule", SCHEDULED)
@pytest.mark.parametrize("solver", reference.SOLVERS)
def test_training_follows_the_rate_of_every_update(solver, schedule, power_t):
    est = make(solver, schedule, power_t=power_t).fit(*make_data())
    coef, intercept, losses = oracle(solver, schedule, est.learning_rate_init, power_t=power_t)
    assert distance(weights_of(est), np.r_[coef.ravel(), intercept]) < 1e-9
    assert distance(est.loss_curve_, losses) < 1e-9


@pytest.mark.parametrize("schedule", SCHEDULED)
@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_history_shows_the_rate_of_the_last_update_of_each_epoch(solver, schedule):
    est = make(solver, schedule).fit(*make_data())
    per_epoch = 1 if solver == "gd" else N_UPDATES
    last = per_epoch * np.arange(1, N_EPOCHS + 1)
    factors = [
        reference.rate_factor(schedule, t, (t - 1) / (per_epoch * N_EPOCHS)) for t in last.tolist()
    ]
    np.testing.assert_allclose(
        rates_of(est), est.learning_rate_init * np.array(factors), rtol=1e-12
    )


@pytest.mark.parametrize("schedule", [name for name in FIXED if name != "constant"])
@pytest.mark.parametrize("solver", reference.SOLVERS)
def test_every_schedule_changes_what_every_solver_finds(solver, schedule):
    constant, scheduled = (make(solver, s).fit(*make_data()) for s in ("constant", schedule))
    assert scheduled.n_iter_ == constant.n_iter_ == N_EPOCHS
    assert distance(weights_of(scheduled), weights_of(constant)) > 1e-3


@pytest.mark.parametrize("solver", reference.SOLVERS)
def test_adaptive_changes_what_every_solver_finds_once_training_stalls(solver):
    constant = make(solver, "constant").fit(*make_data())
    adaptive = make(solver, "adaptive", **STALLING).fit(*make_data())
    assert adaptive.n_iter_ == constant.n_iter_ == N_EPOCHS
    assert distance(weights_of(adaptive), weights_of(constant)) > 1e-3


@pytest.mark.parametrize("schedule", [*reference.SCHEDULES, lambda p: 1 - p])
def test_lbfgs_has_no_rate_to_schedule(schedule):
    constant, scheduled = (make("lbfgs", s).fit(*make_data()) for s in ("constant", schedule))
    np.testing.assert_array_equal(weights_of(scheduled), weights_of(constant))


@pytest.mark.parametrize("solver", reference.SOLVERS)
def test_adaptive_divides_the_rate_by_five_after_each_stall(solver):
    est = make(solver, "adaptive", **STALLING).fit(*make_data())
    # Epoch 1 is the best; epochs 2-4 and 5-7 and 8-10 each make a stall of three.
    factors = np.repeat([1, 1 / 5, 1 / 25], [4, 3, 3])
    np.testing.assert_allclose(rates_of(est), est.learning_rate_init * factors, rtol=1e-12)
    coef, intercept, _ = oracle(solver, "adaptive", est.learning_rate_init, **STALLING)
    assert distance(weights_of(est), np.r_[coef.ravel(), intercept]) < 1e-9


@pytest.mark.parametrize(("solver", "eta"), [("sgd", 0.2), ("adam", 0.3)])
def test_adaptive_follows_the_stalls_that_training_meets_by_itself(solver, eta):
    patience = {"tol": 1e-3, "n_iter_no_change": 2}
    est = make(solver, "adaptive", max_iter=16, learning_rate_init=eta, **patience)
    est.fit(*make_data())
    coef, intercept, losses = oracle(solver, "adaptive", eta, n_epochs=16, **patience)
    assert len(set(np.round(np.log(rates_of(est)), 6))) >= 3  # two stalls at least
    assert distance(est.loss_curve_, losses) < 1e-9
    assert distance(weights_of(est), np.r_[coef.ravel(), intercept]) < 1e-9


def test_adaptive_ends_training_once_the_rate_is_below_a_millionth():
    est = make("adam", "adaptive", max_iter=500, learning_rate_init=0.05, **STALLING)
    est.fit(*make_data())
    # 0.05 / 5^6 = 3.2e-6 still trains, 0.05 / 5^7 = 6.4e-7 does not: 4 epochs and 6 times 3.
    assert est.n_iter_ == 4 + 6 * 3
    assert rates_of(est)[-1] == pytest.approx(0.05 / 5**6, rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 4, N_ROWS])
@pytest.mark.parametrize("power_t", [0.25, 1.0])
def test_invscaling_counts_updates_and_neither_epochs_nor_rows(batch_size, power_t):
    est = make("sgd", "invscaling", power_t=power_t).set_params(batch_size=batch_size)
    est.fit(*make_data())
    updates = np.arange(1, N_EPOCHS + 1) * -(-N_ROWS // batch_size)
    np.testing.assert_allclose(rates_of(est), est.learning_rate_init / updates**power_t, rtol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_invscaling_goes_on_counting_in_partial_fit(solver):
    X, y = make_data()
    est = make(solver, "invscaling")
    for _ in range(N_EPOCHS):
        est.partial_fit(X, y)
    updates = N_UPDATES * np.arange(1, N_EPOCHS + 1)
    np.testing.assert_allclose(rates_of(est), est.learning_rate_init / updates**0.5, rtol=1e-12)
    coef, intercept, _ = oracle(solver, "invscaling", est.learning_rate_init)
    assert distance(weights_of(est), np.r_[coef.ravel(), intercept]) < 1e-9


@pytest.mark.parametrize(("solver", "per_epoch"), [("gd", 1), ("sgd", N_UPDATES)])
def test_callable_is_asked_at_every_update_with_the_progress_from_zero_to_below_one(
    solver, per_epoch
):
    asked = set()

    def factor(progress):
        asked.add(float(progress))
        return 0.5

    make(solver, factor).fit(*make_data())
    total = per_epoch * N_EPOCHS
    np.testing.assert_allclose(sorted(asked), np.arange(total) / total, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", reference.SOLVERS)
def test_callable_of_one_is_the_constant_rate(solver):
    constant, called = (make(solver, s).fit(*make_data()) for s in ("constant", lambda p: 1.0))
    np.testing.assert_array_equal(weights_of(called), weights_of(constant))


def test_one_cycle_climbs_from_a_25th_to_the_full_rate_and_ends_far_below_where_it_began():
    est = make("sgd", "one_cycle", max_iter=100).set_params(batch_size=N_ROWS).fit(*make_data())
    factors = np.array(rates_of(est)) / est.learning_rate_init  # one update an epoch
    assert factors[0] == pytest.approx(1 / 25, rel=1e-12)
    assert factors[30] == pytest.approx(1, rel=1e-12)
    assert np.all(np.diff(factors[:31]) > 0)
    assert np.all(np.diff(factors[30:]) < 0)
    assert 1 / 25e4 < factors[-1] < 1e-3


def test_cosine_falls_from_the_full_rate_over_its_half_towards_zero():
    est = make("sgd", "cosine", max_iter=100).set_params(batch_size=N_ROWS).fit(*make_data())
    factors = np.array(rates_of(est)) / est.learning_rate_init
    assert factors[0] == pytest.approx(1, rel=1e-12)
    assert factors[50] == pytest.approx(0.5, rel=1e-12)
    assert np.all(np.diff(factors) < 0)
    assert 0 < factors[-1] < 1e-3


@pytest.mark.parametrize("solver", ["adam", "amsgrad", "rmsprop", "adagrad", "nadam", "sgd"])
def test_numbers_made_for_many_epochs_are_those_of_each(solver, monkeypatch):
    """At one rate the steps' numbers are made ahead; they are the same bits, also where a fit goes
    on, and with the adaptive rate that falls on the way."""
    X, y = np.random.default_rng(0).standard_normal((2, 64, 3))
    y = y[:, 0]

    def weights():
        model = MLPRegressor(hidden_layer_sizes=(4,), solver=solver, batch_size=16, max_iter=30)
        model.set_params(random_state=0, tol=1e-3, learning_rate="adaptive", n_iter_no_change=3)
        model.fit(X, y)
        for _ in range(3):
            model.partial_fit(X, y)
        return model.coefs_[0]

    ahead = weights()
    monkeypatch.setattr(_epoch, "STEPS_FORESEEN", 0)
    np.testing.assert_array_equal(ahead, weights())
    monkeypatch.setattr(_epoch, "STEPS_FORESEEN", 64)  # some tables end within a training
    np.testing.assert_array_equal(ahead, weights())


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.5, 0.0), (0.0, 0.0)])
def test_steps_are_alike_from_where_the_solver_says(name, betas):
    solver = SOLVERS[name](beta_1=betas[0], beta_2=betas[1])
    first = math.ceil(min(solver.settled(), 1e5))
    t = first + np.arange(500.0)
    numbers = solver.coefficients(t, np.full(500, 0.01), np.zeros(1))
    if solver.settled() < 1e5 or betas[0]:
        assert (numbers == numbers[0]).all() == (solver.settled() < 1e5)
    if 1 < solver.settled() < 1e5:
        before = solver.coefficients(t[:1] // 2, np.full(1, 0.01), np.zeros(1))
        assert (before != numbers[0]).any()


@pytest.mark.parametrize("solver", ["sgd", "adagrad", "rmsprop", "adam", "amsgrad", "adamw"])
@pytest.mark.parametrize("by_feature", [True, False])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_steps_alike_are_told_by_the_numbers_of_one(batch_size, by_feature, solver, monkeypatch):
    """With the same bits as by those of each, also where the rate falls on the way."""
    rng = np.random.default_rng(0)
    X = sparse.random(64, 30, 0.1, "csr", random_state=rng)
    y = X @ rng.standard_normal(30) + rng.standard_normal(64)
    network = solver == "adamw"
    make = MLPRegressor if network else LinearRegression

    def fit():
        model = make(solver=solver, batch_size=batch_size, max_iter=12, random_state=0)
        model.set_params(tol=1e-3, learning_rate="adaptive", n_iter_no_change=2, alpha=1e-3)
        model.set_params(beta_1=0.3, beta_2=0.4, learning_rate_init=0.01)
        model.set_params(**({"weight_decay": 0.1} if network else {"momentum": 0.5}))
        model.set_params(**({"hidden_layer_sizes": (5,)} if network else {"average": False}))
        with steps(by_feature):
            return model.fit(X, y).coefs_[0] if network else model.fit(X, y).coef_

    found = fit()
    monkeypatch.setattr(SOLVERS[solver], "settled", lambda self: math.inf)
    np.testing.assert_array_equal(found, fit())
