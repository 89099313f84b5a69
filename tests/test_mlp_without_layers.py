"""A network without hidden layers is the linear model."""

import numpy as np
import pytest
from mlp_fits import (
    BATCH_SIZE,
    EXTRA,
    N_EPOCHS,
    N_FEATURES,
    SETTINGS,
    distance,
    flat,
    is_log_loss,
    make_data,
    model,
    weights_of,
)
from scipy import sparse
from sklearn import linear_model

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

PLAIN = {"hidden_layer_sizes": (), "shuffle": True}


def from_zeros(n_outputs):
    return [np.zeros((N_FEATURES, n_outputs))], [np.zeros(n_outputs)]


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("loss", ["squared_error", "huber", "gamma", "log_loss_binary"])
@pytest.mark.parametrize("batch_size", [1, BATCH_SIZE])
@pytest.mark.parametrize("name", [*(n for n in SETTINGS if n != "adamw"), "lbfgs"])
def test_net_without_hidden_layer_is_the_linear_model(name, batch_size, loss, form, start_at):
    X, y, s = make_data(loss)
    start_at(*from_zeros(1))
    settings = SETTINGS.get(name, {"solver": "lbfgs"}) | {"alpha": 0.03, "l1_ratio": 0.3}
    settings |= {"batch_size": batch_size, "max_iter": 4 if name == "lbfgs" else N_EPOCHS}
    est = model(loss, **PLAIN, **settings).fit(form(X), y, sample_weight=s)
    common = {"precondition": False, "polish_iter": 0, "learning_rate": "constant", "tol": 0.0}
    common |= {"random_state": 0, "n_iter_no_change": np.inf} | settings
    if is_log_loss(loss):
        linear = LogisticRegression(**common)
    else:
        linear = LinearRegression(loss=loss, **EXTRA.get(loss, {}), **common)
    linear.fit(form(X), y, sample_weight=s)
    want = np.append(np.ravel(linear.coef_), linear.intercept_)
    assert distance(weights_of(est), want) < 1e-12
    assert distance(est.loss_curve_, linear.loss_curve_) < 1e-12
    assert (est.t_, est.n_updates_) == (linear.t_, linear.n_updates_)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("name", [n for n in SETTINGS if n != "adamw"])
def test_softmax_and_targets_without_hidden_layer_are_the_linear_models(name, form, start_at):
    """The linear model adds targets up, of which the net's loss is the mean: to the net, alpha
    is so much less and the rate of gd and sgd so much more; the others take no notice of it."""
    X, y, s = make_data("log_loss_multinomial")
    start_at(*from_zeros(3))
    common = {"precondition": False, "polish_iter": 0, "learning_rate": "constant", "tol": 0.0}
    common |= {"random_state": 0, "n_iter_no_change": np.inf, "batch_size": BATCH_SIZE}
    common |= {"max_iter": N_EPOCHS, "l1_ratio": 0.3} | SETTINGS[name]
    of_net = {**PLAIN, **SETTINGS[name], "l1_ratio": 0.3}
    linear = LogisticRegression(**common, alpha=0.03).fit(form(X), y, sample_weight=s)
    est = model("log_loss_multinomial", **of_net | {"alpha": 0.03})
    est.fit(form(X), y, sample_weight=s)
    assert distance(weights_of(est), flat([linear.coef_.T], [linear.intercept_])) < 1e-12
    Y = make_data("squared_error", 3)[1]
    common["epsilon"], rate = 1e-6, common["learning_rate_init"]
    linear = LinearRegression(**common, alpha=0.03).fit(form(X), Y, sample_weight=s)
    plain = common["solver"] in ("gd", "sgd")
    of_net |= {"learning_rate_init": 3 * rate} if plain else {"epsilon": 1e-6 / 3}
    est = model("squared_error", **of_net | {"alpha": 0.01}).fit(form(X), Y, sample_weight=s)
    assert distance(weights_of(est), flat([linear.coef_.T], [linear.intercept_])) < 1e-10


@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs_without_hidden_layer_reaches_scikit_learns_optimum(weighted):
    """Its alpha of Ridge is S alpha, and its C is 1 / (S alpha).

    A fit ends where an iteration lowers F by less than a share of 2e-9; to go on from there is to
    come closer.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, N_FEATURES))
    z, alpha = X @ rng.normal(size=(N_FEATURES, 3)) + rng.normal(size=(200, 3)), 0.05
    s = rng.uniform(0.2, 3, 200) if weighted else np.ones(200)
    common = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": alpha, "tol": 1e-9}
    common |= {"random_state": 0, "max_iter": 1000, "warm_start": True}

    def converged(est, y):
        for _ in range(5):
            est.fit(X, y, sample_weight=s)
        return est

    exact = linear_model.Ridge(alpha=alpha * s.sum(), tol=1e-14).fit(X, z[:, 0], sample_weight=s)
    est = converged(MLPRegressor(**common), z[:, 0])
    assert distance(weights_of(est), np.append(exact.coef_, exact.intercept_)) < 1e-5
    for y in ((z[:, 0] > 0).astype(int), z.argmax(axis=1)):
        exact = linear_model.LogisticRegression(C=1 / (alpha * s.sum()), tol=1e-12, max_iter=10**5)
        exact.fit(X, y, sample_weight=s)
        est = converged(MLPClassifier(**common), y)
        assert distance(est.coefs_[0].T.ravel(), exact.coef_.ravel()) < 1e-5
        np.testing.assert_allclose(est.predict_proba(X), exact.predict_proba(X), rtol=0, atol=1e-5)
