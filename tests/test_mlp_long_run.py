"""Fits that follow one another: what is taken up, what is compared, and what is not."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.usefixtures("by_feature")

SEEDED = {"random_state": 0, "n_iter_no_change": np.inf}


def quietly(estimator, X, y, method="fit", **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(estimator, method)(X, y, **kwargs)


@pytest.fixture(scope="module")
def two_classes():
    return make_classification(600, 20, n_informative=10, random_state=0)


@pytest.mark.parametrize("rates", [{"dropout": 0.5}, {"input_dropout": 0.3}])
def test_noise_of_dropout_does_not_halve_the_rate_of_gd(two_classes, rates):
    X, y = two_classes
    net = MLPClassifier(32, solver="gd", max_iter=100, **rates, **SEEDED)
    quietly(net, X, y)
    assert net.history_[-1]["learning_rate"] > 1e-2


@pytest.mark.parametrize("make", [MLPClassifier, LogisticRegression, LinearRegression])
def test_losses_of_different_chunks_do_not_halve_the_rate_of_gd(two_classes, make):
    X, y = two_classes
    est = make(solver="gd", max_iter=200, random_state=0)
    classes = {} if make is LinearRegression else {"classes": [0, 1]}
    for _ in range(20):
        for rows in np.split(np.arange(600), 6):
            quietly(est, X[rows], y[rows], "partial_fit", **classes)
    assert est.history_[-1]["learning_rate"] == est.history_[0]["learning_rate"]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("make", [MLPClassifier, LogisticRegression])
def test_other_data_of_the_same_length_have_a_patience_of_their_own(
    two_classes, make, early_stopping
):
    X, y = two_classes
    params = {"max_iter": 30, "learning_rate": "constant", "learning_rate_init": 0.01}
    est = make(warm_start=True, random_state=0, early_stopping=early_stopping, **params)
    quietly(est, X, y)
    before = est.score(X, 1 - y)
    quietly(est, X, 1 - y)
    assert est.n_iter_ > 10
    assert est.score(X, 1 - y) > before + 0.2


@pytest.mark.parametrize("change", ["replaced", "in place", "in place after pickling"])
@pytest.mark.parametrize("params", [{}, {"average": True}, {"standardize_target": True}])
def test_weights_changed_by_hand_are_trained_on(change, params):
    X = np.random.default_rng(0).standard_normal((40, 3))
    net = MLPRegressor(
        hidden_layer_sizes=5, learning_rate_init=1e-9, max_iter=2, **params, **SEEDED
    )
    quietly(net, X, X[:, 0])
    if change == "replaced":
        net.coefs_ = [np.zeros_like(W) for W in net.coefs_]
    else:
        net = pickle.loads(pickle.dumps(net)) if change != "in place" else net
        for W in net.coefs_:
            W[:] = 0
    quietly(net, X, X[:, 0], "partial_fit")
    assert max(np.abs(W).max() for W in net.coefs_) < 1e-6
    net.coefs_ = [W[:-1] for W in net.coefs_]
    with pytest.raises(ValueError, match="coefs_"):
        net.partial_fit(X, X[:, 0])


def test_prediction_tells_arrays_that_do_not_belong_together():
    X = np.random.default_rng(0).standard_normal((40, 3))
    net = quietly(MLPRegressor(hidden_layer_sizes=5, max_iter=2, **SEEDED), X, X[:, 0])
    for coefs, intercepts in (
        (net.coefs_[:1], net.intercepts_[:1]),
        (net.coefs_, net.intercepts_[:1]),
        ([*net.coefs_, np.ones((1, 1))], [*net.intercepts_, np.ones(1)]),
    ):
        broken = pickle.loads(pickle.dumps(net))
        broken.coefs_, broken.intercepts_ = coefs, intercepts
        with pytest.raises(ValueError, match="weights"):
            broken.predict(X)


def test_precision_of_a_resumed_fit_is_that_of_the_first():
    X = np.random.default_rng(0).standard_normal((40, 3))
    net = quietly(
        MLPRegressor(hidden_layer_sizes=5, max_iter=2, warm_start=True, **SEEDED), X, X[:, 0]
    )
    with pytest.raises(ValueError, match=r"float64.*dtype='float32'"):
        net.set_params(dtype="float32").fit(X, X[:, 0])


def test_score_that_is_nan_only_matters_where_it_decides():
    X = np.random.default_rng(0).standard_normal((40, 3))
    net = MLPRegressor(hidden_layer_sizes=5, scoring=None, max_iter=4, **SEEDED)
    with pytest.warns(UserWarning, match="not well-defined"):  # R² of one row
        quietly(net, X, X[:, 0], X_val=X[:1], y_val=X[:1, 0])
    assert net.n_iter_ == 4
    assert np.isnan(net.validation_scores_).all()


def test_restart_that_diverges_at_once_is_passed_over():
    rng = np.random.default_rng(0)
    X = 500 * rng.standard_normal((80, 6))
    y = rng.poisson(2.0, 80)
    params = {"loss": "poisson", "solver": "lbfgs", "max_iter": 5}

    def alone(seed):
        try:
            return quietly(
                MLPRegressor(hidden_layer_sizes=10, random_state=seed, **params), X, y
            ).loss_
        except ValueError:
            return None

    ends = [alone(seed) for seed in range(30)]
    assert None in ends  # some starts overflow
    assert any(ends)
    net = quietly(MLPRegressor(hidden_layer_sizes=10, random_state=0, n_init=30, **params), X, y)
    assert np.isfinite(net.loss_)


def test_average_of_adamw_is_exact_on_absent_features_whatever_the_decay():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 12)) * (rng.random((120, 12)) < 0.1)
    params = {"solver": "adamw", "weight_decay": 1.0, "learning_rate_init": 0.1, "average": True}
    params |= {"activation": "tanh", "batch_size": 2, "max_iter": 3, "alpha": 1e-3}
    dense, csr = (
        quietly(MLPRegressor(hidden_layer_sizes=10, **params, **SEEDED), form(X), X[:, 0])
        for form in (np.asarray, sparse.csr_matrix)
    )
    np.testing.assert_allclose(csr.coefs_[0], dense.coefs_[0], rtol=1e-6, atol=1e-9)


def test_strided_arrays_of_a_sparse_matrix_are_read_right():
    X = sparse.random(50, 8, 0.3, "csr", random_state=0)
    strided = sparse.csr_matrix(X.shape)
    strided.data, strided.indices = np.repeat(X.data, 2)[::2], np.repeat(X.indices, 2)[::2]
    strided.indptr = X.indptr
    one, other = (
        quietly(MLPRegressor(hidden_layer_sizes=4, max_iter=2, **SEEDED), rows, np.arange(50))
        for rows in (X, strided)
    )
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
