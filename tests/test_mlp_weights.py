"""Which weights a network keeps: averages over steps, the best of several starts, and those of
columns that tell nothing.
"""

import numpy as np
import pytest
import reference_mlp
from mlp_fits import (
    BATCH_SIZE,
    BATCHES,
    N_FEATURES,
    N_ROWS,
    SETTINGS,
    distance,
    flat,
    initial,
    make_data,
    model,
    of_net,
    oracle,
    weights_of,
)
from scipy import sparse
from sklearn import neural_network

from skopt_est import MLPClassifier
from skopt_est.solvers import SOLVERS

pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


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
