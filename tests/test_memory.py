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


def peak(model, X, y, sample_weight=None):
    """Bytes."""
    some = None if sample_weight is None else sample_weight[:500]
    model.fit(X[:500], y[:500], some)  # what is allocated once in a process
    tracemalloc.start()
    try:
        model.fit(X, y, sample_weight)
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


@pytest.mark.parametrize("solver", ["gd", "sgd", "adam", "lbfgs"])
def test_an_epoch_of_dense_rows_needs_less_than_a_tenth_of_28_columns(narrow, solver):
    X, y = narrow
    assert peak(LogisticRegression(solver=solver, max_iter=2, random_state=0), X, y) < X.nbytes / 10


# Bytes a row: of label and place, and of what the feature needs for a while
FEATURES = {
    "class_weight": (dict(class_weight="balanced"), False, 8 + 4),
    "sample_weight": ({}, True, 8 + 4),
    "both weights": (dict(class_weight="balanced"), True, 8 + 4),
    "early_stopping": (dict(early_stopping=True), False, 8 + 2),
    "early_stopping, weights": (dict(early_stopping=True), True, 8 + 6),
    "all": (dict(class_weight="balanced", early_stopping=True), True, 8 + 6),
    "all, lbfgs": (
        dict(class_weight="balanced", early_stopping=True, solver="lbfgs"),
        True,
        8 + 6,
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_what_a_feature_needs_for_each_row(narrow, feature):
    parameters, weighted, of_row = FEATURES[feature]
    weight = np.random.default_rng(1).random(N) if weighted else None
    model = LogisticRegression(max_iter=2, random_state=0, **parameters)
    assert peak(model, *narrow, weight) < N * of_row + 900_000


def test_five_classes_need_no_more_than_two(narrow):
    X, y = narrow[0], np.arange(N) % 5
    model = LogisticRegression(max_iter=2, random_state=0)
    assert peak(model, X, y) < X.nbytes / 10
    balanced = LogisticRegression(max_iter=2, random_state=0, class_weight="balanced")
    assert peak(balanced, X, y * (y > 1)) < N * 12 + 900_000


def test_early_stopping_on_sparse_rows_copies_none():
    n = 100_000
    X = sparse.random(n, 2000, 0.02, "csr", np.float32, random_state=0)
    model = LogisticRegression(max_iter=2, random_state=0, early_stopping=True)
    assert peak(model, X, np.arange(n) % 2) < (X.data.nbytes + X.indices.nbytes) / 8


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


@pytest.mark.parametrize("solver", ["gd", "sgd", "lbfgs"])
def test_counts_need_a_curvature_of_their_own_precision(narrow, solver):
    X = narrow[0]
    y = np.random.default_rng(0).poisson(1.0, N).astype(np.float32)
    model = LinearRegression(loss="poisson", solver=solver, max_iter=2, random_state=0)
    assert peak(model, X, y) < N * 16 + 900_000
