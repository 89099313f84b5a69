"""What a fitted estimator holds, and that it can be repeated, resumed, stored and shared."""

import copy
import io
import pickle
import pickletools
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

pytestmark = pytest.mark.usefixtures("by_feature")

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")
EVERY_SOLVER = (*EPOCHWISE, "lbfgs")
NEVER = {"tol": 0.0, "n_iter_no_change": 10**6}


def data(kind="three", n=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)) * (rng.random((n, 5)) < 0.7)
    z = X @ [1.0, -2.0, 0.5, 1.5, 0.0] + rng.normal(size=n)
    y = z if kind == "regression" else np.array(["a", "b", "c"])[np.digitize(z, [-1, 1])]
    return X, y, rng.integers(0, 4, size=n).astype(float)


def model(kind="three", **params):
    params = {"batch_size": 8, "max_iter": 3, "learning_rate": "constant"} | NEVER | params
    params = {"random_state": 0} | params
    return (LinearRegression if kind == "regression" else LogisticRegression)(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def assert_same_bits(a, b):
    np.testing.assert_array_equal(a.coef_, b.coef_)
    np.testing.assert_array_equal(a.intercept_, b.intercept_)
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_
    assert (a.t_, a.n_updates_) == (b.t_, b.n_updates_)
    rates = [[record["learning_rate"] for record in est.history_] for est in (a, b)]
    assert rates[0] == rates[1]


AS_ROWS = pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])


@AS_ROWS
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_same_seed_gives_the_same_bits_and_another_seed_another_order(solver, as_rows):
    X, y, weight = data()
    first, second, other = (
        fit(model(solver=solver, random_state=seed), as_rows(X), y, weight) for seed in (3, 3, 4)
    )
    assert_same_bits(first, second)
    if solver not in ("gd", "lbfgs"):
        assert not np.array_equal(first.coef_, other.coef_)
    drawn = fit(model(solver=solver, random_state=np.random.RandomState(3)), as_rows(X), y, weight)
    again = fit(model(solver=solver, random_state=np.random.RandomState(3)), as_rows(X), y, weight)
    assert_same_bits(drawn, again)


@AS_ROWS
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("average", [False, True, 150])
@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_resumed_run_equals_an_uninterrupted_one(solver, kind, average, how, as_rows):
    X, y, weight = data(kind)
    X = as_rows(X)
    est = model(kind, solver=solver, average=average, momentum=0.5)
    whole = fit(clone(est).set_params(max_iter=6), X, y, weight)
    fit(est, X, y, weight)
    if how == "warm_start":
        fit(est.set_params(warm_start=True), X, y, weight)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                est.partial_fit(X, y, sample_weight=weight)
    assert_same_bits(est, whole)
    assert [record["epoch"] for record in est.history_] == [1, 2, 3, 4, 5, 6]


@AS_ROWS
@pytest.mark.parametrize(
    "params",
    [
        {"learning_rate": "invscaling"},
        {"learning_rate": "adaptive"},
        {"precondition": False},
        {"fit_intercept": False},
        {"dtype": "float32"},
        {"shuffle": False},
        {"l1_ratio": 0.5, "alpha": 0.05, "polish_iter": 0},
        {"l1_ratio": 0.5, "alpha": 0.05},
    ],
    ids=str,
)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_resumed_run_equals_an_uninterrupted_one_whatever_the_settings(solver, params, as_rows):
    X, y, weight = data()
    est = model(solver=solver, **params)
    whole = fit(clone(est).set_params(max_iter=6), as_rows(X), y, weight)
    fit(est.set_params(warm_start=True), as_rows(X), y, weight)
    assert_same_bits(fit(est, as_rows(X), y, weight), whole)


def test_resumed_validation_scores_go_on():
    X, y, weight = data()
    val = {"X_val": X[:30], "y_val": y[:30], "sample_weight_val": weight[:30]}
    whole = fit(model(max_iter=6), X, y, **val)
    est = fit(model(), X, y, **val)
    for _ in range(3):
        est.partial_fit(X, y, **val)
    assert_same_bits(est, whole)
    assert len(est.validation_scores_) == 6


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_n_iter_is_of_the_last_call_and_the_curves_go_on(solver):
    X, y, _ = data()
    est = fit(model(solver=solver, warm_start=True), X, y)
    assert est.n_iter_ == len(est.loss_curve_) == 3
    fit(est.set_params(max_iter=2), X, y)
    assert (est.n_iter_, len(est.loss_curve_), len(est.history_)) == (2, 5, 5)
    est.partial_fit(X, y)
    assert (est.n_iter_, len(est.loss_curve_), len(est.history_)) == (1, 6, 6)
    fit(est.set_params(warm_start=False), X, y)
    assert est.n_iter_ == len(est.loss_curve_) == len(est.history_) == 2


def test_warm_start_of_lbfgs_goes_on_from_the_former_weights():
    X, y, _ = data()
    est = fit(model(solver="lbfgs", warm_start=True, max_iter=4, alpha=0.01), X, y)
    first = list(est.loss_curve_)
    fit(est, X, y)
    assert est.loss_curve_[:4] == first and len(est.loss_curve_) == 8
    assert max(est.loss_curve_[4:]) <= min(first)
    fit(est.set_params(max_iter=500), X, y)
    coef = est.coef_.copy()
    fit(est, X, y)
    assert est.n_iter_ <= 3
    np.testing.assert_allclose(est.coef_, coef, rtol=1e-4)


def through_pickle(est):
    return pickle.loads(pickle.dumps(est))


def through_joblib(est):
    buffer = io.BytesIO()
    joblib.dump(est, buffer, compress=3)
    buffer.seek(0)
    return joblib.load(buffer)


@AS_ROWS
@pytest.mark.parametrize("through", [through_pickle, through_joblib, copy.deepcopy])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_stored_estimator_predicts_and_trains_on_like_the_original(solver, through, as_rows):
    X, y, weight = data()
    X = as_rows(X)
    est = fit(model(solver=solver, average=True), X, y, weight)
    stored = through(est)
    assert_same_bits(est, stored)
    np.testing.assert_array_equal(est.predict_proba(X), stored.predict_proba(X))
    for _ in range(2):
        before = stored.coef_.copy()
        est.partial_fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(stored.coef_, before)  # nothing is shared
        stored.partial_fit(X, y, sample_weight=weight)
        assert_same_bits(est, stored)


def test_clone_shares_nothing():
    X, y, weight = data()
    est = fit(model(class_weight={"a": 2.0, "b": 1.0, "c": 1.0}), X, y, weight)
    before, params = joblib.hash(vars(est)), est.get_params()
    copied = clone(est)
    assert vars(copied).keys() == params.keys()
    copied.class_weight["a"] = 99.0
    fit(copied, X[::-1], y)
    copied.partial_fit(X, y)
    assert joblib.hash(vars(est)) == before
    assert not np.array_equal(copied.coef_, est.coef_)


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
@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_fitted_estimator_holds_only_plain_objects(solver, kind, early):
    X, y, weight = data(kind)
    est = model(kind, solver=solver, average=True, early_stopping=early)
    fit(est, pd.DataFrame(X, columns=list("vwxyz")), y, sample_weight=weight)
    for name, value in vars(est).items():
        assert_plain(value, name)
    # Loading it needs no code of the package but the class itself.
    text = [
        op for op in pickletools.genops(pickle.dumps(est, protocol=0)) if op[0].name == "GLOBAL"
    ]
    ours = {arg for _, arg, _ in text if arg.startswith("skopt_est")}
    assert ours == {f"{type(est).__module__} {type(est).__name__}"}


@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_partial_fit_over_chunks_comes_close_to_fit(solver, kind):
    X, y, _ = data(kind, n=600)
    whole = fit(model(kind, solver=solver, max_iter=200), X, y)
    chunked = model(kind, solver=solver)
    for _ in range(60):
        for rows in np.array_split(np.arange(600), 4):
            chunked.partial_fit(
                X[rows], y[rows], **({"classes": list("abc")} if kind == "three" else {})
            )
    assert len(chunked.loss_curve_) == 240 and chunked.t_ == 60 * 600
    assert abs(chunked.score(X, y) - whole.score(X, y)) < 0.03


@AS_ROWS
def test_threads_that_share_arrays_change_no_bit(as_rows):
    X, y, weight = data(n=2000)
    X = as_rows(X)
    jobs = [model(solver=s, batch_size=b, max_iter=5) for s in EVERY_SOLVER for b in (4, 64)]
    serial = [fit(clone(est), X, y, weight) for est in jobs]
    with warnings.catch_warnings(), ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("ignore", ConvergenceWarning)
        threaded = list(pool.map(lambda est: est.fit(X, y, weight), jobs))
    for a, b in zip(serial, threaded, strict=True):
        assert_same_bits(a, b)


def memory_mapped(array, folder):
    path = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def read_only(array, _):
    array = array.copy()
    array.flags.writeable = False
    return array


def strided(array, _):
    wide = np.zeros([3 * size for size in array.shape], dtype=array.dtype)
    view = wide[tuple(slice(1, None, 3) for _ in array.shape)]
    view[...] = array
    return view


NATIVE = {"little": "<", "big": ">"}[sys.byteorder]
LAYOUTS = {
    "read-only": read_only,
    "memory-mapped": memory_mapped,
    "Fortran": lambda array, _: np.asfortranarray(array),
    "strided": strided,
    "reversed": lambda array, _: array[::-1].copy()[::-1],
    "big-endian": lambda array, _: array.astype(array.dtype.newbyteorder(">")),
    "order of bytes named": lambda array, _: array.view(array.dtype.newbyteorder(NATIVE)),
    "int64": lambda array, _: array.astype(np.int64),
    "int8": lambda array, _: array.astype(np.int8),
    "list": lambda array, _: array.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_layout_of_the_arrays_changes_nothing_and_is_not_changed(solver, layout, tmp_path):
    rng = np.random.default_rng(0)
    X, y, weight = (rng.integers(0, 5, shape).astype(float) for shape in ((50, 4), 50, 50))
    est = model("regression", solver=solver)
    reference = fit(clone(est), X, y, weight, X_val=X, y_val=y, sample_weight_val=weight)
    given = [LAYOUTS[layout](array, tmp_path) for array in (X, y, weight)]
    val = dict(zip(("X_val", "y_val", "sample_weight_val"), given, strict=True))
    assert_same_bits(fit(est, *given, **val), reference)
    np.testing.assert_allclose(est.predict(given[0]), reference.predict(X), rtol=1e-13)
    for array, original in zip(given, (X, y, weight), strict=True):
        np.testing.assert_array_equal(array, original)
