"""The binary log loss of rows without weights, whose logarithms are taken together: as accurate as
one by one, for any number of rows, and the same as with weights of one; also where steps of one row
add it up."""

import numpy as np
import pytest

from skopt_est._core import available, get_engine
from skopt_est._losses import LOSSES
from skopt_est.solvers import SOLVERS

CODE = LOSSES["log_loss_binary"].code


@pytest.fixture(params=available())
def engine(request):
    return get_engine(request.param)


def at_raw(engine, f, y, dtype, weights=None):
    """Mean loss at raw predictions f (n,), and n times the slope of each."""
    n = len(f)
    X = np.eye(n, dtype=dtype)
    data = engine.Data(X, y.astype(dtype)[:, None], CODE, 0.0, weights)
    theta, gradient = np.append(f, 0).astype(dtype), np.empty(n + 1, dtype)
    network = engine.Network((n, 1), fit_intercept=False)
    value = engine.value_and_gradient(data, theta, network, gradient)
    return value, n * gradient[:n]


def one_by_one(engine, f, y, dtype, solver, alike, weights=None):
    """Sum of the losses that steps of one row meet, which are too short to move anything."""
    n = len(f)
    data = engine.Data(np.eye(n, dtype=dtype), y.astype(dtype)[:, None], CODE, 0.0, weights)
    network, zeros = engine.Network((n, 1), fit_intercept=False), np.zeros(n, dtype)
    theta, slots = np.append(f, 0).astype(dtype), np.zeros((int(solver == "adagrad"), n + 1), dtype)
    model = engine.Model(theta, slots, network, zeros, zeros, SOLVERS[solver]().hyper())
    order, table = np.arange(n, dtype=np.int32), np.zeros((1 if alike else n, 4))
    (total,) = engine.run_epoch(data, model, engine.Scratch(data, network), order, 1, table)
    if np.isfinite(f).all():
        np.testing.assert_allclose(theta[:n], f, rtol=4 * np.finfo(dtype).eps)
    return total


def slope_alone(engine, f, y, dtype):
    """The slope of the loss that a step of one row finds: what it moves a weight of zero by."""
    data = engine.Data(np.ones((1, 2), dtype), np.array([[y]], dtype), CODE, 0.0, None)
    network, zeros = engine.Network((2, 1), fit_intercept=False), np.zeros(2, dtype)
    theta, slots = np.array([f, 0, 0], dtype), np.zeros((0, 3), dtype)
    model = engine.Model(theta, slots, network, zeros, zeros, SOLVERS["sgd"]().hyper())
    table = np.array([[1.0, 0, 0, 0]])
    engine.run_epoch(data, model, engine.Scratch(data, network), np.zeros(1, np.int32), 1, table)
    return -theta[1]


def truth(f, y):
    f, y = f.astype(np.longdouble), y.astype(np.longdouble)
    e = np.exp(-np.abs(f))
    losses = np.log1p(e) + np.maximum(f, 0) - y * f
    return losses, 1 / (1 + np.exp(-f)) - y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [*range(1, 18), 31, 33, 255, 256, 257, 300])
def test_any_number_of_rows(engine, n, dtype):
    rng = np.random.default_rng(n)
    f = (4 * rng.standard_normal(n)).astype(dtype)
    y = rng.integers(0, 2, n)
    value, slopes = at_raw(engine, f, y, dtype)
    losses, expected = truth(f, y)
    eps = float(np.finfo(dtype).eps)
    assert abs(value - losses.mean()) < 2 * eps * (1 + np.abs(f).mean())
    np.testing.assert_allclose(slopes, expected.astype(float), rtol=0, atol=4 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_losses_keep_their_digits(engine, dtype):
    # 1 + e would round each of them away
    f = np.linspace(20, 80, 300).astype(dtype)
    y = np.ones(300)
    y[::2] = 0
    f[::2] *= -1
    value, slopes = at_raw(engine, f, y, dtype)
    losses, expected = truth(f, y)
    eps = float(np.finfo(dtype).eps)
    assert value == pytest.approx(float(losses.mean()), rel=4 * eps)
    # as label 1 takes one from a share near one, only that of label 0 can be small
    np.testing.assert_allclose(slopes[::2], expected[::2].astype(float), rtol=8 * eps)


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spread", [0.1, 30, 300])
def test_steps_of_one_row_add_up_the_same(engine, spread, dtype, solver, alike):
    # so many that the product of their 1 + e, if it were one, would be no number
    rng = np.random.default_rng(1)
    f = (spread * rng.standard_normal(1500)).astype(dtype)
    y = rng.choice([0, 0.25, 1], 1500)
    total = one_by_one(engine, f, y, dtype, solver, alike)
    assert total == pytest.approx(float(truth(f, y)[0].sum()), rel=4 * float(np.finfo(dtype).eps))
    # those with weights are another sum
    ones = np.ones(1500, dtype)
    weighted = one_by_one(engine, f, y, dtype, solver, alike, ones)
    assert total == pytest.approx(weighted, rel=4 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_of_one_row_keep_small_losses(engine, dtype, solver):
    f = np.linspace(20, 80, 300).astype(dtype)
    y = np.ones(300)
    y[::2] = 0
    f[::2] *= -1
    total = one_by_one(engine, f, y, dtype, solver, True)
    assert total == pytest.approx(float(truth(f, y)[0].sum()), rel=4 * float(np.finfo(dtype).eps))
    f[7] = np.nan
    assert np.isnan(one_by_one(engine, f, y, dtype, solver, True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_slope_of_one_row_is_as_accurate(engine, dtype):
    # between the numbers of the table and at the edges of its series, at its ends and beyond
    edges = np.arange(-16.25, 16.3, 1 / 32, dtype)
    f = np.concatenate([edges, np.nextafter(edges, 99), np.nextafter(edges, -99), 1.7 * edges])
    f = np.append(f, [-86, 86, -0.0, -1e-30, 1e4]).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    slopes = [slope_alone(engine, value, 0, dtype) for value in f]
    np.testing.assert_allclose(slopes, truth(f, 0 * f)[1].astype(float), rtol=3 * eps)
    slopes = [slope_alone(engine, value, 1, dtype) for value in f]
    np.testing.assert_allclose(slopes, truth(f, 0 * f + 1)[1].astype(float), rtol=0, atol=3 * eps)
    for value, share in ((np.nan, np.nan), (np.inf, 1), (-np.inf, 0)):
        assert slope_alone(engine, value, 0, dtype) == pytest.approx(share, nan_ok=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_as_weights_of_one(engine, dtype):
    rng = np.random.default_rng(3)
    f, y = (9 * rng.standard_normal(300)).astype(dtype), rng.integers(0, 2, 300)
    alone = at_raw(engine, f, y, dtype)
    weighted = at_raw(engine, f, y, dtype, np.ones(300, dtype))
    eps = float(np.finfo(dtype).eps)
    assert alone[0] == pytest.approx(weighted[0], rel=4 * eps)
    np.testing.assert_allclose(alone[1], weighted[1], rtol=0, atol=4 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 3, 16, 18])
def test_one_nan_is_seen(engine, place, dtype):
    f, y = np.ones((19, 1), dtype), np.ones((19, 1), dtype)
    network, one = engine.Network((1, 1), fit_intercept=False), np.array([1, 0], dtype)
    assert np.isfinite(engine.value_and_gradient(engine.Data(f, y, CODE), one, network, None))
    f[place] = np.nan
    assert np.isnan(engine.value_and_gradient(engine.Data(f, y, CODE), one, network, None))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_losses_and_slopes_are_zero_not_subnormal(engine, dtype):
    # one row alone has a vector filled up, nine have none
    least = -87 if dtype == np.float32 else -708
    for n in (1, 9, 16):
        f, y = np.full(n, least * 1.01, dtype), np.zeros(n)
        value, slopes = at_raw(engine, f, y, dtype)
        assert value == 0
        assert not slopes.any()
