"""The perceptrons' oracle: against PyTorch, central differences and the linear oracle."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import reference
import reference_mlp
from reference_mlp import ACTIVATIONS, SOLVERS

VECTORS = json.loads((Path(__file__).parent / "vectors" / "mlp_torch_vectors.json").read_text())
CASES = [
    pytest.param(case, id="-".join([case["optimizer"], case["task"], weights, *names]))
    for case in VECTORS["cases"]
    for weights, names in [(("equal", "weighted")[case["weighted"]], case["activations"])]
]
REGRESSION = set(reference.LOSSES) - {"log_loss_binary", "log_loss_multinomial"}
LOSS_PARAMS = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}
N_ROWS, SIZES = 12, (4, 5, 6, 3)
BATCHES = reference.consecutive(N_ROWS, 5)  # the last of 2 rows


def flat(*parts):
    """All arrays of some lists, as one vector."""
    return np.concatenate([np.ravel(w) for part in parts for w in part])


def distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def arrays(lists):
    return [np.array(w) for w in lists]


def initial(n_outputs):
    net = VECTORS["initial"][str(n_outputs)]
    return arrays(net["coefs"]), arrays(net["intercepts"])


def make_net(sizes=SIZES, seed=0):
    rng = np.random.default_rng(seed)
    coefs = [rng.normal(scale=a**-0.5, size=(a, b)) for a, b in itertools.pairwise(sizes)]
    return coefs, [rng.normal(scale=0.3, size=b) for b in sizes[1:]]


def make_data(loss, n_outputs=3, seed=0):
    """Rows, targets that suit the loss, and weights with a zero among them."""
    rng = np.random.default_rng(seed)
    X, f = rng.normal(size=(N_ROWS, SIZES[0])), rng.normal(size=(N_ROWS, n_outputs))
    y = {
        "poisson": rng.poisson(np.exp(f)).astype(float),
        "gamma": rng.gamma(2, np.exp(f)) + 0.1,
        "log_loss_binary": (f > 0).astype(float),
        "log_loss_multinomial": np.arange(N_ROWS) % 3,
    }.get(loss, f)
    return X, y, np.r_[0.0, rng.uniform(0.2, 3.0, size=N_ROWS - 1)]


def make_masks(sizes=SIZES, seed=0):
    """Dropout of a third in every layer."""
    rng = np.random.default_rng(seed)
    return [(rng.random((N_ROWS, size)) > 1 / 3) * 1.5 for size in sizes[:-1]]


@pytest.mark.parametrize("case", CASES)
def test_oracle_reproduces_pytorch_after_50_full_batch_steps(case):
    hyper = dict(VECTORS["settings"][case["optimizer"]])
    coefs, intercepts, losses = reference_mlp.train(
        np.array(VECTORS["X"]),
        np.array(VECTORS["y"][case["task"]]),
        *initial(case["n_outputs"]),
        case["activations"],
        case["loss"],
        hyper.pop("solver"),
        eta=hyper.pop("learning_rate_init"),
        n_epochs=VECTORS["n_steps"],
        sample_weight=np.array(VECTORS["sample_weight"]) if case["weighted"] else None,
        solver_params=hyper,
    )
    want = flat(case["coefs"], case["intercepts"])
    assert distance(flat(coefs, intercepts), want) < 1e-11
    assert losses[-1] < losses[0]


def test_vectors_cover_every_solver_and_each_activation_in_each_layer():
    assert {settings["solver"] for settings in VECTORS["settings"].values()} == set(SOLVERS)
    assert set(VECTORS["settings"]) == {case["optimizer"] for case in VECTORS["cases"]}
    pairs = {tuple(case["activations"]) for case in VECTORS["cases"]}
    assert pairs == set(itertools.product(ACTIVATIONS, repeat=2))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_and_its_derivative_equal_pytorchs(name):
    section = VECTORS["activations"]
    a, slope = ACTIVATIONS[name](np.array(section["z"]))
    np.testing.assert_allclose(a, section[name]["a"], rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(slope, section[name]["slope"], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_stays_finite_far_out(name):
    for part in ACTIVATIONS[name](np.array([-1e4, 1e4])):
        assert np.isfinite(part).all()


@pytest.mark.parametrize("case", VECTORS["forward"], ids=lambda case: case["activation"])
def test_forward_pass_and_gradient_equal_pytorchs(case):
    X, y, activations = VECTORS["forward_X"], VECTORS["forward_y"], [case["activation"]] * 2
    outputs = reference_mlp.forward(np.array(X), *initial(3), activations)
    for got, want in zip(outputs, arrays(case["outputs"]), strict=True):
        assert got.shape == want.shape
        assert distance(got, want) < 1e-12
    loss, by_coefs, by_intercepts = reference_mlp.loss_and_gradient(
        np.array(X), y, *initial(3), activations, "squared_error"
    )
    assert loss == pytest.approx(case["loss"], rel=1e-12)
    want = flat(case["coef_gradients"], case["intercept_gradients"])
    assert distance(flat(by_coefs, by_intercepts), want) < 1e-12


@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_is_the_central_difference_of_the_loss(name, loss):
    X, y, s = make_data(loss)
    coefs, intercepts = make_net()
    other = {"relu": "tanh", "tanh": "relu"}.get(name, "mish")

    def evaluate():
        return reference_mlp.loss_and_gradient(
            X,
            y,
            coefs,
            intercepts,
            [name, other],
            loss,
            sample_weight=s,
            masks=make_masks(),
            label_smoothing=0.0 if loss in REGRESSION else 0.2,
            loss_params=LOSS_PARAMS.get(loss),
        )

    _, by_coefs, by_intercepts = evaluate()
    slopes, h = [], 1e-6
    for w in coefs + intercepts:
        for place in np.ndindex(w.shape):
            kept = w[place]
            w[place] = kept + h
            above = evaluate()[0]
            w[place] = kept - h
            slopes.append((above - evaluate()[0]) / (2 * h))
            w[place] = kept
    np.testing.assert_allclose(flat(by_coefs, by_intercepts), slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", sorted({*REGRESSION, "log_loss_binary"}))
def test_outputs_are_averaged_in_regression_and_added_for_labels(loss):
    X, y, s = make_data(loss)
    coefs, intercepts = make_net()

    def value(columns):
        head = [*coefs[:-1], coefs[-1][:, columns]], [*intercepts[:-1], intercepts[-1][columns]]
        return reference_mlp.loss_and_gradient(
            X, y[:, columns], *head, ["tanh", "gelu"], loss, sample_weight=s
        )[0]

    single = [value([column]) for column in range(3)]
    together = np.mean(single) if loss in REGRESSION else np.sum(single)
    assert value([0, 1, 2]) == pytest.approx(together, rel=1e-13)


def test_smoothed_log_losses_are_those_of_the_smoothed_labels():
    """Each is linear in the label, so that smoothing is an average over labels."""
    X, net, eps = make_data("squared_error")[0], make_net(), 0.3

    def value(loss, y, label_smoothing=0.0):
        return reference_mlp.loss_and_gradient(
            X, y, *net, ["elu", "silu"], loss, label_smoothing=label_smoothing
        )[0]

    y = make_data("log_loss_binary")[1]
    want = (1 - eps / 2) * value("log_loss_binary", y) + eps / 2 * value("log_loss_binary", 1 - y)
    assert value("log_loss_binary", y, eps) == pytest.approx(want, rel=1e-13)
    y = make_data("log_loss_multinomial")[1]
    by_class = [value("log_loss_multinomial", np.full(N_ROWS, label)) for label in range(3)]
    want = (1 - eps) * value("log_loss_multinomial", y) + eps * np.mean(by_class)
    assert value("log_loss_multinomial", y, eps) == pytest.approx(want, rel=1e-13)


def test_masked_units_are_absent_units():
    X, (coefs, intercepts), activations = make_data("gamma")[0], make_net(), ["selu", "logistic"]
    units = [[0, 2, 3], [1, 4], [0, 3, 5]]  # of the input and the hidden layers
    masks = [np.isin(np.arange(size), kept) * 1.0 for size, kept in zip(SIZES, units, strict=False)]
    got = reference_mlp.forward(X, coefs, intercepts, activations, masks)
    sides = itertools.pairwise([*units, range(SIZES[-1])])
    smaller = [W[np.ix_(*side)] for W, side in zip(coefs, sides, strict=True)]
    fewer = [b[kept] for b, kept in zip(intercepts, [*units[1:], slice(None)], strict=True)]
    want = reference_mlp.forward(X[:, units[0]], smaller, fewer, activations)
    np.testing.assert_allclose(got[-1], want[-1], rtol=1e-13)
    np.testing.assert_allclose(got[0][:, units[1]], want[0], rtol=1e-13)


@pytest.mark.parametrize("batches", [None, BATCHES], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("solver", reference.SOLVERS)
@pytest.mark.parametrize("loss", ["poisson", "log_loss_binary", "log_loss_multinomial"])
def test_net_without_hidden_layer_is_the_linear_oracle(loss, solver, batches):
    X, y, s = make_data(loss, n_outputs=1)
    n_outputs = 3 if loss == "log_loss_multinomial" else 1
    settings = {
        "eta": 0.03,
        "n_epochs": 6,
        "batches": batches,
        "sample_weight": s,
        "alpha": 0.1,
        "l1_ratio": 0.4,
    }
    zeros = [np.zeros((SIZES[0], n_outputs))], [np.zeros(n_outputs)]
    coefs, intercepts, losses = reference_mlp.train(X, y, *zeros, [], loss, solver, **settings)
    coef, intercept, want = reference.train(X, y, loss, solver, **settings)
    assert distance(flat(coefs, intercepts), flat([coef.T], [intercept])) < 1e-12
    assert distance(np.array(losses), np.array(want)) < 1e-12
    assert not zeros[0][0].any()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_max_grad_norm_scales_the_whole_gradient_when_it_is_longer(factor):
    X, y, s = make_data("squared_error")
    net, setting = make_net(), (["tanh", "relu"], "squared_error")
    _, by_coefs, by_intercepts = reference_mlp.loss_and_gradient(
        X, y, *net, *setting, sample_weight=s
    )
    gradient = flat(by_coefs, by_intercepts)
    bound = factor * np.linalg.norm(gradient)
    coefs, intercepts, _ = reference_mlp.train(
        X, y, *net, *setting, "gd", eta=1.0, n_epochs=1, sample_weight=s, max_grad_norm=bound
    )
    want = flat(*net) - min(factor, 1) * gradient
    assert distance(flat(coefs, intercepts), want) < 1e-14


def test_weight_decay_of_adamw_leaves_intercepts_alone_and_is_not_the_penalty():
    X, y, _ = make_data("squared_error")
    net = make_net()

    def one_step(solver, **settings):
        return reference_mlp.train(
            X, y, *net, ["tanh", "elu"], "squared_error", solver, eta=0.1, n_epochs=1, **settings
        )

    plain, intercepts, _ = one_step("adam")
    decayed, same, losses = one_step("adamw", solver_params={"weight_decay": 0.3})
    assert distance(flat(same), flat(intercepts)) == 0
    assert distance(flat(decayed), flat(plain) - 0.03 * flat(net[0])) < 1e-14
    assert losses == one_step("adam")[2]


def test_each_update_of_a_training_has_its_own_masks():
    X, y, s = make_data("log_loss_binary")
    setting = ["gelu", "relu"], "log_loss_binary"
    masks = [
        [mask[rows] for mask in make_masks(seed=10 * epoch + i)]
        for epoch in range(2)
        for i, rows in enumerate(BATCHES)
    ]
    common = {"batches": BATCHES, "sample_weight": s, "eta": 0.1}
    coefs, intercepts, losses = reference_mlp.train(
        X, y, *make_net(), *setting, "sgd", n_epochs=2, masks=masks, **common
    )
    theta, want = [*make_net()[0], *make_net()[1]], []
    for epoch in range(2):
        met = 0.0
        for rows, mask in zip(BATCHES, masks[3 * epoch :], strict=False):
            value, by_coefs, by_intercepts = reference_mlp.loss_and_gradient(
                X[rows], y[rows], theta[:3], theta[3:], *setting, sample_weight=s[rows], masks=mask
            )
            met += value * s[rows].sum() / s.sum()
            scale = s[rows].mean() / s.mean()
            gradient = by_coefs + by_intercepts
            theta = [w - 0.1 * scale * g for w, g in zip(theta, gradient, strict=True)]
        want.append(met)
    assert distance(flat(coefs, intercepts), flat(theta)) < 1e-13
    assert losses == pytest.approx(want, rel=1e-13)
