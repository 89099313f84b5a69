"""Features that are missing from most batches, and then go on as on the dense array: the sparse
path of one output, for the solvers that move without a gradient."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from skopt_est import LinearRegression

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
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
