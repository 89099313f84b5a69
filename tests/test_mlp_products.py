"""Dense matrix products of the engine against NumPy's, seen through networks without a bend.

The sizes leave every remainder over the tiles of rows and the vectors of columns of every build,
exceed the piece of the depth that is summed at once, and the size from which on BLAS is called.
"""

import itertools

import numpy as np
import pytest
from test_mlp_gradients import Net, distance, evaluate, oracle

from skopt_est._core import available, get_engine

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
DTYPES = list(TOLERANCE)


@pytest.fixture(params=available())
def build(request):
    return get_engine(request.param)


def layer(d, k, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(d, k)).astype(dtype), rng.normal(size=k).astype(dtype)


def inputs(m, d, dtype):
    return np.random.default_rng(1).normal(size=(m, d)).astype(dtype)


def off_alignment(array):
    """The same numbers, one element away from where an array may begin."""
    moved = np.empty(array.size + 1, array.dtype)[1:].reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [0, 1, 6, 500, 800])
def test_forward_equals_numpys_product_for_every_remainder(build, d, dtype):
    X = inputs(30, d, dtype)
    for k in range(1, 68):
        W, b = layer(d, k, dtype)
        want = X.astype(float) @ W.astype(float) + b
        scale = np.abs(X).astype(float) @ np.abs(W) + np.abs(b)
        for m in {0, 1, 2, 3, k % 31, 30}:
            got = build.predict(X[:m], [W], [b], [])
            assert got.shape == (m, k)
            assert got.dtype == dtype
            assert (np.abs(got - want[:m]) <= TOLERANCE[dtype] * scale[:m]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_column_equals_numpys_product_for_every_remainder(build, dtype):
    for d in range(1, 68):
        X, (W, b) = inputs(30, d, dtype), layer(d, 1, dtype)
        want = X.astype(float) @ W.astype(float) + b
        scale = np.abs(X).astype(float) @ np.abs(W) + np.abs(b)
        for m in (1, 2, 3, 4, 5, 30):
            got = build.predict(X[:m], [W], [b], [])
            assert (np.abs(got - want[:m]) <= TOLERANCE[dtype] * scale[:m]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 3, 20, 33])
def test_one_column_lets_no_row_see_another(build, d, dtype):
    W, b = layer(d, 1, dtype)
    X = inputs(11, d, dtype)
    want = build.predict(X, [W], [b], [])
    for i in range(len(X)):
        Z = np.full_like(X, np.nan)
        Z[i] = X[i]
        got = build.predict(Z, [W], [b], [])
        # rows shorter than a vector may be summed in one way by fours and in another alone
        tolerance = TOLERANCE[dtype] if X[i].nbytes < 64 else 0
        np.testing.assert_allclose(got[i], want[i], tolerance)
        assert np.isnan(np.delete(got, i)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 2, 17, 40])
def test_a_row_has_the_same_bits_alone_and_among_others(build, k, dtype):
    X, (W, b) = inputs(61, 450, dtype), layer(450, k, dtype)
    together = build.predict(X, [W], [b], [])
    for m in (1, 2, 5, 16, 43):
        assert (build.predict(X[:m], [W], [b], []) == together[:m]).all()


SIZES = [
    *itertools.product([1, 2, 15, 44], [(3, 1), (5, 33), (31, 18), (16, 64)], [1, 2, 19]),
    *itertools.product([900], [(5, 33), (29, 100), (3, 300)], [1, 3]),
    # activations that are turned before their gradients' products: remainders of tiles and pieces
    *itertools.product([110, 299, 900], [(5, 128, 150), (4, 256, 131), (3, 384, 140)], [1, 3]),
    *itertools.product([2, 9], [(1100, 300), (3, 1100, 300)], [1, 3]),  # more than 2^20 bytes
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_of_odd_sizes_equal_the_oracle(build, dtype):
    for m, hidden, k in SIZES:
        net = Net((*hidden, 35, k), ("identity",) * len(hidden))
        X, Y = inputs(m, hidden[0], dtype), np.random.default_rng(2).normal(size=(m, k))
        Y, theta = Y.astype(dtype), net.theta().astype(dtype)
        value, gradient = evaluate(net, X, Y, "squared_error", theta, build=build)
        wide = (array.astype(float) for array in (X, Y))
        wanted, want = oracle(net, *wide, "squared_error", theta.astype(float))
        assert value == pytest.approx(wanted, rel=50 * TOLERANCE[dtype])
        assert distance(gradient, want) < 50 * TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hidden", [(1,), (3,), (8,), (35,), (64,), (6, 300)], ids=str)
def test_back_from_one_output_to_relu_equals_the_oracle(build, hidden, dtype):
    net = Net((5, *hidden, 1), ("relu",) * len(hidden))
    theta = net.theta().astype(dtype)
    for m in (1, 2, 3, 4, 5, 7, 8, 33, 70):
        X, Y = inputs(m, 5, dtype), np.random.default_rng(2).normal(size=(m, 1)).astype(dtype)
        value, gradient = evaluate(net, X, Y, "squared_error", theta, build=build)
        wide = (array.astype(float) for array in (X, Y))
        wanted, want = oracle(net, *wide, "squared_error", theta.astype(float))
        assert value == pytest.approx(wanted, rel=50 * TOLERANCE[dtype])
        assert distance(gradient, want) < 50 * TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("units", [(5, 33, 19, 1), (31, 100, 7, 3), (16, 64, 64, 2)], ids=str)
def test_bits_do_not_depend_on_where_arrays_lie(build, units, dtype):
    net = Net(units, ("relu", "tanh"))
    X, Y = inputs(45, units[0], dtype), inputs(45, units[-1], dtype)
    data = build.Data(X, Y, build.LOSS_CODES["squared_error"])
    moved = build.Data(off_alignment(X), off_alignment(Y), build.LOSS_CODES["squared_error"])
    theta, network = net.theta().astype(dtype), net.compiled(build)
    gradient = np.empty_like(theta)
    elsewhere = off_alignment(gradient)
    value = build.value_and_gradient(data, theta, network, gradient)
    assert build.value_and_gradient(moved, off_alignment(theta), network, elsewhere) == value
    assert (gradient == elsewhere).all()
