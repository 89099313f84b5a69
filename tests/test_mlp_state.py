"""What a fitted network holds, and that it can be repeated, resumed, stored and interrupted."""

import copy
import io
import pickle
import pickletools
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.usefixtures("by_feature")

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad")
EVERY_SOLVER = (*EPOCHWISE, "lbfgs")
KINDS = ("regression", "targets", "binary", "three", "labels")
AS_ROWS = pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])


def data(kind="three", n=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)) * (rng.random((n, 5)) < 0.7)
    z = X @ [1.0, -2.0, 0.5, 1.5, 0.0] + rng.normal(size=n)
    targets = {
        "regression": z,
        "targets": np.column_stack([z, np.abs(z)]),
        "binary": np.array(["no", "yes"])[(z > 0).astype(int)],
        "three": np.array(["a", "b", "c"])[np.digitize(z, [-1, 1])],
        "labels": np.column_stack([z > 0, z > 1, np.abs(z) > 1]).astype(int),
    }
    return X, targets[kind], rng.integers(0, 4, size=n).astype(float)


def model(kind="three", **params):
    params = {"hidden_layer_sizes": (4, 3), "batch_size": 8, "max_iter": 3} | params
    params = {"tol": 0.0, "n_iter_no_change": np.inf, "learning_rate_init": 0.01} | params
    cls = MLPRegressor if kind in ("regression", "targets") else MLPClassifier
    return cls(**{"random_state": 0} | params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])


def assert_same_bits(a, b):
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_
    assert (a.t_, a.n_updates_, a.best_iter_) == (b.t_, b.n_updates_, b.best_iter_)
    rates = [[record["learning_rate"] for record in est.history_] for est in (a, b)]
    assert rates[0] == rates[1]


def digest(est):
    """A digest per attribute: containers are compared by content, functions by identity."""
    return {k: id(v) if callable(v) else joblib.hash(v) for k, v in vars(est).items()}


# -- repeated ------------------------------------------------------------------------------------


@AS_ROWS
@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_same_seed_gives_the_same_bits_and_another_seed_others(solver, drop, as_rows):
    X, y, weight = data()
    drop = 0.0 if solver == "lbfgs" else drop
    first, second, other = (
        fit(model(solver=solver, random_state=seed, dropout=drop), as_rows(X), y, weight)
        for seed in (3, 3, 4)
    )
    assert_same_bits(first, second)
    assert not np.array_equal(weights_of(first), weights_of(other))
    drawn, again = (
        fit(model(solver=solver, random_state=np.random.RandomState(3), dropout=drop), X, y)
        for _ in range(2)
    )
    assert_same_bits(drawn, again)


@pytest.mark.parametrize("kind", ["three", "regression"])
def test_threads_that_share_arrays_change_no_bit(kind):
    X, y, weight = data(kind, n=1000)
    jobs = [
        model(kind, solver=s, batch_size=64, hidden_layer_sizes=(20,), n_init=2)
        for s in EVERY_SOLVER
    ]
    serial = [fit(clone(est), X, y, weight) for est in jobs]
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)
        threaded = list(pool.map(lambda est: est.fit(X, y, weight), jobs))
        predicted = list(pool.map(lambda est: est.predict(X), threaded))
    for a, b, labels in zip(serial, threaded, predicted, strict=True):
        assert_same_bits(a, b)
        np.testing.assert_array_equal(a.predict(X), labels)


# -- resumed -------------------------------------------------------------------------------------

SETTINGS = [
    {},
    {"dropout": 0.3, "input_dropout": 0.2, "learning_rate_init": 1e-3},
    {"average": True},
    {"average": 150, "dropout": [0.3, 0.0], "learning_rate_init": 1e-3},
    {"batch_size": 10**6, "l1_ratio": 0.5, "alpha": 0.01},
    {"max_grad_norm": 0.1, "activation": ["tanh", "gelu"]},
    {"dtype": "float32", "shuffle": False},
    {"learning_rate": "invscaling"},
    {"learning_rate": "adaptive"},
]


@AS_ROWS
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_resumed_run_equals_an_uninterrupted_one(solver, settings, how, as_rows):
    kind = KINDS[len(solver) % 5]
    X, y, weight = data(kind)
    X = as_rows(X)
    est = model(kind, solver=solver, **settings)
    whole = fit(clone(est).set_params(max_iter=6), X, y, weight)
    fit(est, X, y, weight)
    if how == "warm_start":
        fit(est.set_params(warm_start=True), X, y, weight)
        assert est.n_iter_ == 3
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                est.partial_fit(X, y, sample_weight=weight)
        assert est.n_iter_ == 1
    assert whole.n_iter_ == 6
    assert_same_bits(est, whole)
    assert [record["epoch"] for record in est.history_] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_dropout_is_no_divergence_of_a_resumed_run(solver):
    # Training losses are met with units missing: they are larger than the objective at the start.
    X, y, _ = data("regression")
    est = model("regression", solver=solver, dropout=0.5, input_dropout=0.3, warm_start=True)
    est.set_params(hidden_layer_sizes=20, max_iter=40, learning_rate_init=0.002)
    for _ in range(3):
        with pytest.warns(ConvergenceWarning, match="max_iter") as caught:
            est.fit(X, y)
        assert len(caught) == 1


def test_resumed_run_holds_out_the_same_rows():
    X, y, _ = data("regression")
    seen = []

    def scorer(est, X_val, y_val):
        seen.append(X_val)
        return float(len(seen))

    for est in (MLPRegressor(hidden_layer_sizes=3), LinearRegression()):
        est.set_params(early_stopping=True, scoring=scorer, random_state=0, warm_start=True)
        seen.clear()
        fit(est.set_params(max_iter=2), X, y)
        fit(est, X, y)
        np.testing.assert_array_equal(seen[-1], seen[0])


def test_counters_of_resumed_fits():
    X, y, weight = data()
    used = np.count_nonzero(weight)
    est = fit(model(warm_start=True), X, y, weight)
    steps = -(-used // 8)
    assert (est.n_iter_, est.t_, est.n_updates_) == (3, 3 * used, 3 * steps)
    fit(est.set_params(max_iter=2), X, y, weight)
    # n_iter_ is of the last call, as in scikit-learn; the curves and counters go on
    assert (est.n_iter_, est.t_, est.n_updates_) == (2, 5 * used, 5 * steps)
    assert len(est.loss_curve_) == len(est.history_) == 5
    est.partial_fit(X[:10], y[:10])
    assert (est.n_iter_, est.t_, est.n_updates_) == (1, 5 * used + 10, 5 * steps + 2)
    assert len(est.loss_curve_) == len(est.history_) == 6
    fit(est.set_params(warm_start=False), X, y)
    assert (est.n_iter_, est.t_, est.n_updates_) == (2, 2 * 90, 2 * 12)
    assert len(est.loss_curve_) == len(est.history_) == 2


def test_held_out_rows_are_not_counted():
    X, y, _ = data()
    est = fit(model(early_stopping=True, validation_fraction=0.2, solver="gd"), X, y)
    assert (est.n_iter_, est.t_, est.n_updates_) == (3, 3 * 72, 3)


def test_warm_start_of_lbfgs_goes_on_from_the_former_weights():
    X, y, _ = data()
    est = fit(model(solver="lbfgs", warm_start=True, max_iter=4, alpha=0.01), X, y)
    first = list(est.loss_curve_)
    fit(est, X, y)
    assert est.loss_curve_[:4] == first and len(est.loss_curve_) == 8 and est.n_iter_ == 4
    assert max(est.loss_curve_[4:]) <= min(first)
    fit(est.set_params(max_iter=1000, tol=1e-5), X, y)
    loss = est.loss_
    fit(est, X, y)
    assert est.loss_curve_[-est.n_iter_] <= loss and est.loss_ <= loss


def test_resumed_fit_goes_on_with_the_start_that_was_kept():
    X, y, _ = data()
    est = fit(model(n_init=3, warm_start=True), X, y)
    kept = fit(clone(est), X, y)
    fit(kept.set_params(n_init=1), X, y)
    assert_same_bits(fit(est, X, y), kept)


CHANGES = [
    ("regression", "regression", {"hidden_layer_sizes": (4, 2)}),
    ("regression", "regression", {"hidden_layer_sizes": (4,)}),
    ("regression", "regression", {"activation": "tanh"}),
    ("regression", "regression", {"activation": ["relu", "tanh"]}),
    ("regression", "regression", {"loss": "huber"}),
    ("regression", "regression", {"standardize_target": True}),
    ("regression", "targets", {}),
    ("three", "binary", {}),
    ("three", "labels", {}),
    ("labels", "three", {}),
]
NAMED = r"fit before|classes|labels|columns|features"


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(("before", "after", "change"), CHANGES, ids=str)
def test_what_a_resumed_fit_cannot_change_is_refused(before, after, change, method):
    X, y, _ = data(before)
    est = fit(model(before, warm_start=True), X, y).set_params(**change)
    state = digest(est)
    with pytest.raises(ValueError, match=NAMED):
        getattr(est, method)(X, data(after)[1])
    assert digest(est) == state


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", KINDS)
def test_resumed_fit_keeps_the_number_of_columns(kind, method):
    X, y, _ = data(kind)
    est = fit(model(kind, warm_start=True), X, y)
    state = digest(est)
    with pytest.raises(ValueError, match=r"4 features.*5 features"):
        getattr(est, method)(X[:, :4], y)
    assert digest(est) == state


# -- stored --------------------------------------------------------------------------------------


def through_joblib(est):
    buffer = io.BytesIO()
    joblib.dump(est, buffer, compress=3)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize(
    "through", [lambda est: pickle.loads(pickle.dumps(est)), through_joblib, copy.deepcopy]
)
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_stored_network_predicts_and_trains_on_like_the_original(solver, through):
    kind = KINDS[len(solver) % 5]
    X, y, weight = data(kind)
    est = fit(model(kind, solver=solver, average=True, dropout=0.2), X, y, weight)
    stored = through(est)
    assert_same_bits(est, stored)
    np.testing.assert_array_equal(est.predict(X), stored.predict(X))
    for _ in range(2):
        before = weights_of(stored).copy()
        est.partial_fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(weights_of(stored), before)  # nothing is shared
        stored.partial_fit(X, y, sample_weight=weight)
        assert_same_bits(est, stored)


def test_clone_shares_nothing():
    X, y, weight = data()
    sizes, names = [4, 3], ["relu", "tanh"]
    est = model(class_weight={"a": 2.0, "b": 1.0, "c": 1.0}, activation=names)
    fit(est.set_params(hidden_layer_sizes=sizes), X, y, weight)
    before, params = joblib.hash(vars(est)), est.get_params()
    copied = clone(est)
    assert vars(copied).keys() == params.keys()
    copied.class_weight["a"] = 99.0
    copied.activation[0] = "gelu"
    copied.hidden_layer_sizes[0] = 2
    fit(copied, X[::-1], y)
    copied.partial_fit(X, y)
    assert joblib.hash(vars(est)) == before


def assert_plain(value, where):
    """Only arrays, numbers, strings, None, and lists, tuples and dicts of them."""
    if isinstance(value, np.ndarray):
        assert type(value) is np.ndarray, where
        strings = value.dtype == object and all(type(item) is str for item in value)
        assert strings or value.dtype.kind in "biufU", where
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            assert_plain(item, f"{where}[{i}]")
    elif type(value) is dict:
        for key, item in value.items():
            assert_plain(key, f"a key of {where}")
            assert_plain(item, f"{where}[{key!r}]")
    else:
        allowed = (str, bool, int, float, np.number, np.bool_, type(None))
        assert isinstance(value, allowed), f"{where} is {type(value)}"


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_fitted_network_holds_only_plain_objects(solver, kind, early):
    X, y, weight = data(kind)
    est = model(kind, solver=solver, average=True, early_stopping=early)
    fit(est, pd.DataFrame(X, columns=list("vwxyz")), y, sample_weight=weight)
    for name, value in vars(est).items():
        assert_plain(value, name)
    # Loading it needs no code of the package but the class itself.
    ops = pickletools.genops(pickle.dumps(est, protocol=0))
    ours = {arg for op, arg, _ in ops if op.name == "GLOBAL" and arg.startswith("skopt_est")}
    assert ours == {f"{type(est).__module__} {type(est).__name__}"}


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("params", [{}, {"average": True}, {"solver": "lbfgs"}], ids=str)
def test_weights_are_views_of_one_array(params, standardize):
    X, y, _ = data("targets")
    est = fit(model("targets", standardize_target=standardize, **params), X, y)
    whole = est.coefs_[0].base
    assert whole.ndim == 1 and whole.size == 5 * 4 + 4 * 3 + 3 * 2 + 4 + 3 + 2
    assert all(array.base is whole for array in est.coefs_ + est.intercepts_)
    np.testing.assert_array_equal(np.sort(whole), np.sort(weights_of(est)))
    assert [W.shape for W in est.coefs_] == [(5, 4), (4, 3), (3, 2)]
    assert [b.shape for b in est.intercepts_] == [(4,), (3,), (2,)]
    assert (est.n_layers_, est.n_outputs_) == (4, 2)


def test_predictions_follow_the_public_weights():
    X, y, _ = data("regression")
    est = fit(model("regression", activation="tanh"), X, y)
    hidden = X
    for W, b in zip(est.coefs_[:-1], est.intercepts_[:-1], strict=True):
        hidden = np.tanh(hidden @ W + b)
    expected = hidden @ est.coefs_[-1] + est.intercepts_[-1]
    np.testing.assert_allclose(est.predict(X), expected[:, 0], rtol=1e-12)
    est.coefs_[-1][:] = 0.0
    est.intercepts_[-1][:] = 2.5
    np.testing.assert_array_equal(est.predict(X), np.full(len(X), 2.5))
    est.coefs_ = [np.asfortranarray(W.astype(np.float32)) for W in est.coefs_]
    np.testing.assert_array_equal(est.predict(X), np.full(len(X), 2.5))


def test_units_may_be_cut_out_of_a_fitted_network():
    X, y, _ = data("regression")
    est = fit(model("regression", activation="tanh"), X, y)
    est.coefs_[0] = np.ascontiguousarray(est.coefs_[0][:, ::2])
    est.intercepts_[0] = est.intercepts_[0][::2]
    est.coefs_[1] = est.coefs_[1][::2].copy()
    hidden = X
    for W, b in zip(est.coefs_[:-1], est.intercepts_[:-1], strict=True):
        hidden = np.tanh(hidden @ W + b)
    expected = (hidden @ est.coefs_[-1] + est.intercepts_[-1])[:, 0]
    np.testing.assert_allclose(est.predict(X), expected, rtol=1e-12)


def test_predictions_are_those_of_the_fitted_network():
    X, y, _ = data("regression")
    est = fit(model("regression"), X, y)
    before = est.predict(X)
    est.set_params(loss="poisson", activation="tanh", hidden_layer_sizes=(9,), solver="lbfgs")
    np.testing.assert_array_equal(est.predict(X), before)


# -- failed and interrupted ----------------------------------------------------------------------


def failures():
    """Name -> (changed parameters, changed arguments of fit)."""
    X, _, _ = data()
    missing = X.copy()
    missing[3, 1] = np.nan

    def failing(progress):
        raise RuntimeError("a schedule that fails")

    def failing_score(est, X_val, y_val):
        raise RuntimeError("a scorer that fails")

    val = {"X_val": X, "y_val": data()[1]}
    return {
        "NaN": ({}, {"X": missing}),
        "layers": ({"dropout": [0.1, 0.2, 0.3]}, {}),
        "schedule": ({"learning_rate": failing}, {}),
        "scorer": ({"scoring": failing_score}, val),
        "nan score": ({"scoring": lambda *_: np.nan, "early_stopping": True}, val),
        "never finite": ({"solver": "sgd", "learning_rate_init": 1e300, "alpha": 0.0}, {}),
    }


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", failures())
def test_failed_fit_leaves_the_network_as_it_was(name, fitted):
    params, arguments = failures()[name]
    X, y, _ = data()
    est = model()
    if fitted:
        fit(est, X, y)
    est.set_params(**params)
    before = digest(est)
    with pytest.raises((ValueError, RuntimeError)):
        est.fit(**{"X": X, "y": y} | arguments)
    assert digest(est) == before


@pytest.mark.parametrize("average", [False, True])
def test_interrupted_schedule_leaves_the_best_of_the_complete_epochs(average):
    X, y, _ = data()

    def interrupted(progress):
        if progress > 0.55:
            raise KeyboardInterrupt
        return 1.0

    est = model(max_iter=10, learning_rate=interrupted, average=average)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, y)
    epochs = est.n_iter_
    assert epochs == len(est.loss_curve_) == len(est.history_) == 5
    assert (est.t_, est.n_updates_) == (epochs * 90, epochs * 12)
    best = fit(clone(est).set_params(learning_rate="constant", max_iter=est.best_iter_), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(best))
    est.set_params(learning_rate="constant").partial_fit(X, y)
    assert est.t_ == (epochs + 1) * 90


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_interrupted_scorer_leaves_the_epoch_that_scored_best(solver):
    X, y, _ = data()
    scores = []

    def interrupted(est, X_val, y_val):
        if len(scores) == 6:
            raise KeyboardInterrupt
        scores.append(-abs(len(scores) - 2.0))
        return scores[-1]

    est = model(solver=solver, max_iter=50, scoring=interrupted, early_stopping=True)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, y, X_val=X, y_val=y)
    assert est.validation_scores_ == scores and est.n_iter_ == len(est.history_) == 6
    assert (est.best_iter_, est.best_validation_score_) == (3, 0.0)
    clean = clone(est).set_params(scoring="loss", early_stopping=False, max_iter=3)
    np.testing.assert_array_equal(weights_of(est), weights_of(fit(clean, X, y)))


def test_interrupt_before_the_first_epoch_changes_nothing():
    X, y, _ = data()

    def interrupted(progress):
        raise KeyboardInterrupt

    est = model(learning_rate=interrupted)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, y)
    assert vars(est) == est.get_params()


def test_interrupt_in_a_later_start_keeps_the_best_so_far():
    X, y, _ = data()
    steps = []

    def interrupted(progress):
        if len(steps) == 12 * 4:  # the second start has completed one of three epochs
            raise KeyboardInterrupt
        steps.append(progress)
        return 1.0

    est = model(learning_rate=interrupted, n_init=5, max_iter=3)
    with pytest.raises(KeyboardInterrupt):
        fit(est, X, y)
    alone = fit(model(max_iter=3), X, y)
    assert est.loss_curve_ == alone.loss_curve_
    np.testing.assert_array_equal(weights_of(est), weights_of(alone))
