"""Weights and validation rows reach the estimators through pipelines, searches and thresholds."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.linear_model
from sklearn.base import clone, is_classifier
from sklearn.ensemble import StackingClassifier, VotingRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.metrics import balanced_accuracy_score, get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedShuffleSplit,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

COMMON = dict(max_iter=15, random_state=0, early_stopping=True, n_iter_no_change=3)
NETWORK = dict(hidden_layer_sizes=5, learning_rate_init=0.05)
ESTIMATORS = [
    LinearRegression(**COMMON),
    LogisticRegression(**COMMON),
    MLPRegressor(**COMMON, **NETWORK),
    MLPClassifier(**COMMON, **NETWORK),
]
CLASSIFIERS = [est for est in ESTIMATORS if is_classifier(est)]
NAMES = ["age", "hours", "income"]
VALIDATION = ("X_val", "y_val", "sample_weight_val")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
each_estimator = pytest.mark.parametrize("est", ESTIMATORS, ids=lambda est: type(est).__name__)
each_classifier = pytest.mark.parametrize("est", CLASSIFIERS, ids=lambda est: type(est).__name__)


@pytest.fixture(autouse=True)
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def data(est, n=180):
    """Columns far from standardised; rows to train on, with weights, and rows to validate on."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) * [1.0, 100.0, 0.01] + [5.0, 0.0, 1.0]
    y = X @ [1.0, -0.02, 50.0] + rng.normal(scale=1.5, size=n)
    y = y - y.mean()
    if is_classifier(est):
        y = (y > 0).astype(int)
    weight = rng.uniform(0.1, 3.0, size=n)
    held = slice(130, None)
    extra = {"X_val": X[held], "y_val": y[held], "sample_weight_val": weight[held]}
    return X[:130], y[:130], {"sample_weight": weight[:130], **extra}


def weights_of(est):
    if hasattr(est, "coefs_"):
        return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])
    return np.append(est.coef_, est.intercept_)


def assert_same(found, expected):
    np.testing.assert_array_equal(weights_of(found), weights_of(expected))
    assert found.validation_scores_ == expected.validation_scores_


def requesting(est):
    names = ("sample_weight", *VALIDATION)
    est = clone(est).set_fit_request(**dict.fromkeys(names, True))
    return est.set_score_request(sample_weight=True)


def weighted(name):
    return get_scorer(name).set_score_request(sample_weight=True)


def threshold_of(est, **params):
    scorer = weighted("balanced_accuracy")
    return TunedThresholdClassifierCV(est, scoring=scorer, random_state=0, **params)


def pipeline_of(est):
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    return make_pipeline(scaler, requesting(est), transform_input=["X_val"])


def by_hand(est, X, y, extra):
    """What `pipeline_of` does, in single steps."""
    scaler = StandardScaler().fit(X, sample_weight=extra["sample_weight"])
    extra = extra | {"X_val": scaler.transform(extra["X_val"])}
    return scaler, clone(est).fit(scaler.transform(X), y, **extra)


@each_estimator
def test_pipeline_routes_weights_and_transforms_validation_rows(est):
    X, y, extra = data(est)
    pipe = pipeline_of(est).fit(X, y, **extra)
    _, expected = by_hand(est, X, y, extra)
    assert_same(pipe[-1], expected)
    # each of the arguments matters
    for name in ("sample_weight", "sample_weight_val"):
        other = extra | {name: np.ones(len(extra[name]))}
        assert pipeline_of(est).fit(X, y, **other)[-1].validation_scores_ != (
            expected.validation_scores_
        )


@each_estimator
def test_pipeline_scores_with_weights(est):
    X, y, extra = data(est)
    weight = extra["sample_weight"]
    scaler, model = by_hand(est, X, y, extra)
    pipe = pipeline_of(est).fit(X, y, **extra)
    expected = model.score(scaler.transform(X), y, sample_weight=weight)
    assert pipe.score(X, y, sample_weight=weight) == expected != pipe.score(X, y)


@each_estimator
def test_search_routes_the_rows_of_each_fold(est):
    X, y, extra = data(est)
    name = type(est).__name__.lower()
    alphas, folds = [1e-4, 0.3], KFold(3)
    # a scorer by name: scikit-learn 1.7 doesn't look for the request of a pipeline's own score
    scorer = weighted("accuracy" if is_classifier(est) else "r2")
    grid = {f"{name}__alpha": alphas}
    search = GridSearchCV(pipeline_of(est), grid, cv=folds, scoring=scorer).fit(X, y, **extra)
    for i, (train, test) in enumerate(folds.split(X)):
        part = extra | {"sample_weight": extra["sample_weight"][train]}
        expected = []
        for alpha in alphas:
            scaler, model = by_hand(clone(est).set_params(alpha=alpha), X[train], y[train], part)
            rows, weight = scaler.transform(X[test]), extra["sample_weight"][test]
            expected.append(model.score(rows, y[test], sample_weight=weight))
        np.testing.assert_array_equal(search.cv_results_[f"split{i}_test_score"], expected)
    best = clone(est).set_params(alpha=search.best_params_[f"{name}__alpha"])
    assert_same(search.best_estimator_[-1], by_hand(best, X, y, extra)[1])


@each_estimator
def test_cross_validate_scores_with_weights_only_if_asked(est):
    X, y, extra = data(est)
    folds = KFold(3)
    est = requesting(est)
    by_weight = cross_validate(est, X, y, params=extra, cv=folds, error_score="raise")
    est.set_score_request(sample_weight=False)
    plain = cross_validate(est, X, y, params=extra, cv=folds, error_score="raise")
    for i, (train, test) in enumerate(folds.split(X)):
        part = extra | {"sample_weight": extra["sample_weight"][train]}
        model = clone(est).fit(X[train], y[train], **part)
        weight = extra["sample_weight"][test]
        assert by_weight["test_score"][i] == model.score(X[test], y[test], sample_weight=weight)
        assert plain["test_score"][i] == model.score(X[test], y[test])


@each_classifier
def test_tuned_threshold_routes_to_the_fit(est):
    X, y, extra = data(est)
    tuned = threshold_of(requesting(est), cv=0.3, refit=False).fit(X, y, **extra)
    ((train, test),) = StratifiedShuffleSplit(1, test_size=0.3, random_state=0).split(X, y)
    part = extra | {"sample_weight": extra["sample_weight"][train]}
    expected = clone(est).fit(X[train], y[train], **part)
    assert_same(tuned.estimator_, expected)
    predicted = expected.predict_proba(X[test])[:, 1] >= tuned.best_threshold_
    weight = extra["sample_weight"][test]
    score = balanced_accuracy_score(y[test], predicted, sample_weight=weight)
    assert tuned.best_score_ == pytest.approx(score)
    assert (tuned.predict(X) == (expected.predict_proba(X)[:, 1] >= tuned.best_threshold_)).all()


@each_classifier
def test_tuned_threshold_in_a_search_over_a_pipeline(est):
    X, y, extra = data(est)
    name = type(est).__name__.lower()
    grid = {f"estimator__{name}__alpha": [1e-4, 0.3]}
    tuned = threshold_of(pipeline_of(est), cv=3)
    scorer = weighted("accuracy")
    search = GridSearchCV(tuned, grid, cv=2, scoring=scorer, error_score="raise")
    search.fit(X, y, **extra)
    alpha = search.best_params_[f"estimator__{name}__alpha"]
    _, expected = by_hand(clone(est).set_params(alpha=alpha), X, y, extra)
    assert_same(search.best_estimator_.estimator_[-1], expected)


def test_tuned_threshold_with_weights_is_that_of_the_exact_model():
    X, y, extra = data(CLASSIFIERS[0])
    X = StandardScaler().fit_transform(X)
    weight = np.where(y == 1, 6.0, 1.0) * extra["sample_weight"]
    scorer = weighted("accuracy")
    found = []
    for est in (
        LogisticRegression(solver="lbfgs", alpha=0, tol=1e-10),
        sklearn.linear_model.LogisticRegression(C=np.inf, tol=1e-10),
    ):
        est.set_fit_request(sample_weight=True)
        tuned = TunedThresholdClassifierCV(est, scoring=scorer, cv=5)
        found.append(tuned.fit(X, y, sample_weight=weight))
    ours, theirs = found
    assert ours.best_threshold_ == pytest.approx(theirs.best_threshold_, abs=1e-5)
    assert ours.best_score_ == pytest.approx(theirs.best_score_, abs=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    plain = TunedThresholdClassifierCV(LogisticRegression(solver="lbfgs", alpha=0), cv=5)
    assert ours.best_threshold_ != plain.set_params(scoring="accuracy").fit(X, y).best_threshold_


@each_estimator
def test_partial_fit_requests_are_routed(est):
    X, y, extra = data(est)
    est = clone(est)
    est.set_partial_fit_request(**dict.fromkeys(extra, True))
    if is_classifier(est):
        est.set_partial_fit_request(classes=True)
        extra["classes"] = [0, 1]
    # scikit-learn 1.9's selector begins anew with each call while routing is enabled
    selector = SelectFromModel(est, importance_getter=lambda est: np.ones(3))
    selector.partial_fit(X, y, **extra)
    expected = clone(est).partial_fit(X, y, **extra)
    assert_same(selector.estimator_, expected)
    assert len(expected.validation_scores_) == 1
    unweighted = clone(est).partial_fit(X, y, **extra | {"sample_weight": None})
    assert not np.array_equal(weights_of(unweighted), weights_of(expected))


@pytest.mark.parametrize("cls", [LinearRegression, MLPRegressor])
def test_partial_fit_of_several_outputs_routes_weights(cls):
    est = cls(random_state=0).set_partial_fit_request(sample_weight=True)
    X, y, extra = data(est)
    Y, weight = np.column_stack([y, -2 * y]), extra["sample_weight"]
    several = MultiOutputRegressor(est)
    several.partial_fit(X, Y, sample_weight=weight)
    several.partial_fit(X, Y, sample_weight=weight)
    for model, target in zip(several.estimators_, Y.T, strict=True):
        expected = clone(est).partial_fit(X, target, sample_weight=weight)
        expected.partial_fit(X, target, sample_weight=weight)
        np.testing.assert_array_equal(weights_of(model), weights_of(expected))


def test_ensembles_route_to_their_members():
    est = LinearRegression(**COMMON)
    X, y, extra = data(est)
    vote = VotingRegressor([("a", requesting(est)), ("b", requesting(est))]).fit(X, y, **extra)
    expected = clone(est).fit(X, y, **extra)
    for member in vote.estimators_:
        assert_same(member, expected)
    est = MLPClassifier(**COMMON, **NETWORK)
    X, y, extra = data(est)
    # validation rows would go to the last estimator, too, which has other columns
    weight = extra["sample_weight"]
    final = LogisticRegression().set_fit_request(sample_weight=True)
    stack = StackingClassifier([("net", requesting(est))], final, cv=3)
    stack.fit(X, y, sample_weight=weight)
    assert_same(stack.estimators_[0], clone(est).fit(X, y, sample_weight=weight))


# -- where routing ends: what docs/pipelines.md warns of -------------------------------------------


class Seen(LinearRegression):
    """Notes how many rows it got."""

    rows: list[tuple[int, int]] = []

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        self.rows.append((len(X), len(X_val)))
        return super().fit(X, y, sample_weight, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize(("n_val", "seen"), [(130, 65), (129, 129)])
def test_a_search_cuts_what_is_as_long_as_the_training_rows(n_val, seen):
    X, y, _ = data(Seen())
    Seen.rows.clear()
    est = Seen(max_iter=2).set_fit_request(X_val=True, y_val=True)
    GridSearchCV(est, {"alpha": [0.1]}, cv=2, refit=False).fit(
        X, y, X_val=X[:n_val], y_val=y[:n_val]
    )
    assert Seen.rows == [(65, seen)] * 2


def test_stacking_hands_validation_rows_to_the_final_estimator_too():
    est = LogisticRegression(max_iter=2).set_fit_request(X_val=True, y_val=True)
    X, y, extra = data(est)
    stack = StackingClassifier([("a", est)], clone(est), cv=2)
    with pytest.raises(ValueError, match=r"X has 3 features.* 1 features"):
        stack.fit(X, y, X_val=extra["X_val"], y_val=extra["y_val"])


# -- frames ------------------------------------------------------------------------------------


def as_frames(X, y, extra):
    extra = extra | {"X_val": pd.DataFrame(extra["X_val"], columns=NAMES)}
    extra["y_val"] = pd.Series(extra["y_val"])
    return pd.DataFrame(X, columns=NAMES), pd.Series(y), extra


def sees_names(est, X, y, sample_weight=None):
    """A scorer that takes nothing but frames."""
    assert list(X.columns) == list(est.feature_names_in_) == NAMES
    return est.score(X, y, sample_weight=sample_weight)


@pytest.mark.parametrize("scoring", ["loss", None, "neg_max_error", sees_names])
@pytest.mark.parametrize("given", [True, False], ids=["given", "held out"])
@each_estimator
def test_frames_are_scored_as_frames_and_nothing_warns(est, given, scoring):
    if scoring == "neg_max_error" and is_classifier(est):
        scoring = "neg_log_loss"
    est = requesting(est).set_params(scoring=scoring, max_iter=300)
    arrays = data(est)
    X, y, extra = as_frames(*arrays)
    if not given:
        extra = {"sample_weight": extra["sample_weight"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        direct = clone(est).fit(X, y, **extra)
        pipe = make_pipeline(StandardScaler(), est, transform_input=["X_val"])
        pipe[0].set_fit_request(sample_weight=True)
        pipe.set_output(transform="pandas").fit(X, y, **extra)
        pipe.predict(X)
    assert direct.feature_names_in_.tolist() == pipe[-1].feature_names_in_.tolist() == NAMES
    if scoring is not sees_names:
        plain_extra = {name: arrays[2][name] for name in extra}
        assert_same(direct, clone(est).fit(*arrays[:2], **plain_extra))
    assert len(direct.validation_scores_) == direct.n_iter_


@each_estimator
def test_validation_frame_with_other_columns_is_refused(est):
    X, y, extra = as_frames(*data(est))
    est = clone(est)
    with pytest.raises(ValueError, match=r"X_val|feature names"):
        est.fit(X, y, **extra | {"X_val": extra["X_val"][NAMES[::-1]]})
