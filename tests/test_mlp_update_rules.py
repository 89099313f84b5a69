"""Trajectories of the networks: against PyTorch, the NumPy oracle, scikit-learn and each other.

scikit-learn's networks are followed step by step where they compute the same: without penalty
(its alpha is divided by the batch's weights) and, in regression, with a single target: with
several its loss is their mean but its gradient that of their sum, while ours are both of the mean.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
import reference_mlp
from mlp_fits import (
    BATCHES,
    N_EPOCHS,
    N_FEATURES,
    N_ROWS,
    NETS,
    SETTINGS,
    assert_same,
    distance,
    flat,
    initial,
    is_log_loss,
    make_data,
    model,
    of_net,
    oracle,
    outputs_of,
    weights_of,
)
from sklearn import neural_network
from test_mlp_gradients import Net, masks_of

from skopt_est import MLPClassifier, MLPRegressor
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
