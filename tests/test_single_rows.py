"""Batches of one dense row have a fused path of their own, for sgd without momentum and adagrad:
the same numbers as the NumPy oracle and as the general path."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from test_update_rules import SETTINGS, distance, fit, flat, make_data, oracle, weights_of

from skopt_est import LinearRegression, LogisticRegression
from skopt_est._core import available, get_engine
from skopt_est._losses import LOSSES as COMPILED
from skopt_est.solvers import SOLVERS

LOG_LOSS = COMPILED["log_loss_binary"].code
LOSSES = (
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "log_loss_binary",
)
# Averaging that never begins keeps the weights of the last step, by way of the general path.
GENERAL = {"average": 10**9}


@pytest.mark.parametrize("learning_rate", ["constant", "cosine"])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_single_rows_equal_the_oracle(name, loss, l1_ratio, learning_rate):
    X, y, s = make_data(loss)
    extra = {"huber": {"delta": 0.8}, "quantile": {"quantile": 0.3}}.get(loss, {})
    settings = SETTINGS[name] | {"learning_rate_init": 0.02}
    penalty = {"alpha": 0.05, "l1_ratio": l1_ratio}
    coef, intercept, losses = oracle(
        loss,
        X,
        y,
        settings,
        4,
        1,
        sample_weight=s,
        loss_params=extra,
        schedule=learning_rate,
        **penalty,
    )
    est = fit(
        loss,
        X,
        y,
        s,
        **settings,
        **extra,
        **penalty,
        learning_rate=learning_rate,
        batch_size=1,
        max_iter=4,
    )
    assert distance(weights_of(est), flat(coef, intercept)) < 1e-9
    assert distance(np.array(est.loss_curve_), np.array(losses)) < 1e-9


@pytest.mark.parametrize("n_features", [1, 3, 15, 16, 17, 36, 37, 40, 112, 113])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_single_rows_equal_the_general_path(solver, dtype, precondition, fit_intercept, n_features):
    rng = np.random.default_rng(n_features)
    X = rng.normal(3, 2, size=(60, n_features)).astype(dtype)
    y, s = X[:, 0] + rng.normal(size=60) > 3, rng.uniform(0, 2, size=60)
    params = {
        "solver": solver,
        "batch_size": 1,
        "alpha": 0.01,
        "l1_ratio": 0.3,
        "precondition": precondition,
        "fit_intercept": fit_intercept,
        "learning_rate": "invscaling",
        "learning_rate_init": 0.05 if solver == "adagrad" else 0.05 / (16 * n_features),
        "max_iter": 3,
        "polish_iter": 0,
        "random_state": 0,
    }
    bound = 1e-4 if dtype == np.float32 else 1e-11
    for make, target in ((LogisticRegression, y), (LinearRegression, X.sum(axis=1))):
        with pytest.warns(match="max_iter"):
            fused = make(**params).fit(X, target, sample_weight=s)
        with pytest.warns(match="max_iter"):
            general = make(**params, **GENERAL).fit(X, target, sample_weight=s)
        assert distance(weights_of(fused), weights_of(general)) < bound
        assert fused.coef_.dtype == dtype and np.abs(fused.coef_).max() > 0
        np.testing.assert_allclose(fused.loss_curve_, general.loss_curve_, rtol=bound)


@pytest.mark.parametrize("scale", [1e-18, 1e-12, 1e-4, 1e4, 1e12, 1e17])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_roots_of_small_and_large_squares(dtype, tolerance, scale):
    """Adagrad's roots and divisions are estimates made precise, where the processor has such."""
    X, y, _ = make_data("squared_error")
    X, y = X.astype(dtype), (scale * y).astype(dtype)
    params = {"solver": "adagrad", "batch_size": 1, "learning_rate_init": 0.1 * scale}
    params |= {"precondition": False, "max_iter": 3, "alpha": 1e-3, "l1_ratio": 0.3}
    params |= {"epsilon": 1e-10 * scale}
    single, general = (fit("squared_error", X, y, None, **params, **more) for more in ({}, GENERAL))
    assert distance(weights_of(single), weights_of(general)) < tolerance
    assert np.abs(weights_of(single)).max() > 1e-3 * scale


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_infinite_penalties_and_squares_stop_a_weight():
    """And no other: of a column so small that its penalty, in training's units, is the largest
    number; and where the square of a gradient overflows."""
    X = np.random.default_rng(0).standard_normal((400, 4)).astype(np.float32)
    y = (X @ [1, 2, 3, 4]).astype(np.float32)
    params = {"solver": "adagrad", "batch_size": 1, "max_iter": 3, "random_state": 0}
    small = X * np.float32([1e-22, 1, 1, 1])
    est = LinearRegression(**params, alpha=1e-4).fit(small, y)
    assert abs(est.coef_[0]) < 1e-16 and np.abs(est.coef_[1:]).min() > 0.5
    large = LinearRegression(**params, precondition=False, learning_rate_init=0.1)
    assert (large.fit(X * np.float32(1e25), y).coef_ == 0).all()


@pytest.mark.parametrize("width", [3, 60])
@pytest.mark.parametrize("rate", [0.1, 10.0, 1e10])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("which", available())
def test_the_largest_penalties_leave_nothing_of_a_weight(which, dtype, rate, width):
    engine, most = get_engine(which), np.finfo(dtype).max
    data = engine.Data(np.ones((1, width), dtype), np.ones((1, 1), dtype), LOG_LOSS)
    network, order = engine.Network((width, 1)), np.zeros(1, np.int32)
    table = np.array([[rate, 0, 0, 0]])
    start = np.resize([0, 2.5, -8], width + 1).astype(dtype)
    for l1, l2 in ((0, most), (most, most), (most, 0)):
        theta, slots = start.copy(), np.zeros((1, width + 1), dtype)
        penalties = np.full(width, l1, dtype), np.full(width, l2, dtype)
        hyper = SOLVERS["adagrad"]().hyper()
        model = engine.Model(theta, slots, network, *penalties, hyper)
        engine.run_epoch(data, model, engine.Scratch(data, network), order, 1, table)
        np.testing.assert_allclose(theta[:width], 0, atol=1e-16)


def test_one_row_alone_and_a_second_epoch_of_single_rows():
    X, y = np.array([[2.0, -1.0]]), np.array([3.0])
    params = {"solver": "sgd", "batch_size": 1, "learning_rate_init": 0.1, "alpha": 0.0}
    est = fit("squared_error", X, y, **params, max_iter=2)
    w, b = np.zeros(2), 0.0
    for _ in range(2):
        r = X[0] @ w + b - y[0]
        w, b = w - 0.1 * r * X[0], b - 0.1 * r
    np.testing.assert_allclose(weights_of(est), [*w, b], rtol=1e-14)


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.5, 200.0])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_single_sparse_rows_equal_dense_ones(solver, fit_intercept, dtype, l1_ratio, alpha):
    # Common and rare columns, one that never occurs, empty rows; alpha 200 takes D l2 above one.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 40)) * (rng.random((300, 40)) < np.geomspace(0.6, 0.005, 40))
    X[:, 7], X[5:8] = 0, 0
    X = X.astype(dtype)
    y = X[:, 0] - X[:, 3] + rng.normal(size=300)
    params = {
        "solver": solver,
        "batch_size": 1,
        "alpha": alpha,
        "l1_ratio": l1_ratio,
        "precondition": False,
        "fit_intercept": fit_intercept,
        "learning_rate": "constant",
        "learning_rate_init": 0.02,
        "max_iter": 4,
        "tol": 0.0,
        "polish_iter": 0,
        "random_state": 0,
    }
    found, curves = [], []
    for rows in (X, sparse.csr_matrix(X)):
        est = LinearRegression(**params)
        with pytest.warns(ConvergenceWarning):
            est.fit(rows, y, sample_weight=np.arange(300) % 3)
        found.append(weights_of(est))
        curves.append(np.array(est.loss_curve_))
    limit = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(
        found[1], found[0], rtol=0, atol=limit * max(abs(found[0]).max(), 0.1)
    )
    assert distance(curves[1], curves[0]) < limit
    if alpha == 0.5 and l1_ratio > 0:
        # weights near the threshold may round to either side of it
        assert 0 in found[1] and np.mean((found[1] == 0) == (found[0] == 0)) > 0.9


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_single_sparse_rows_know_every_loss(solver, loss):
    X, y, s = make_data(loss)
    settings = SETTINGS[solver] | {"learning_rate_init": 0.02, "learning_rate": "constant"}
    settings |= {"alpha": 0.05, "batch_size": 1, "max_iter": 3}
    dense = weights_of(fit(loss, X, y, s, **settings))
    assert distance(weights_of(fit(loss, sparse.csr_matrix(X), y, s, **settings)), dense) < 1e-9


@pytest.mark.parametrize("n", [255, 256, 257, 512, 513])
@pytest.mark.parametrize("loss", ["log_loss_binary", "squared_error", "poisson"])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_losses_of_single_rows_are_summed_to_the_last(solver, loss, n):
    """They are added up 256 at a time."""
    X, y, s = (np.resize(part, (n, *part.shape[1:])) for part in make_data(loss))
    settings = SETTINGS[solver] | {"learning_rate_init": 0.02}
    _, _, losses = oracle(
        loss, X, y, settings, 2, 1, sample_weight=s, alpha=0.05, schedule="constant"
    )
    settings |= {"alpha": 0.05, "batch_size": 1, "max_iter": 2, "learning_rate": "constant"}
    for rows in (X, sparse.csr_matrix(X)):
        curve = fit(loss, rows, y, s, **settings).loss_curve_
        np.testing.assert_allclose(curve, losses, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_steps_of_the_log_loss_without_weights(solver, dtype, fit_intercept, learning_rate):
    """Whose sum is made beside them; some predictions are far from zero."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((900, 5)) * np.geomspace(0.1, 20, 900)[:, None]).astype(dtype)
    y = X @ rng.standard_normal(5) + rng.standard_normal(900) > 0
    params = {"solver": solver, "batch_size": 1, "max_iter": 2, "learning_rate": learning_rate}
    params |= {"fit_intercept": fit_intercept, "random_state": 0, "polish_iter": 0, "alpha": 1e-3}
    fused = LogisticRegression(**params).fit(X, y)
    general = LogisticRegression(**params, **GENERAL).fit(X, y)
    bound = 1e-4 if dtype == np.float32 else 1e-11
    assert distance(weights_of(fused), weights_of(general)) < bound
    np.testing.assert_allclose(fused.loss_curve_, general.loss_curve_, rtol=bound)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("columns", [30, 300])
@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_rows_of_more_pages_than_are_known_at_once(solver, columns, shuffle):
    """Whose pages are looked up in one go: the same numbers as by the general path."""
    rng = np.random.default_rng(0)
    n = (9 << 20) // (8 * columns)
    X = rng.standard_normal((n, columns))
    y = X[:, 0] + rng.standard_normal(n) > 0
    params = {"solver": solver, "batch_size": 1, "max_iter": 1, "learning_rate": "constant"}
    params |= {"shuffle": shuffle, "random_state": 0, "polish_iter": 0}
    fused = LogisticRegression(**params).fit(X, y)
    general = LogisticRegression(**params, **GENERAL).fit(X, y)
    assert distance(weights_of(fused), weights_of(general)) < 1e-11
    np.testing.assert_allclose(fused.loss_curve_, general.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("columns", [3, 70])
@pytest.mark.parametrize("which", available())
def test_the_largest_epsilon_leaves_weights_where_they_are(which, columns, batch_size):
    engine = get_engine(which)
    X, y = np.ones((5, columns), np.float32), np.ones((5, 1), np.float32)
    data, network = engine.Data(X, y, LOG_LOSS), engine.Network((columns, 1))
    theta, slots = np.ones(columns + 1, np.float32), np.zeros((1, columns + 1), np.float32)
    hyper = SOLVERS["adagrad"](epsilon=1e40).hyper()
    zeros = np.zeros(columns, np.float32)
    model = engine.Model(theta, slots, network, zeros, zeros, hyper)
    table = np.array([[0.1, 0, 0, 0]])
    order = np.arange(5, dtype=np.int32)
    theta[:2] = 0
    engine.run_epoch(data, model, engine.Scratch(data, network), order, batch_size, table)
    np.testing.assert_allclose(theta, [0, 0] + (columns - 1) * [1], atol=1e-30)
