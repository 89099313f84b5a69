"""Networks on CSR rows give what they give on dense rows; weights are repetitions.

The first layer's weights of a feature that a batch does not have are brought up to date when the
feature next occurs. For plain steps and adagrad that is exact; for moving averages it is a closed
form of what the dense solver would do, good to a hundredth of the weights' norm.
"""

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skopt_est import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.usefixtures("sparse_steps")

EXACT = ("gd", "sgd", "adagrad")
MOVING = ("momentum", "nesterov", "rmsprop", "adam", "adamw", "nadam", "amsgrad")
RATE = {"gd": 0.1, "sgd": 0.05, "adagrad": 0.05, "momentum": 0.005, "nesterov": 0.005}
PENALTIES = {"none": (0.0, 0.0), "l2": (0.01, 0.0), "elastic": (0.01, 0.5), "l1": (0.01, 1.0)}


def data(kind, n=120, d=24, seed=0):
    """Counts that are rare to the right: the last columns have a handful of entries each.

    Column 3 is empty, column 4 lives in the first rows only, row 5 is empty.
    """
    rng = np.random.default_rng(seed)
    X = rng.poisson(1.0, size=(n, d)) * (rng.random((n, d)) < np.geomspace(0.5, 0.02, d))
    X = X * rng.uniform(0.5, 1.5, size=d)
    X[:, 3] = X[5] = X[20:, 4] = 0
    z = np.tanh(X @ rng.normal(size=d)) + 0.3 * rng.normal(size=n)
    y = {
        "poisson": lambda: rng.poisson(np.exp(z)).astype(float),
        "binary": lambda: (z > 0).astype(int),
        "three": lambda: np.digitize(z, [-0.5, 0.5]),
        "labels": lambda: np.column_stack([z > 0, z > 0.5, X[:, 0] > 0]).astype(int),
        "targets": lambda: np.column_stack([z, X[:, 0] - z]),
    }.get(kind, lambda: z)()
    return X, y


def model(kind, solver="adam", **params):
    given = {"random_state": 0, "max_iter": 5, "tol": 0.0, "n_iter_no_change": np.inf}
    given |= {"hidden_layer_sizes": (6, 4), "activation": ("tanh", "silu"), "batch_size": 7}
    given |= {"learning_rate_init": RATE.get(solver, 0.005)}
    if solver in ("momentum", "nesterov", "sgd"):
        given["momentum"] = 0.0 if solver == "sgd" else 0.9
        given["nesterovs_momentum"] = solver == "nesterov"
        solver = "sgd"
    if solver == "adamw":
        given["weight_decay"] = 0.1
    if kind in ("binary", "three", "labels"):
        return MLPClassifier(solver=solver, **given | params)
    loss = "squared_error" if kind == "targets" else kind
    return MLPRegressor(loss=loss, solver=solver, **given | params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    return np.concatenate([np.ravel(w) for w in (*est.coefs_, *est.intercepts_)])


def distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def assert_same(csr, dense, bound):
    """All weights, those of the first layer alone, losses and counters."""
    assert csr.coefs_[0].dtype == dense.coefs_[0].dtype
    assert distance(weights_of(csr), weights_of(dense)) <= bound
    assert distance(csr.coefs_[0], dense.coefs_[0]) <= bound
    np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=bound)
    assert (csr.t_, csr.n_updates_, csr.n_iter_) == (dense.t_, dense.n_updates_, dense.n_iter_)


def bound_of(solver, dtype=np.float64):
    return 1e-2 if solver in MOVING else 1e-6 if dtype == np.float64 else 1e-4


def assert_dense_is_csr(kind, solver, dtype=np.float64, weighted=False, **params):
    X, y = data(kind)
    X = X.astype(dtype)
    s = np.random.default_rng(2).uniform(0.2, 3, len(X)) if weighted else None
    est = model(kind, solver, **params)
    dense = fit(clone(est), X, y, sample_weight=s)
    csr = fit(est, sparse.csr_matrix(X), y, sample_weight=s)
    assert dense.coefs_[0].dtype == dtype
    assert np.ptp(dense.loss_curve_) > 1e-3 * abs(dense.loss_)  # it went somewhere
    assert_same(csr, dense, bound_of(solver, dtype))


# --- Dense is CSR -----------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["squared_error", "three"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_for_every_penalty_and_batch_size(solver, kind, penalty, batch_size):
    alpha, l1_ratio = PENALTIES[penalty]
    params = {"alpha": alpha, "l1_ratio": l1_ratio, "batch_size": batch_size}
    if solver == "gd" or batch_size == 1000:
        params |= {"max_iter": 40}
    elif batch_size == 1:
        params |= {"learning_rate_init": RATE.get(solver, 0.005) / 3, "max_iter": 3}
    assert_dense_is_csr(kind, solver, **params)


@pytest.mark.parametrize("kind", ["huber", "poisson", "binary", "labels", "targets"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_for_every_kind_of_target(solver, kind):
    assert_dense_is_csr(kind, solver, alpha=0.01, l1_ratio=0.3, weighted=True)


@pytest.mark.parametrize(
    "params",
    [
        {"dropout": 0.3},
        {"input_dropout": 0.4},
        {"dropout": (0.2, 0.5), "input_dropout": 0.2},
        {"max_grad_norm": 0.05},
        {"average": True},
        {"average": 300},
        {"shuffle": False},
        {"hidden_layer_sizes": (), "activation": "relu"},
        {"hidden_layer_sizes": (600,), "activation": "tanh"},
        {"learning_rate": "invscaling"},
        {"learning_rate": "one_cycle"},
        {"dropout": 0.2, "input_dropout": 0.2, "max_grad_norm": 0.5, "average": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_whatever_the_settings(solver, params):
    """600 units are more than the kernels gather at a time."""
    assert_dense_is_csr("three", solver, alpha=0.005, l1_ratio=0.3, **params)


@pytest.mark.parametrize("params", [{"input_dropout": 0.4}, {"max_grad_norm": 0.3}], ids=str)
@pytest.mark.parametrize("kind", ["squared_error", "binary"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_by_single_rows_without_hidden_layers(solver, kind, params):
    """Such steps have kernels of their own."""
    params = {"hidden_layer_sizes": (), "activation": "relu", "batch_size": 1, **params}
    assert_dense_is_csr(kind, solver, alpha=0.005, l1_ratio=0.3, **params)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(
    "solver, params",
    [
        *((name, {"beta_1": 0.0}) for name in ("adam", "adamw", "nadam", "amsgrad")),
        *((name, {"beta_2": 0.8}) for name in ("adam", "adamw", "nadam", "amsgrad")),
        ("momentum", {"momentum": 0.9995, "learning_rate_init": 2e-5}),
        ("nesterov", {"momentum": 0.5, "learning_rate_init": 0.02}),
        ("rmsprop", {"rho": 0.5}),
    ],
    ids=str,
)
def test_dense_is_csr_for_slow_fast_and_growing_momentum(solver, params, average):
    """With beta_2 below beta_1² a step without gradient is larger than the one before."""
    assert_dense_is_csr("three", solver, alpha=0.01, l1_ratio=0.5, average=average, **params)


@pytest.mark.parametrize("batch_size", [7, 1000])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_in_single_precision(solver, batch_size):
    params = {"alpha": 0.01, "l1_ratio": 0.5, "batch_size": batch_size, "dropout": 0.2}
    params["max_iter"] = 40 if batch_size == 1000 else 5
    assert_dense_is_csr("three", solver, np.float32, **params)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_feature_that_has_gone_for_hundreds_of_steps_goes_on(solver, l1_ratio, average):
    """Two columns end after the first rows; only momentum and penalty move them afterwards, and
    adamw's decay, which takes two thirds of them."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 4))
    X[15:, 2:] = 0
    y = np.tanh(X @ [1.0, -1.0, 2.0, -2.0])
    params = {"alpha": 0.02, "l1_ratio": l1_ratio, "batch_size": 1, "shuffle": False}
    est = model("squared_error", solver, **params, average=average, max_iter=1)
    if solver == "gd":
        est.set_params(max_iter=20)
    if solver == "adamw":
        est.set_params(weight_decay=0.5)
    dense, csr = fit(clone(est), X, y), fit(est, sparse.csr_matrix(X), y)
    assert_same(csr, dense, bound_of(solver))
    gone = dense.coefs_[0][2:]
    assert np.abs(csr.coefs_[0][2:] - gone).max() <= bound_of(solver) * np.linalg.norm(gone) + 1e-9


@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_partial_fit_on_parts_is_the_same_on_dense_and_sparse_parts(solver):
    X, y = data("three")
    s = np.random.default_rng(2).uniform(0.2, 3, len(X))
    est = model("three", solver, alpha=0.01, l1_ratio=0.3, dropout=0.2, average=True)
    dense, csr = clone(est), clone(est)
    for first in (0, 40, 80, 0, 40, 80):
        part = slice(first, first + 40)
        dense.partial_fit(X[part], y[part], s[part], [0, 1, 2])
        csr.partial_fit(sparse.csr_matrix(X[part]), y[part], s[part], [0, 1, 2])
        assert_same(csr, dense, bound_of(solver))


@pytest.mark.parametrize("solver", [*EXACT, *MOVING, "lbfgs"])
def test_form_of_a_sparse_matrix_changes_nothing(solver):
    X, y = data("binary")
    est = model("binary", solver, alpha=0.01, l1_ratio=0.5)
    want = fit(clone(est), sparse.csr_matrix(X), y)
    for form in (sparse.csc_matrix, sparse.coo_array, sparse.csr_array):
        other = fit(clone(est), form(X), y)
        np.testing.assert_array_equal(weights_of(other), weights_of(want))
        np.testing.assert_array_equal(other.predict_proba(form(X)), want.predict_proba(form(X)))
    np.testing.assert_allclose(
        want.predict_proba(sparse.csr_matrix(X)), want.predict_proba(X), rtol=1e-12, atol=1e-15
    )


def test_lbfgs_is_the_same_on_dense_and_sparse_rows():
    for kind in ("squared_error", "three", "labels"):
        X, y = data(kind)
        est = model(kind, "lbfgs", alpha=0.01, l1_ratio=0.5, max_iter=15)
        assert_same(fit(clone(est), sparse.csr_matrix(X), y), fit(est, X, y), 1e-6)


def test_held_out_and_given_validation_rows_may_be_sparse():
    X, y = data("three")
    est = model("three", "adagrad", early_stopping=True, validation_fraction=0.3, dropout=0.2)
    dense, csr = fit(clone(est), X, y), fit(clone(est), sparse.csr_matrix(X), y)
    np.testing.assert_allclose(csr.validation_scores_, dense.validation_scores_, rtol=1e-6)
    given = {"X_val": sparse.csr_matrix(X[:50]), "y_val": y[:50]}
    csr = fit(clone(est), sparse.csr_matrix(X), y, **given)
    dense = fit(clone(est), X, y, X_val=X[:50], y_val=y[:50])
    np.testing.assert_allclose(csr.validation_scores_, dense.validation_scores_, rtol=1e-6)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("solver", [*EXACT, *MOVING])
def test_wide_matrix_is_never_made_dense(solver, average):
    n, d = 400, 50_000
    rng = np.random.default_rng(0)
    indices = rng.integers(0, d // 2, size=(n, 2)) + np.array([0, d // 2])
    parts = np.ones(2 * n), indices.ravel(), np.arange(0, 2 * n + 1, 2)
    X, y = sparse.csr_matrix(parts, shape=(n, d)), rng.integers(0, 2, size=n)
    est = model("binary", solver, hidden_layer_sizes=(3,), activation="relu", max_iter=1)
    est.set_params(average=average, input_dropout=0.1, max_grad_norm=1.0, alpha=0.01)
    tracemalloc.start()
    try:
        fit(est, X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40e6  # X as an array has 160e6 bytes, the weights 1.2e6
    assert np.isfinite(est.coefs_[0]).all() and est.coefs_[0].shape == (d, 3)


# --- Weights ----------------------------------------------------------------------------------

ROWS = {"dense": np.asarray, "csr": sparse.csr_matrix}


def integer_weights(n=120):
    return np.random.default_rng(3).integers(0, 4, size=n)


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["squared_error", "poisson", "three", "labels", "targets"])
@pytest.mark.parametrize("solver", ["gd", "lbfgs", "adagrad", "adam", "nesterov"])
def test_integer_weights_are_repeated_rows(solver, kind, l1_ratio, form):
    """In full batches. A large epsilon: no rounding grows to a step of its own."""
    (X, y), s = data(kind), integer_weights()
    params = {"alpha": 0.01, "l1_ratio": l1_ratio, "batch_size": 10**6, "epsilon": 0.1}
    est = model(kind, solver, **params, max_iter=6 if solver == "lbfgs" else 20)
    weighted = fit(clone(est), ROWS[form](X), y, sample_weight=s)
    repeated = fit(est, ROWS[form](np.repeat(X, s, axis=0)), np.repeat(y, s, axis=0))
    assert distance(weights_of(weighted), weights_of(repeated)) < 1e-9
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)


def assert_same_bits(a, b):
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_
    assert (a.n_iter_, a.t_, a.n_updates_) == (b.n_iter_, b.t_, b.n_updates_)


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
@pytest.mark.parametrize("solver", [*EXACT, *MOVING, "lbfgs"])
def test_rows_of_zero_weight_are_absent(solver, batch_size, form):
    (X, y), s = data("three"), integer_weights() * 1.7
    X[s == 0] *= 1e6  # a trace of these rows would show
    kept, rows = s > 0, ROWS[form]
    est = model("three", solver, batch_size=batch_size, max_iter=3, alpha=0.01, l1_ratio=0.3)
    absent = fit(clone(est), rows(X[kept]), y[kept], sample_weight=s[kept])
    assert_same_bits(fit(est, rows(X), y, sample_weight=s), absent)


@pytest.mark.parametrize(
    "params",
    [
        {"dropout": 0.3, "input_dropout": 0.2},
        {"average": 30},
        {"max_grad_norm": 0.1},
        {"n_init": 3},
        {"early_stopping": True, "validation_fraction": 0.3},
        {"early_stopping": True, "validation_fraction": 0.3, "scoring": None},
        {"class_weight": "balanced"},
        {"label_smoothing": 0.1},
        {"dtype": "float32"},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ROWS)
def test_rows_of_zero_weight_are_absent_whatever_the_settings(form, params):
    (X, y), s = data("three"), integer_weights() * 1.7
    X[s == 0] *= 1e6
    kept, rows, est = s > 0, ROWS[form], model("three", **params)
    absent = fit(clone(est), rows(X[kept]), y[kept], sample_weight=s[kept])
    assert_same_bits(fit(est, rows(X), y, sample_weight=s), absent)


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("standardize", [False, True])
def test_rows_of_zero_weight_are_absent_for_targets_and_partial_fit(standardize, form):
    (X, y), s = data("targets"), integer_weights() * 1.7
    X[s == 0], y[s == 0] = X[s == 0] * 1e6, 1e8
    kept, rows = s > 0, ROWS[form]
    skipping = model("targets", standardize_target=standardize, dropout=0.1)
    absent = clone(skipping)
    for _ in range(3):
        skipping.partial_fit(rows(X), y, sample_weight=s)
        absent.partial_fit(rows(X[kept]), y[kept], sample_weight=s[kept])
    assert_same_bits(skipping, absent)


@pytest.mark.parametrize("constant", [2.0**-40, 3.0, 1e12])
@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("solver", ["gd", "lbfgs", "sgd", "adagrad", "adam"])
def test_scale_of_the_weights_does_not_matter(solver, form, constant):
    (X, y), s = data("three"), integer_weights()
    est = model("three", solver, epsilon=0.1, alpha=0.01, max_grad_norm=None, max_iter=4)
    scaled = fit(clone(est), ROWS[form](X), y, sample_weight=s * constant)
    want = fit(est, ROWS[form](X), y, sample_weight=s)
    assert distance(weights_of(scaled), weights_of(want)) < 1e-9
    np.testing.assert_allclose(scaled.loss_curve_, want.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("params", [{}, {"standardize_target": True}], ids=str)
def test_unit_weights_are_no_weights(params):
    X, y = data("targets")
    est = model("targets", **params)
    assert_same_bits(fit(clone(est), X, y, sample_weight=np.ones(len(X))), fit(est, X, y))
