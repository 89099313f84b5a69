"""adagrad's sums of squares on CSR rows, which a step holds by their inverse roots: against its
equations in double precision, dense, in NumPy."""

import numpy as np
import pytest
from scipy import sparse

from skopt_est._core import engine
from skopt_est.solvers import SOLVERS

ETA = 1e-3


def trained(X, y, w, G, l2, epsilon, dtype, epochs=1):
    """Weights and sums after steps of one row each, in the rows' order."""
    n, d = X.shape
    data = engine.Data(
        sparse.csr_matrix(X.astype(dtype)),
        y[:, None].astype(dtype),
        engine.LOSS_CODES["squared_error"],
    )
    network = engine.Network((d, 1), fit_intercept=False)
    rule = SOLVERS["adagrad"](epsilon=epsilon)
    theta, slots = (np.zeros(network.size, dtype) for _ in range(2))
    theta[:d], slots[:d] = w, G
    penalties = np.zeros(d, dtype), l2.astype(dtype)
    model = engine.Model(theta, slots[None], network, *penalties, rule.hyper())
    scratch, order = engine.Scratch(data, network), np.arange(n, dtype=np.int32)
    numbers = rule.coefficients(np.arange(1), np.array([ETA]), np.zeros(1))
    for _ in range(epochs):
        engine.run_epoch(data, model, scratch, order, 1, numbers, by_feature=True)
    return theta[:d].astype(np.float64), slots[:d].astype(np.float64)


def expected(X, y, w, G, l2, epsilon, epochs=1):
    """Both, and how far each weight went in all."""
    w, G, way = w.copy(), G.copy(), np.abs(w)
    for x, target in zip(np.tile(X, (epochs, 1)), np.tile(y, epochs), strict=True):
        g = (x @ w - target) * x
        G += g**2
        D = np.divide(ETA, np.sqrt(G) + epsilon, out=np.zeros_like(G), where=G != 0)
        w = (w - D * g) / (1 + D * l2)
        way += np.abs(D * g)
    return w, G, way


def close(found, right, rtol):
    (w, G), (exact, exact_G, way) = found, right
    np.testing.assert_allclose(G, exact_G, rtol=rtol)
    assert (np.abs(w - exact) <= rtol * way).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [0.0, 1e-12, 1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("strength", [0.0, 1e-3, 10.0, 1e4])
def test_gradients_and_sums_of_any_size(strength, begun, epsilon, dtype):
    rng = np.random.default_rng(0)
    d = 40
    size = 10.0 ** np.linspace(-15, 15, d)
    X = rng.choice([-1, 1], (30, d)) * (rng.random((30, d)) < 0.3) * size
    X[:, 17] = 0
    w, y = np.zeros(d), rng.choice([-1.0, 1.0], 30)
    G = rng.permutation(size) ** 2 if begun else np.zeros(d)
    # one strength in the data's units, and weights that the predictions hardly depend on
    l2 = np.full(d, strength)
    y *= 1e12
    X[:, 20:] *= 1e-12
    rtol = 2e-5 if dtype == np.float32 else 1e-12
    close(trained(X, y, w, G, l2, epsilon, dtype), expected(X, y, w, G, l2, epsilon), rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_absent_features_stay_what_they_are(dtype):
    most = float(np.finfo(dtype).max)
    G = np.array([0, np.finfo(dtype).tiny, 1e-30, 1e-8, 1, 3, 1e30, most / 2, np.inf])
    d = len(G)
    X = np.zeros((4, d + 1))
    X[:, d] = 1
    w, l2 = np.ones(d + 1), np.zeros(d + 1)
    found_w, found = trained(X, np.ones(4), w, np.append(G, 1.0), l2, 1e-8, dtype, epochs=20)
    np.testing.assert_array_equal(found_w, w)
    np.testing.assert_allclose(found[:d], G, rtol=2e-5 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize(
    "missed", [1, 2, 10, 100, 300, 500, 640, 681, 1000, 3000, 5700, 6101, 7000]
)
def test_what_a_strong_penalty_leaves_after_many_steps(missed, seen, dtype):
    per_step = np.concatenate(
        [np.geomspace(0.01, 0.06, 24), np.geomspace(0.0626, 0.07, 16), np.geomspace(0.08, 100, 24)]
    )
    d, strength = len(per_step), 100.0
    G = np.append((ETA * strength / per_step) ** 2, 1.0)
    # the features are in no row, or in the last one with next to nothing
    X = np.zeros((missed + seen, d + 1))
    X[:, d], X[-1, :d] = 1e-3, seen * (1e-30 if dtype == np.float32 else 1e-200)
    args = X, np.zeros(len(X)), np.ones(d + 1), G, np.full(d + 1, strength), 1e-12
    (found, _), (exact, _, _) = trained(*args, dtype), expected(*args)
    rtol, nothing = (1e-4, 2.0**-54) if dtype == np.float32 else (1e-11, 2.0**-498)
    np.testing.assert_allclose(found, exact, rtol=rtol, atol=nothing)


@pytest.mark.parametrize("epsilon", [1e-8, 1e-2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_zero_leave_sums_what_they_are(dtype, epsilon):
    G = np.random.default_rng(0).lognormal(0, 5, 64)
    start = np.zeros(64), G
    once, often = (
        trained(np.ones((n, 64)), np.zeros(n), *start, np.ones(64), epsilon, dtype)[1]
        for n in (2, 10_000)
    )
    np.testing.assert_array_equal(once, often)
    np.testing.assert_allclose(once, G, rtol=1e-6 if dtype == np.float32 else 1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("before", [0.0, 1.0, 1e30, np.inf])
def test_a_sum_that_overflows_is_infinite_and_moves_nothing(before, dtype):
    X = np.full((3, 9), 1e25 if dtype == np.float32 else 1e200)
    X[:, 3] = 1e-3 / X[0, 0]
    w, G = np.zeros(9), np.full(9, before)
    found, sums = trained(X, np.ones(3), w, G, np.ones(9), 1e-8, dtype)
    assert np.isinf(np.delete(sums, 3)).all()
    assert np.isfinite(sums[3]) == np.isfinite(before)
    np.testing.assert_array_equal(np.delete(found, 3), 0)


def test_a_gradient_that_is_no_number_shows():
    for bad in (np.nan, np.inf):
        w, sums = trained(
            np.eye(3), np.array([1, bad, 1]), np.zeros(3), np.zeros(3), np.ones(3), 1e-8, np.float32
        )
        assert not np.isfinite(sums[1])
        assert np.isfinite(sums[[0, 2]]).all() and np.isfinite(w[[0, 2]]).all()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("epsilon", [1e35, 1e300])
def test_an_epsilon_beyond_all_roots_leaves_weights_where_they_are(epsilon):
    X = np.random.default_rng(0).normal(size=(20, 9))
    w, sums = trained(X, np.ones(20), np.ones(9), np.ones(9), np.ones(9), epsilon, np.float32)
    np.testing.assert_array_equal(w, 1)
    _, exact, _ = expected(X, np.ones(20), np.ones(9), np.ones(9), np.ones(9), epsilon)
    np.testing.assert_allclose(sums, exact, rtol=2e-5)


@pytest.mark.parametrize("steps, strength", [(20_000, 1.0), (500, 40.0), (100, 400.0)])
def test_absence_shrinks_by_the_penalty_to_rounding(steps, strength):
    """A feature with a sum of 1, whose steps would be ETA long, comes in none of the rows."""
    X = np.zeros((steps, 2))
    X[:, 1] = 1
    w, l2 = np.array([1.0, 0.0]), np.array([strength, strength])
    found, _ = trained(X, np.zeros(steps), w, np.ones(2), l2, 0.0, np.float32)
    np.testing.assert_allclose(np.log(found[0]), -steps * np.log1p(ETA * strength), rtol=2e-7)


@pytest.mark.parametrize("epsilon", [1e-8, 1.0])
@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-3), (np.float64, 1e-12)])
def test_roundings_of_many_steps_stay_small(dtype, rtol, epsilon):
    """200,000 steps: a sum in single precision is off by a like amount."""
    X, y = np.ones((20_000, 1)), np.random.default_rng(0).normal(size=20_000)
    start = np.zeros(1), np.zeros(1)
    found = trained(X, y, *start, np.zeros(1), epsilon, dtype, epochs=10)
    close(found, expected(X, y, *start, np.zeros(1), epsilon, epochs=10), rtol)
