"""Trajectories of the networks: against PyTorch, the NumPy oracle, scikit-learn and each other.

scikit-learn's networks are followed step by step where they compute the same: without penalty
(its alpha is divided by the batch's weights) and, in regression, with a single target: with
several its loss is their mean but its gradient that of their sum, while ours are both of the mean.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import reference
import reference_mlp
from scipy import sparse
from sklearn import linear_model, neural_network
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler
from test_mlp_gradients import Net, masks_of

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._core import engine
from skopt_est.solvers import SOLVERS

pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

VECTORS = json.loads((Path(__file__).parent / "vectors" / "mlp_torch_vectors.json").read_text())
CASES = [
    pytest.param(case, id="-".join([case["optimizer"], case["task"], weights, *names]))
    for case in VECTORS["cases"]
    for weights, names in [(("equal", "weighted")[case["weighted"]], case["activations"])]
]
# Rates at which some dozen updates travel far, and stay insensitive to rounding.
SETTINGS = {
    "gd": {"solver": "gd", "learning_rate_init": 0.1},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    "momentum": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": False,
    },
    "nesterov": {
        "solver": "sgd",
        "learning_rate_init": 0.01,
        "momentum": 0.8,
        "nesterovs_momentum": True,
    },
    "adagrad": {"solver": "adagrad", "learning_rate_init": 0.05, "epsilon": 1e-6},
    "rmsprop": {"solver": "rmsprop", "learning_rate_init": 0.01, "rho": 0.8},
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99},
    "adamw": {"solver": "adamw", "learning_rate_init": 0.01, "beta_1": 0.8, "weight_decay": 0.3},
    "nadam": {"solver": "nadam", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.99},
    "amsgrad": {"solver": "amsgrad", "learning_rate_init": 0.01, "beta_1": 0.8, "beta_2": 0.9},
}
EXTRA = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}
N_ROWS, N_FEATURES, BATCH_SIZE, N_EPOCHS = 37, 6, 5, 6  # 8 batches, the last of 2 rows
BATCHES = reference.consecutive(N_ROWS, BATCH_SIZE)
NETS = {"one layer": ((7,), ("tanh",)), "two layers": ((7, 4), ("gelu", "relu"))}


def is_log_loss(loss):
    return loss.startswith("log_loss")


def make_data(loss, n_outputs=1, seed=0):
    """Rows that are mostly zeros, y as estimators take it, and positive weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, N_FEATURES)) * (rng.random((N_ROWS, N_FEATURES)) < 0.4)
    f = X @ rng.uniform(-2, 2, size=(N_FEATURES, max(n_outputs, 3)))
    if loss == "log_loss_multinomial":
        y = (f[:, :3] + rng.gumbel(size=(N_ROWS, 3))).argmax(axis=1)
    else:
        f = f[:, :n_outputs]
        y = {
            "poisson": rng.poisson(np.exp(f / 2 + 1)).astype(float),
            "gamma": rng.gamma(2, np.exp(f / 2)) + 0.1,
            "log_loss_binary": (f + rng.logistic(size=f.shape) > 0).astype(int),
        }.get(loss, np.tanh(f) * 2 + 1 + rng.normal(scale=0.5, size=f.shape))
        y = y[:, 0] if n_outputs == 1 else y
    return X, y, rng.uniform(0.2, 3.0, size=N_ROWS)


def outputs_of(loss, y):
    return 3 if loss == "log_loss_multinomial" else np.reshape(y, (len(y), -1)).shape[1]


def initial(units, seed=0):
    rng = np.random.default_rng(seed)
    sides = list(itertools.pairwise(units))
    coefs = [rng.normal(scale=a**-0.5, size=(a, b)) for a, b in sides]
    return coefs, [rng.normal(scale=0.3, size=b) for b in units[1:]]


def flat(*lists):
    return np.concatenate([np.ravel(w) for part in lists for w in part])


def weights_of(est):
    return flat(est.coefs_, est.intercepts_)


def distance(got, want):
    got, want = np.asarray(got), np.asarray(want)
    return np.linalg.norm(got - want) / np.linalg.norm(want)


@pytest.fixture
def start_at(monkeypatch):
    """Let networks start at given weights, and draw none."""

    def inject(coefs, intercepts):
        def given(rng, layout, activations, dtype):
            theta = flat(coefs, intercepts).astype(dtype)
            assert len(theta) == layout.size
            return theta

        monkeypatch.setattr("skopt_est._mlp.glorot", given)

    return inject


def model(loss, **params):
    """In the order of rows, until max_iter."""
    given = {"shuffle": False, "alpha": 0.0, "tol": 0.0, "n_iter_no_change": np.inf}
    given |= {"random_state": 0, "batch_size": BATCH_SIZE, "max_iter": N_EPOCHS} | params
    if is_log_loss(loss):
        return MLPClassifier(**given)
    return MLPRegressor(loss=loss, **EXTRA.get(loss, {}), **given)


def of_net(name):
    sizes, activations = NETS[name]
    return {"hidden_layer_sizes": sizes, "activation": activations}


def oracle(loss, X, y, net, settings, n_epochs=N_EPOCHS, batches=BATCHES, **kwargs):
    hyper = dict(settings)
    solver, eta = hyper.pop("solver"), hyper.pop("learning_rate_init")
    return reference_mlp.train(
        X,
        y,
        *initial((N_FEATURES, *NETS[net][0], outputs_of(loss, y))),
        NETS[net][1],
        loss,
        solver,
        eta=eta,
        n_epochs=n_epochs,
        batches=None if solver == "gd" else batches,
        solver_params=hyper,
        loss_params=EXTRA.get(loss),
        **kwargs,
    )


def assert_same(est, coefs, intercepts, losses, bound):
    assert distance(weights_of(est), flat(coefs, intercepts)) < bound
    assert distance(est.loss_curve_, losses) < bound


# --- PyTorch and the oracle -------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_estimator_reproduces_pytorch_after_50_full_batch_steps(case, start_at):
    X, y = np.array(VECTORS["X"]), np.array(VECTORS["y"][case["task"]])
    net = VECTORS["initial"][str(case["n_outputs"])]
    start_at(net["coefs"], net["intercepts"])
    if is_log_loss(case["loss"]):
        y = y.astype(int)
    est = model(
        case["loss"],
        hidden_layer_sizes=[len(b) for b in net["intercepts"][:-1]],
        activation=case["activations"],
        batch_size=len(X),
        max_iter=VECTORS["n_steps"],
        **VECTORS["settings"][case["optimizer"]],
    )
    s = np.array(VECTORS["sample_weight"]) if case["weighted"] else None
    est.fit(X, y[:, 0] if y.shape[1] == 1 else y, sample_weight=s)
    assert distance(weights_of(est), flat(case["coefs"], case["intercepts"])) < 1e-10


def test_every_solver_but_lbfgs_has_an_oracle_a_vector_and_a_setting_here():
    names = set(SOLVERS) - {"lbfgs"}  # scipy's, without a recurrence of its own
    assert "lbfgs" in SOLVERS
    assert names == set(reference_mlp.SOLVERS)
    assert names == {settings["solver"] for settings in VECTORS["settings"].values()}
    assert names == {settings["solver"] for settings in SETTINGS.values()}


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "log_loss_multinomial"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", SETTINGS)
def test_mini_batches_with_a_penalty_and_weights_equal_the_oracle(
    name, net, loss, l1_ratio, start_at
):
    X, y, s = make_data(loss)
    penalty = {"alpha": 0.02, "l1_ratio": l1_ratio}
    start_at(*initial((N_FEATURES, *NETS[net][0], outputs_of(loss, y))))
    est = model(loss, **of_net(net), **SETTINGS[name], **penalty).fit(X, y, sample_weight=s)
    assert_same(est, *oracle(loss, X, y, net, SETTINGS[name], sample_weight=s, **penalty), 1e-9)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("loss", [name for name in reference.LOSSES if "multinomial" not in name])
@pytest.mark.parametrize("name", ["nesterov", "adam"])
def test_every_loss_and_several_outputs_equal_the_oracle(name, loss, n_outputs, start_at):
    X, y, s = make_data(loss, n_outputs)
    penalty = {"alpha": 0.02, "l1_ratio": 0.4}
    start_at(*initial((N_FEATURES, 7, 4, n_outputs)))
    est = model(loss, **of_net("two layers"), **SETTINGS[name], **penalty)
    est.fit(X, y, sample_weight=s)
    want = oracle(loss, X, y, "two layers", SETTINGS[name], sample_weight=s, **penalty)
    assert_same(est, *want, 1e-9)


@pytest.mark.parametrize("batch_size", [1, 10 * N_ROWS])
@pytest.mark.parametrize("name", SETTINGS)
def test_batches_of_one_row_and_of_all_rows_equal_the_oracle(name, batch_size, start_at):
    X, y, s = make_data("squared_error")
    penalty = {"alpha": 0.02, "l1_ratio": 0.5}
    start_at(*initial((N_FEATURES, 7, 1)))
    batches = reference.consecutive(N_ROWS, batch_size)
    settings = SETTINGS[name] | {"learning_rate_init": SETTINGS[name]["learning_rate_init"] / 2}
    est = model("squared_error", **of_net("one layer"), **settings, **penalty)
    est.set_params(batch_size=batch_size, max_iter=3).fit(X, y, sample_weight=s)
    want = oracle(
        "squared_error", X, y, "one layer", settings, 3, batches, sample_weight=s, **penalty
    )
    assert_same(est, *want, 1e-9)


@pytest.mark.parametrize("name", ["gd", "nesterov", "adam"])
@pytest.mark.parametrize("net", [*NETS, "no layer"])
def test_batches_of_several_of_the_engines_blocks_equal_the_oracle(
    net, name, start_at, monkeypatch
):
    """3,000 rows are three blocks of a network; without hidden layers, more."""
    monkeypatch.setitem(NETS, "no layer", ((), ()))
    X, y, s = (np.concatenate([part] * 100) for part in make_data("squared_error"))
    X *= np.random.default_rng(1).uniform(0.5, 1.5, size=X.shape)
    start_at(*initial((N_FEATURES, *NETS[net][0], 1)))
    est = model("squared_error", **of_net(net), **SETTINGS[name])
    est.set_params(batch_size=3000, max_iter=3).fit(X, y, sample_weight=s)
    batches = reference.consecutive(len(X), 3000)
    want = oracle("squared_error", X, y, net, SETTINGS[name], 3, batches, sample_weight=s)
    assert_same(est, *want, 1e-9)


@pytest.mark.parametrize("name", ["rmsprop", "adam", "adamw", "nadam", "amsgrad"])
def test_these_data_tell_a_held_step_size_from_a_fresh_one(name, monkeypatch):
    """Otherwise the comparisons above would not see the rule for steps without gradient."""
    X, y, s = make_data("squared_error")
    given = {"alpha": 0.02, "l1_ratio": 0.4, "sample_weight": s}
    held = oracle("squared_error", X, y, "two layers", SETTINGS[name], **given)
    monkeypatch.setattr(reference, "held", lambda D, g, state: D)
    fresh = oracle("squared_error", X, y, "two layers", SETTINGS[name], **given)
    assert distance(flat(*fresh[:2]), flat(*held[:2])) > 1e-6


@pytest.mark.parametrize(("limit", "acts"), [(0.05, True), (1e6, False)])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss_multinomial"])
@pytest.mark.parametrize("name", SETTINGS)
def test_clipped_gradients_equal_the_oracle(name, loss, limit, acts, start_at):
    X, y, s = make_data(loss)
    start_at(*initial((N_FEATURES, 7, 4, outputs_of(loss, y))))
    given = {"alpha": 0.02, "l1_ratio": 0.4}
    est = model(loss, **of_net("two layers"), **SETTINGS[name], **given, max_grad_norm=limit)
    est.fit(X, y, sample_weight=s)
    given |= {"sample_weight": s}
    want = oracle(loss, X, y, "two layers", SETTINGS[name], **given, max_grad_norm=limit)
    assert_same(est, *want, 1e-9)
    free = oracle(loss, X, y, "two layers", SETTINGS[name], **given)
    gap = distance(flat(*want[:2]), flat(*free[:2]))
    assert gap > 1e-3 if acts else gap == 0


@pytest.mark.parametrize("name", SETTINGS)
def test_dropout_equals_the_oracle_with_the_masks_of_each_epoch(name, start_at, monkeypatch):
    """Each epoch has a key of its own; in it masks go by the row's place."""
    loss, rates, keys, compiled = "log_loss_multinomial", (0.2, 0.3, 0.5), [], engine.run_epoch

    def watched(*args, mask_key, **kwargs):
        keys.append(mask_key)
        return compiled(*args, mask_key=mask_key, **kwargs)

    monkeypatch.setattr(engine, "run_epoch", watched)
    X, y, s = make_data(loss)
    start_at(*initial((N_FEATURES, 7, 4, 3)))
    given = {"alpha": 0.02, "l1_ratio": 0.4}
    est = model(loss, **of_net("two layers"), **SETTINGS[name], **given, dropout=rates[1:])
    est.set_params(input_dropout=rates[0]).fit(X, y, sample_weight=s)
    assert len(set(keys)) == len(keys) == N_EPOCHS
    net = Net((N_FEATURES, 7, 4, 3), NETS["two layers"][1], rates)
    batches = [np.arange(N_ROWS)] if name == "gd" else BATCHES
    masks = [
        [mask[rows] for mask in of_epoch]
        for of_epoch in (masks_of(net, N_ROWS, key) for key in keys)
        for rows in batches
    ]
    given |= {"sample_weight": s, "masks": masks}
    assert_same(est, *oracle(loss, X, y, "two layers", SETTINGS[name], **given), 1e-9)


# --- scikit-learn -----------------------------------------------------------------------------

TASKS = ("binary", "multiclass", "multilabel", "regression")
SGD = {"solver": "sgd", "learning_rate_init": 0.05}
FOLLOWED = {
    "sgd": (SGD | {"momentum": 0.0}, 1e-9),
    "momentum": (SGD | {"nesterovs_momentum": False, "learning_rate_init": 0.01}, 1e-9),
    "nesterov": (SGD | {"nesterovs_momentum": True, "learning_rate_init": 0.01}, 1e-9),
    # its epsilon is added to the root before the bias is corrected
    "adam": ({"solver": "adam", "learning_rate_init": 0.003}, 1e-4),
    "adam with a small epsilon": (
        {"solver": "adam", "learning_rate_init": 0.003, "epsilon": 1e-14},
        1e-8,
    ),
}


def sklearn_data(task, n=110, d=6):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, d))
    f = X @ rng.normal(size=(d, 3)) + rng.logistic(size=(n, 3)) / 2
    return X, {
        "binary": np.array(["no", "yes"])[(f[:, 0] > 0).astype(int)],
        "multiclass": f.argmax(axis=1) + 5,
        "multilabel": (f > 0).astype(int),
        "regression": np.tanh(f[:, 0]) + 0.1 * f[:, 1],
        "count": rng.poisson(np.exp(np.tanh(f[:, 0]) + 0.5)).astype(float),
    }[task]


def both(task, **params):
    """Ours and scikit-learn's of the same parameters, fitted."""
    X, y = sklearn_data(task)
    params = {"alpha": 0.0, "shuffle": False, "random_state": 4, "batch_size": 25} | params
    params = {"tol": 0.0, "n_iter_no_change": 1000, "max_iter": 50} | params
    if task in ("regression", "count"):
        loss = {"loss": "poisson" if task == "count" else "squared_error"}
        pair = MLPRegressor(**loss, **params), neural_network.MLPRegressor(**loss, **params)
    else:
        pair = MLPClassifier(**params), neural_network.MLPClassifier(**params)
    return X, *(est.fit(X, y) for est in pair)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("name", FOLLOWED)
def test_50_epochs_follow_scikit_learns_from_the_same_seed(name, activation, task):
    settings, bound = FOLLOWED[name]
    X, ours, theirs = both(task, hidden_layer_sizes=(8, 5), activation=activation, **settings)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) == 50
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=bound)
    # adam divides by the root of what may be next to nothing
    assert distance(weights_of(ours), weights_of(theirs)) < (5 * bound if name == "adam" else bound)
    assert theirs.loss_curve_[-1] < 0.99 * theirs.loss_curve_[0]
    # what follows from the weights follows too
    assert (ours.n_layers_, ours.n_outputs_) == (theirs.n_layers_, theirs.n_outputs_)
    assert (ours.n_iter_, ours.t_) == (theirs.n_iter_, theirs.t_)
    assert ours.out_activation_ == theirs.out_activation_
    if task == "regression":
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=10 * bound)
    else:
        probabilities = theirs.predict_proba(X)
        np.testing.assert_allclose(ours.predict_proba(X), probabilities, rtol=0, atol=10 * bound)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("name", FOLLOWED)
def test_50_epochs_of_counts_follow_scikit_learns_but_for_a_constant_of_y(name):
    """Its loss of a perfect prediction is zero; the weights are the same."""
    settings, bound = FOLLOWED[name]
    X, ours, theirs = both("count", hidden_layer_sizes=(8,), activation="tanh", **settings)
    assert distance(weights_of(ours), weights_of(theirs)) < bound
    gap = np.subtract(ours.loss_curve_, theirs.loss_curve_)
    np.testing.assert_allclose(gap, gap[0], rtol=0, atol=10 * bound)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=10 * bound)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("task", TASKS)
def test_weights_start_where_scikit_learns_do(task, activation):
    rate = {"solver": "sgd", "learning_rate_init": 1e-300}
    _, ours, theirs = both(task, activation=activation, max_iter=1, **rate)
    np.testing.assert_array_equal(weights_of(ours), weights_of(theirs))


def test_several_targets_have_the_gradient_of_their_mean():
    """scikit-learn's is that of their sum: the rate of a plain step makes up for it."""
    X, _ = sklearn_data("regression")
    Y = np.column_stack([np.tanh(X[:, 0]), X[:, 1] * X[:, 2]])
    params = {"hidden_layer_sizes": (8,), "activation": "tanh", "solver": "sgd", "momentum": 0.0}
    params |= {"alpha": 0.0, "shuffle": False, "random_state": 4, "batch_size": 25}
    params |= {"tol": 0.0, "n_iter_no_change": 1000, "max_iter": 20}
    ours = MLPRegressor(**params, learning_rate_init=0.04).fit(X, Y)
    theirs = neural_network.MLPRegressor(**params, learning_rate_init=0.02).fit(X, Y)
    assert distance(weights_of(ours), weights_of(theirs)) < 1e-10
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)


# --- No hidden layer --------------------------------------------------------------------------

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


# --- Averages, restarts, label smoothing, target units ----------------------------------------


@pytest.mark.parametrize("first", [True, 12, 2 * N_ROWS, 2 * N_ROWS + 6])
@pytest.mark.parametrize("name", ["sgd", "nesterov", "adagrad", "adamw", "rmsprop"])
def test_average_is_the_mean_of_the_weights_after_each_step(name, first, start_at):
    """An int leaves out the steps by the end of which fewer samples were seen."""
    X, y, s = make_data("squared_error")
    given, n_epochs = {"alpha": 0.02, "l1_ratio": 0.4}, 3
    start_at(*initial((N_FEATURES, 7, 4, 1)))
    est = model("squared_error", **of_net("two layers"), **SETTINGS[name], **given, average=first)
    est.set_params(max_iter=n_epochs).fit(X, y, sample_weight=s)
    steps = BATCHES * n_epochs
    paths = [
        oracle(
            "squared_error",
            X,
            y,
            "two layers",
            SETTINGS[name],
            n_epochs=1,
            batches=steps[:t],
            sample_weight=s,
            **given,
        )
        for t in range(1, len(steps) + 1)
    ]
    seen = np.cumsum([len(rows) for rows in steps])
    counted = [flat(*path[:2]) for path, n in zip(paths, seen, strict=True) if n >= first]
    assert len(counted) > 0 and (len(counted) < len(steps)) == (first > BATCH_SIZE)
    assert distance(weights_of(est), np.mean(counted, axis=0)) < 1e-9


@pytest.mark.parametrize("solver", ["adam", "lbfgs", "gd"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss_multinomial"])
def test_restarts_keep_the_best_objective_of_separate_fits(loss, solver):
    """The draws of all are one sequence: initial weights, then a seed, for each."""
    X, y, s = make_data(loss)
    params = {"solver": solver, "shuffle": True, "alpha": 0.01, "l1_ratio": 0.2, "max_iter": 8}
    params |= {"hidden_layer_sizes": (6,), "activation": "tanh"}
    several = model(loss, **params, n_init=5).fit(X, y, sample_weight=s)
    draws, fits, values = np.random.RandomState(0), [], []
    for _ in range(5):
        est = model(loss, **params).set_params(random_state=draws).fit(X, y, sample_weight=s)
        value, *_ = reference_mlp.loss_and_gradient(
            X, y, est.coefs_, est.intercepts_, ["tanh"], loss, sample_weight=s
        )
        fits.append(est)
        values.append(value + reference_mlp.penalty(est.coefs_, 0.01, 0.2))
    best = int(np.argmin(values))
    assert best > 0 and np.ptp(values) > 1e-3
    np.testing.assert_array_equal(weights_of(several), weights_of(fits[best]))
    assert several.loss_curve_ == fits[best].loss_curve_


@pytest.mark.parametrize("scoring", ["loss", None, "neg_brier_score"])
def test_restarts_keep_the_best_validation_score_with_early_stopping(scoring):
    X, y, s = make_data("log_loss_binary")
    X_val, y_val, _ = make_data("log_loss_binary", seed=1)
    params = {"shuffle": True, "hidden_layer_sizes": (6,), "early_stopping": True, "max_iter": 15}
    params |= {"scoring": scoring, "learning_rate_init": 0.02}
    val = {"sample_weight": s, "X_val": X_val, "y_val": y_val}
    several = model("log_loss_binary", **params, n_init=5).fit(X, y, **val)
    draws, fits = np.random.RandomState(0), []
    for _ in range(5):
        est = model("log_loss_binary", **params).set_params(random_state=draws)
        fits.append(est.fit(X, y, **val))
    scores = [est.best_validation_score_ for est in fits]
    best = int(np.argmax(scores))
    assert np.ptp(scores) > 0
    assert several.best_validation_score_ == scores[best]
    np.testing.assert_array_equal(weights_of(several), weights_of(fits[best]))


@pytest.mark.parametrize("smoothing", [0.05, 0.4])
@pytest.mark.parametrize(
    ("loss", "n_outputs"),
    [("log_loss_binary", 1), ("log_loss_binary", 3), ("log_loss_multinomial", 3)],
    ids=["binary", "multilabel", "multiclass"],
)
@pytest.mark.parametrize("name", SETTINGS)
def test_label_smoothing_equals_the_oracle(name, loss, n_outputs, smoothing, start_at):
    X, y, s = make_data(loss, n_outputs)
    start_at(*initial((N_FEATURES, 7, 4, n_outputs)))
    est = model(loss, **of_net("two layers"), **SETTINGS[name], label_smoothing=smoothing)
    est.fit(X, y, sample_weight=s)
    given = {"sample_weight": s, "label_smoothing": smoothing}
    assert_same(est, *oracle(loss, X, y, "two layers", SETTINGS[name], **given), 1e-9)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_best_constant_probabilities_are_the_smoothed_shares(k, eps):
    """Of features that are zero only the intercepts are learned."""
    y = np.repeat(np.arange(k), np.arange(1, k + 1) ** 2)
    s = np.random.default_rng(k).uniform(0.2, 3, len(y))
    est = MLPClassifier((), solver="lbfgs", alpha=0, label_smoothing=eps, tol=1e-9, random_state=0)
    est.fit(np.zeros((len(y), 1)), y, sample_weight=s)
    want = (1 - eps) * np.bincount(y, s) / s.sum() + eps / k
    np.testing.assert_allclose(est.predict_proba([[0.0]])[0], want, rtol=1e-4)
    # the least loss is the entropy of these probabilities
    assert est.loss_ == pytest.approx(-(want * np.log(want)).sum(), rel=1e-8)


@pytest.mark.parametrize("eps", [0.0, 0.2])
def test_best_constant_probabilities_of_labels_are_each_smoothed(eps):
    Y = np.repeat([[0, 1, 1], [1, 1, 0], [0, 0, 0]], [5, 3, 9], axis=0)
    est = MLPClassifier((), solver="lbfgs", alpha=0, label_smoothing=eps, tol=1e-9, random_state=0)
    est.fit(np.zeros((17, 1)), Y)
    want = (1 - eps) * Y.mean(axis=0) + eps / 2
    np.testing.assert_allclose(est.predict_proba([[0.0]])[0], want, rtol=1e-4)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_standardized_target_is_that_of_a_transformed_target_regressor(solver, loss, n_targets):
    X, y, _ = make_data(loss, n_targets)
    y = 1000 + y * ([30.0, 0.02, 400.0] if n_targets == 3 else 30)
    params = {"solver": solver, "shuffle": True, "alpha": 0.02, "l1_ratio": 0.3}
    params |= {"learning_rate_init": 0.01, "hidden_layer_sizes": (7, 4)}
    ours = model(loss, **params, standardize_target=True).fit(X, y)
    theirs = TransformedTargetRegressor(model(loss, **params), transformer=StandardScaler())
    theirs.fit(X, y)
    scale, shift = theirs.transformer_.scale_, theirs.transformer_.mean_
    inner = theirs.regressor_
    bound = 1e-8 if solver == "lbfgs" else 1e-10
    want = [*inner.coefs_[:-1], inner.coefs_[-1] * scale]
    intercepts = [*inner.intercepts_[:-1], inner.intercepts_[-1] * scale + shift]
    assert distance(flat(ours.coefs_), flat(want)) < bound
    assert distance(flat(ours.intercepts_), flat(intercepts)) < bound
    assert distance(ours.predict(X), theirs.predict(X)) < bound
    assert distance(ours.loss_curve_, inner.loss_curve_) < bound


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_weighted_targets_are_standardized_by_weight_and_delta_stays_in_their_units(
    solver, n_targets
):
    """Targets of one deviation, so that delta is the same for both."""
    X, y, s = make_data("huber")
    y, s[::5] = 50 + 30 * y, 0
    y[::5] = 1e6  # a trace of these would show
    y = np.column_stack([y, 7 - y]) if n_targets == 2 else y
    params = {"solver": solver, "shuffle": True, "alpha": 0.02, "learning_rate_init": 0.01}
    ours = model("huber", **params, standardize_target=True).set_params(delta=20.0)
    ours.fit(X, y, sample_weight=s)
    mean = np.average(y, weights=s, axis=0)
    scale = np.sqrt(np.average((y - mean) ** 2, weights=s, axis=0))
    inner = model("huber", **params).set_params(delta=float(20.0 / np.mean(scale)))
    inner.fit(X, (y - mean) / scale, sample_weight=s)
    assert distance(ours.predict(X), inner.predict(X) * scale + mean) < 1e-10
    assert distance(ours.loss_curve_, inner.loss_curve_) < 1e-10


@pytest.mark.parametrize("n_targets", [1, 2])
def test_partial_fit_goes_on_in_the_units_of_the_first_call(n_targets):
    X, Y, s = make_data("squared_error", n_targets)
    parts = [(X[:15], 5 + 3 * Y[:15], s[:15]), (X[15:], 200 - 40 * Y[15:], s[15:])] * 2
    params = {"alpha": 0.02, "shuffle": True, "learning_rate_init": 0.01}
    ours = model("squared_error", **params, standardize_target=True)
    inner = model("squared_error", **params)
    mean = np.average(parts[0][1], weights=parts[0][2], axis=0)
    scale = np.sqrt(np.average((parts[0][1] - mean) ** 2, weights=parts[0][2], axis=0))
    for rows, y, weight in parts:
        ours.partial_fit(rows, y, sample_weight=weight)
        inner.partial_fit(rows, (y - mean) / scale, sample_weight=weight)
        assert distance(ours.predict(X), inner.predict(X) * scale + mean) < 1e-10
        assert distance(ours.loss_curve_, inner.loss_curve_) < 1e-10
    fresh = clone(ours).fit(*parts[1][:2])
    np.testing.assert_array_equal(weights_of(ours.fit(*parts[1][:2])), weights_of(fresh))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_of_a_column_that_is_always_zero_are_at_the_objectives_minimum(
    solver, l1_ratio, form
):
    """They have no gradient, so an adaptive solver would leave them at their random start."""
    X, y = np.random.default_rng(0).standard_normal((60, 4)), np.arange(60) % 2
    X[:, 2] = 0
    weight = (np.arange(60) > 0).astype(float)
    X[1:, 3] = 0  # what is left is in a row that does not count
    params = {"solver": solver, "l1_ratio": l1_ratio, "max_iter": 2, "random_state": 0}
    est = MLPClassifier(5, alpha=0.01, **params).fit(form(X), y, sample_weight=weight)
    assert (est.coefs_[0][2:] == 0).all()
    assert (est.coefs_[0][:2] != 0).any()
    # without a penalty the objective does not care, and other rows may follow a partial_fit
    start = neural_network.MLPClassifier(5, max_iter=1, random_state=0, learning_rate_init=1e-300)
    drawn = start.fit(X, y).coefs_[0]
    free = MLPClassifier(5, alpha=0.0, **params).fit(form(X), y)
    if solver != "adamw":
        np.testing.assert_array_equal(free.coefs_[0][2], drawn[2])
    if solver != "lbfgs":
        part = MLPClassifier(5, alpha=0.01, **params | {"l1_ratio": 0.0}).partial_fit(
            form(X), y, classes=[0, 1]
        )
        assert (part.coefs_[0][2] != 0).all()
