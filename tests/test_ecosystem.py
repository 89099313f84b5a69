"""The estimators inside scikit-learn's meta-estimators and tools of inspection.

What comes out is compared with single steps by hand, or with what scikit-learn's own estimator
of the same minimum gives in the same place.
"""

import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import sklearn.linear_model
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    HalvingGridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
NAMES = [f"column {j}" for j in range(8)]
INFORMATIVE = [1, 4, 6]
NETWORK = dict(hidden_layer_sizes=8, learning_rate_init=0.02, max_iter=60, random_state=0)
ESTIMATORS = {
    "linear": LinearRegression(random_state=0),
    "logistic": LogisticRegression(random_state=0),
    "network, numbers": MLPRegressor(**NETWORK),
    "network, classes": MLPClassifier(**NETWORK),
}
EXACT = dict(solver="lbfgs", alpha=0.0, tol=1e-10)
each_estimator = pytest.mark.parametrize("est", ESTIMATORS.values(), ids=ESTIMATORS)
classifiers = {name: est for name, est in ESTIMATORS.items() if is_classifier(est)}
each_classifier = pytest.mark.parametrize("est", classifiers.values(), ids=classifiers)


def data(est, n=240):
    """Eight columns of which three tell about y."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8))
    y = X[:, INFORMATIVE] @ [2.0, -1.5, 1.0] + rng.normal(scale=0.5, size=n)
    return X, (y > 0.3).astype(int) if is_classifier(est) else y


def importance(est):
    """How much the first layer makes of each column."""
    return np.abs(est.coefs_[0]).sum(axis=1)


def getter_of(est):
    return importance if hasattr(est, "hidden_layer_sizes") else "auto"


def weights_of(est):
    if hasattr(est, "coefs_"):
        return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])
    return np.append(est.coef_, est.intercept_)


@contextmanager
def nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


# -- selection of columns ----------------------------------------------------------------------


@each_estimator
def test_select_from_model_finds_the_informative_columns(est):
    X, y = data(est)
    selector = SelectFromModel(est, max_features=3, importance_getter=getter_of(est))
    selector.set_output(transform="pandas")
    with nothing_warns():
        found = selector.fit(pd.DataFrame(X, columns=NAMES), y).transform(
            pd.DataFrame(X, columns=NAMES)
        )
    assert list(found.columns) == [NAMES[j] for j in INFORMATIVE]
    np.testing.assert_array_equal(weights_of(selector.estimator_), weights_of(clone(est).fit(X, y)))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("cls", [LinearRegression, LogisticRegression])
def test_select_from_model_takes_the_zeros_of_a_lasso(cls, solver):
    est = cls(solver=solver, l1_ratio=1.0, alpha=0.08, random_state=0)
    X, y = data(est)
    selector = SelectFromModel(est, threshold=1e-5).fit(X, y)
    assert np.flatnonzero(selector.get_support()).tolist() == INFORMATIVE
    assert (selector.estimator_.coef_.ravel() == 0).sum() == 5


def test_select_from_model_reads_the_coefficients_of_several_outputs():
    X, _ = data(LinearRegression())
    Y = np.column_stack([X[:, 1] + 0.1 * X[:, 0], X[:, 4], X[:, 6]])
    for est in (LinearRegression(random_state=0), LogisticRegression(random_state=0)):
        target = Y.argmax(axis=1) if is_classifier(est) else Y
        selector = SelectFromModel(est, max_features=3, threshold=-np.inf).fit(X, target)
        assert selector.estimator_.coef_.shape == (3, 8)
        assert np.flatnonzero(selector.get_support()).tolist() == INFORMATIVE


@each_estimator
def test_recursive_elimination_keeps_the_informative_columns(est):
    X, y = data(est)
    rfe = RFE(est, n_features_to_select=3, importance_getter=getter_of(est)).fit(X, y)
    assert np.flatnonzero(rfe.support_).tolist() == INFORMATIVE
    expected = clone(est).fit(X[:, INFORMATIVE], y)
    np.testing.assert_array_equal(rfe.predict(X), expected.predict(X[:, INFORMATIVE]))


@each_estimator
def test_recursive_elimination_chooses_how_many_by_cross_validation(est):
    X, y = data(est)
    rfe = RFECV(est, cv=3, importance_getter=getter_of(est)).fit(X, y)
    assert set(INFORMATIVE) <= set(np.flatnonzero(rfe.support_)) and rfe.n_features_ < 8
    scores = rfe.cv_results_["mean_test_score"]
    assert scores[2] > scores[0] + 0.05


def test_recursive_elimination_is_that_of_the_exact_models():
    pairs = [
        (LinearRegression(**EXACT), sklearn.linear_model.LinearRegression()),
        (LogisticRegression(**EXACT), sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-8)),
    ]
    for ours, theirs in pairs:
        X, y = data(ours)
        y = (X @ np.arange(8) + 9 * np.sin(y) > 0).astype(int) if is_classifier(ours) else y
        found, expected = (RFECV(est, cv=3).fit(X, y) for est in (ours, theirs))
        np.testing.assert_array_equal(found.ranking_, expected.ranking_)
        np.testing.assert_allclose(
            found.cv_results_["mean_test_score"],
            expected.cv_results_["mean_test_score"],
            rtol=1e-5,
        )


# -- inspection --------------------------------------------------------------------------------


@each_estimator
def test_permutation_importance_ranks_the_columns(est):
    X, y = data(est)
    result = permutation_importance(clone(est).fit(X, y), X, y, n_repeats=5, random_state=0)
    order = np.argsort(-result.importances_mean)
    assert order[:3].tolist() == INFORMATIVE
    assert result.importances_mean[order[3]] < 0.3 * result.importances_mean[6]


@each_estimator
def test_partial_dependence_is_the_mean_prediction(est):
    X, y = data(est)
    est = clone(est).fit(X, y)
    found = partial_dependence(est, X, features=[1], grid_resolution=5, kind="average")
    grid, average = found["grid_values"][0], found["average"][0]
    for value, mean in zip(grid, average, strict=True):
        rows = X.copy()
        rows[:, 1] = value
        predicted = est.predict_proba(rows)[:, 1] if is_classifier(est) else est.predict(rows)
        assert mean == pytest.approx(predicted.mean())
    assert (np.diff(average) > 0).all()
    flat = partial_dependence(est, X, features=[0], grid_resolution=5)["average"][0]
    assert np.ptp(flat) < 0.2 * np.ptp(average)


@pytest.mark.parametrize("name", ["linear", "logistic"])
def test_partial_dependence_of_a_linear_model_has_its_coefficient_for_a_slope(name):
    est = clone(ESTIMATORS[name])
    X, y = data(est)
    method = "decision_function" if is_classifier(est) else "auto"
    frame = pd.DataFrame(X, columns=NAMES)
    with nothing_warns():
        found = partial_dependence(
            est.fit(frame, y), frame, features=["column 4"], response_method=method
        )
    slopes = np.diff(found["average"][0]) / np.diff(found["grid_values"][0])
    np.testing.assert_allclose(slopes, est.coef_.ravel()[4])


# -- calibration -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration_is_that_of_the_exact_model(method, ensemble):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X) + np.random.default_rng(0).normal(size=X.shape)
    weight = np.random.default_rng(1).integers(1, 4, size=len(y)).astype(float)
    ours = LogisticRegression(**EXACT)
    theirs = sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    found, expected = (
        CalibratedClassifierCV(est, method=method, cv=3, ensemble=ensemble)
        .fit(X, y, sample_weight=weight)
        .predict_proba(X)
        for est in (ours, theirs)
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


@each_classifier
def test_calibration_mends_a_classifier_that_is_too_sure(est):
    rng = np.random.default_rng(0)
    X, y = data(est, n=600)
    y = np.where(rng.random(600) < 0.25, 1 - y, y)
    # columns enough to learn the wrong labels by heart
    X = np.hstack([X, rng.normal(size=(600, 40))])
    train, test = slice(0, 150), slice(150, None)
    est = clone(est).set_params(alpha=0.0)
    plain = log_loss(y[test], clone(est).fit(X[train], y[train]).predict_proba(X[test]))
    calibrated = CalibratedClassifierCV(est, cv=5).fit(X[train], y[train])
    probability = calibrated.predict_proba(X[test])
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert log_loss(y[test], probability) < 0.9 * plain


@each_classifier
def test_calibration_of_a_fitted_classifier_leaves_it_as_it_is(est):
    X, y = data(est)
    est = clone(est).fit(X[:120], y[:120])
    before = weights_of(est).copy()
    calibrated = CalibratedClassifierCV(FrozenEstimator(est)).fit(X[120:], y[120:])
    np.testing.assert_array_equal(weights_of(est), before)
    p, f = calibrated.predict_proba(X)[:, 1], est.predict_proba(X)[:, 1]
    assert (np.diff(p[np.argsort(f)]) >= 0).all()


# -- ensembles ---------------------------------------------------------------------------------


def members_of(classes):
    kinds = ("logistic", "network, classes") if classes else ("linear", "network, numbers")
    return [(name.replace(", ", "_"), clone(ESTIMATORS[name])) for name in kinds]


def test_stacked_classifiers_learn_from_held_out_probabilities():
    members, final = members_of(True), LogisticRegression(random_state=0)
    X, y = data(final)
    folds = StratifiedKFold(4)
    stack = StackingClassifier(members, final, cv=folds).fit(X, y)
    columns = [
        cross_val_predict(est, X, y, cv=folds, method="predict_proba")[:, 1] for _, est in members
    ]
    expected = clone(final).fit(np.column_stack(columns), y)
    np.testing.assert_array_equal(weights_of(stack.final_estimator_), weights_of(expected))
    full = np.column_stack([est.fit(X, y).predict_proba(X)[:, 1] for _, est in members])
    np.testing.assert_array_equal(stack.predict_proba(X), expected.predict_proba(full))
    assert list(stack.set_output(transform="pandas").transform(X).columns) == [
        "stackingclassifier_logistic",
        "stackingclassifier_network_classes",
    ]


def test_stacked_regressors_learn_from_held_out_predictions():
    members, final = members_of(False), LinearRegression(random_state=0)
    X, y = data(final)
    folds = KFold(4)
    stack = StackingRegressor(members, final, cv=folds).fit(X, y)
    columns = np.column_stack([cross_val_predict(est, X, y, cv=folds) for _, est in members])
    expected = clone(final).fit(columns, y)
    np.testing.assert_array_equal(weights_of(stack.final_estimator_), weights_of(expected))
    assert stack.score(X, y) > 0.9


def test_vote_is_the_mean_of_the_members():
    X, y = data(LogisticRegression())
    members = members_of(True)
    vote = VotingClassifier(members, voting="soft").fit(X, y)
    expected = np.mean([est.fit(X, y).predict_proba(X) for _, est in members], axis=0)
    np.testing.assert_allclose(vote.predict_proba(X), expected)
    X, y = data(LinearRegression())
    members = members_of(False)
    vote = VotingRegressor(members).fit(X, y)
    expected = np.mean([est.fit(X, y).predict(X) for _, est in members], axis=0)
    np.testing.assert_allclose(vote.predict(X), expected)


@pytest.mark.parametrize("est", [LinearRegression(**EXACT), LogisticRegression(solver="lbfgs")])
def test_bags_hold_models_of_repeated_rows(est):
    X, y = data(est)
    cls = BaggingClassifier if is_classifier(est) else BaggingRegressor
    bag = cls(est, 30, max_features=0.7, oob_score=True, random_state=0).fit(X, y)
    for model, rows, columns in zip(
        bag.estimators_, bag.estimators_samples_, bag.estimators_features_, strict=True
    ):
        expected = clone(est).fit(X[rows][:, columns], y[rows])
        np.testing.assert_allclose(weights_of(model), weights_of(expected), rtol=1e-3, atol=1e-4)
    assert len({tuple(model.coef_.ravel()) for model in bag.estimators_}) == 30
    assert bag.oob_score_ > 0.7


@pytest.mark.parametrize("name", ["network, numbers", "network, classes"])
def test_a_bag_of_networks_is_better_than_one(name):
    est = ESTIMATORS[name]
    X, y = data(est, n=400)
    cls = BaggingClassifier if is_classifier(est) else BaggingRegressor
    train, test = slice(0, 60), slice(60, None)
    bag = cls(est, 15, random_state=0).fit(X[train], y[train])
    alone = [model.score(X[test], y[test]) for model in bag.estimators_]
    assert len(set(alone)) > 1
    assert bag.score(X[test], y[test]) > np.mean(alone)


@each_classifier
def test_one_against_the_rest_has_a_model_for_each_class(est):
    X, y = load_iris(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    several = OneVsRestClassifier(est).fit(X, y)
    for k, model in enumerate(several.estimators_):
        expected = clone(est).fit(X, (y == k).astype(int))
        np.testing.assert_array_equal(weights_of(model), weights_of(expected))
    assert several.score(X, y) > 0.9


@pytest.mark.parametrize("name", ["linear", "network, numbers"])
def test_transformed_target(name):
    est = ESTIMATORS[name]
    X, y = data(est)
    y = np.exp(0.3 * y)
    model = TransformedTargetRegressor(est, func=np.log, inverse_func=np.exp).fit(X, y)
    expected = clone(est).fit(X, np.log(y))
    np.testing.assert_allclose(model.predict(X), np.exp(expected.predict(X)))


# -- model selection ---------------------------------------------------------------------------


@each_estimator
def test_cross_validated_predictions_come_from_models_of_the_other_rows(est):
    X, y = data(est)
    method = "predict_proba" if is_classifier(est) else "predict"
    frame = pd.DataFrame(X, columns=NAMES)
    with nothing_warns():
        found = cross_val_predict(est, frame, y, cv=KFold(3), method=method)
    for train, test in KFold(3).split(X):
        model = clone(est).fit(X[train], y[train])
        np.testing.assert_array_equal(found[test], getattr(model, method)(X[test]))


@each_estimator
def test_learning_curve_goes_up(est):
    X, y = data(est)
    sizes, train, test = learning_curve(est, X, y, train_sizes=[15, 40, 160], cv=3)
    assert sizes.tolist() == [15, 40, 160]
    assert test[-1].mean() > test[0].mean() + 0.01
    assert (train - test)[0].mean() > (train - test)[-1].mean()


@each_estimator
def test_learning_curve_by_partial_fit_goes_on_with_one_model(est):
    X, y = data(est)
    est = clone(est).set_params(learning_rate_init=0.1, batch_size=8)
    sizes = [40, 80, 160]
    _, _, found = learning_curve(
        est, X, y, train_sizes=sizes, cv=KFold(3), exploit_incremental_learning=True
    )
    classes = {"classes": np.unique(y)} if is_classifier(est) else {}
    for i, (train, test) in enumerate(KFold(3).split(X)):
        model, expected, begin = clone(est), [], 0
        for size in sizes:
            rows = train[begin:size]
            model.partial_fit(X[rows], y[rows], **classes)
            expected.append(model.score(X[test], y[test]))
            begin = size
        np.testing.assert_array_equal(found[:, i], expected)


@each_estimator
def test_search_that_halves_by_rows_and_by_epochs(est):
    X, y = data(est)
    # an alpha of 1000 leaves a constant model
    grid = {"alpha": [1e3, 1e-4, 1e2, 10.0]}
    by_rows = HalvingGridSearchCV(est, grid, cv=3, random_state=0).fit(X, y)
    assert by_rows.best_params_ == {"alpha": 1e-4}
    assert by_rows.n_resources_[0] < by_rows.n_resources_[-1] <= len(X)
    budget = dict(resource="max_iter", min_resources=4, max_resources=36)
    by_epochs = HalvingGridSearchCV(est, grid, cv=3, random_state=0, **budget).fit(X, y)
    assert by_epochs.best_params_ == {"alpha": 1e-4, "max_iter": by_epochs.n_resources_[-1]}
    assert by_epochs.best_estimator_.n_iter_ <= by_epochs.n_resources_[-1]
    assert by_epochs.n_resources_ == [4, 12]


# -- frames ------------------------------------------------------------------------------------


@each_estimator
def test_columns_keep_their_names_through_a_pipeline(est):
    X, y = data(est)
    frame = pd.DataFrame(X, columns=NAMES)
    pipe = make_pipeline(
        StandardScaler(),
        SelectFromModel(clone(est), max_features=3, importance_getter=getter_of(est)),
        clone(est).set_params(early_stopping=True, scoring=None, max_iter=300),
    ).set_output(transform="pandas")
    with nothing_warns():
        pipe.fit(frame, y)
        pipe.predict(frame)
        assert pipe.score(frame, y) > 0.8
    assert pipe[-1].feature_names_in_.tolist() == [NAMES[j] for j in INFORMATIVE]
    assert list(pipe[:-1].transform(frame).columns) == pipe[-1].feature_names_in_.tolist()
