"""Losses at raw predictions far out and next to zero: finite and accurate wherever the loss
itself is a number of that precision."""

import numpy as np
import pytest

from skopt_est._core import available, get_engine
from skopt_est._losses import LOSSES

DELTA, QUANTILE = 1.35, 0.3
FAR_AND_NEAR = [1e3, 100.0, 30.0, 1.0, 1e-8, 1e-30]
RAW = [sign * f for f in FAR_AND_NEAR for sign in (-1.0, 1.0)] + [0.0]


def truth(name, y, f):
    """Loss and slope in extended precision, and the size of the terms that each sums: a
    rounding error is a share of the largest term, not of what is left of them."""
    y, f = np.longdouble(y), np.longdouble(f)
    r, reach = f - y, abs(f) + abs(y)
    if name == "squared_error":
        return r * r / 2, r, reach**2, reach
    if name == "absolute_error":
        return abs(r), np.sign(r), reach, 1
    if name == "huber":
        if abs(r) <= DELTA:
            return r * r / 2, r, reach**2, reach
        return DELTA * (abs(r) - DELTA / 2), DELTA * np.sign(r), DELTA * reach, DELTA
    if name == "quantile":
        slope = -QUANTILE if r < 0 else 1 - QUANTILE
        return slope * r, slope, reach, 1
    if name == "poisson":
        return np.exp(f) - y * f, np.exp(f) - y, np.exp(f) + y * abs(f), np.exp(f) + y
    if name == "gamma":
        e = y * np.exp(-f)
        return f + e, 1 - e, abs(f) + e, 1 + e
    towards = f if y == 0 else -f  # binary: softplus(f) for a zero, softplus(-f) for a one
    value = max(towards, np.longdouble(0)) + np.log1p(np.exp(-abs(towards)))
    slope = 1 / (1 + np.exp(-towards))
    return value, slope if y == 0 else -slope, 1 + abs(f), 1


def finite_cases(dtype):
    """Every loss at every raw prediction, but those whose loss overflows in that precision."""
    cases = []
    for name in LOSSES:
        if name == "log_loss_multinomial":
            continue
        for f in RAW:
            for y in (0.0, 1.0) if name == "log_loss_binary" else (0.5, 3.0):
                if truth(name, y, dtype(f))[0] < np.finfo(dtype).max:
                    cases.append((name, y, float(dtype(f))))
    return cases


def at_raw(engine, name, Y, raw, dtype):
    """Value and slopes at one row of raw predictions: a feature that is 1, weights `raw`."""
    k = len(raw)
    parameter = {"huber": DELTA, "quantile": QUANTILE}.get(name, 0.0)
    X, Y = np.ones((1, 1), dtype=dtype), np.array([[Y]], dtype=dtype)
    data = engine.Data(X, Y, LOSSES[name].code, parameter, None, None, None)
    theta = np.append(raw, np.zeros(k)).astype(dtype)
    gradient = np.full(2 * k, np.nan, dtype=dtype)
    network = engine.Network((1, k), fit_intercept=False)
    value = engine.value_and_gradient(data, theta, network, gradient)
    return value, gradient[:k]


@pytest.fixture(params=available())
def engine(request):
    return get_engine(request.param)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_slope_of_every_loss(engine, dtype):
    eps = np.finfo(dtype).eps
    cases = finite_cases(dtype)
    assert len(cases) > 150
    for name, y, f in cases:
        expected, expected_slope, size, slope_size = truth(name, y, f)
        value, slope = at_raw(engine, name, y, [f], dtype)
        assert abs(value - expected) <= 8 * eps * size, (name, y, f)
        assert abs(slope[0] - expected_slope) <= 8 * eps * slope_size, (name, y, f)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", [0, 1, 2])
@pytest.mark.parametrize(
    "raw", [(1e3, -1e3, 0.0), (1e3, 1e3, 1e3), (-1e3, -1e3, -999.0), (1e-8, -1e-8, 0.0)]
)
def test_value_and_slope_of_the_softmax(engine, raw, target, dtype):
    eps = np.finfo(dtype).eps
    exact = np.array(raw, dtype=dtype).astype(np.longdouble)
    weights = np.exp(exact - exact.max())
    expected = exact.max() + np.log(weights.sum()) - exact[target]
    value, slope = at_raw(engine, "log_loss_multinomial", target, raw, dtype)
    assert abs(value - expected) <= 8 * eps * max(1, expected)
    assert np.abs(slope - (weights / weights.sum() - np.eye(3)[target])).max() <= 8 * eps


def test_subnormals_and_nan_behave_after_import():
    """No flag of the native code sets flush-to-zero for the process that imports it."""
    tiny = np.array([2.0**-1060])
    assert (tiny / 2)[0] > 0
    assert np.all(tiny / 2 * 2 == tiny)
    assert np.array([1e-45], dtype=np.float32)[0] > 0
    assert np.isnan(np.array([np.nan]) * 0.0).all()
