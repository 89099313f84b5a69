"""Fits that go on from another: what they may change, and fits that led nowhere."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

STOCHASTIC = ("sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")


def problem(n=200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(5, 2, size=(n, 4))
    return X, X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=n)


@pytest.mark.parametrize(
    ("solver", "rate"), [("gd", 3.0), ("gd", 300.0), ("sgd", 1.0), ("sgd", 3.0)]
)
def test_finite_divergence_is_told_and_the_best_weights_are_kept(solver, rate):
    X, y = load_diabetes(return_X_y=True)
    est = LinearRegression(solver=solver, learning_rate_init=rate, random_state=0)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        est.fit(X, y)
    assert np.isfinite(est.coef_).all()
    # gd has its start to fall back on: the best constant
    assert solver == "sgd" or est.score(X, y) > -0.01
    best = np.nanargmin(est.loss_curve_)
    assert est.best_iter_ == best + 1


@pytest.mark.parametrize("solver", ["gd", *STOCHASTIC])
def test_new_data_are_learned_after_a_fit_that_ended_with_a_stall(solver):
    X, y = problem()
    est = LinearRegression(solver=solver, warm_start=True, random_state=0).fit(X, y)
    assert est.score(X, y) > 0.8
    est.fit(X, -y)
    assert est.score(X, -y) > 0.8


@pytest.mark.parametrize(
    "change", [{"loss": "huber"}, {"fit_intercept": False}, {"precondition": False}], ids=str
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_a_resumed_fit_cannot_change_is_refused(method, change):
    X, y = problem()
    est = LinearRegression(warm_start=True, random_state=0).fit(X, y)
    before = est.coef_.copy()
    (name,) = change
    with pytest.raises(ValueError, match=rf"{name}.*fit before"):
        getattr(est.set_params(**change), method)(X, y)
    np.testing.assert_array_equal(est.coef_, before)


def test_predictions_are_those_of_the_fitted_loss():
    X, y = problem()
    est = LinearRegression(random_state=0).fit(X, y)
    before = est.predict(X)
    np.testing.assert_array_equal(est.set_params(loss="poisson").predict(X), before)


def test_sparse_rows_after_centred_dense_ones_are_refused():
    X, y = problem()
    est = LinearRegression(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"X is sparse.*dense"):
        est.partial_fit(sparse.csr_matrix(X), y)
    with pytest.raises(ValueError, match=r"X_val is sparse.*X is dense"):
        LinearRegression().fit(X, y, X_val=sparse.csr_matrix(X), y_val=y)
    both = LinearRegression(precondition=False, solver="lbfgs")
    both.fit(X, y, X_val=sparse.csr_matrix(X), y_val=y)
    assert len(both.validation_scores_) == both.n_iter_


def test_best_epoch_is_that_of_all_calls():
    X, y = problem()
    est = LinearRegression(solver="sgd", batch_size=5, random_state=0)
    for _ in range(20):
        est.partial_fit(X, y, X_val=X, y_val=y)
    assert est.best_iter_ == np.argmin(est.loss_curve_) + 1
    assert est.best_loss_ == min(est.loss_curve_)
    assert est.best_validation_score_ == max(est.validation_scores_)


def test_missing_values_and_failing_scorers_are_located():
    X, y = problem()
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    frame.loc[3, "b"] = np.nan
    with pytest.raises(ValueError, match=r"Column 'b' of X has missing values"):
        LinearRegression().fit(frame, y)
    with pytest.raises(ValueError, match=r"scoring='roc_auc' failed on validation rows"):
        LinearRegression(early_stopping=True, scoring="roc_auc").fit(X, y)
    labels = (y > 0).astype(int)
    with pytest.raises(ValueError, match=r"scoring.*No epoch before it had a score"):
        LogisticRegression(early_stopping=True, scoring=lambda *_: np.nan).fit(X, labels)
