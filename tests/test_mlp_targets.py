"""Targets that a network is not trained on as they are: smoothed labels, standardised targets."""

import numpy as np
import pytest
from mlp_fits import (
    N_FEATURES,
    SETTINGS,
    assert_same,
    distance,
    flat,
    initial,
    make_data,
    model,
    of_net,
    oracle,
    weights_of,
)
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler

from skopt_est import MLPClassifier

pytestmark = [
    pytest.mark.usefixtures("by_feature"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.parametrize("smoothing", [0.05, 0.4])
@pytest.mark.parametrize(
    ("loss", "n_outputs"),
    [("log_loss_binary", 1), ("log_loss_binary", 3), ("log_loss_multinomial", 3)],
    ids=["binary", "multilabel", "multiclass"],
)
@pytest.mark.parametrize("name", SETTINGS)
def test_label_smoothing_equals_the_oracle(name, loss, n_outputs, smoothing, start_at):
    X, y, s = make_data(loss, n_outputs)
    start_at(*initial((N_FEATURES, 7, 4, n_outputs)))
    est = model(loss, **of_net("two layers"), **SETTINGS[name], label_smoothing=smoothing)
    est.fit(X, y, sample_weight=s)
    given = {"sample_weight": s, "label_smoothing": smoothing}
    assert_same(est, *oracle(loss, X, y, "two layers", SETTINGS[name], **given), 1e-9)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_best_constant_probabilities_are_the_smoothed_shares(k, eps):
    """Of features that are zero only the intercepts are learned."""
    y = np.repeat(np.arange(k), np.arange(1, k + 1) ** 2)
    s = np.random.default_rng(k).uniform(0.2, 3, len(y))
    est = MLPClassifier((), solver="lbfgs", alpha=0, label_smoothing=eps, tol=1e-9, random_state=0)
    est.fit(np.zeros((len(y), 1)), y, sample_weight=s)
    want = (1 - eps) * np.bincount(y, s) / s.sum() + eps / k
    np.testing.assert_allclose(est.predict_proba([[0.0]])[0], want, rtol=1e-4)
    # the least loss is the entropy of these probabilities
    assert est.loss_ == pytest.approx(-(want * np.log(want)).sum(), rel=1e-8)


@pytest.mark.parametrize("eps", [0.0, 0.2])
def test_best_constant_probabilities_of_labels_are_each_smoothed(eps):
    Y = np.repeat([[0, 1, 1], [1, 1, 0], [0, 0, 0]], [5, 3, 9], axis=0)
    est = MLPClassifier((), solver="lbfgs", alpha=0, label_smoothing=eps, tol=1e-9, random_state=0)
    est.fit(np.zeros((17, 1)), Y)
    want = (1 - eps) * Y.mean(axis=0) + eps / 2
    np.testing.assert_allclose(est.predict_proba([[0.0]])[0], want, rtol=1e-4)


@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_standardized_target_is_that_of_a_transformed_target_regressor(solver, loss, n_targets):
    X, y, _ = make_data(loss, n_targets)
    y = 1000 + y * ([30.0, 0.02, 400.0] if n_targets == 3 else 30)
    params = {"solver": solver, "shuffle": True, "alpha": 0.02, "l1_ratio": 0.3}
    params |= {"learning_rate_init": 0.01, "hidden_layer_sizes": (7, 4)}
    ours = model(loss, **params, standardize_target=True).fit(X, y)
    theirs = TransformedTargetRegressor(model(loss, **params), transformer=StandardScaler())
    theirs.fit(X, y)
    scale, shift = theirs.transformer_.scale_, theirs.transformer_.mean_
    inner = theirs.regressor_
    bound = 1e-8 if solver == "lbfgs" else 1e-10
    want = [*inner.coefs_[:-1], inner.coefs_[-1] * scale]
    intercepts = [*inner.intercepts_[:-1], inner.intercepts_[-1] * scale + shift]
    assert distance(flat(ours.coefs_), flat(want)) < bound
    assert distance(flat(ours.intercepts_), flat(intercepts)) < bound
    assert distance(ours.predict(X), theirs.predict(X)) < bound
    assert distance(ours.loss_curve_, inner.loss_curve_) < bound


@pytest.mark.parametrize("n_targets", [1, 2])
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_weighted_targets_are_standardized_by_weight_and_delta_stays_in_their_units(
    solver, n_targets
):
    """Targets of one deviation, so that delta is the same for both."""
    X, y, s = make_data("huber")
    y, s[::5] = 50 + 30 * y, 0
    y[::5] = 1e6  # a trace of these would show
    y = np.column_stack([y, 7 - y]) if n_targets == 2 else y
    params = {"solver": solver, "shuffle": True, "alpha": 0.02, "learning_rate_init": 0.01}
    ours = model("huber", **params, standardize_target=True).set_params(delta=20.0)
    ours.fit(X, y, sample_weight=s)
    mean = np.average(y, weights=s, axis=0)
    scale = np.sqrt(np.average((y - mean) ** 2, weights=s, axis=0))
    inner = model("huber", **params).set_params(delta=float(20.0 / np.mean(scale)))
    inner.fit(X, (y - mean) / scale, sample_weight=s)
    assert distance(ours.predict(X), inner.predict(X) * scale + mean) < 1e-10
    assert distance(ours.loss_curve_, inner.loss_curve_) < 1e-10


@pytest.mark.parametrize("n_targets", [1, 2])
def test_partial_fit_goes_on_in_the_units_of_the_first_call(n_targets):
    X, Y, s = make_data("squared_error", n_targets)
    parts = [(X[:15], 5 + 3 * Y[:15], s[:15]), (X[15:], 200 - 40 * Y[15:], s[15:])] * 2
    params = {"alpha": 0.02, "shuffle": True, "learning_rate_init": 0.01}
    ours = model("squared_error", **params, standardize_target=True)
    inner = model("squared_error", **params)
    mean = np.average(parts[0][1], weights=parts[0][2], axis=0)
    scale = np.sqrt(np.average((parts[0][1] - mean) ** 2, weights=parts[0][2], axis=0))
    for rows, y, weight in parts:
        ours.partial_fit(rows, y, sample_weight=weight)
        inner.partial_fit(rows, (y - mean) / scale, sample_weight=weight)
        assert distance(ours.predict(X), inner.predict(X) * scale + mean) < 1e-10
        assert distance(ours.loss_curve_, inner.loss_curve_) < 1e-10
    fresh = clone(ours).fit(*parts[1][:2])
    np.testing.assert_array_equal(weights_of(ours.fit(*parts[1][:2])), weights_of(fresh))
