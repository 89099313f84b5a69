"""Data that leave something undetermined, and rates and scales far from any sense: a fit ends with
finite weights, and says so if it did not go well, or in an error; both say what to change."""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score

from skopt_est import (
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    _epoch,
    _lbfgs,
)
from skopt_est._core import available, get_engine
from skopt_est.solvers import LINEAR_SOLVERS, SOLVERS

pytestmark = pytest.mark.usefixtures("by_feature")

ESTIMATORS = {
    "linear": LinearRegression,
    "poisson": LinearRegression,
    "logistic": LogisticRegression,
    "multinomial": LogisticRegression,
    "network": MLPRegressor,
    "classes": MLPClassifier,
}
NETWORKS = ("network", "classes")
CASES = [
    (kind, solver)
    for kind in ESTIMATORS
    for solver in (SOLVERS if kind in NETWORKS else LINEAR_SOLVERS)
]
ADVICE = r"learning_rate_init|max_iter|[Ss]cale the data|another solver|Subtract a constant"


def model(kind, **params):
    if kind in NETWORKS:
        params = {"hidden_layer_sizes": (4,)} | params
    if kind == "poisson":
        params = {"loss": "poisson"} | params
    return ESTIMATORS[kind](**{"random_state": 0, "max_iter": 20} | params)


def data(kind, n=40, d=4):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    z = X @ rng.normal(size=d) + 0.1 * rng.normal(size=n)
    change = {
        "poisson": lambda: rng.poisson(np.exp(0.5 * z)).astype(float),
        "logistic": lambda: (z > 0).astype(int),
        "multinomial": lambda: np.digitize(z, [-0.7, 0.7]),
        "classes": lambda: np.digitize(z, [-0.7, 0.7]),
    }
    return X, change.get(kind, lambda: z)()


def weights_of(est):
    arrays = est.coefs_ + est.intercepts_ if hasattr(est, "coefs_") else [est.coef_, est.intercept_]
    return np.concatenate([np.ravel(array) for array in arrays])


def fit_or_say_why(est, X, y, advice=ADVICE):
    """What the fit said, having checked that it said something to the purpose and left no NaN."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            est.fit(X, y)
        except ValueError as error:
            message, failed = str(error), True
        else:
            message, failed = "".join(str(w.message) for w in caught), False
    assert {w.category for w in caught} <= {ConvergenceWarning}
    assert len(caught) <= 1
    if failed:
        assert vars(est) == est.get_params(), "a fit that failed left something"
    else:
        weights, state = weights_of(est), est._state
        assert np.isfinite(weights).all()
        assert np.isfinite(state["theta"]).all() and np.isfinite(state["slots"]).all()
        assert np.isfinite(est.best_loss_)
        assert not np.isnan(est.predict(X)).any()
        assert np.isfinite(est.loss_curve_[:-1]).all()
        if np.isnan(est.loss_curve_[-1]):
            assert "Lower learning_rate_init" in message
    if message:
        assert re.search(advice, message), message
    return message


@pytest.mark.parametrize("rate", [1e-12, 1e-6, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind, solver", [case for case in CASES if case[1] != "lbfgs"])
def test_any_rate(kind, solver, dtype, form, rate):
    X, y = data(kind)
    est = model(kind, solver=solver, learning_rate_init=rate, batch_size=8, alpha=0.0)
    message = fit_or_say_why(est, form(X.astype(dtype)), y)
    if not hasattr(est, "n_iter_"):
        assert rate > 1 and "learning_rate_init" in message
        return
    # Whoever was not warned has something that is not worse than where training began.
    if not message and kind not in NETWORKS:
        assert est.loss_ <= est.loss_curve_[0] + 1e-9
    if rate < 1e-3:
        assert len(est.loss_curve_) == est.n_iter_ and np.isfinite(est.loss_curve_).all()


@pytest.mark.parametrize("rate", [1e-12, 1e12])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("kind, solver", [case for case in CASES if case[1] != "lbfgs"])
def test_any_rate_of_partial_fit(kind, solver, form, rate):
    """Each call ends in finite weights, or in an error and the call before it."""
    X, y = data(kind)
    est = model(kind, solver=solver, learning_rate_init=rate, batch_size=8, alpha=0.0)
    classes = {} if kind in ("linear", "poisson", "network") else {"classes": np.unique(y)}
    for _ in range(4):
        before, message = dict(vars(est)), None
        try:
            est.partial_fit(form(X), y, **classes)
        except ValueError as error:
            message = str(error)
        if message is not None:
            assert rate > 1 and re.search(ADVICE, message)
            assert vars(est).keys() == before.keys()
            break
        assert np.isfinite(weights_of(est)).all() and np.isfinite(est._state["slots"]).all()
    if hasattr(est, "t_"):
        assert np.isfinite(weights_of(est)).all()
        with np.errstate(over="ignore"):  # exp of what poisson predicts
            assert not np.isnan(est.predict(form(X))).any()


@pytest.mark.parametrize("scale", [1e-150, 1e-12, 1e12, 1e150])
@pytest.mark.parametrize("kind, solver", CASES)
def test_any_scale_of_the_columns(kind, solver, scale):
    X, y = data(kind)
    X[:, 0] *= scale
    fit_or_say_why(model(kind, solver=solver), X, y)


@pytest.mark.parametrize("solver", LINEAR_SOLVERS)
def test_targets_of_1e12_are_as_good_as_any(solver):
    X, y = data("linear")
    est = model("linear", solver=solver, alpha=0.0)
    small = est.fit(X, y).coef_
    large = model("linear", solver=solver, alpha=0.0).fit(X, 1e12 * y).coef_
    np.testing.assert_allclose(large, 1e12 * small, rtol=1e-3, atol=1e9)


@pytest.mark.parametrize("scale", [1e-12, 1e12, 1e150])
@pytest.mark.parametrize(
    "kind, solver", [case for case in CASES if case[0] in ("linear", "poisson", "network")]
)
def test_any_scale_of_the_targets(kind, solver, scale):
    X, y = data(kind)
    fit_or_say_why(model(kind, solver=solver), X, scale * y)


@pytest.mark.parametrize("scale, told", [(1.0, False), (1e12, True)])
@pytest.mark.parametrize("loss, remedy", [("squared_error", "standardize"), ("gamma", "divide")])
def test_network_far_from_its_targets_is_told_of_it(loss, remedy, scale, told):
    X, y = data("network")
    est = model("network", loss=loss, solver="adam")
    message = fit_or_say_why(est, X, scale * np.exp(0.3 * y))
    assert "reached max_iter=20" in message
    assert (f"numbers of about {scale:.0e}" in message and remedy in message) == told
    standardized = model("network", solver="adam", standardize_target=True, max_iter=500)
    fit_or_say_why(standardized, X, scale * np.exp(0.3 * y))
    assert standardized.score(X, scale * np.exp(0.3 * y)) > 0.9


@pytest.mark.parametrize("solver", LINEAR_SOLVERS)
def test_column_that_rounds_predictions_off_is_named(solver):
    X, y = data("linear")
    X[:, 2] += 1e7
    est = model("linear", solver=solver, alpha=0.0, max_iter=500)
    rows = X.astype(np.float32)
    message = fit_or_say_why(est, rows, y)
    assert re.search(r"Column 2 of X has a mean .e\+07 times its deviation.*float64", message)
    assert est.score(rows, y) < 0.95
    precise = clone(est).set_params(dtype="float64")
    for given in (X, rows):
        assert "Column" not in fit_or_say_why(precise, given, y)
        assert precise.score(X, y) > 0.98
    X[:, 2] -= 1e7 - 1e3
    assert "Column" not in fit_or_say_why(est, X.astype(np.float32), y)


def undetermined(X):
    """Name -> rows that leave weights undetermined."""
    one_row = np.zeros_like(X)
    one_row[3] = X[3]
    return {
        "a constant column": np.column_stack([X, np.full(len(X), 3.0)]),
        "only constant columns": np.ones_like(X),
        "only zeros": np.zeros_like(X),
        "zeros but for one row": one_row,
        "a column twice": np.column_stack([X, X[:, 0]]),
        "a column that is the sum of others": np.column_stack([X, X.sum(axis=1)]),
        "more columns than rows": np.tile(X[:10], (1, 5)),
        "a column of 1e-300": np.column_stack([X, 1e-300 * X[:, 0]]),
        "a nearly constant column": np.column_stack([X, 1e9 + 1e-7 * X[:, 0]]),
    }


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("name", undetermined(data("linear")[0]))
@pytest.mark.parametrize("kind, solver", CASES)
def test_weights_that_the_rows_leave_open(kind, solver, name, form):
    X, y = data(kind)
    rows = undetermined(X)[name]
    est = model(kind, solver=solver)
    fit_or_say_why(est, form(rows), y[: len(rows)])
    assert hasattr(est, "n_iter_"), "nothing is wrong with these rows"


@pytest.mark.parametrize("solver", LINEAR_SOLVERS)
def test_a_weight_that_has_no_place_in_its_type_is_an_error(solver):
    X, y = data("linear")
    X[:, 2] *= 1e-37
    est = model("linear", solver=solver, alpha=0.0)
    with pytest.raises(ValueError, match=r"column 2 of X.*float32.*scale the data"):
        est.fit(X.astype(np.float32), 1e10 * y)
    assert vars(est) == est.get_params()
    est.fit(X, 1e10 * y)
    assert np.isfinite(est.coef_).all() and abs(est.coef_[2]) > 1e40  # float64 has room for it


@pytest.mark.parametrize("solver", LINEAR_SOLVERS)
@pytest.mark.parametrize("kind", ["linear", "poisson", "logistic", "multinomial"])
def test_a_constant_column_is_left_alone(kind, solver):
    X, y = data(kind)
    est = model(kind, solver=solver, alpha=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(np.column_stack([X, np.full(len(X), 3.0)]), y)
    assert np.abs(np.atleast_2d(est.coef_)[:, -1]).max() < 1e-12


@pytest.mark.parametrize(
    "kind, solver", [case for case in CASES if case[0] in ("linear", "poisson", "network")]
)
def test_a_constant_target(kind, solver):
    X, y = data(kind)
    est = model(kind, solver=solver, max_iter=200)
    fit_or_say_why(est, X, np.full(len(y), 2.0))
    if kind == "network" and solver != "lbfgs":
        assert est.loss_ < 0.7 * est.loss_curve_[0]
    else:
        np.testing.assert_allclose(est.predict(X), 2.0, atol=0.05)


def test_one_class_in_a_fold_is_named_or_learned():
    X, y = data("logistic")
    y = np.sort(y)
    y[:] = y[0]
    y[-20:] = 1 - y[0]
    half = KFold(2)
    with pytest.raises(ValueError, match=r"\bclass"):
        cross_val_score(LogisticRegression(), X, y, cv=half, error_score="raise")
    network = MLPClassifier((3,), max_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        scores = cross_val_score(network, X, y, cv=half, error_score="raise")
    assert scores.tolist() == [0.0, 0.0]  # each half knows the other class only


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
@pytest.mark.parametrize("kind, solver", CASES)
def test_any_scale_of_the_sample_weights(kind, solver, size):
    X, y = data(kind)
    plain, scaled = (model(kind, solver=solver, batch_size=8) for _ in range(2))
    weight = np.random.default_rng(1).random(len(y)) + 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain.fit(X, y, sample_weight=weight)
        scaled.fit(X, y, sample_weight=size * weight)
    difference = np.abs(weights_of(plain) - weights_of(scaled)).max()
    assert difference <= 1e-3 * np.abs(weights_of(plain)).max()


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_sample_weights_without_a_sum_are_refused(kind):
    X, y = data(kind)
    est = model(kind)
    for call in (est.fit, est.partial_fit):
        with pytest.raises(ValueError, match=r"sample_weight has a sum beyond float64.*Divide"):
            call(X, y, sample_weight=np.full(len(y), 1e307))
    with pytest.raises(ValueError, match="sample_weight_val has a sum beyond float64"):
        est.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.full(len(y), 1e307))
    assert vars(est) == est.get_params()


@pytest.mark.parametrize("class_weight", [{0: 1e200, 1: 1.0}, "balanced"])
def test_class_weights_beyond_double_precision(class_weight):
    X, y = data("logistic")
    est = model("logistic", class_weight=class_weight)
    weight = np.full(len(y), 1e200)
    if class_weight == "balanced":  # as many of either class
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            expected = clone(est).fit(X, y).coef_
            np.testing.assert_allclose(est.fit(X, y, sample_weight=weight).coef_, expected, 1e-9)
        weight[y == 0] = 1e-200
        weight[y == 1] = 1e300
    with pytest.raises(ValueError, match="sample_weight times class_weight has a sum beyond"):
        est.fit(X, y, sample_weight=weight)


# The two precisions, and sizes of X and y at which their gradients are numbers, the squares not
OVERFLOWS = {np.float32: 1e25, np.float64: 1e200}
OF_SQUARES = ("adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad")


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("dtype", OVERFLOWS)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    "kind, solver", [case for case in CASES if case[1] in OF_SQUARES and case[0] != "network"]
)
def test_squares_of_gradients_that_overflow(kind, solver, form, dtype, batch_size):
    """fit warns and keeps finite weights and moments; partial_fit refuses and changes nothing."""
    X, y = data(kind)
    params = {} if kind in NETWORKS else {"precondition": False}
    est = model(kind, solver=solver, batch_size=batch_size, **params)
    large = form((X * OVERFLOWS[dtype]).astype(dtype))
    message = fit_or_say_why(est, large, y)
    assert f"Gradients are too large for {np.dtype(dtype).name}" in message
    assert "Scale the data" in message and f"epoch {est.best_iter_} are kept" in message

    given = {} if kind in ("linear", "poisson") else {"classes": np.unique(y)}
    new = model(kind, solver=solver, batch_size=batch_size, **params)
    with pytest.raises(ValueError, match=r"Gradients are too large.*left as it was"):
        new.partial_fit(large, y, **given)
    assert vars(new) == new.get_params()
    new.partial_fit(form(X.astype(dtype)), y, **given)
    before, weights = vars(new).copy(), weights_of(new)
    # Predictions of a regression that was trained overflow as well.
    why = "Gradients are too large" if given else "non-finite number"
    with pytest.raises(ValueError, match=f"{why}.*cale the data.*left as it was"):
        new.partial_fit(large, y)
    assert vars(new) == before
    np.testing.assert_array_equal(weights_of(new), weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new.partial_fit(form(X.astype(dtype)), y)
    assert (weights_of(new) != weights).any()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_targets_whose_gradients_overflow(early_stopping):
    X, y = data("poisson", n=80)
    est = model("poisson", solver="adam", early_stopping=early_stopping)
    message = fit_or_say_why(est, X.astype(np.float32), 1e25 * y)
    assert "Gradients are too large for float32" in message
    assert est.best_iter_ == 1 + (
        np.argmax(est.validation_scores_) if early_stopping else np.argmin(est.loss_curve_)
    )


def test_lbfgs_from_where_there_is_no_objective(monkeypatch):
    """It fails, too, where the search for a lower point came by one with a finite objective, which
    is then what scipy tells."""
    X, y = np.zeros((3, 5), np.float32), np.array([0.64, -1.19, 0.85])
    X[1:, 2] = 1e26, 1e24
    est = model("network", solver="lbfgs", hidden_layer_sizes=(3,), alpha=1e12, l1_ratio=0.5)
    minimize = _lbfgs.minimize

    def came_by(*args, **kwargs):
        result = minimize(*args, **kwargs)
        result.fun = 0.5
        return result

    for search in (minimize, came_by):
        monkeypatch.setattr(_lbfgs, "minimize", search)
        with pytest.raises(ValueError, match=r"non-finite objective.*scale the data"):
            est.fit(X, y)
        assert vars(est) == est.get_params()


@pytest.mark.parametrize("which", available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_engine_tells_numbers_that_are_not_finite(dtype, which):
    all_finite, most = get_engine(which).all_finite, np.finfo(dtype).max
    for n in (0, 1, 7, 8, 33, 100):
        numbers = np.full(n, most, dtype)  # neither their sum nor that of squares is a number
        numbers[::2] *= -1
        assert all_finite(numbers)
        for bad in (np.nan, np.inf, -np.inf):
            for place in {0, n // 2, n - 1} if n else ():
                assert not all_finite(np.where(np.arange(n) == place, dtype(bad), numbers))


@pytest.mark.parametrize("which", available())
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_penalty_is_no_number_if_a_weight_is_none(dtype, which):
    """Whatever its strength, so that a finite one tells of finite weights."""
    penalty, n = get_engine(which).penalty, 37
    nothing = [0.0, np.zeros(n)]
    for l1 in (*nothing, 0.5, np.full(n, 0.5)):
        for half_l2 in (*nothing, 0.5, np.full(n, 0.5)):
            assert np.isfinite(penalty(np.ones(n, dtype), n, l1, half_l2))
            for bad in (np.nan, np.inf, -np.inf):
                for place in (0, 20, n - 1):
                    weights = np.where(np.arange(n) == place, dtype(bad), dtype(1))
                    assert not np.isfinite(penalty(weights, n, l1, half_l2))


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("batch_size", [1, 50])
def test_one_number_that_is_none_ends_training(batch_size, alpha, place, monkeypatch):
    """Of the weights or the intercept, penalised or not."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    run_epoch = _epoch.engine.run_epoch

    def spoilt(data, model, *args, **kwargs):
        sums = run_epoch(data, model, *args, **kwargs)
        model.theta[place] = np.inf
        return sums

    monkeypatch.setattr(_epoch.engine, "run_epoch", spoilt)
    est = LinearRegression(solver="sgd", alpha=alpha, batch_size=batch_size, random_state=0)
    with pytest.raises(ValueError, match="non-finite number in epoch 1"):
        est.fit(X, y)
