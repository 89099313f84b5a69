"""What a fit needs beyond X and y: no copy of X, and little for each row."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier
from skopt_est.solvers import SOLVERS

N, D = 400_000, 28
pytestmark = [
    pytest.mark.usefixtures("sparse_steps"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


def peak(model, X, y):
    """Bytes."""
    model.fit(X[:500], y[:500])  # what is allocated once in a process
    tracemalloc.start()
    try:
        model.fit(X, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def narrow():
    X = np.random.default_rng(0).standard_normal((N, D), dtype=np.float32)
    return X, (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("solver", ["sgd", "adagrad", "adam", "lbfgs"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_needs_its_label_its_place_and_little_more(narrow, solver, dtype):
    X, y = narrow[0].astype(dtype), narrow[1]
    model = LogisticRegression(solver=solver, max_iter=2, random_state=0)
    of_row = np.dtype(dtype).itemsize + 4
    assert peak(model, X, y) < N * of_row + 4_000_000 < X.nbytes / 5


def test_targets_of_the_rows_type_are_not_copied(narrow):
    X = narrow[0]
    model = LinearRegression(max_iter=2, random_state=0)
    # in units of training, and the place
    assert peak(model, X, X[:, 1].copy()) < N * (4 + 4) + 4_000_000


@pytest.mark.parametrize("solver", ["adam", "sgd", "amsgrad"])
def test_a_network_needs_its_vectors_and_no_more(solver):
    n, d, hidden = 2000, 10_000, 100
    X = sparse.random(n, d, 0.005, "csr", np.float32, random_state=0)
    y = np.arange(n) % 2
    model = MLPClassifier((hidden,), solver=solver, max_iter=2, random_state=0)
    vectors = 3 + SOLVERS[solver](momentum=0.9).n_slots()  # weights, gradient, the best, the state
    own = 4 * d * hidden
    assert peak(model, X, y) < (vectors + 0.75) * own
