"""scikit-learn's own checks, and life inside its pipelines, searches and routing."""

import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_sample_weight_equivalence_on_dense_data,
    check_sample_weight_equivalence_on_sparse_data,
    estimator_checks_generator,
)

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

BOTH = (LinearRegression, LogisticRegression)
NETWORKS = (MLPClassifier, MLPRegressor)
EVERY = (*BOTH, *NETWORKS)
SOLVERS = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad", "lbfgs")
NETWORK_SOLVERS = (*SOLVERS, "adamw")
# The least that learns the tasks of these checks
SMALL = dict(hidden_layer_sizes=4, max_iter=20, learning_rate_init=0.1)
GD = dict(learning_rate_init=0.5, max_iter=60)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DENSE = "check_sample_weight_equivalence_on_dense_data"
SPARSE = "check_sample_weight_equivalence_on_sparse_data"
STEP_SIZE = "learning_rate_init='auto' follows the heaviest row, and a row of weight 4 is heavier"
SIGN_STEPS = "steps divided by a short memory of the gradient enlarge the rounding of its sum"
ENLARGED = (
    "lbfgs takes some 40 steps on 15 CSR rows of 30 columns, which enlarge the rounding of sums to "
    "1e-8 in the predictions (1e-9 is asked)"
)
CENTRED = "the intercept of centred rows has a rounding error for a gradient; the steps enlarge it"
# Settings without these reasons: a given rate, and no division by a gradient near zero. One batch
# holds all rows of these checks.
COMPARABLE = dict(batch_size=10**6, learning_rate_init=0.1, epsilon=1.0, max_iter=40)
ARRAY_API_CHECKS = """
    import warnings
    from sklearn.utils.estimator_checks import estimator_checks_generator
    from skopt_est import *

    warnings.simplefilter("ignore")
    done = 0
    for estimator in {estimators}:
        for estimator, check in estimator_checks_generator(estimator):
            if "array_api" in str(check):
                check(estimator)
                done += 1
    print(done)
"""


def expected_failures(est):
    """Weights against repetition, where a solver's path to the minimiser differs between them."""
    if isinstance(est, NETWORKS):
        return {}
    if est.solver == "sgd":
        return {DENSE: STEP_SIZE, SPARSE: STEP_SIZE}
    if est.solver == "rmsprop":
        dense = {DENSE: SIGN_STEPS}
        return dense if isinstance(est, LinearRegression) else dense | {SPARSE: SIGN_STEPS}
    if est.solver in ("adam", "nadam", "amsgrad") and isinstance(est, LinearRegression):
        return {DENSE: CENTRED}
    if est.solver == "lbfgs" and isinstance(est, LinearRegression):
        return {SPARSE: ENLARGED}
    return {}


def all_estimators():
    linear = [cls(solver=solver) for cls in BOTH for solver in SOLVERS]
    small = {solver: SMALL | (GD if solver == "gd" else {}) for solver in NETWORK_SOLVERS}
    return linear + [cls(solver=s, **params) for cls in NETWORKS for s, params in small.items()]


def all_checks(estimators=None):
    for est in estimators or all_estimators():
        yield from estimator_checks_generator(
            est, expected_failed_checks=expected_failures(est), mark="xfail"
        )


def is_of_array_types(case):
    """scipy reads its switch for other array types when imported: they need a process."""
    return "array_api" in str(case)


def name_of(value):
    return value.func.__name__ if hasattr(value, "func") else " ".join(repr(value).split())


@pytest.mark.parametrize(
    ("estimator", "check"), [c for c in all_checks() if not is_of_array_types(c)], ids=name_of
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_weights_are_repetitions_for_lbfgs_on_few_sparse_rows():
    rng = np.random.default_rng(0)
    X, y, repeats = rng.random((15, 30)), rng.integers(0, 3, 15), rng.integers(1, 5, 15)
    rows = sparse.csr_matrix(X)
    # Rounding of the objective hides weights that are sqrt(eps / alpha) apart: 1.5e-6 at the
    # default of 1e-4.
    est = LinearRegression(solver="lbfgs", alpha=0.1, tol=1e-10, max_iter=5000)
    weighted = est.fit(rows, y, sample_weight=repeats).predict(rows)
    repeated = est.fit(rows[np.repeat(np.arange(15), repeats)], np.repeat(y, repeats)).predict(rows)
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("cls", BOTH)
def test_weights_are_repetitions_for_a_solver_on_one_batch(cls, solver):
    est = cls(solver=solver, **COMPARABLE)
    check_sample_weight_equivalence_on_dense_data(cls.__name__, est)
    check_sample_weight_equivalence_on_sparse_data(cls.__name__, est)


def test_scikit_learn_checks_of_other_array_types():
    linear = [est for est in all_estimators() if not isinstance(est, NETWORKS)]
    estimators = [*linear, *(cls(**SMALL) for cls in NETWORKS)]
    code = textwrap.dedent(ARRAY_API_CHECKS).format(estimators=estimators)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len([c for c in all_checks(estimators) if is_of_array_types(c)])


def data(cls, n=120):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(scale=0.3, size=n)
    return X, (y > 0).astype(int) if is_classifier(cls()) else y


def weights_of(est):
    if isinstance(est, NETWORKS):
        return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])
    return np.append(est.coef_, est.intercept_)


def frame(cls):
    X, y = data(cls)
    return pd.DataFrame(X, columns=["age", "hours", "income"]), y


PREDICTIONS = ("predict", "decision_function", "predict_proba", "predict_log_proba")


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("cls", EVERY)
def test_frames_give_names_and_no_warnings(cls, early_stopping):
    X, y = frame(cls)
    est = cls(max_iter=60, random_state=0, early_stopping=early_stopping, scoring=None, tol=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y, X_val=X[:30], y_val=y[:30])
        est.fit(X, y)
        assert est.feature_names_in_.tolist() == ["age", "hours", "income"]
        assert est.feature_names_in_.dtype == object
        for method in PREDICTIONS:
            if hasattr(est, method):
                expected = getattr(clone(est).fit(X.to_numpy(), y), method)(X.to_numpy())
                np.testing.assert_array_equal(getattr(est, method)(X), expected)
        est.score(X, y)
        est.set_params(early_stopping=False).partial_fit(X, y)


@pytest.mark.parametrize("scoring", [None, "loss", "neg_log_loss", "accuracy"])
def test_validation_scores_of_a_frame_do_not_warn_about_names(scoring):
    X, y = frame(LogisticRegression)
    est = LogisticRegression(early_stopping=True, scoring=scoring, max_iter=300, tol=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y)
    assert len(est.validation_scores_) == est.n_iter_


@pytest.mark.parametrize("cls", EVERY)
def test_target_as_a_series_or_a_list_is_the_same_target(cls):
    X, y = frame(cls)
    est = cls(max_iter=5, random_state=0)
    plain = weights_of(clone(est).fit(X, y))
    for target in (pd.Series(y), list(y)):
        np.testing.assert_array_equal(weights_of(clone(est).fit(X, target)), plain)


@pytest.mark.parametrize(
    ("cls", "solver"),
    [(cls, s) for cls in EVERY for s in (NETWORK_SOLVERS if cls in NETWORKS else SOLVERS)],
)
def test_pipeline_and_grid_search_refit_the_best_setting(cls, solver):
    X, y = data(cls)
    small = SMALL | GD if cls in NETWORKS and solver == "gd" else SMALL | {"max_iter": 60}
    small = small if cls in NETWORKS else {}
    pipe = make_pipeline(StandardScaler(), cls(solver=solver, random_state=0, **small))
    name = cls.__name__.lower()
    alphas = [1e-4, 1e3]
    search = GridSearchCV(pipe, {f"{name}__alpha": alphas}, cv=3).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # an alpha of 1000 leaves a constant model
    assert search.best_params_ == {f"{name}__alpha": 1e-4}
    assert search.best_score_ > 0.8
    best = search.best_estimator_[-1]
    again = clone(pipe).set_params(**search.best_params_).fit(X, y)[-1]
    np.testing.assert_array_equal(weights_of(best), weights_of(again))


def test_cross_val_score_is_that_of_the_exact_model():
    X, y = data(LinearRegression)
    est = LinearRegression(solver="lbfgs", alpha=0.01, tol=1e-12)
    found = cross_val_score(est, X, y, cv=4)
    # 90 training rows: F times 2n is Ridge's objective
    exact = cross_val_score(Ridge(alpha=0.01 * 90), X, y, cv=4)
    np.testing.assert_allclose(found, exact, rtol=1e-5)


@pytest.mark.parametrize("cls", EVERY)
def test_clone_of_a_fitted_estimator_is_unfitted_and_shares_nothing(cls):
    X, y = data(cls)
    est = cls(max_iter=5, random_state=0).fit(X, y)
    copy = clone(est)
    assert vars(copy) == est.get_params()
    before = weights_of(est).copy()
    copy.set_params(random_state=1).fit(X, y)
    np.testing.assert_array_equal(weights_of(est), before)
    name = "coefs_" if cls in NETWORKS else "coef_"
    for ours, theirs in zip(getattr(copy, name), getattr(est, name), strict=True):
        assert not np.shares_memory(ours, theirs)


@pytest.mark.parametrize("cls", EVERY)
def test_sample_weight_and_validation_rows_are_routed_by_a_search(cls):
    X, y = data(cls)
    X_val, y_val = X[:31] + 0.1, y[:31]
    weight = np.random.default_rng(1).integers(1, 4, size=len(y)).astype(float)
    est = cls(max_iter=30, random_state=0, early_stopping=True)
    extra = {"sample_weight": weight, "X_val": X_val, "y_val": y_val}
    direct = clone(est).fit(X, y, **extra)
    with sklearn.config_context(enable_metadata_routing=True):
        est.set_fit_request(sample_weight=True, X_val=True, y_val=True)
        est.set_score_request(sample_weight=True)
        search = GridSearchCV(est, {"alpha": [1e-4]}, cv=2).fit(X, y, **extra)
        scores = cross_validate(est, X, y, params=extra, cv=2, error_score="raise")
    routed = search.best_estimator_
    np.testing.assert_array_equal(weights_of(routed), weights_of(direct))
    assert routed.validation_scores_ == direct.validation_scores_
    unweighted = cls(max_iter=30, random_state=0, early_stopping=True)
    unweighted.fit(X, y, X_val=X_val, y_val=y_val)
    assert not np.array_equal(weights_of(routed), weights_of(unweighted))
    assert np.isfinite(scores["test_score"]).all()


@pytest.mark.parametrize("cls", EVERY)
def test_pipeline_transforms_the_routed_validation_rows(cls):
    X, y = data(cls)
    X = X * [1.0, 100.0, 0.01] + 5.0
    X_val, y_val = X[:31], y[:31]
    est = cls(max_iter=10, random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        est.set_fit_request(X_val=True, y_val=True)
        pipe = make_pipeline(StandardScaler(), est, transform_input=["X_val"])
        pipe.fit(X, y, X_val=X_val, y_val=y_val)
    scaler = StandardScaler().fit(X)
    direct = cls(max_iter=10, random_state=0)
    direct.fit(scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val)
    assert pipe[-1].validation_scores_ == direct.validation_scores_


@pytest.mark.parametrize("cls", EVERY)
def test_metadata_that_was_not_requested_is_refused(cls):
    X, y = data(cls)
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(StandardScaler(), cls(max_iter=2))
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="X_val"):
            pipe.fit(X, y, X_val=X, y_val=y)


@pytest.mark.parametrize("cls", EVERY)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_every_argument_can_be_requested(cls, method):
    with sklearn.config_context(enable_metadata_routing=True):
        names = ("sample_weight", "X_val", "y_val", "sample_weight_val")
        est = getattr(cls(), f"set_{method}_request")(**dict.fromkeys(names, True))
        requests = getattr(est.get_metadata_routing(), method).requests
    assert {name: requests[name] for name in names} == dict.fromkeys(names, True)


def test_tags_say_what_the_estimators_take():
    for cls in EVERY:
        tags = get_tags(cls())
        assert tags.input_tags.sparse
        assert not tags.input_tags.allow_nan
        assert tags.target_tags.required
        assert tags.target_tags.single_output
    for cls in (LinearRegression, MLPRegressor):
        assert is_regressor(cls())
        assert not is_classifier(cls())
        assert get_tags(cls()).target_tags.multi_output
        assert not get_tags(cls()).target_tags.positive_only
        assert get_tags(cls(loss="gamma")).target_tags.positive_only
    for cls in (LogisticRegression, MLPClassifier):
        assert is_classifier(cls())
        assert not is_regressor(cls())
        assert get_tags(cls()).classifier_tags.multi_class
        assert get_tags(cls()).classifier_tags.multi_label == (cls is MLPClassifier)
    assert not get_tags(LogisticRegression()).target_tags.multi_output


def test_max_iter_reached_is_a_convergence_warning():
    X, y = data(LinearRegression)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        LinearRegression(max_iter=2, tol=0.0).fit(X, y)
