"""CSR rows give what dense rows give, whatever their form, and are never made dense."""

import tracemalloc
import warnings

import numpy as np
import pytest
from exact import Objective
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

pytestmark = pytest.mark.usefixtures("sparse_steps")

# Solvers whose catch-up is exact, and those with moving averages.
EXACT = ("gd", "sgd", "adagrad")
MOVING = ("momentum", "nesterov", "rmsprop", "adam", "nadam", "amsgrad")
RATE = {"gd": "auto", "sgd": 0.05, "adagrad": 0.1, "momentum": 0.003, "nesterov": 0.003}
PENALTIES = {"none": (0.0, 0.0), "l2": (0.01, 0.0), "l1": (0.01, 1.0), "elastic": (0.01, 0.5)}


def data(kind, n=150, d=24, seed=0):
    """Counts that are rare to the right: the last columns have a handful of entries each.

    Column 3 is empty, column 4 lives in the first rows only, row 5 is empty.
    """
    rng = np.random.default_rng(seed)
    X = rng.poisson(1.0, size=(n, d)) * (rng.random((n, d)) < np.geomspace(0.5, 0.02, d))
    X = X * rng.uniform(0.5, 1.5, size=d)
    X[:, 3] = X[5] = X[20:, 4] = 0
    z = X @ rng.normal(size=d) * 0.5 + 0.3 * rng.normal(size=n)
    y = {
        "poisson": lambda: rng.poisson(np.exp(np.clip(0.4 * z, -2, 2))).astype(float),
        "gamma": lambda: np.exp(np.clip(0.3 * z, -2, 2)),
        "binary": lambda: (z > 0).astype(int),
        "three": lambda: np.digitize(z, [-0.5, 0.5]),
        "targets": lambda: np.column_stack([z, X[:, 0] - z]),
    }.get(kind, lambda: z)()
    return X, y


def model(kind, solver="adam", **params):
    params = {"random_state": 0, "max_iter": 5, "precondition": False, "polish_iter": 0} | params
    params = {"tol": 0.0, "n_iter_no_change": 10**6, "batch_size": 7} | params
    params = {"learning_rate": "constant"} | params
    params = {"learning_rate_init": RATE.get(solver, 0.005)} | params
    if solver in ("momentum", "nesterov"):
        params |= {"momentum": 0.9, "nesterovs_momentum": solver == "nesterov"}
        solver = "sgd"
    if kind in ("binary", "three"):
        return LogisticRegression(solver=solver, **params)
    return LinearRegression(
        solver=solver, loss="squared_error" if kind == "targets" else kind, **params
    )


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def assert_dense_is_csr(kind, solver, data_seed=0, dtype=np.float64, **params):
    X, y = data(kind, seed=data_seed)
    X = X.astype(dtype)
    est = model(kind, solver, **params)
    dense, csr = fit(clone(est), X, y), fit(clone(est), sparse.csr_matrix(X), y)
    bound = 1e-2 if solver in MOVING else 1e-6 if dtype == np.float64 else 1e-4
    size = np.linalg.norm(dense.coef_)
    assert size > 1e-3 and csr.coef_.dtype == dense.coef_.dtype == dtype
    assert np.linalg.norm(csr.coef_ - dense.coef_) <= bound * size
    shift = np.abs(np.subtract(csr.intercept_, dense.intercept_)).max()
    assert shift <= bound * max(size, np.abs(dense.intercept_).max())
    np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=bound)
    assert (csr.t_, csr.n_updates_, csr.n_iter_) == (dense.t_, dense.n_updates_, dense.n_iter_)


@pytest.mark.parametrize("batch_size", [1, 7, 150])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("kind", ["squared_error", "binary", "three"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_for_every_penalty_and_batch_size(solver, kind, penalty, batch_size):
    alpha, l1_ratio = PENALTIES[penalty]
    assert_dense_is_csr(kind, solver, alpha=alpha, l1_ratio=l1_ratio, batch_size=batch_size)


@pytest.mark.parametrize("kind", ["huber", "poisson", "gamma", "targets"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_for_every_loss(solver, kind):
    assert_dense_is_csr(kind, solver, alpha=0.01, l1_ratio=0.5)


@pytest.mark.parametrize("kind", ["absolute_error", "quantile"])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_for_losses_with_a_kink(solver, kind):
    assert_dense_is_csr(kind, solver, alpha=0.01, l1_ratio=0.5, max_iter=3)


@pytest.mark.parametrize(
    "schedule",
    ["constant", "invscaling", "adaptive", "cosine", "one_cycle", lambda progress: 1 - progress],
)
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_under_every_schedule(solver, schedule):
    params = {"learning_rate": schedule, "alpha": 0.01, "l1_ratio": 0.5, "max_iter": 12}
    if schedule == "adaptive":  # a tol that large stalls at once, so the rate falls on the way
        params |= {"tol": 10.0, "n_iter_no_change": 2}
    assert_dense_is_csr("binary", solver, **params)


@pytest.mark.parametrize(
    "params", [{"average": True}, {"average": 300}, {"shuffle": False}], ids=str
)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_dense_is_csr_averaged_unshuffled_or_without_intercept(solver, fit_intercept, params):
    params = params | {"alpha": 0.01, "l1_ratio": 0.3, "fit_intercept": fit_intercept}
    assert_dense_is_csr("three", solver, **params)


@pytest.mark.parametrize("solver", EXACT + MOVING)
@pytest.mark.parametrize("batch_size", [1, 7, 150])
def test_dense_is_csr_in_single_precision(solver, batch_size):
    for kind in ("squared_error", "three"):
        assert_dense_is_csr(
            kind, solver, dtype=np.float32, alpha=0.01, l1_ratio=0.5, batch_size=batch_size
        )


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "adam"])
def test_dense_is_csr_for_rows_of_any_length_one_by_one(solver, dtype, backwards):
    """Empty ones, whole groups of features and parts of one, before longer and shorter rows."""
    lengths = 4 * [0, 40, 0, 0, 3, 17, 8, 16, 1, 0, 33, 9]
    rng = np.random.default_rng(0)
    X = np.zeros((len(lengths), 64), dtype)
    for row, length in zip(X, lengths[::-1] if backwards else lengths, strict=True):
        row[rng.choice(64, length, replace=False)] = rng.standard_normal(length)
    y = (X.sum(axis=1) + rng.standard_normal(len(X)) > 0).astype(int)
    est = model("binary", solver, batch_size=1, shuffle=False, alpha=0.01)
    dense, csr = fit(clone(est), X, y), fit(clone(est), sparse.csr_matrix(X), y)
    size = np.linalg.norm(dense.coef_)
    bound = 1e-2 if solver == "adam" else 1e-9 if dtype == np.float64 else 1e-5
    assert size > 0.05 and csr.coef_.dtype == dtype
    assert np.linalg.norm(csr.coef_ - dense.coef_) <= bound * size
    assert np.abs(csr.intercept_ - dense.intercept_).max() <= bound * size


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("solver", EXACT + MOVING)
def test_feature_that_has_gone_for_hundreds_of_steps_keeps_shrinking(solver, l1_ratio):
    # Two columns end after the first rows; only the penalty moves them afterwards.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 4))
    X[15:, 2:] = 0
    y = X @ [1.0, -1.0, 2.0, -2.0]
    est = model("squared_error", solver, alpha=0.05, l1_ratio=l1_ratio, batch_size=1, max_iter=1)
    est.set_params(shuffle=False)
    if solver == "gd":
        est.set_params(max_iter=20)
    dense, csr = fit(clone(est), X, y), fit(est, sparse.csr_matrix(X), y)
    size, bound = np.linalg.norm(dense.coef_), 1e-2 if solver in MOVING else 1e-6
    np.testing.assert_allclose(csr.coef_, dense.coef_, rtol=0, atol=bound * size)


def shuffled_entries(X):
    """The same CSR matrix with the entries of each row in another order."""
    X, rng = X.copy(), np.random.default_rng(0)
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        order = start + rng.permutation(end - start)
        X.indices[start:end], X.data[start:end] = X.indices[order], X.data[order]
    return sparse.csr_matrix((X.data, X.indices, X.indptr), shape=X.shape)


def repeated_entries(X):
    """Every entry as two halves, far apart within its row."""
    rows = [np.tile(X.indices[a:b], 2) for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]
    values = [np.tile(X.data[a:b], 2) for a, b in zip(X.indptr[:-1], X.indptr[1:], strict=True)]
    parts = np.concatenate(values) / 2, np.concatenate(rows), 2 * X.indptr
    return sparse.csr_matrix(parts, shape=X.shape)


def explicit_zeros(X):
    """Every entry of a third of the rows is stored, zeros too."""
    stored = np.array((X != 0).toarray())
    stored[::3] = True
    rows, columns = np.nonzero(stored)
    values = np.asarray(X.toarray()[rows, columns])
    return sparse.csr_matrix(
        (values, columns, np.append(0, np.cumsum(stored.sum(axis=1)))), X.shape
    )


def wide_index(X):
    X = X.copy()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


FORMS = {
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "lil": sparse.lil_matrix,
    "dok": sparse.dok_matrix,
    "bsr": sparse.bsr_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "coo_array": sparse.coo_array,
    "unsorted": shuffled_entries,
    "duplicates": repeated_entries,
    "duplicates in coo": lambda X: repeated_entries(X).tocoo(),
    "explicit zeros": explicit_zeros,
    "int64": wide_index,
}


def stored(X):
    """Copies of all the arrays that make a sparse matrix, for a comparison to come."""
    names = ("data", "indices", "indptr", "row", "col", "rows")
    return {name: np.array(getattr(X, name)) for name in names if hasattr(X, name)}


@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("solver", ["adagrad", "sgd", "gd", "adam", "lbfgs"])
@pytest.mark.parametrize("form", FORMS)
def test_form_of_a_sparse_matrix_changes_nothing_and_is_not_changed(form, solver, precondition):
    X, y = data("binary")
    est = model("binary", solver, alpha=0.01, l1_ratio=0.5, precondition=precondition)
    reference = fit(clone(est), sparse.csr_matrix(X), y)
    other = FORMS[form](sparse.csr_matrix(X))
    before = None if form == "dok" else stored(other)
    given = other.copy()
    fit(est, other, y)
    # Explicit zeros bring a moving average up to date at other times; all else is rounding.
    bound = 3e-2 if form == "explicit zeros" and solver == "adam" else 1e-7
    size = np.linalg.norm(reference.coef_)
    np.testing.assert_allclose(est.coef_, reference.coef_, rtol=0, atol=bound * size)
    np.testing.assert_allclose(
        est.decision_function(other), X @ est.coef_[0] + est.intercept_, rtol=1e-10, atol=1e-12
    )
    assert type(other) is type(given) and other.nnz == given.nnz
    if before is not None:
        for name, array in stored(other).items():
            assert array.dtype == before[name].dtype
            np.testing.assert_array_equal(array, before[name])


def test_single_precision_rows_of_other_forms_train_in_single_precision():
    X, y = data("binary")
    for form in ("csc", "coo", "int64", "duplicates"):
        est = fit(model("binary"), FORMS[form](sparse.csr_matrix(X.astype(np.float32))), y)
        assert est.coef_.dtype == np.float32


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["squared_error", "binary", "three"])
@pytest.mark.parametrize("solver", ["gd", "lbfgs", "sgd", "adagrad", "adam", "nadam", "amsgrad"])
def test_preconditioned_csr_and_dense_reach_one_minimum(solver, kind, fit_intercept):
    X, y = data(kind)
    X *= np.geomspace(0.1, 10, X.shape[1])
    loss = "squared_error" if kind == "squared_error" else "log_loss"
    F = Objective(X, y, loss, alpha=0.05, fit_intercept=fit_intercept)
    est = model(kind, solver, alpha=0.05, precondition=True, max_iter=400, batch_size=30)
    est.set_params(learning_rate_init="auto", fit_intercept=fit_intercept)
    exact = solver in ("gd", "lbfgs")
    est.set_params(learning_rate="constant" if exact else "cosine")
    best = F.minimise().value
    for rows in (X, sparse.csr_matrix(X)):
        gap = F.of(fit(clone(est), rows, y)) - best
        assert -1e-12 <= gap <= (1e-6 if exact else 1e-3)


def test_held_out_and_given_validation_rows_may_be_sparse():
    X, y = data("binary")
    est = model("binary", "gd", early_stopping=True, validation_fraction=0.3)
    dense, csr = fit(clone(est), X, y), fit(clone(est), sparse.csr_matrix(X), y)
    np.testing.assert_allclose(csr.validation_scores_, dense.validation_scores_, rtol=1e-9)
    for rows in (sparse.csr_matrix(X), sparse.csc_matrix(X), X):
        given = fit(clone(est), sparse.csr_matrix(X), y, X_val=rows[:50], y_val=y[:50])
        wanted = fit(clone(est), X, y, X_val=X[:50], y_val=y[:50])
        np.testing.assert_allclose(given.validation_scores_, wanted.validation_scores_, rtol=1e-9)


def wide_problem(n, d=200_000):
    rng = np.random.default_rng(0)
    indices = rng.integers(0, d // 2, size=(n, 2)) + np.array([0, d // 2])
    parts = np.ones(2 * n), indices.ravel(), np.arange(0, 2 * n + 1, 2)
    return sparse.csr_matrix(parts, shape=(n, d)), rng.integers(0, 2, size=n)


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("solver", [*EXACT, *MOVING, "lbfgs"])
def test_wide_matrix_is_never_made_dense(solver, average):
    X, y = wide_problem(2000)
    est = model("binary", solver, precondition=True, max_iter=1, average=average)
    tracemalloc.start()
    try:
        fit(est, X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300e6  # X as an array has 3200e6 bytes
    assert np.isfinite(est.coef_).all() and est.coef_.shape == (1, 200_000)
