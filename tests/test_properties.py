"""Identities that hold for any combination of settings, on random problems."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

pytestmark = pytest.mark.usefixtures("sparse_steps")

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
CI = settings.get_profile("ci")

EXACT = ("gd", "sgd", "adagrad")  # their CSR runs are exact
EPOCHWISE = (*EXACT, "rmsprop", "adam", "nadam", "amsgrad")
SMOOTH = ("squared_error", "huber", "poisson", "gamma", "log_loss")


def halving(progress):
    return 1 - progress / 2


@st.composite
def settings_of_a_fit(draw, solvers=(*EPOCHWISE, "lbfgs"), losses=(*SMOOTH, "kinks")):
    """Constructor parameters of any combination, a loss, a number of outputs and a seed."""
    loss = draw(st.sampled_from(losses))
    if loss == "kinks":
        loss = draw(st.sampled_from(["absolute_error", "quantile"]))
    solver = draw(st.sampled_from(solvers))
    auto = draw(st.booleans())
    return {
        "loss": loss,
        "outputs": draw(st.integers(1, 3)),
        "shape": (draw(st.integers(12, 40)), draw(st.integers(1, 6))),
        "density": draw(st.sampled_from([0.2, 0.6, 1.0])),
        "seed": draw(st.integers(0, 10**6)),
        "params": {
            "solver": solver,
            "alpha": draw(st.sampled_from([0.0, 1e-4, 0.1])),
            "l1_ratio": draw(st.sampled_from([0.0, 0.5, 1.0])),
            "learning_rate": draw(
                st.sampled_from(
                    ["constant", "invscaling", "adaptive", "cosine", "one_cycle", halving]
                )
            ),
            "learning_rate_init": "auto" if auto or solver == "gd" else 0.01,
            "momentum": draw(st.sampled_from([0.0, 0.5])),
            "batch_size": draw(st.sampled_from([1, 3, 16, 10**6, "auto"])),
            "precondition": draw(st.booleans()),
            "fit_intercept": draw(st.booleans()),
            "average": draw(st.sampled_from([False, False, True, 20])),
            "shuffle": draw(st.booleans()),
            "max_iter": draw(st.integers(1, 6)),
            "tol": 0.0,
            "n_iter_no_change": 1000,
            "random_state": 0,
        },
    }


def problem(case):
    """Rows, targets, and integer weights of which some are zero."""
    rng = np.random.default_rng(case["seed"])
    (n, d), k = case["shape"], case["outputs"]
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < case["density"])
    z = X @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))
    if case["loss"] == "log_loss":
        y = np.argmax(np.column_stack([z, -z[:, 0]]), axis=1)
        y[: k + 1] = np.arange(k + 1)  # every class is there
    else:
        change = {"poisson": lambda: rng.poisson(np.exp(0.3 * z)), "gamma": lambda: np.exp(0.3 * z)}
        y = change.get(case["loss"], lambda: z)()
        y = y[:, 0] if k == 1 else y
    weight = rng.integers(0, 4, size=n)
    weight[: k + 1] = 1
    return X, y, weight


def fit(case, X, y, weight=None, **params):
    params = case["params"] | params
    if case["loss"] == "log_loss":
        est = LogisticRegression(**params)
    else:
        est = LinearRegression(loss=case["loss"], **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(X, y, sample_weight=weight)


def weights_of(est):
    return np.append(np.ravel(est.coef_), est.intercept_)


def assert_same_run(a, b, tolerance):
    scale = np.linalg.norm(weights_of(a)) + 1e-3
    difference = np.abs(weights_of(a) - weights_of(b)).max()
    assert difference <= tolerance * scale
    assert a.n_iter_ == b.n_iter_
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=tolerance, atol=tolerance)


@CI
@given(settings_of_a_fit(), st.sampled_from([np.float32, np.float64]), st.booleans(), st.booleans())
def test_any_fit_is_finite_counts_right_and_leaves_its_input(case, dtype, weighted, as_csr):
    X, y, weight = problem(case)
    X = X.astype(dtype)
    weight = weight if weighted else None
    rows = sparse.csr_matrix(X) if as_csr else X.copy()
    target, given_weight = y.copy(), None if weight is None else weight.copy()
    est = fit(case, rows, target, given_weight)

    np.testing.assert_array_equal(rows.toarray() if as_csr else rows, X)
    np.testing.assert_array_equal(target, y)
    assert weight is None or np.array_equal(weight, given_weight)

    assert est.coef_.dtype == dtype
    assert np.isfinite(weights_of(est)).all() and np.isfinite(est.loss_curve_).all()
    assert np.isfinite(est.predict(rows)).all()
    assert case["params"]["fit_intercept"] or not np.any(est.intercept_)

    used = len(y) if weight is None else np.count_nonzero(weight)
    epochs, batch = case["params"]["max_iter"], case["params"]["batch_size"]
    assert est.n_iter_ == len(est.loss_curve_)
    assert [record["epoch"] for record in est.history_] == list(range(1, est.n_iter_ + 1))
    assert [record["loss"] for record in est.history_] == est.loss_curve_
    assert all(record["validation_score"] is None for record in est.history_)
    assert all(record["seconds"] >= 0 for record in est.history_)
    if case["params"]["solver"] == "lbfgs":
        assert est.n_iter_ <= epochs
        return
    assert est.n_iter_ == epochs
    assert est.t_ == epochs * used
    if case["params"]["solver"] == "gd":
        assert est.n_updates_ == epochs
    elif batch != "auto":
        assert est.n_updates_ == epochs * math.ceil(used / min(batch, used))


@CI
@given(settings_of_a_fit(), st.booleans())
def test_rows_of_zero_weight_are_absent(case, as_csr):
    X, y, weight = problem(case)
    kept = weight > 0
    form = sparse.csr_matrix if as_csr else np.asarray
    whole = fit(case, form(X), y, weight)
    part = fit(case, form(X[kept]), y[kept], weight[kept])
    np.testing.assert_array_equal(weights_of(whole), weights_of(part))
    assert whole.loss_curve_ == part.loss_curve_
    assert (whole.t_, whole.n_updates_) == (part.t_, part.n_updates_)


# A large epsilon keeps rounding from being made a whole step where a gradient is zero, and no
# polish decides by it whether F fell. Averages count samples, and automatic rates of the
# stochastic solvers look at single rows, so that both may tell a weight from a repetition.
EVEN = {"epsilon": 0.1, "polish_iter": 0}


@CI
@given(settings_of_a_fit(losses=SMOOTH), st.booleans())
def test_full_batches_see_weights_as_repeated_rows(case, as_csr):
    X, y, weight = problem(case)
    form = sparse.csr_matrix if as_csr else np.asarray
    rate = "auto" if case["params"]["solver"] == "gd" else 0.01
    params = EVEN | {"batch_size": 10**6, "average": False, "learning_rate_init": rate}
    weighted = fit(case, form(X), y, weight, **params)
    repeated = fit(case, form(np.repeat(X, weight, axis=0)), np.repeat(y, weight, axis=0), **params)
    assert_same_run(weighted, repeated, 1e-9)


@CI
@given(settings_of_a_fit(losses=SMOOTH), st.sampled_from([0.25, 7.0]))
def test_scale_of_the_weights_does_not_matter(case, constant):
    X, y, weight = problem(case)
    plain = fit(case, X, y, weight, **EVEN)
    assert_same_run(plain, fit(case, X, y, constant * weight, **EVEN), 1e-9)


@CI
@given(settings_of_a_fit(losses=SMOOTH, solvers=EPOCHWISE), st.booleans())
def test_dense_rows_and_csr_rows_are_the_same(case, weighted):
    X, y, weight = problem(case)
    weight = weight if weighted else None
    exact = case["params"]["solver"] in EXACT and case["params"]["momentum"] == 0
    params = {"precondition": False, "polish_iter": 0, "average": False}
    dense = fit(case, X, y, weight, **params)
    csr = fit(case, sparse.csr_matrix(X), y, weight, **params)
    assert (csr.t_, csr.n_updates_) == (dense.t_, dense.n_updates_)
    assert_same_run(dense, csr, 1e-6 if exact else 1e-2)


@CI
@given(settings_of_a_fit(), st.booleans())
def test_same_seed_gives_the_same_bits(case, as_csr):
    X, y, weight = problem(case)
    form = sparse.csr_matrix if as_csr else np.asarray
    a, b = (fit(case, form(X), y, weight) for _ in range(2))
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert a.loss_curve_ == b.loss_curve_
