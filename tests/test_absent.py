"""Features that are missing from most batches, and then go on as on the dense array: the sparse
path of one output, for the solvers that move without a gradient."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from skopt_est import LinearRegression
from skopt_est._core import engine
from skopt_est._scaling import Scaling

pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]
SOLVERS = {
    "momentum": dict(solver="sgd", momentum=0.9, nesterovs_momentum=False),
    "nesterov": dict(solver="sgd", momentum=0.7),
    "long momentum": dict(solver="sgd", momentum=0.9995, learning_rate_init=1e-6),
    "rmsprop": dict(solver="rmsprop"),
    "adam": dict(solver="adam"),
    "no first moment": dict(solver="adam", beta_1=0.0),
    "nadam": dict(solver="nadam"),
    "amsgrad": dict(solver="amsgrad"),
}


def rare_columns(dtype):
    """From common to rare, one that never occurs; and empty rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 40)) * (rng.random((300, 40)) < np.geomspace(0.6, 0.005, 40))
    X[:, 7], X[5:8] = 0, 0
    return X.astype(dtype), X[:, 0] - X[:, 3] + rng.normal(size=300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "invscaling"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_absent_features_go_where_the_dense_solver_takes_them(solver, schedule, dtype):
    # Penalties from none to one that takes all weights to zero in a few steps.
    X, y = rare_columns(dtype)
    fixed = dict(
        learning_rate=schedule,
        learning_rate_init=0.003,
        precondition=False,
        polish_iter=0,
        max_iter=4,
        tol=0.0,
        random_state=0,
    )
    moved = 0
    for alpha, l1_ratio, batch in itertools.product([0, 1e-3, 0.05, 20], [0, 0.3, 1], [1, 7]):
        params = fixed | dict(alpha=alpha, l1_ratio=l1_ratio, batch_size=batch) | SOLVERS[solver]
        dense, csr = (
            LinearRegression(**params).fit(rows, y, sample_weight=np.arange(300) % 3)
            for rows in (X, sparse.csr_matrix(X))
        )
        scale = max(np.linalg.norm(dense.coef_), 1e-4)
        assert np.linalg.norm(csr.coef_ - dense.coef_) < 5e-3 * scale, params
        assert csr.coef_.dtype == dtype
        moved += np.linalg.norm(dense.coef_) > 1e-4
    assert moved >= 12


@pytest.mark.parametrize("dtype, least", [(np.float32, 56), (np.float64, 500)])
@pytest.mark.parametrize("halvings", [20, 50, 70, 400, 700])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_what_a_penalty_leaves_next_to_nothing_of_is_nothing(solver, halvings, dtype, least):
    # The last column is the first row's alone; the penalty halves its weight so many times.
    n = 1200
    X = np.random.default_rng(2).normal(size=(n, 3)).astype(dtype)
    X[1:, 2], X[0, 2] = 0, 1
    y = np.ones(n)
    # sgd's step is of 0.05; adagrad divides 0.1 by the column's one gradient, which is -1
    step = {"sgd": 0.05, "adagrad": 0.1}[solver]
    params = {"solver": solver, "alpha": (2 ** (halvings / n) - 1) / step, "batch_size": 1}
    params |= {"learning_rate_init": step, "max_iter": 1, "shuffle": False}
    params |= {"learning_rate": "constant", "precondition": False, "polish_iter": 0}
    first, found = (
        LinearRegression(**params).fit(sparse.csr_matrix(X[:m]), y[:m]).coef_ for m in (1, n)
    )
    kept = halvings < least or not engine.PLAIN_KERNELS
    expected = dtype(first[2] * 2.0 ** (-halvings * (n - 1) / n)) if kept else 0
    np.testing.assert_allclose(found[2], expected, rtol=1e-4 if dtype == np.float32 else 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "solver, epsilon, like", [("adam", 1e-300, 1e-20), ("adagrad", 1e-300, 1e-20)]
)
def test_an_epsilon_that_is_next_to_zero_is_as_good_as_a_small_one(solver, epsilon, like, dtype):
    X, y = rare_columns(dtype)
    params = {"solver": solver, "batch_size": 1, "max_iter": 3, "random_state": 0}
    found, expected = (
        LinearRegression(**params, epsilon=value).fit(sparse.csr_matrix(X), y).coef_
        for value in (epsilon, like)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["adam", "adagrad"])
@pytest.mark.parametrize("epsilon", [1e20, 1e36, 1e300])
def test_an_epsilon_beyond_all_gradients_leaves_weights_where_they_are(solver, epsilon, dtype):
    X, y = rare_columns(dtype)
    params = {"solver": solver, "batch_size": 1, "max_iter": 3, "fit_intercept": False}
    est = LinearRegression(**params, learning_rate_init=0.1, epsilon=epsilon, polish_iter=0)
    assert (np.abs(est.fit(sparse.csr_matrix(X), y).coef_) < 1e-14).all()


@pytest.mark.parametrize("n_features", [1, 15, 16, 17, 600])
def test_any_number_of_features_in_a_row_fills_whole_vectors(n_features):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(50, n_features)), rng.normal(size=50)
    for params in SOLVERS.values():
        params = {"learning_rate_init": 1e-3} | params | dict(max_iter=2, precondition=False)
        for batch in (1, 20):
            dense, csr = (
                LinearRegression(**params, batch_size=batch, random_state=0).fit(rows, y)
                for rows in (X, sparse.csr_matrix(X))
            )
            np.testing.assert_allclose(csr.coef_, dense.coef_, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "adam"])
def test_rows_of_any_length_follow_one_another(solver, dtype):
    # Where a row's features lie is listed two rows ahead, for the first rows before any step.
    rng = np.random.default_rng(0)
    near = {"adam": 1e-3}.get(solver, 1e-10 if dtype == np.float64 else 3e-5)
    for n_rows in (2, 3, 4, 5, 90):
        lengths = rng.permutation(np.resize([0, 1, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 40], n_rows))
        X = np.zeros((n_rows, 40), dtype)
        for row, length in zip(X, lengths, strict=True):
            row[rng.permutation(40)[:length]] = rng.normal(size=length)
        params = dict(solver=solver, alpha=0.01, batch_size=1, max_iter=3, tol=0.0, random_state=0)
        est = LinearRegression(**params, learning_rate_init=0.01, precondition=False)
        y = rng.normal(size=n_rows)
        dense, csr = (est.fit(rows, y).coef_ for rows in (X, sparse.csr_matrix(X)))
        assert np.abs(dense - csr).max() <= near * np.abs(dense).max()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("precondition", [False, True])
@pytest.mark.parametrize("alpha", [1e-9, 1e-3, 1.0, 300.0])
@pytest.mark.parametrize(("solver", "rate"), [("sgd", 0.01), ("adagrad", 0.1)])
def test_kernel_without_l1_takes_the_same_steps_as_that_with(
    solver, rate, alpha, precondition, dtype
):
    # An L1 term too small to matter is enough for the other kernel. Rows of 0 to 40 entries leave
    # vectors filled to every degree; the largest penalty more than halves a weight in one step.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 60)) * (rng.random((400, 60)) < rng.random((400, 1)) * 0.7)
    X[:, 20:] *= rng.random((400, 40)) < 0.05
    y = X[:, 0] - X[:, 3] + 0.1 * rng.normal(size=400)
    params = dict(
        solver=solver,
        learning_rate_init=rate,
        learning_rate="constant",
        alpha=alpha,
        precondition=precondition,
        polish_iter=0,
        max_iter=3,
        tol=0.0,
        batch_size=1,
        random_state=0,
    )
    rows = sparse.csr_matrix(X.astype(dtype))
    assert set(np.diff(rows.indptr) % 8) == set(range(8))
    one, other = (
        LinearRegression(**params, l1_ratio=share).fit(rows, y, sample_weight=np.arange(400) % 3)
        for share in (0.0, 1e-25)
    )
    bound = 1e-9 if dtype == np.float64 else 1e-3
    size = np.abs(other.coef_).max()
    assert np.isfinite(size) and size > 0
    assert np.abs(one.coef_ - other.coef_).max() <= bound * size
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=bound)
    if engine.PLAIN_KERNELS:
        assert (one.coef_ != other.coef_).any()  # else it was the same kernel


@pytest.mark.parametrize("solver", ["sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_penalty_that_overflows_takes_its_weight_alone(batch_size, solver):
    # In single precision: a column of small numbers has an infinite penalty in training's units.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20)) * (rng.random((200, 20)) < 0.3)
    y = (X @ rng.normal(size=20)).astype(np.float32)
    X[:, 3] *= 1e-22
    est = LinearRegression(
        solver=solver, learning_rate_init=0.01, alpha=1e-3, polish_iter=0, max_iter=5, tol=0.0,
        batch_size=batch_size, random_state=0,
    )  # fmt: skip
    single, double = (est.fit(sparse.csr_matrix(X.astype(t)), y).coef_ for t in ("f", "d"))
    assert abs(single[3]) < 1e-9
    assert (np.delete(single, 3) != 0).all()
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4)


def test_overflow_of_a_unit_squared_takes_no_weight():
    # In single precision: infinity times no penalty is no number, and yet nothing is to shrink.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 20)) * (rng.random((200, 20)) < 0.3)
    y = (X @ rng.normal(size=20)).astype(np.float32)
    params = dict(
        solver="adagrad",
        learning_rate_init=0.1,
        learning_rate="constant",
        alpha=0.0,
        polish_iter=0,
        max_iter=5,
        tol=0.0,
        batch_size=1,
        random_state=0,
    )
    scale = np.where(np.arange(20) == 3, 1e-22, 1.0)
    plain, small = (
        LinearRegression(**params).fit(sparse.csr_matrix(rows.astype(np.float32)), y).coef_
        for rows in (X, X * scale)
    )
    np.testing.assert_allclose(small * scale, plain, rtol=1e-4, atol=1e-6)


def rare_and_common(n=400, d=60):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < rng.random((n, 1)) * 0.7)
    X[:, 20:] *= rng.random((n, d - 20)) < 0.05
    return X


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("beta_1", [0.9, 0.99])
@pytest.mark.parametrize(("alpha", "rate"), [(0.0, 0.01), (0.0, 3.0), (1e-6, 0.01)])
def test_adams_kernel_takes_the_same_steps_as_that_for_l1(
    alpha, rate, beta_1, schedule, dtype, monkeypatch
):
    # as long as the penalty does not outrun momentum
    params = dict(beta_1=beta_1, learning_rate_init=rate, learning_rate=schedule, alpha=alpha)
    assert_adams_kernels_agree(rare_and_common(), dtype, monkeypatch, distinct=True, **params)


def one_in_five(progress):
    return 1.0 if round(progress * 1200) % 5 else 0.2


def none_at_times(progress):
    return 0.0 if 0.3 < progress < 0.6 or progress > 0.95 else 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("schedule", ["constant", "cosine", one_in_five, none_at_times])
@pytest.mark.parametrize("beta_1", [0.9, 0.99])
@pytest.mark.parametrize("rate", [0.003, 0.1])
@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0, 300.0])
def test_adams_kernel_goes_where_the_dense_solver_goes(
    alpha, rate, beta_1, schedule, dtype, monkeypatch
):
    # From penalties that momentum outruns to such as leave nothing of its moves but the last. The
    # other kernel goes step by step where neither outruns the other.
    X = rare_and_common().astype(dtype)
    params = dict(beta_1=beta_1, learning_rate_init=rate, learning_rate=schedule, alpha=alpha)
    dense, one, other = adams_kernels(X, monkeypatch, **params)
    size = np.linalg.norm(dense)
    assert np.linalg.norm(one - dense) <= 1.5 * np.linalg.norm(other - dense) + 5e-4 * size
    if rate == 0.003 and isinstance(schedule, str):
        assert np.linalg.norm(one - dense) <= 1e-2 * size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adams_kernel_where_the_penalty_leaves_nothing(dtype, monkeypatch):
    # A column is absent for so long that what is left of its weight is smaller than any number.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30_000, 8)) * (rng.random((30_000, 8)) < 0.3)
    X[:, 3] *= rng.random(30_000) < 1e-3
    params = dict(learning_rate_init=0.1, learning_rate="constant", alpha=0.05)
    assert_adams_kernels_agree(X, dtype, monkeypatch, distinct=True, **params)


def adams_kernels(X, monkeypatch, **params):
    """What Adam makes of dense rows, of CSR rows, and of CSR rows by its kernel for L1."""
    # An L1 term on a column that never occurs, whose weight is zero anyway, asks for that one.
    rng = np.random.default_rng(2)
    X[:, -1] = 0
    y = X[:, 0] - X[:, 3] + 0.1 * rng.normal(size=len(X))
    est = LinearRegression(
        **params,
        solver="adam",
        precondition=False,
        polish_iter=0,
        max_iter=3,
        tol=0.0,
        batch_size=1,
        random_state=0,
    )
    rows, weight = sparse.csr_matrix(X), np.arange(len(X)) % 3
    dense, one = (est.fit(given, y, sample_weight=weight).coef_ for given in (X, rows))
    penalty = Scaling.penalty

    def with_l1(*args):
        l1, l2 = penalty(*args)
        return np.where(np.arange(len(l1)) == len(l1) - 1, 1.0, l1), l2

    monkeypatch.setattr(Scaling, "penalty", with_l1)
    return dense, one, est.fit(rows, y, sample_weight=weight).coef_


def assert_adams_kernels_agree(X, dtype, monkeypatch, *, distinct, **params):
    _, one, other = adams_kernels(X.astype(dtype), monkeypatch, **params)
    size = np.abs(other).max()
    assert np.isfinite(size) and size > 0
    assert np.abs(one - other).max() <= (1e-9 if dtype == np.float64 else 1e-3) * size
    if engine.PLAIN_KERNELS and dtype == np.float32 and distinct:
        assert (one != other).any()  # else it was the same kernel
