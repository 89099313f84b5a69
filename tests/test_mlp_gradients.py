"""A network's value and gradient: against central differences, and against the NumPy oracle.

Dropout masks are found by asking: where all weights but those of the last layer's inputs are
zero, targets can be chosen such that the gradient of the last layer's weights is what went into
it, row by row. With these masks the oracle must see what the engine sees. So nothing here knows
how the engine draws them.
"""

import functools
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import reference_mlp
from scipy import sparse
from scipy.stats import binom

from skopt_est._core import available, engine, get_engine
from skopt_est._losses import LOSSES
from skopt_est._network import smoothed

ACTIVATIONS = tuple(reference_mlp.ACTIVATIONS)
REGRESSION = tuple(name for name in LOSSES if not name.startswith("log_loss"))
PARAMETERS = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}
OUTPUTS = {"log_loss_multinomial": 3, "log_loss_binary": 1}  # two for all others
KEY = 0x1234_5678_9ABC
FORMS = {"dense": np.ascontiguousarray, "csr": sparse.csr_matrix}
D, HIDDEN = 5, (7, 4)
WINDOW = 300


@dataclass(frozen=True)
class Net:
    """Layers, and the dropout of their inputs: rates[0] is that of X."""

    units: tuple
    activations: tuple
    rates: tuple = ()

    def compiled(self, build=engine):
        codes = [build.ACTIVATION_CODES[name] for name in self.activations]
        rates = self.rates or (0.0,) * (len(codes) + 1)
        return build.Network(self.units, codes, rates[1:], rates[0])

    @property
    def shapes(self):
        return list(itertools.pairwise(self.units))

    def split(self, theta):
        """Weights and intercepts of each layer."""
        sizes = [a * b for a, b in self.shapes] + list(self.units[1:])
        parts = np.split(theta, np.cumsum(sizes)[:-1])
        n = len(self.shapes)
        return [W.reshape(s) for W, s in zip(parts, self.shapes, strict=False)], parts[n:]

    def theta(self, seed=0):
        rng = np.random.default_rng(seed)
        W = [rng.normal(scale=1.5 * a**-0.5, size=a * b) for a, b in self.shapes]
        return np.concatenate([*W, *(rng.normal(scale=0.4, size=b) for b in self.units[1:])])


def flat(coefs, intercepts):
    return np.concatenate([np.ravel(w) for w in (*coefs, *intercepts)])


def rows(form="dense", n=33, d=D, seed=0):
    """Three fifths zeros, an empty row and an empty column; CSR has explicit zeros too."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.4)
    X[n // 2], X[:, d - 2] = 0, 0
    csr = sparse.csr_matrix(X)
    csr.data[:2] = 0
    return csr if form == "csr" else csr.toarray()


def targets(loss, n=33, k=None, seed=0):
    k, rng = k or OUTPUTS.get(loss, 2), np.random.default_rng(seed + 1)
    if loss == "log_loss_multinomial":
        return rng.integers(0, k, size=(n, 1)).astype(float)
    if loss == "log_loss_binary":
        return rng.integers(0, 2, size=(n, k)).astype(float)
    if loss == "poisson":
        return rng.poisson(2.0, size=(n, k)).astype(float)
    if loss == "gamma":
        return rng.gamma(2.0, size=(n, k)) + 0.1
    return 2 * rng.normal(size=(n, k))


def row_weights(n=33, seed=0):
    """With zeros, of mean one."""
    s = np.random.default_rng(seed + 2).uniform(0.1, 3, n)
    s[3::7] = 0
    return s * n / s.sum()


def data_of(net, X, Y, loss, weight=None, smoothing=0.0, build=engine):
    """In the precision of X; what a loss takes, and how its outputs add up, as estimators do."""
    parameter = smoothing if loss == "log_loss_multinomial" else 0.0
    return build.Data(
        X,
        np.ascontiguousarray(smoothed(Y, LOSSES[loss], smoothing), X.dtype),
        LOSSES[loss].code,
        next(iter(PARAMETERS.get(loss, {"": parameter}).values())),
        None if weight is None else weight.astype(X.dtype),
        output_scale=1 / net.units[-1] if loss in REGRESSION else 1.0,
    )


def evaluate(net, X, Y, loss, theta, *, key=None, build=engine, order=None, sums=None, **given):
    """The engine's value and gradient, in the precision of X."""
    data, network = data_of(net, X, Y, loss, build=build, **given), net.compiled(build)
    gradient = np.full(len(theta), np.nan, X.dtype)
    theta = np.ascontiguousarray(theta, X.dtype)
    value = build.value_and_gradient(data, theta, network, gradient, order, sums, key)
    # without a gradient the value is the same
    assert build.value_and_gradient(data, theta, network, None, order, None, key) == value
    return value, gradient


def oracle(net, X, Y, loss, theta, *, weight=None, smoothing=0.0, masks=None):
    value, coefs, intercepts = reference_mlp.loss_and_gradient(
        X.toarray() if sparse.issparse(X) else X,
        Y,
        *net.split(theta),
        net.activations,
        loss,
        sample_weight=weight,
        masks=masks,
        label_smoothing=smoothing,
        loss_params=PARAMETERS.get(loss),
    )
    return value, flat(coefs, intercepts)


def differences(net, X, Y, loss, theta, places=None, step=1e-6, key=None, **given):
    """Central differences of the engine's own value, by the parameters at these places."""
    data, network = data_of(net, X, Y, loss, **given), net.compiled()

    def value(move):
        return engine.value_and_gradient(data, theta + move, network, None, mask_key=key)

    moves = step * np.eye(len(theta))[slice(None) if places is None else places]
    return np.array([value(move) - value(-move) for move in moves]) / (2 * step)


def distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def into_last_layer(net, X, theta, key, build=engine):
    """What goes into the last layer in training, (rows, units): see above."""
    n, found = X.shape[0], []
    coefs, intercepts = net.split(theta)
    for first in range(0, n, WINDOW):
        seen = min(WINDOW, n - first)
        wide = Net((*net.units[:-1], seen), net.activations, net.rates)
        last = np.zeros((net.units[-2], seen)), np.zeros(seen)
        start = flat([*coefs[:-1], last[0]], [*intercepts[:-1], last[1]])
        data = build.Data(X, -n * np.eye(n, seen, -first), LOSSES["squared_error"].code)
        gradient = np.empty(len(start))
        build.value_and_gradient(data, start, wide.compiled(build), gradient, mask_key=key)
        found.append(wide.split(gradient)[0][-1].T)
    return np.concatenate(found)


def masks_of(net, n, key, build=engine):
    """The masks of X and of each hidden layer's outputs for rows 0, 1, ... of an epoch."""
    return [
        mask_into(net.units[: layer + 1], net.rates[: layer + 1], n, key, build)
        for layer in range(len(net.units) - 1)
    ]


@functools.cache
def mask_into(units, rates, n, key, build):
    """The mask of the last layer's inputs, which are one: X, or what intercepts of one give."""
    net = Net((*units, 1), ("identity",) * (len(units) - 1), rates)
    theta = np.zeros(net.compiled().size)
    if len(units) > 1:
        net.split(theta)[1][-2][:] = 1
    return into_last_layer(net, np.ones((n, units[0])), theta, key, build)


def pair(name):
    """Two different activations."""
    return (name, ACTIVATIONS[(ACTIVATIONS.index(name) + 3) % len(ACTIVATIONS)])


@pytest.fixture(params=available())
def build(request):
    """One build of the kernels (instruction set) after another."""
    return get_engine(request.param)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_is_the_central_difference_and_the_oracles(name, loss, form):
    """With and without dropout in every layer, weights and smoothed labels."""
    X, Y = rows(form), targets(loss)
    for rates, weighted in itertools.product([(), (0.3, 0.5, 0.2)], [False, True]):
        net = Net((D, *HIDDEN, OUTPUTS.get(loss, 2)), pair(name), rates)
        theta, masks = net.theta(), masks_of(net, len(Y), KEY) if rates else None
        given = {"weight": row_weights() if weighted else None}
        given["smoothing"] = 0.2 if weighted and loss not in REGRESSION else 0.0
        key = KEY if rates else None
        value, gradient = evaluate(net, X, Y, loss, theta, key=key, **given)
        slopes = differences(net, X, Y, loss, theta, key=key, **given)
        assert distance(gradient, slopes) < 1e-7
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7)
        wanted, want = oracle(net, X, Y, loss, theta, masks=masks, **given)
        assert value == pytest.approx(wanted, rel=1e-12)
        assert distance(gradient, want) < 1e-12


@pytest.mark.parametrize("rates", [(), (0.2, 0.4, 0.5, 0.3)], ids=["plain", "dropout"])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss_multinomial"])
@pytest.mark.parametrize("form", FORMS)
def test_several_blocks_of_rows_add_up(form, loss, rates):
    """1,600 rows are two of the engine's blocks, the last a shorter one."""
    n = 1600
    X, Y = rows(form, n=n), targets(loss, n=n)
    net = Net((D, 6, 9, 3, OUTPUTS.get(loss, 2)), ("tanh", "gelu", "logistic"), rates)
    theta, weight, key = net.theta(), row_weights(n), KEY if rates else None
    value, gradient = evaluate(net, X, Y, loss, theta, weight=weight, key=key)
    masks = masks_of(net, n, key) if rates else None
    wanted, want = oracle(net, X, Y, loss, theta, weight=weight, masks=masks)
    assert value == pytest.approx(wanted, rel=1e-12)
    assert distance(gradient, want) < 1e-12
    places = np.arange(0, len(theta), 5)
    slopes = differences(net, X, Y, loss, theta, places, weight=weight, key=key)
    assert distance(gradient[places], slopes) < 1e-7


@pytest.mark.parametrize("units", [(1, 1, 1), (3, 70, 5, 2), (40, 3, 90, 1), (700, 2, 3)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_every_shape_equals_the_oracle_in_every_build(build, form, units):
    """Single units, and layers that fill no vector evenly."""
    hidden = len(units) - 2
    net = Net(units, ("elu", "mish")[:hidden], (0.1, 0.4, 0.3)[: hidden + 1])
    rng = np.random.default_rng(5)
    X = FORMS[form](rng.normal(size=(45, units[0])) * (rng.random((45, units[0])) < 0.5))
    Y, theta = targets("huber", n=45, k=units[-1]), net.theta()
    value, gradient = evaluate(net, X, Y, "huber", theta, key=KEY, build=build)
    masks = masks_of(net, 45, KEY, build)
    wanted, want = oracle(net, X, Y, "huber", theta, masks=masks)
    assert value == pytest.approx(wanted, rel=1e-12)
    assert distance(gradient, want) < 1e-12


@pytest.mark.parametrize("rates", [(), (0.3, 0.5, 0.2)], ids=["plain", "dropout"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_builds_of_the_kernels_agree_also_in_single_precision(build, name, rates):
    weight, key = row_weights(), KEY if rates else None
    for loss in ("squared_error", "gamma", "log_loss_multinomial"):
        net = Net((D, *HIDDEN, OUTPUTS.get(loss, 2)), pair(name), rates)
        Y, theta = targets(loss), net.theta()
        wanted, want = evaluate(net, rows(), Y, loss, theta, weight=weight, key=key)
        for form, dtype in itertools.product(FORMS, (np.float64, np.float32)):
            X, single = rows(form).astype(dtype), dtype == np.float32
            value, gradient = evaluate(net, X, Y, loss, theta, weight=weight, key=key, build=build)
            assert gradient.dtype == dtype
            assert value == pytest.approx(wanted, rel=1e-6 if single else 1e-12)
            assert distance(gradient, want) < (1e-5 if single else 1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rates", [(), (0.3, 0.5, 0.2)], ids=["plain", "dropout"])
def test_order_picks_rows_and_masks_go_by_place(form, rates):
    net = Net((D, *HIDDEN, 2), ("relu", "silu"), rates)
    X, Y, theta = rows(form), targets("squared_error"), net.theta()
    order = np.array([7, 31, 2, 2, 19, 0, 16], np.int32)
    picked = evaluate(net, X, Y, "squared_error", theta, weight=row_weights(), key=KEY, order=order)
    weight = row_weights()[order]
    given = evaluate(net, X[order], Y[order], "squared_error", theta, weight=weight, key=KEY)
    assert picked[0] == pytest.approx(given[0], rel=1e-14)
    assert distance(picked[1], given[1]) < 1e-14


@pytest.mark.parametrize("loss", ["log_loss_binary", "quantile"])
def test_sums_are_the_losses_of_each_output(loss):
    net = Net((D, 4, 3), ("selu",))
    X, Y, theta, sums = rows(), targets(loss, k=3), net.theta(), np.empty(3)
    value, _ = evaluate(net, X, Y, loss, theta, sums=sums)
    assert value == sums.sum()
    for column in range(3):
        one = Net((D, 4, 1), ("selu",))
        coefs, intercepts = net.split(theta)
        coefs[-1], intercepts[-1] = coefs[-1][:, [column]], intercepts[-1][[column]]
        alone, _ = oracle(one, X, Y[:, [column]], loss, flat(coefs, intercepts))
        share = 1 / 3 if loss in REGRESSION else 1
        assert sums[column] == pytest.approx(share * alone, rel=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("loss", ["log_loss_binary", "log_loss_multinomial"])
def test_smoothed_labels_equal_the_oracle(loss, k, smoothing):
    if loss == "log_loss_multinomial":
        k = max(k, 2)
    net = Net((D, *HIDDEN, k), ("gelu", "leaky_relu"))
    X, Y, theta = rows(), targets(loss, k=k), net.theta()
    value, gradient = evaluate(net, X, Y, loss, theta, smoothing=smoothing, weight=row_weights())
    wanted, want = oracle(net, X, Y, loss, theta, smoothing=smoothing, weight=row_weights())
    assert value == pytest.approx(wanted, rel=1e-13)
    assert distance(gradient, want) < 1e-13


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_nan_weight_in_any_layer_makes_the_value_a_nan(build, name, form):
    net = Net((D, 3, 4, 1), (name, name))
    X, Y = rows(form), targets("squared_error", k=1)
    size = net.compiled().size
    for p in (0, D * 3 + 1, D * 3 + 13, size - 8, size - 3, size - 1):
        theta = net.theta()
        theta[p] = np.nan
        data = data_of(net, X, Y, "squared_error", build=build)
        assert np.isnan(build.value_and_gradient(data, theta, net.compiled(build), None))


# --- Dropout ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.01, 0.25, 0.5, 0.9])
def test_share_of_dropped_units_is_the_rate_and_the_others_are_scaled_up(build, rate):
    net = Net((40, 30, 20, 1), ("identity", "identity"), (rate, rate, rate))
    for mask in masks_of(net, 300, KEY, build):
        kept = mask != 0
        np.testing.assert_allclose(mask[kept], 1 / (1 - rate), rtol=1e-15)
        # all, single rows and single units: none is systematic
        low, high = binom.interval(1 - 1e-6, mask.size, rate)
        assert low <= (~kept).sum() <= high
        for axis in (0, 1):
            low, high = binom.interval(1 - 1e-7, mask.shape[axis], rate)
            dropped = (~kept).sum(axis=axis)
            assert low <= dropped.min() and dropped.max() <= high


def test_masks_of_layers_and_keys_are_unrelated():
    net = Net((30, 30, 30, 1), ("identity", "identity"), (0.5, 0.5, 0.5))
    masks = [m for key in (0, 1 << 32, KEY) for m in masks_of(net, 200, key)]
    for one, other in itertools.combinations(masks, 2):
        together = ((one != 0) & (other != 0)).sum()
        low, high = binom.interval(1 - 1e-7, one.size, 0.25)
        assert low <= together <= high


def test_masks_of_neighbouring_rows_and_units_are_unrelated():
    mask = masks_of(Net((64, 1), (), (0.5,)), 400, KEY)[0] != 0
    for one, other in [(mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])]:
        low, high = binom.interval(1 - 1e-6, one.size, 0.25)
        assert low <= (one & other).sum() <= high


def test_a_key_is_a_mask_and_no_key_is_none():
    net = Net((D, 7, 1), ("tanh",), (0.3, 0.4))
    X, Y, theta = rows(), targets("squared_error", k=1), net.theta()

    def gradient(key):
        return evaluate(net, X, Y, "squared_error", theta, key=key)[1]

    np.testing.assert_array_equal(gradient(5), gradient(5))
    assert distance(gradient(5), gradient(6)) > 1e-2
    plain = Net(net.units, net.activations)
    whole = evaluate(plain, X, Y, "squared_error", theta)[1]
    np.testing.assert_array_equal(gradient(None), whole)
    np.testing.assert_array_equal(evaluate(plain, X, Y, "squared_error", theta, key=5)[1], whole)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rates", [(0.0, 0.4), (0.3, 0.0)], ids=["of units", "of inputs"])
def test_mean_over_masks_is_the_layer_without_dropout(rates, form):
    """Of units after any activation; of inputs where the layer is linear in them."""
    net = Net((D, 6, 1), ("gelu" if rates[1] else "identity",), rates)
    X, theta, n_masks = rows(form, n=12), net.theta(), 3000
    outputs = np.array([into_last_layer(net, X, theta, key) for key in range(n_masks)])
    dense = X.toarray() if form == "csr" else X
    want = reference_mlp.forward(dense, *net.split(theta), net.activations)[0]
    error = outputs.std(axis=0) / np.sqrt(n_masks)
    assert (outputs.std(axis=0) > 0).mean() > 0.5
    assert (np.abs(outputs.mean(axis=0) - want) <= 5 * error + 1e-12).all()


# --- Activations ------------------------------------------------------------------------------

FAR = np.concatenate([s * np.array([1e4, 745, 100, 38, 20, 9, 5.5, 1, 1e-3]) for s in (1, -1)])
EXTREMES = np.concatenate([FAR, [0.0, -0.0, 1e-300, -1e-300, 5e-324, 1e-20, -1e-20, 1e-9, -1e-9]])


def through_a_unit(build, name, z):
    """The activation of each z, by prediction with a net of one unit a layer."""
    one, none = np.ones((1, 1), z.dtype), np.zeros(1, z.dtype)
    code = build.ACTIVATION_CODES[name]
    return build.predict(z[:, None], [one, one], [none, none], [code])[:, 0]


def slopes_of(build, name, z):
    """The derivative at each z: a unit each, whose intercepts they are, and a loss of slope 1."""
    m = len(z)
    net = Net((1, m, 1), (name,))
    theta = np.concatenate([np.zeros(m), np.ones(m), z, [0]]).astype(z.dtype)
    X, Y = np.zeros((1, 1), z.dtype), np.full((1, 1), -1e9, z.dtype)
    data = build.Data(X, Y, LOSSES["absolute_error"].code, 0.0)
    gradient = np.empty_like(theta)
    build.value_and_gradient(data, theta, net.compiled(build), gradient)
    return net.split(gradient)[1][0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_and_derivative_are_accurate_far_out_and_near_zero(build, name):
    """To a few roundings of max(1, |z|)."""
    for dtype in (np.float64, np.float32):
        z = EXTREMES.astype(dtype)
        want, slope = reference_mlp.ACTIVATIONS[name](z.astype(float))
        a, got = through_a_unit(build, name, z), slopes_of(build, name, z)
        assert a.dtype == dtype
        bound = 4 * np.finfo(dtype).eps * np.maximum(1, np.abs(z.astype(float)))
        assert (np.abs(a - want) <= bound).all()
        assert (np.abs(got - slope) <= bound).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_equals_the_oracle_on_a_grid(build, name):
    z = np.linspace(-30, 30, 4001)
    want, slope = reference_mlp.ACTIVATIONS[name](z)
    np.testing.assert_allclose(through_a_unit(build, name, z), want, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(slopes_of(build, name, z), slope, rtol=1e-14, atol=2e-15)


def through_a_layer(build, name, z):
    """The activation at all of z side by side: intercepts, and an identity after them."""
    zeros, unit = np.zeros((1, len(z)), z.dtype), np.eye(len(z), dtype=z.dtype)
    code = [build.ACTIVATION_CODES[name]]
    return build.predict(
        np.zeros((1, 1), z.dtype), [zeros, unit], [z, np.zeros(len(z), z.dtype)], code
    )[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_as_accurate_in_whole_vectors(build, name, dtype):
    """A reduction of the argument can be lost in the vectors of a loop and not in its rest."""
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.uniform(-30, 30, 700), 10 ** rng.uniform(-12, 1.9, 331)]).astype(dtype)
    z[-331:] *= rng.choice([-1, 1], 331)
    want = reference_mlp.ACTIVATIONS[name](z.astype(float))[0]
    eps = float(np.finfo(dtype).eps)
    # gelu cancels where its argument is far below zero
    bound = 4 * eps * (np.abs(want) + (np.abs(z) if name == "gelu" else 0)) + 1e-37
    assert (np.abs(through_a_layer(build, name, z) - want) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_many_classes_is_accurate_in_every_build(build, dtype):
    k, rng = 137, np.random.default_rng(0)
    f = (30 * rng.standard_normal(k)).astype(dtype)
    theta = np.concatenate([np.zeros(k), f.astype(float)])
    X, Y = np.zeros((1, 1)), np.array([[5.0]])
    data = build.Data(
        X.astype(dtype), Y.astype(dtype), build.LOSS_CODES["log_loss_multinomial"], 0.0
    )
    gradient = np.empty(2 * k, dtype)
    value = build.value_and_gradient(data, theta.astype(dtype), build.Network((1, k)), gradient)
    want, (_,), (slope,) = reference_mlp.loss_and_gradient(
        X, Y, [np.zeros((1, k))], [f.astype(float)], [], "log_loss_multinomial"
    )
    eps = float(np.finfo(dtype).eps)
    assert value == pytest.approx(want, rel=8 * eps)
    # exp of a difference: the rounding of the difference counts in proportion to its size
    bound = eps * (8 + np.abs(f - f.max())) * np.abs(slope) + 1e-37
    assert (np.abs(gradient[k:] - slope) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan_among_other_rows_and_units(build, name, dtype):
    z = np.linspace(-3, 3, 37, dtype=dtype)
    z[[0, 5, 36]] = np.nan
    np.testing.assert_array_equal(np.isnan(through_a_unit(build, name, z)), np.isnan(z))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_prediction_is_the_oracles_forward_pass(build, name, form):
    net, X = Net((D, *HIDDEN, 3), pair(name)), rows(form, n=700)
    coefs, intercepts = net.split(net.theta())
    codes = [build.ACTIVATION_CODES[activation] for activation in net.activations]
    dense = X.toarray() if form == "csr" else X
    want = reference_mlp.forward(dense, coefs, intercepts, net.activations)[-1]
    got = build.predict(X, coefs, intercepts, codes)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
