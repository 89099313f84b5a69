"""to_sklearn: the same predictions and the same objective in scikit-learn's own estimators."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import linear_model, neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.multioutput import MultiOutputRegressor

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) * [1, 3, 0.5, 1] + [0, 1, 0, 0]
SIGNAL = X @ [1.0, -0.7, 0.5, 0.0] + RNG.normal(size=200)
WEIGHTS = RNG.integers(1, 4, size=200).astype(float)
POSITIVE = np.exp(0.3 * SIGNAL)
TARGETS = {
    "number": SIGNAL,
    "column": SIGNAL[:, None],
    "numbers": np.c_[SIGNAL, 1 - SIGNAL],
    "positive": POSITIVE,
    "positives": np.c_[POSITIVE, 2 * POSITIVE],
    "two": (SIGNAL > 0).astype(int),
    "three": np.array(["low", "middle", "top"])[np.digitize(SIGNAL, [-1, 1])],
    "labels": np.c_[SIGNAL > 0, SIGNAL > 1].astype(int),
    "three labels": np.c_[SIGNAL > 0, SIGNAL > 1, SIGNAL < 2].astype(int),
}
REGRESSORS = {
    ("squared_error", 0.0, 0.0): linear_model.LinearRegression,
    ("squared_error", 0.1, 0.0): linear_model.Ridge,
    ("squared_error", 0.1, 0.4): linear_model.ElasticNet,
    ("squared_error", 0.1, 1.0): linear_model.ElasticNet,
    ("absolute_error", 0.1, 0.0): linear_model.SGDRegressor,
    ("huber", 0.1, 0.3): linear_model.SGDRegressor,
    ("quantile", 0.0, 0.0): linear_model.QuantileRegressor,
    ("quantile", 0.05, 1.0): linear_model.QuantileRegressor,
    ("poisson", 0.1, 0.0): linear_model.PoissonRegressor,
    ("gamma", 0.1, 0.0): linear_model.GammaRegressor,
}
# what only scikit-learn's own training knows, and its optimizer, which partial_fit makes anew
OF_TRAINING = {"rank_", "singular_", "solver_", "dual_gap_", "_optimizer"}
OF_TRAINING |= {"_best_coefs", "_best_intercepts", "_coef_indptr", "_intercept_indptr"}


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def exact(cls, **params):
    return cls(solver="lbfgs", tol=1e-9, max_iter=3000, **params)


def assert_equal(got, expected, dtype=np.float64):
    tolerance = {np.float32: dict(rtol=1e-6, atol=1e-6), np.float64: dict(rtol=1e-12, atol=1e-13)}
    assert got.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, **tolerance[dtype])
    else:
        np.testing.assert_array_equal(got, expected)


def assert_same_predictions(est, other, rows):
    dtype = rows.dtype.type
    assert_equal(other.predict(rows), est.predict(rows), dtype)
    if hasattr(est, "predict_proba"):
        assert_equal(other.predict_proba(rows), est.predict_proba(rows), dtype)


def assert_complete(other, y):
    """The attributes are those of such an estimator that scikit-learn fitted itself."""
    if y.dtype.kind == "U":  # early stopping of MLPClassifier takes no strings in some versions
        y = np.unique(y, return_inverse=True)[1]
    own = fit(clone(other), X, y)
    assert vars(other).keys() - {"feature_names_in_"} == vars(own).keys() - OF_TRAINING
    for name in ("coef_", "intercept_", "classes_", "n_iter_", "n_layers_", "n_outputs_"):
        if hasattr(own, name):
            assert np.shape(getattr(other, name)) == np.shape(getattr(own, name)), name
    assert getattr(other, "out_activation_", None) == getattr(own, "out_activation_", None)
    for one in getattr(other, "estimators_", ()):
        assert_complete(one, y[:, 0])


def assert_same_minimum(est, other, y, rtol=1e-3, weights=WEIGHTS, **more):
    """Fitted to the same rows, the other comes to the same coefficients."""
    own = fit(clone(other).set_params(**more), X, y, sample_weight=weights)
    np.testing.assert_allclose(own.coef_, est.coef_, rtol=rtol, atol=rtol)
    # those of several classes are defined up to a constant
    intercepts = [np.ravel(one.intercept_) for one in (own, est)]
    own, ours = (b - b.mean() if len(b) > 2 else b for b in intercepts)
    np.testing.assert_allclose(own, ours, rtol=rtol, atol=rtol)


# -- linear models -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("target", ["positive", "positives"])
@pytest.mark.parametrize("loss, alpha, l1_ratio", REGRESSORS)
def test_linear_regression(loss, alpha, l1_ratio, target, fit_intercept, dtype):
    params = dict(loss=loss, alpha=alpha, l1_ratio=l1_ratio, fit_intercept=fit_intercept)
    rows, y = X.astype(dtype), TARGETS[target]
    est = fit(LinearRegression(random_state=0, max_iter=20, **params), rows, y)
    other = est.to_sklearn()
    kinds = {type(one) for one in getattr(other, "estimators_", [other])}
    assert kinds == {REGRESSORS[loss, alpha, l1_ratio]}
    several = target == "positives" and loss != "squared_error"
    assert isinstance(other, MultiOutputRegressor) == several
    assert_complete(other, y)
    assert_same_predictions(est, other, rows)
    assert_same_predictions(est, other, sparse.csr_matrix(rows))


@pytest.mark.parametrize("loss", ["squared_error", "huber", "poisson"])
def test_a_target_in_a_column_stays_a_column(loss):
    y = POSITIVE[:, None]
    est = fit(LinearRegression(loss=loss, max_iter=20), X, y)
    assert est.predict(X).shape == (200, 1)
    assert_same_predictions(est, est.to_sklearn(), X)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize(
    "loss, alpha, l1_ratio",
    [key for key in REGRESSORS if key[0] not in ("huber", "absolute_error")],
)
def test_linear_regression_states_the_same_objective(loss, alpha, l1_ratio, weights):
    est = exact(LinearRegression, loss=loss, alpha=alpha, l1_ratio=l1_ratio)
    if loss == "quantile":  # not smooth: lbfgs doesn't come as close
        est.set_params(solver="adam", learning_rate="cosine", n_iter_no_change=np.inf, tol=0)
        est.set_params(random_state=0)
    y = POSITIVE if loss in ("poisson", "gamma") else SIGNAL
    other = fit(est, X, y, sample_weight=weights).to_sklearn()
    more = {"tol": 1e-8} if loss in ("poisson", "gamma") else {}
    rtol = 3e-2 if loss == "quantile" else 1e-3
    assert_same_minimum(est, other, y, rtol, weights, **more)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("loss, alpha, l1_ratio", [("huber", 0.1, 0.3), ("absolute_error", 0.1, 0)])
def test_sgd_regressor_states_the_same_objective(loss, alpha, l1_ratio, weights):
    est = exact(LinearRegression, loss=loss, alpha=alpha, l1_ratio=l1_ratio)
    if loss == "absolute_error":
        est.set_params(solver="adam", learning_rate="cosine", n_iter_no_change=np.inf, tol=0)
    other = fit(est, X, SIGNAL, sample_weight=weights).to_sklearn()
    more = dict(max_iter=1500, tol=None, eta0=0.02, power_t=0.6, random_state=0)
    assert_same_minimum(est, other, SIGNAL, 0.05, weights, **more)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("alpha, l1_ratio", [(0.0, 0.0), (0.1, 0.0), (0.03, 0.5), (0.03, 1.0)])
@pytest.mark.parametrize("target", ["two", "three"])
def test_logistic_regression(target, alpha, l1_ratio, class_weight):
    est = exact(LogisticRegression, alpha=alpha, l1_ratio=l1_ratio, class_weight=class_weight)
    y = TARGETS[target]
    other = fit(est, X, y, sample_weight=WEIGHTS).to_sklearn()
    assert type(other) is linear_model.LogisticRegression
    assert_complete(other, y)
    for rows in (X, sparse.csr_matrix(X)):
        assert_same_predictions(est, other, rows)
        assert_equal(other.decision_function(rows), est.decision_function(rows))
    assert_same_minimum(est, other, y, 2e-3, tol=1e-7, max_iter=20000, random_state=0)


@pytest.mark.parametrize("target", ["two", "three"])
def test_logistic_regression_in_float32_without_intercept(target):
    rows = X.astype(np.float32)
    est = fit(LogisticRegression(max_iter=20, fit_intercept=False), rows, TARGETS[target])
    other = est.to_sklearn()
    assert other.coef_.dtype == np.float32
    assert_same_predictions(est, other, rows)


@pytest.mark.parametrize(
    "est, named",
    [
        (LinearRegression(loss="quantile", alpha=0.1), ["l1_ratio=0.0"]),
        (LinearRegression(loss="poisson", alpha=0.1, l1_ratio=0.5), ["l1_ratio=0.5"]),
        (LinearRegression(loss="gamma", alpha=0.1, l1_ratio=1.0), ["l1_ratio=1.0"]),
        (MLPRegressor(loss="huber"), ["loss='huber'"]),
        (MLPRegressor(loss="gamma"), ["loss='gamma'"]),
        (MLPRegressor(solver="adamw", dropout=0.2), ["dropout=0.2", "solver='adamw'"]),
        (MLPRegressor(dropout=[0.2]), ["dropout=[0.2]"]),
        (MLPRegressor(learning_rate="cosine"), ["learning_rate='cosine'"]),
        (MLPRegressor(learning_rate="adaptive"), ["learning_rate='adaptive'"]),
        (MLPRegressor(solver="sgd", learning_rate="invscaling"), ["learning_rate='invscaling'"]),
        (MLPRegressor(l1_ratio=0.5, n_init=2), ["l1_ratio=0.5", "n_init=2"]),
        (MLPRegressor(standardize_target=True), ["standardize_target=True"]),
        (MLPRegressor(early_stopping=True), ["scoring='loss'"]),
    ],
    ids=str,
)
def test_what_has_no_counterpart_is_named(est, named):
    fit(est.set_params(max_iter=3), X, POSITIVE)
    with pytest.warns(UserWarning, match="predicts the same, but scikit-learn has no") as caught:
        other = est.to_sklearn()
    assert len(caught) == 1 and caught[0].filename == __file__
    assert f"no counterpart of {', '.join(named)}: " in str(caught[0].message)
    assert_same_predictions(est, other, X)


def test_what_has_a_counterpart_is_not_named():
    silent = [
        LinearRegression(alpha=0.0, l1_ratio=1.0, loss="poisson"),
        LinearRegression(solver="nadam", average=True, learning_rate="cosine"),
        MLPRegressor(solver="sgd", learning_rate="adaptive", dtype="float64"),
        MLPRegressor(early_stopping=True, scoring=None),
        MLPRegressor(solver="lbfgs", learning_rate="adaptive"),
    ]
    for est in silent:
        fit(est.set_params(max_iter=3), X, POSITIVE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            est.to_sklearn()


# -- networks ------------------------------------------------------------------------------------

NETWORKS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "adaptive"},
    "lbfgs": {"solver": "lbfgs"},
    "early": {"early_stopping": True, "scoring": None},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "three layers": {"hidden_layer_sizes": (5, 4, 3)},
}


def network(cls, **params):
    return cls(**{"hidden_layer_sizes": (6,), "max_iter": 15, "random_state": 0, **params})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("target", ["two", "three", "labels", "three labels"])
@pytest.mark.parametrize("params", NETWORKS.values(), ids=NETWORKS)
def test_mlp_classifier(params, target, dtype):
    rows, y = X.astype(dtype), TARGETS[target]
    est = fit(network(MLPClassifier, **params), rows, y)
    other = est.to_sklearn()
    assert type(other) is neural_network.MLPClassifier
    assert_complete(other, y)
    assert_same_predictions(est, other, rows)
    assert_same_predictions(est, other, sparse.csr_matrix(rows))
    np.testing.assert_array_equal(other.classes_, est.classes_)
    np.testing.assert_allclose(other.score(rows, y), est.score(rows, y))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@pytest.mark.parametrize("target", ["positive", "positives"])
@pytest.mark.parametrize("params", NETWORKS.values(), ids=NETWORKS)
def test_mlp_regressor(params, target, loss, dtype):
    rows, y = X.astype(dtype), TARGETS[target]
    est = fit(network(MLPRegressor, loss=loss, **params), rows, y)
    other = est.to_sklearn()
    assert type(other) is neural_network.MLPRegressor and other.loss == loss
    assert_complete(other, y)
    assert_same_predictions(est, other, rows)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations_of_scikit_learn(activation):
    sizes, names = (5, 4), [activation, activation]
    est = fit(network(MLPRegressor, hidden_layer_sizes=sizes, activation=names), X, SIGNAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = est.to_sklearn()
    assert (other.activation, other.hidden_layer_sizes) == (activation, sizes)
    assert_same_predictions(est, other, X)


@pytest.mark.parametrize(
    "activation, said",
    [
        (name, f"no activation '{name}', only identity, logistic, tanh, relu")
        for name in ("leaky_relu", "elu", "selu", "gelu", "silu", "mish")
    ]
    + [(["relu", "tanh"], r"one activation for all hidden layers.*\['relu', 'tanh'\]")],
    ids=str,
)
def test_activations_that_scikit_learn_lacks_are_named(activation, said):
    sizes = (5,) if isinstance(activation, str) else (5, 4)
    est = network(MLPRegressor, hidden_layer_sizes=sizes, activation=activation)
    with pytest.raises(ValueError, match=f"{said}.*skopt_est.onnx exports"):
        fit(est, X, SIGNAL).to_sklearn()


def test_a_network_of_one_class_says_so():
    with pytest.raises(ValueError, match="one class only"):
        fit(network(MLPClassifier), X, np.zeros(200)).to_sklearn()


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
@pytest.mark.parametrize("batch_size, rows", [("auto", 150), (32, 32), (1000, 150)])
def test_penalty_of_networks(solver, batch_size, rows):
    """scikit-learn divides alpha by the sum of weights of a batch, of all rows for lbfgs."""
    est = network(MLPRegressor, solver=solver, alpha=0.01, batch_size=batch_size)
    alpha = 0.01 * (150 if solver == "lbfgs" else rows)
    assert fit(est, X[:150], SIGNAL[:150]).to_sklearn().alpha == pytest.approx(alpha, rel=1e-12)
    doubled = fit(est, X[:150], SIGNAL[:150], sample_weight=np.full(150, 2.0)).to_sklearn()
    assert doubled.alpha == pytest.approx(2 * alpha, rel=1e-12)


def test_lbfgs_network_comes_to_the_same_objective():
    """Without hidden layers there is one minimum."""
    est = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0.1, tol=1e-9, max_iter=2000)
    fit(est, X, SIGNAL, sample_weight=WEIGHTS)
    own = fit(clone(est.to_sklearn()), X, SIGNAL, sample_weight=WEIGHTS)
    np.testing.assert_allclose(own.coefs_[0], est.coefs_[0], rtol=1e-3, atol=1e-3)


def test_parameters_of_networks_are_carried_over():
    params = dict(
        solver="sgd", momentum=0.7, nesterovs_momentum=False, power_t=0.4, shuffle=False, tol=1e-3
    )
    params |= dict(validation_fraction=0.2, max_fun=99, batch_size=17, beta_1=0.8, epsilon=1e-7)
    other = fit(network(MLPRegressor, n_iter_no_change=8, **params), X, SIGNAL).to_sklearn()
    assert {name: getattr(other, name) for name in params} == params
    assert (other.n_iter_no_change, other.learning_rate_init) == (7, 0.001)
    other = fit(network(MLPRegressor, n_iter_no_change=np.inf), X, SIGNAL).to_sklearn()
    assert other.n_iter_no_change == np.inf


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("cls, target", [(MLPClassifier, "three"), (MLPRegressor, "number")])
def test_scikit_learn_trains_the_network_on(cls, target, solver):
    est = fit(network(cls, solver=solver), X, TARGETS[target])
    other = est.to_sklearn()
    loss, epochs = other.loss_, len(est.loss_curve_)
    for _ in range(30):
        other.partial_fit(X, TARGETS[target])
    assert other.loss_ < loss and len(other.loss_curve_) == epochs + 30
    assert other.t_ == est.t_ + 30 * 200


# -- all -----------------------------------------------------------------------------------------

EACH = [
    (LinearRegression(random_state=0), "number"),
    (LinearRegression(loss="poisson"), "positives"),
    (LogisticRegression(class_weight={"low": 1.0, "middle": 2.0, "top": 1.0}), "three"),
    (network(MLPClassifier), "labels"),
    (network(MLPRegressor, random_state=np.random.RandomState(3)), "number"),
]
each = pytest.mark.parametrize("est, target", EACH, ids=[type(e[0]).__name__ for e in EACH])


@each
def test_export_shares_nothing_and_needs_nothing_of_ours(est, target):
    frame = pd.DataFrame(X, columns=list("abcd"))
    est = fit(clone(est), frame.set_axis(["a", "b", "c", "d"], axis=1), TARGETS[target])
    other = est.to_sklearn()
    assert list(other.feature_names_in_) == list("abcd") and other.n_features_in_ == 4
    assert_equal(other.predict(frame), est.predict(frame))
    stored = pickle.dumps(other)
    assert b"skopt_est" not in stored
    expected = est.predict(frame)
    fit(est.set_params(warm_start=True), frame, TARGETS[target])
    est.feature_names_in_[0] = "changed"
    for same in (other, pickle.loads(stored)):
        assert_equal(same.predict(frame), expected)


@each
def test_export_in_tools_of_scikit_learn(est, target):
    y = TARGETS[target]
    est = fit(clone(est), X, y)
    other = est.to_sklearn()
    assert other.score(X, y) == pytest.approx(est.score(X, y))
    assert permutation_importance(other, X, y, n_repeats=1).importances.shape == (4, 1)
    if target == "three":
        calibrated = CalibratedClassifierCV(other, cv=3).fit(X, y)
        assert calibrated.predict_proba(X).shape == (200, 3)


@each
def test_an_estimator_that_is_not_fitted_has_no_counterpart(est, target):
    with pytest.raises(NotFittedError):
        clone(est).to_sklearn()


def test_after_partial_fit_the_penalty_is_that_of_its_rows():
    est = LogisticRegression(alpha=0.1, random_state=0)
    est.partial_fit(X, TARGETS["two"], classes=[0, 1]).partial_fit(X[:50], TARGETS["two"][:50])
    np.testing.assert_allclose(est.to_sklearn().C, 1 / (0.1 * 50))


def test_held_out_rows_do_not_count_for_the_penalty():
    est = LogisticRegression(alpha=0.1, early_stopping=True, random_state=0)
    np.testing.assert_allclose(fit(est, X, TARGETS["two"]).to_sklearn().C, 1 / (0.1 * 180))
