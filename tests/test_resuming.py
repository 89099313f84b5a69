"""Fits that go on from another: what they may change, and fits that led nowhere."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

pytestmark = pytest.mark.usefixtures("by_feature")

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


@pytest.mark.parametrize("learning_rate", ["adaptive", "constant"])
@pytest.mark.parametrize("solver", ["gd", "sgd", "adam"])
def test_patience_goes_on_where_it_was(solver, learning_rate):
    X, y = problem(300)
    params = {"solver": solver, "learning_rate": learning_rate, "random_state": 0}
    if solver == "gd":
        params["learning_rate_init"] = 0.05
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        halves = LinearRegression(**params, max_iter=10, warm_start=True).fit(X, y)
    with np.testing.suppress_warnings() as quiet:
        quiet.filter(ConvergenceWarning)
        halves.fit(X, y)
        whole = LinearRegression(**params, max_iter=20).fit(X, y)
    assert halves.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(halves.coef_, whole.coef_)


def test_no_exploded_moments_are_left_to_the_next_fit():
    X, y = problem()
    est = LinearRegression(
        solver="sgd",
        momentum=0.9,
        learning_rate_init=1.5,
        learning_rate="constant",
        max_iter=3000,
        batch_size=100,
        warm_start=True,
        n_iter_no_change=np.inf,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        est.fit(X, y)
    assert est.n_iter_ < 3000
    est.set_params(learning_rate_init=0.01, n_iter_no_change=5).fit(X, y)
    assert est.score(X, y) > 0.8


@pytest.mark.parametrize("solver", ["adam", "nadam", "amsgrad"])
def test_a_new_solver_begins_with_the_bias_correction_of_its_first_step(solver):
    X, y = problem()
    est = LinearRegression(solver="sgd", alpha=0.0, precondition=False, learning_rate_init=1e-4)
    for _ in range(30):
        est.partial_fit(X, y)
    before = est.coef_.copy()
    est.set_params(solver=solver, learning_rate_init=0.01, batch_size=len(X)).partial_fit(X, y)
    # The first step of these solvers moves every weight by about the rate.
    np.testing.assert_allclose(np.abs(est.coef_ - before), 0.01, rtol=0.6)


@pytest.mark.parametrize("batch_size", [8, 60])
@pytest.mark.parametrize("alpha", [0.01, 0.1])
@pytest.mark.parametrize("solver", ["adam", "amsgrad", "nadam"])
def test_rare_features_under_a_strong_l2_shrink_alike_dense_and_sparse(solver, alpha, batch_size):
    rng = np.random.default_rng(0)
    rare = rng.random((3000, 100)) < np.geomspace(0.2, 0.002, 100)
    y = (rare[:, :50].sum(axis=1) - rare[:, 50:].sum(axis=1) + rng.normal(size=3000) > 0).astype(
        int
    )
    est = LogisticRegression(solver=solver, alpha=alpha, batch_size=batch_size, max_iter=5)
    est.set_params(fit_intercept=False, learning_rate="constant", random_state=0)
    coefs = []
    for X in (rare.astype(float), sparse.csr_matrix(rare.astype(float))):
        with pytest.warns(ConvergenceWarning):
            coefs.append(est.fit(X, y).coef_.copy())
    assert np.linalg.norm(coefs[0] - coefs[1]) < 0.01 * np.linalg.norm(coefs[0])


class Unread(dict):
    def __getitem__(self, key):
        raise AssertionError(f"{key} of an earlier epoch was read")


@pytest.mark.parametrize("scored", [False, True])
def test_a_call_does_not_read_the_records_of_all_calls_before(scored):
    X, y = problem()
    held = {"X_val": X[:50], "y_val": y[:50]} if scored else {}
    est, expected = (LinearRegression(random_state=0) for _ in range(2))
    for _ in range(3):
        est.partial_fit(X, y, **held)
        expected.partial_fit(X, y, **held)
    est.history_[:] = [Unread(entry) for entry in est.history_]
    for _ in range(2):
        est.partial_fit(X, y, **held)
        expected.partial_fit(X, y, **held)
    assert est.loss_curve_ == expected.loss_curve_ and len(est.loss_curve_) == 5
    assert est.validation_scores_ == expected.validation_scores_
    assert (est.validation_scores_ is not None) == scored


def test_validation_scores_may_begin_and_end_with_any_call():
    X, y = problem()
    held = {"X_val": X[:50], "y_val": y[:50]}
    est = LinearRegression(random_state=0).partial_fit(X, y).partial_fit(X, y)
    assert est.validation_scores_ is None
    est.partial_fit(X, y, **held).partial_fit(X, y)
    assert [score is None for score in est.validation_scores_] == [True, True, False, True]
    assert est.validation_scores_ == [entry["validation_score"] for entry in est.history_]
    # a list that was changed is made anew
    est.loss_curve_.clear()
    est.validation_scores_.clear()
    est.partial_fit(X, y)
    assert est.loss_curve_ == [entry["loss"] for entry in est.history_]
    assert est.validation_scores_ == [entry["validation_score"] for entry in est.history_]
    assert est.fit(X, y).validation_scores_ is None
