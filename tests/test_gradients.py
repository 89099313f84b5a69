"""The engine's value and gradient against central differences of a loss written in NumPy.

The differences are taken of the oracle's value (exact.py), in double precision, so they say
at once that the engine's gradient belongs to its value and that its value is the right one.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from exact import Objective
from scipy import sparse

from skopt_est._core import available, get_engine
from skopt_est._losses import LOSSES

OUTPUTS = {"log_loss_binary": 1, "log_loss_multinomial": 3}  # two for all others
PARAMETER = {"huber": 1.35, "quantile": 0.3}


@dataclass
class Case:
    """The mean over rows of weight * loss, at rows (x - shift) * inv_scale."""

    name: str
    X: np.ndarray | sparse.csr_matrix
    Y: np.ndarray
    theta: np.ndarray  # weights feature-major (d, k), then k intercepts
    weight: np.ndarray | None = None
    shift: np.ndarray | None = None
    inv_scale: np.ndarray | None = None
    intercept: bool = True

    @property
    def outputs(self):
        return len(self.theta) // (self.X.shape[1] + 1)

    def oracle(self, theta):
        d, k = self.X.shape[1], self.outputs
        rows = self.X.toarray() if sparse.issparse(self.X) else self.X
        rows = rows - (0 if self.shift is None else self.shift)
        rows = rows * (1 if self.inv_scale is None else self.inv_scale)
        loss, Y = self.name, self.Y
        if loss.startswith("log_loss"):
            loss, Y = "log_loss", self.Y.ravel()
        settings = {"delta": PARAMETER["huber"], "quantile": PARAMETER["quantile"]}
        # The weights sum to n: dividing by their sum is dividing by n.
        F = Objective(rows, Y, loss, alpha=0.0, sample_weight=self.weight, **settings)
        return F(theta[: d * k].reshape(d, k).T, theta[d * k :] * self.intercept)

    def differences(self, step=3e-6):
        moves = step * np.eye(len(self.theta))
        return np.array(
            [self.oracle(self.theta + m) - self.oracle(self.theta - m) for m in moves]
        ) / (2 * step)

    def engine(self, engine, dtype):
        def cast(a):
            return None if a is None else np.ascontiguousarray(a, dtype=dtype)

        rows = self.X.astype(dtype) if sparse.issparse(self.X) else cast(self.X)
        code, parameter = LOSSES[self.name].code, PARAMETER.get(self.name, 0.0)
        arrays = (cast(self.weight), cast(self.shift), cast(self.inv_scale))
        data = engine.Data(rows, cast(self.Y), code, parameter, *arrays)
        gradient = np.full(self.theta.shape, np.nan, dtype=dtype)
        network = engine.Network((rows.shape[1], self.outputs), fit_intercept=self.intercept)
        value = engine.value_and_gradient(data, cast(self.theta), network, gradient)
        assert isinstance(value, float)
        return value, gradient


def make(name, form="dense", *, n=67, d=13, k=None, weighted=False, scaled=False, intercept=True):
    """Random data; the residuals are nowhere near a kink. 67 and 13 fill no vector evenly."""
    rng = np.random.default_rng(n + d)
    k = k or OUTPUTS.get(name, 2)
    X = rng.standard_normal((n, d)) * np.geomspace(0.5, 2, d)
    if form == "csr":
        X *= rng.random((n, d)) < 0.3
        X[n // 2] = 0.0  # an empty row
        X = sparse.csr_matrix(X)
    if name == "log_loss_multinomial":
        Y = (np.arange(n) % k).astype(float).reshape(n, 1)
    elif name == "log_loss_binary":
        Y = (np.arange(n) % 2).astype(float).reshape(n, 1)
    elif name == "poisson":
        Y = rng.poisson(2.0, (n, k)).astype(float)
    elif name == "gamma":
        Y = rng.gamma(2.0, 1.0, (n, k)) + 0.1
    else:
        Y = 2 * rng.standard_normal((n, k))
    theta = np.concatenate([0.3 * rng.standard_normal(d * k), 0.2 * rng.standard_normal(k)])
    case = Case(name, X, Y, theta, intercept=intercept)
    if weighted:
        case.weight = rng.uniform(0.1, 3, n)
        case.weight[3::11] = 0.0
        case.weight *= n / case.weight.sum()
    if scaled:
        case.inv_scale = np.geomspace(0.5, 2, d)
        case.shift = 0.3 * rng.standard_normal(d) if form == "dense" and intercept else None
    return case


def assert_close(gradient, expected, bound):
    """Relative to the gradient's largest entry."""
    assert np.abs(gradient - expected).max() <= bound * np.abs(expected).max()


def check(engine, case):
    weights = slice(None) if case.intercept else slice(0, -case.outputs)
    value, gradient = case.engine(engine, np.float64)
    assert value == pytest.approx(case.oracle(case.theta), rel=1e-12)
    assert_close(gradient[weights], case.differences()[weights], 1e-6)

    single_value, single = case.engine(engine, np.float32)
    assert single_value == pytest.approx(value, rel=1e-5)
    assert_close(single[weights], gradient[weights], 1e-4)


@pytest.fixture(params=available())
def engine(request):
    """One build of the kernels (instruction set) after another."""
    return get_engine(request.param)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_central_difference(engine, name, form, weighted, scaled, intercept):
    check(engine, make(name, form, weighted=weighted, scaled=scaled, intercept=intercept))


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("n, d, k", [(3, 1, 3), (9, 1, 2), (300, 40, 1), (600, 3, 9), (9, 700, 4)])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_every_shape(engine, name, n, d, k, form):
    """Few rows, one feature, ends of blocks, more outputs than a vector holds."""
    k = {"log_loss_binary": 1, "log_loss_multinomial": max(k, 3)}.get(name, k)
    case = make(name, form, n=n, d=d, k=k, weighted=True)
    case.theta[: d * k] /= max(1.0, np.sqrt(d / 13))
    check(engine, case)


@pytest.mark.parametrize("name", LOSSES)
def test_builds_of_the_kernels_agree(name):
    """The same sums, in another order."""
    case = make(name, weighted=True, scaled=True, n=500)
    first_value, first = case.engine(get_engine(available()[0]), np.float64)
    for build in available():
        value, gradient = case.engine(get_engine(build), np.float64)
        assert value == pytest.approx(first_value, rel=1e-12)
        assert_close(gradient, first, 1e-11)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_nan_weight_makes_the_value_a_nan(engine, name, form):
    """The kernels may reorder sums, but never assume that numbers are finite."""
    case = make(name, form)
    case.theta[2] = np.nan
    value, _ = case.engine(engine, np.float64)
    assert np.isnan(value)


@pytest.mark.parametrize("d", [3, 20, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_only_seem_to_follow_one_another(engine, d, dtype):
    """Rows in sequence are read without looking at their numbers; these begin and end like that."""
    rng = np.random.default_rng(d)
    X = rng.standard_normal((64, d)).astype(dtype)
    Y = rng.standard_normal((64, 1)).astype(dtype)
    theta = rng.standard_normal(d + 1).astype(dtype)
    network, code = engine.Network((d, 1)), engine.LOSS_CODES["squared_error"]
    for order in (
        [0, 2, 1, 3],
        [5, 5, 6, 8],
        [7, 9, 9, 10, 11],
        np.r_[0, 1 + rng.permutation(62), 63],
    ):
        order, sums, grads = (
            np.array(order, np.int32),
            np.empty((2, 1)),
            np.empty((2, d + 1), dtype),
        )
        engine.value_and_gradient(engine.Data(X, Y, code), theta, network, grads[0], order, sums[0])
        engine.value_and_gradient(
            engine.Data(X[order], Y[order], code), theta, network, grads[1], None, sums[1]
        )
        np.testing.assert_array_equal(sums[0], sums[1])
        np.testing.assert_array_equal(grads[0], grads[1])


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("d", [3, 20, 28, 100, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_side_by_side_are_summed_like_others(engine, d, dtype, centred):
    """Those of a block are one loop; where rows are left out they are taken four by four."""
    rng = np.random.default_rng(d)
    n = 3000
    X, Y = (rng.standard_normal((n, columns)).astype(dtype) for columns in (d, 1))
    theta = rng.standard_normal(d + 1).astype(dtype)
    network, code = engine.Network((d, 1)), engine.LOSS_CODES["squared_error"]
    units = {"inv_scale": rng.uniform(0.5, 2, d).astype(dtype)}
    if centred:
        units["shift"] = rng.standard_normal(d).astype(dtype)
    order = np.flatnonzero(np.arange(n) % 5 != 4).astype(np.int32)
    values, gradients = [], np.empty((2, d + 1), dtype)
    for rows, some, gradient in (
        (X, order, gradients[0]),
        (np.ascontiguousarray(X[order]), None, gradients[1]),
    ):
        labels = Y if some is not None else np.ascontiguousarray(Y[order])
        data = engine.Data(rows, labels, code, **units)
        values.append(engine.value_and_gradient(data, theta, network, gradient, some))
    assert values[0] == values[1]
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 7, 1001])
def test_penalty_of_weights(n, dtype):
    rng = np.random.default_rng(n)
    theta, l1, half_l2 = rng.normal(size=n + 3).astype(dtype), rng.random(n), rng.random(n)
    size = np.abs(theta[:n].astype(np.float64))
    for strengths in ((l1, half_l2), (0.3, 0.2), (0.0, half_l2), (l1, 0.2)):
        expected = np.sum(strengths[0] * size + strengths[1] * size**2)
        got = get_engine().penalty(theta, n, *strengths)
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_no_targets_are_zeros(engine):
    rng = np.random.default_rng(0)
    X, order = rng.normal(size=(50, 3)), np.arange(0, 50, 2, dtype=np.int32)
    network, theta = engine.Network((3, 1)), rng.normal(size=4)
    gradients = np.empty((2, 4))
    values = [
        engine.value_and_gradient(engine.Data(X, Y, 0), theta, network, gradient, order)
        for Y, gradient in zip((None, np.zeros((50, 1))), gradients, strict=True)
    ]
    assert values[0] == values[1] > 0
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_range_of_rows_is_their_positions(engine, k, as_rows):
    rng = np.random.default_rng(0)
    X, Y = (
        as_rows(rng.normal(size=(400, 9)) * (rng.random((400, 9)) < 0.5)),
        rng.normal(size=(400, k)),
    )
    if sparse.issparse(X):
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int64)
    data, network = engine.Data(X, Y, 0, 0.0, rng.random(400)), engine.Network((9, k))
    theta = rng.normal(size=10 * k)
    for span in (range(400), range(0, 57), range(57, 399), range(399, 400), range(3, 3)):
        gradients = np.empty((2, 10 * k))
        values = [
            engine.value_and_gradient(data, theta, network, gradient, order)
            for order, gradient in zip((span, np.array(span, np.int32)), gradients, strict=True)
        ]
        assert values[0] == values[1]
        np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("span", [range(0, 4, 2), range(-1, 2), range(1, 5), range(3, 0, -1)])
def test_a_range_that_is_not_of_rows_is_refused(engine, span):
    data, network = engine.Data(np.ones((4, 1)), None, 0), engine.Network((1, 1))
    with pytest.raises(ValueError, match="not a range of step one within 4 rows"):
        engine.value_and_gradient(data, np.ones(2), network, np.empty(2), span)


def test_masks_take_no_range(engine):
    data, network = engine.Data(np.ones((4, 1)), None, 0), engine.Network((1, 1))
    with pytest.raises(ValueError, match="by place in an order"):
        engine.value_and_gradient(data, np.ones(2), network, np.empty(2), range(4), None, 7)
