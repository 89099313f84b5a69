"""What a fitted estimator answers: predictions, probabilities, scores, shapes and dtypes."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn.linear_model as exact
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.multiclass import type_of_target

from skopt_est import LinearRegression, LogisticRegression

BOTH = (LinearRegression, LogisticRegression)
QUICK = {"solver": "gd", "max_iter": 30, "random_state": 0}


def data(n_classes=0, n_targets=0, n=90):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)) * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]
    z = X @ [1.0, -0.7, 0.4] + rng.normal(scale=0.5, size=n)
    if n_classes:
        return X, np.searchsorted(np.quantile(z, np.arange(1, n_classes) / n_classes), z)
    if n_targets:
        return X, np.column_stack([z * (j + 1) + X[:, j] for j in range(n_targets)])
    return X, z


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


@pytest.mark.parametrize("as_rows", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_follow_from_the_coefficients(n_classes, as_rows):
    X, y = data(n_classes)
    est = fit(LogisticRegression(**QUICK), X, y)
    rows = as_rows(X)
    raw = X @ est.coef_.T + est.intercept_
    if n_classes == 2:
        raw = raw[:, 0]
        proba = np.column_stack([expit(-raw), expit(raw)])
        log_proba = np.column_stack([log_expit(-raw), log_expit(raw)])
        labels = est.classes_[(raw > 0).astype(int)]
    else:
        proba, log_proba = softmax(raw, axis=1), log_softmax(raw, axis=1)
        labels = est.classes_[raw.argmax(axis=1)]
    np.testing.assert_allclose(est.decision_function(rows), raw, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(est.predict_proba(rows), proba, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(est.predict_log_proba(rows), log_proba, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(est.predict(rows), labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e6])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_log_probabilities_stay_finite_at_extreme_values(n_classes, scale, dtype):
    X, y = data(n_classes)
    est = fit(LogisticRegression(dtype=dtype.__name__, **QUICK), X.astype(dtype), y)
    far = (X * scale).astype(dtype)
    raw = np.asarray(est.decision_function(far), dtype=np.float64)
    assert np.abs(raw).max() > scale / 10
    proba, log_proba = est.predict_proba(far), est.predict_log_proba(far)
    if n_classes == 2:
        expected = np.column_stack([log_expit(-raw), log_expit(raw)])
    else:
        expected = log_softmax(raw, axis=1)
    assert np.isfinite(log_proba).all()
    assert np.isfinite(proba).all()
    assert (log_proba <= 0).all()
    assert (proba >= 0).all()
    assert (proba <= 1).all()
    rtol = 1e-12 if dtype is np.float64 else 1e-4
    np.testing.assert_allclose(log_proba, expected, rtol=rtol, atol=1e-30)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=4 * n_classes * eps)


@pytest.mark.parametrize("weighted", [False, True])
def test_score_is_accuracy_or_r2(weighted):
    weight = np.random.default_rng(1).uniform(size=90) if weighted else None
    X, y = data(3)
    est = fit(LogisticRegression(**QUICK), X, y)
    expected = accuracy_score(y, est.predict(X), sample_weight=weight)
    assert est.score(X, y, sample_weight=weight) == expected
    for X, y in (data(), data(n_targets=3)):
        est = fit(LinearRegression(**QUICK), X, y)
        expected = r2_score(y, est.predict(X), sample_weight=weight)
        assert est.score(X, y, sample_weight=weight) == pytest.approx(expected, rel=1e-14)


LABELS = {
    "str": np.array(["cold", "mild", "warm"]),
    "object": np.array(["cold", "mild", "warm"], dtype=object),
    "bool": np.array([False, True]),
    "negative": np.array([-3, 0, 12]),
    "int8": np.array([0, 1], dtype=np.int8),
    "float": np.array([1.0, 2.0, 4.0]),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_any_type_come_back_as_they_were(labels):
    X, codes = data(len(labels))
    plain = fit(LogisticRegression(**QUICK), X, codes)
    est = fit(LogisticRegression(**QUICK), X, labels[codes])
    np.testing.assert_array_equal(est.classes_, np.unique(labels))
    assert est.classes_.dtype == labels.dtype
    predicted = est.predict(X)
    assert predicted.dtype == labels.dtype
    np.testing.assert_array_equal(predicted, labels[plain.predict(X)])
    np.testing.assert_array_equal(est.predict_proba(X), plain.predict_proba(X))
    assert est.score(X, labels[codes]) == plain.score(X, codes) > 0.6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_columns_follow_the_sorted_labels(n_classes):
    X, y = data(n_classes)
    forward = fit(LogisticRegression(**QUICK, tol=0.0), X, y)
    backward = fit(LogisticRegression(**QUICK, tol=0.0), X, n_classes - 1 - y)
    expected = forward.predict_proba(X)[:, ::-1]
    np.testing.assert_allclose(backward.predict_proba(X), expected, rtol=1e-9, atol=1e-12)


def test_classes_given_to_partial_fit_decide_the_columns():
    X, y = data(2)
    est = LogisticRegression(**QUICK).partial_fit(X, y * 2, classes=[2, 1, 0])
    assert est.classes_.tolist() == [0, 1, 2]
    assert est.predict_proba(X).shape == (90, 3)
    assert est.coef_.shape == (3, 3)


@pytest.mark.parametrize("settings", [{}, {"l1_ratio": 0.5, "alpha": 0.1}])
@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_several_targets_are_the_separate_fits(loss, settings):
    X, Y = data(n_targets=3)
    # a fixed rate and no stopping: the joint run takes the steps of the separate ones
    est = LinearRegression(
        **QUICK, loss=loss, tol=0.0, learning_rate_init=0.1, polish_iter=0, **settings
    )
    joint = fit(est, X, Y)
    coef, intercept, predicted = joint.coef_, joint.intercept_, joint.predict(X)
    assert predicted.shape == Y.shape
    for j in range(3):
        single = fit(est, X, Y[:, j])
        np.testing.assert_allclose(coef[j], single.coef_, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(intercept[j], single.intercept_, rtol=1e-10)
        np.testing.assert_allclose(predicted[:, j], single.predict(X), rtol=1e-10, atol=1e-10)


def test_several_targets_reach_the_ridge_solution():
    X, Y = data(n_targets=3)
    for solver in ("gd", "lbfgs"):
        est = fit(LinearRegression(solver=solver, alpha=0.1, tol=0.0, max_iter=3000), X, Y)
        ridge = exact.Ridge(alpha=0.1 * len(X), tol=1e-12).fit(X, Y)
        np.testing.assert_allclose(est.coef_, ridge.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(est.intercept_, ridge.intercept_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_targets", ["vector", "column", "matrix"])
def test_regression_shapes_are_those_of_scikit_learn(n_targets, fit_intercept):
    X, y = data(n_targets=2) if n_targets == "matrix" else data()
    y = y[:, None] if n_targets == "column" else y
    est = fit(LinearRegression(fit_intercept=fit_intercept, **QUICK), X, y)
    other = exact.LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    assert est.coef_.shape == other.coef_.shape
    assert est.predict(X).shape == other.predict(X).shape
    if fit_intercept:
        assert np.shape(est.intercept_) == np.shape(other.intercept_)
    else:
        assert np.all(est.intercept_ == 0.0)
    if n_targets == "vector":
        assert isinstance(est.intercept_, float | np.floating)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classification_shapes_are_those_of_scikit_learn(n_classes, fit_intercept):
    X, y = data(n_classes)
    est = fit(LogisticRegression(fit_intercept=fit_intercept, **QUICK), X, y)
    other = exact.LogisticRegression(fit_intercept=fit_intercept).fit(X, y)
    for name in ("coef_", "intercept_", "classes_"):
        assert getattr(est, name).shape == getattr(other, name).shape, name
    for name in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        assert getattr(est, name)(X).shape == getattr(other, name)(X).shape, name
    assert fit_intercept or not est.intercept_.any()
    assert type_of_target(est.predict(X)) == type_of_target(y)


@pytest.mark.parametrize("solver", ["gd", "adam", "lbfgs"])
@pytest.mark.parametrize(
    ("given", "asked", "trained"),
    [
        ("float32", "auto", "float32"),
        ("float64", "auto", "float64"),
        ("int64", "auto", "float64"),
        ("float16", "auto", "float64"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float32"),
    ],
)
def test_dtype_of_the_weights(given, asked, trained, solver):
    for cls, (X, y) in ((LinearRegression, data()), (LogisticRegression, data(2))):
        X = X.astype(given)
        est = fit(cls(solver=solver, dtype=asked, max_iter=3), X, y)
        assert est.coef_.dtype == trained
        assert np.asarray(est.intercept_).dtype in (trained, "float64")
        if given == trained:
            raw = est.predict(X) if cls is LinearRegression else est.predict_proba(X)
            assert raw.dtype == trained


@pytest.mark.parametrize(
    ("loss", "reference"), [("poisson", exact.PoissonRegressor), ("gamma", exact.GammaRegressor)]
)
def test_log_link_of_poisson_and_gamma(loss, reference):
    X, z = data()
    y = np.exp(0.3 * z)
    est = fit(LinearRegression(loss=loss, solver="lbfgs", alpha=0.01, tol=1e-13), X, y)
    predicted = est.predict(X)
    np.testing.assert_allclose(predicted, np.exp(X @ est.coef_ + est.intercept_), rtol=1e-12)
    glm = reference(alpha=0.01, tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(predicted, glm.predict(X), rtol=1e-4)
    assert est.score(X, y) == pytest.approx(r2_score(y, predicted), rel=1e-14)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
@pytest.mark.parametrize("cls", BOTH)
def test_other_columns_are_refused_as_scikit_learn_refuses_them(cls):
    X, y = data(2 if cls is LogisticRegression else 0)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    est, other = fit(cls(**QUICK), frame, y), exact.Ridge().fit(frame, y)
    for bad in (
        frame[["b", "a", "c"]],
        frame.rename(columns={"a": "z"}),
        frame[["a", "b"]],
        X[:, :2],
    ):
        errors = []
        for model in (est, other):
            with pytest.raises(ValueError) as caught:
                model.predict(bad)
            errors.append(str(caught.value).replace("Ridge", cls.__name__))
        assert errors[0] == errors[1]
    with pytest.warns(UserWarning, match="valid feature names"):
        est.predict(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "red"])
@pytest.mark.parametrize("cls", BOTH)
def test_bad_rows_are_refused_in_predict(cls, bad):
    X, y = data(2 if cls is LogisticRegression else 0)
    est = fit(cls(**QUICK), X, y)
    X = X.astype(object if bad == "red" else float)
    X[3, 1] = bad
    with pytest.raises(ValueError, match=rf"\bX\b[\s\S]*({'NaN' if bad != bad else bad})"):
        est.predict(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_weight_of_zero_hides_no_infinity(n_classes, dtype, bad):
    X, y = data(n_classes)
    X = X.astype(dtype)
    est = fit(LogisticRegression(**QUICK), X, y)
    est.coef_[:, 1] = 0
    for at in (0, 3, len(X) - 1):
        wrong = X.copy()
        wrong[at, 1] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            est.predict(wrong)


@pytest.mark.parametrize("cls", BOTH)
def test_predictions_that_overflow_are_no_fault_of_the_rows(cls):
    X, y = data(2 if cls is LogisticRegression else 0)
    X = X.astype(np.float32)
    est = fit(cls(**QUICK), X, y)
    est.coef_[...] = 1e30
    large = np.full_like(X, 1e30)
    if cls is LogisticRegression:
        assert (est.predict(large) == est.classes_[1]).all()
    else:
        assert np.isposinf(est.predict(large)).all()


@pytest.mark.parametrize("cls", BOTH)
def test_nothing_is_predicted_before_fit(cls):
    X, y = data(2)
    est = cls()
    for name in ("predict", "decision_function", "predict_proba", "predict_log_proba"):
        if hasattr(cls, name):
            with pytest.raises(NotFittedError, match=cls.__name__):
                getattr(est, name)(X)
    with pytest.raises(NotFittedError, match=cls.__name__):
        est.score(X, y)


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        *((0, 1, np.int64), (3, 4, np.int32), (-1, 1, np.int16), (-128, 127, np.int8)),
        *((0, 255, np.uint8), (1, 2, np.uint16), (-(2**63), 2**63 - 1, np.int64)),
        *((5, 2**64 - 1, np.uint64), (False, True, np.bool_), ("a", "bcd", object)),
        *(("no", "yes", "U3"), (-1.0, 2.0, np.float32)),
    ],
)
@pytest.mark.filterwarnings("error:overflow:RuntimeWarning")
def test_two_labels_come_back_as_they_were(first, second, dtype):
    X = np.random.default_rng(0).normal(size=(300, 3))
    y = np.array([first, second], dtype)[(X[:, 0] > 0).astype(int)]
    model = LogisticRegression(random_state=0).fit(X, y)
    labels = model.predict(X)
    assert labels.dtype == model.classes_.dtype == y.dtype
    np.testing.assert_array_equal(labels == model.classes_[1], model.decision_function(X) > 0)
    np.testing.assert_array_equal(np.unique(labels), np.unique(y))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 300, 20_000])
def test_labels_are_the_signs_of_raw_predictions_in_parts_too(n, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(max(n, 50), 9)).astype(dtype)
    model = fit(LogisticRegression(**QUICK), X, X[:, 0] + X[:, 1] > 0.3)
    expected = model.decision_function(X[:n]) > 0
    for most in (10**9, 1000):
        monkeypatch.setattr("skopt_est._predict.PART_WORK", most)
        for rows in (X[:n], sp.csr_matrix(X[:n])):
            model.classes_ = np.array([0, 1])
            np.testing.assert_array_equal(model.predict(rows), expected)
            model.classes_ = np.array([7, -2])
            np.testing.assert_array_equal(model.predict(rows), np.where(expected, -2, 7))
    X[n - 1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.predict(X[:n])


def test_two_integer_classes_of_two_outputs_are_those_of_the_larger_one():
    X, y = data(3)
    model = fit(LogisticRegression(**QUICK), X, y)
    model.classes_, model.coef_, model.intercept_ = (
        *(model.classes_[:2], model.coef_[:2], model.intercept_[:2]),
    )
    for rows in (X, sp.csr_matrix(X)):
        best = (rows @ model.coef_.T + model.intercept_).argmax(axis=1)
        np.testing.assert_array_equal(model.predict(rows), best)


def test_intercepts_that_were_put_in_place_may_lie_anywhere():
    X, y = data(2)
    est = fit(LogisticRegression(**QUICK), X, y)
    expected, labels = est.decision_function(X), est.predict(X)
    for intercept in (np.repeat(est.intercept_, 2)[::2], est.intercept_[0], est.intercept_[::-1]):
        est.intercept_ = intercept
        np.testing.assert_array_equal(est.decision_function(X), expected)
        np.testing.assert_array_equal(est.predict(X), labels)
    X, y = data(n_targets=3)
    est = fit(LinearRegression(**QUICK), X, y)
    expected = est.predict(X)
    est.intercept_ = np.repeat(est.intercept_, 2)[::2]
    np.testing.assert_array_equal(est.predict(X), expected)


def test_indices_may_have_either_name_that_c_has_for_whole_numbers():
    X, y = data()
    rows, params = sp.csr_array(X), {"solver": "adagrad", "max_iter": 5, "random_state": 0}
    est = fit(LinearRegression(**params), rows, y)
    rows.indices, rows.indptr = (a.astype(np.longlong) for a in (rows.indices, rows.indptr))
    again = fit(LinearRegression(**params), rows, y)
    np.testing.assert_array_equal(again.coef_, est.coef_)
    np.testing.assert_array_equal(again.predict(rows), est.predict(sp.csr_array(X)))
