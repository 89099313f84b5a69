"""Files of fitted estimators: those of each release load, skops has nothing to trust but the
estimator's own class, and what can't be read says so."""

import copy
import importlib.util
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import skopt_est
from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor, _stored

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HERE = Path(__file__).parent / "data"
RELEASES = sorted((HERE / "saved").iterdir())
TOLD = {folder: json.loads((folder / "predictions.json").read_text("utf-8")) for folder in RELEASES}
FILES = [
    pytest.param(folder, name, kind, id=f"{folder.name}-{name}-{kind}")
    for folder in RELEASES
    for name in TOLD[folder]
    for kind in ("pkl", "skops")
]


def script():
    """tests/data/make_saved_files.py as a module."""
    spec = importlib.util.spec_from_file_location("make", HERE / "make_saved_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def through_skops(est):
    """est after a round trip in which its own class is the only thing to trust."""
    data = skops.io.dumps(est)
    own = f"{type(est).__module__}.{type(est).__name__}"
    assert skops.io.get_untrusted_types(data=data) == [own]
    return skops.io.loads(data, trusted=[own])


def through_pickle(est):
    return pickle.loads(pickle.dumps(est))


class OnlyArrays(pickle.Unpickler):
    """Finds nothing but numpy's arrays and this package's estimators."""

    def find_class(self, module, name):
        estimator = module.startswith("skopt_est.") and hasattr(skopt_est, name)
        assert estimator or (module.partition(".")[0], name) in {
            ("numpy", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy", "scalar"),
        }, f"{module}.{name}"
        return super().find_class(module, name)


def load(folder, name, kind):
    path = folder / f"{name}.{kind}"
    if kind == "pkl":
        with path.open("rb") as file:
            return OnlyArrays(file).load()
    (own,) = skops.io.get_untrusted_types(file=path)
    assert own.rpartition(".")[2] in skopt_est.__all__
    return skops.io.load(path, trusted=[own])


@pytest.mark.parametrize("folder, name, kind", FILES)
def test_files_of_a_release_predict_and_train_on(folder, name, kind):
    est, told = load(folder, name, kind), TOLD[folder][name]
    dtype = np.dtype(told["dtype"])
    X = pd.DataFrame(np.array(told["X"], dtype), columns=["a", "b", "c"])
    tolerance = {"rtol": 2e-6, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12}
    expected = np.array(told["predict"])
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(est.predict(X), expected, **tolerance)
    else:
        np.testing.assert_array_equal(est.predict(X), expected)
    if "predict_proba" in told:
        np.testing.assert_allclose(est.predict_proba(X), told["predict_proba"], **tolerance)
    epochs = len(est.loss_curve_)
    fit(est.set_params(warm_start=True, early_stopping=False), X, np.array(told["y"]))
    assert np.isfinite(est.loss_curve_).all() and len(est.loss_curve_) > epochs


def test_every_estimator_of_this_version_has_its_files():
    folder = HERE / "saved" / skopt_est.__version__
    kinds = {type(load(folder, name, "pkl")).__name__ for name in TOLD[folder]}
    assert kinds == {"LinearRegression", "LogisticRegression", "MLPClassifier", "MLPRegressor"}
    for name in TOLD[folder]:
        assert (folder / f"{name}.skops").is_file()


@pytest.mark.parametrize("name", script().CASES)
def test_a_change_of_the_attributes_comes_with_another_state_version(name):
    """An estimator of today has the attributes that its state version says it has."""
    est, *_ = script().fitted(name)
    version = est.__getstate__()["_state_version"]
    for folder in RELEASES:
        with (folder / f"{name}.pkl").open("rb") as file:
            stored = pickle.load(file)
        if read_version(folder / f"{name}.pkl") == version:
            assert vars(stored).keys() == vars(est).keys(), folder
            assert stored._state.keys() == est._state.keys(), folder
            assert stored._record.keys() == est._record.keys(), folder


def read_version(path):
    """The state version that a pickle says it has."""
    found = []

    class Recorder(pickle.Unpickler):
        def find_class(self, module, name):
            original = super().find_class(module, name)
            if not module.startswith("skopt_est."):
                return original
            state = lambda self, state: found.append(state["_state_version"])  # noqa: E731
            return type(name, (original,), {"__setstate__": state})

    with path.open("rb") as file:
        Recorder(file).load()
    return found[0]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"_state_version": 2, "_skopt_est_version": "7.3.1"}, "skopt_est 7.3.1.*Upgrade"),
        ({"_state_version": 0}, "with state version 0.*version that saved it"),
        ({"_state_version": "1"}, "version '1'.*version that saved it"),
        ({"_state_version": None}, "version None"),
        ({"_state_version": None, "_skopt_est_version": None}, "unknown version of skopt_est"),
    ],
    ids=str,
)
@pytest.mark.parametrize("through", [through_pickle, through_skops, copy.deepcopy])
def test_another_state_version_is_refused(monkeypatch, through, change, said):
    est = LinearRegression(max_iter=2).fit(np.eye(3), np.arange(3.0))
    genuine = _stored.StoredEstimator.__getstate__
    monkeypatch.setattr(
        _stored.StoredEstimator, "__getstate__", lambda self: genuine(self) | change
    )
    with pytest.raises(ValueError, match=rf"This LinearRegression was saved by .*{said}"):
        through(est)


def test_a_state_without_versions_is_refused():
    est = LinearRegression(max_iter=2).fit(np.eye(3), np.arange(3.0))
    with pytest.raises(ValueError, match="state version None"):
        clone(est).__setstate__(dict(vars(est)))


@pytest.mark.parametrize("through", [through_pickle, through_skops])
def test_the_version_is_in_files_and_not_in_estimators(through):
    est = through(LogisticRegression(alpha=0.5))
    assert vars(est) == LogisticRegression(alpha=0.5).get_params()
    assert est.__getstate__()["_skopt_est_version"] == skopt_est.__version__


# -- skops: every way to be fitted --------------------------------------------------------------

ROWS = np.random.default_rng(0).normal(size=(90, 4))
SIGNAL = ROWS @ [1.0, -2.0, 0.5, 0.0] + np.random.default_rng(1).normal(size=90)
WORDS = np.array(["low", "middle", "top"])[np.digitize(SIGNAL, [-1, 1])]
TARGETS = {
    "one number": SIGNAL,
    "numbers": np.c_[SIGNAL, -SIGNAL],
    "integers": (SIGNAL > 0).astype(int),
    "booleans": SIGNAL > 0,
    "strings": WORDS,
    "objects": WORDS.astype(object),
    "labels": np.c_[SIGNAL > 0, SIGNAL > 1].astype(int),
}
OF_CLASS = {
    LinearRegression: ("one number", "numbers"),
    MLPRegressor: ("one number", "numbers"),
    LogisticRegression: ("integers", "booleans", "strings", "objects"),
    MLPClassifier: ("integers", "strings", "objects", "labels"),
}
WAYS = {
    "plain": {},
    "averaged": {"average": True},
    "average from": {"average": 50},
    "lbfgs": {"solver": "lbfgs"},
    "gd": {"solver": "gd"},
    "nadam float32": {"solver": "nadam", "dtype": "float32"},
    "early": {"early_stopping": True},
    "early by name": {"early_stopping": True, "by_name": True},
    "generator": {"random_state": np.random.RandomState(3)},
    "no generator": {"random_state": None},
    "infinite patience": {"n_iter_no_change": np.inf, "learning_rate": "cosine"},
    "numpy numbers": {"alpha": np.float64(0.1), "max_iter": np.int64(4), "tol": np.float32(0)},
    "numpy function": {"learning_rate": np.cos},
    "stopped by tol": {"tol": 1e3},
}
CASES = [
    pytest.param(cls, target, way, id=f"{cls.__name__}-{target}-{way}")
    for cls, targets in OF_CLASS.items()
    for target in targets
    for way in WAYS
]


def fit(est, X, y, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(X, y, **more)


def make(cls, way):
    params = dict(WAYS[way])
    if params.pop("by_name", False):
        params["scoring"] = "accuracy" if "Class" in cls.__name__ else "r2"
        if cls is LogisticRegression:
            params["scoring"] = "neg_log_loss"
    if cls in (MLPClassifier, MLPRegressor):
        params |= {"hidden_layer_sizes": [4, np.int64(3)], "activation": ("relu", "tanh")}
        params |= {"dropout": (0.1, 0.0)} if params.get("solver") != "lbfgs" else {}
    return cls(**{"max_iter": 3, "random_state": 0, "batch_size": 16, **params})


def parameters(est):
    return (
        [*est.coefs_, *est.intercepts_] if hasattr(est, "coefs_") else [est.coef_, est.intercept_]
    )


def assert_equal_fits(a, b):
    for x, y in zip(parameters(a), parameters(b), strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.loss_curve_ == b.loss_curve_ and a.validation_scores_ == b.validation_scores_
    for name in ("t_", "n_updates_", "n_iter_", "best_iter_", "best_loss_"):
        assert getattr(a, name) == getattr(b, name), name


def go_on(est, X, y):
    """Train for more epochs than the estimator has seen; from a seed where it has none."""
    by = {"X_val": X[:20], "y_val": y[:20]} if est.early_stopping else {}
    if est.solver != "lbfgs" and est.random_state is not None:
        return est.partial_fit(X, y, **by)
    return fit(est.set_params(warm_start=True, random_state=0), X, y, **by)


@pytest.mark.parametrize("cls, target, way", CASES)
def test_skops_round_trip_trusts_the_class_alone_and_trains_on(cls, target, way):
    X, y = pd.DataFrame(ROWS, columns=list("abcd")), TARGETS[target]
    est = fit(make(cls, way), X, y)
    back = through_skops(est)
    assert vars(back).keys() == vars(est).keys()
    np.testing.assert_array_equal(back.predict(X), est.predict(X))
    if hasattr(est, "predict_proba"):
        np.testing.assert_array_equal(back.predict_proba(X), est.predict_proba(X))
    assert_equal_fits(est, back)
    for _ in range(2):
        before = copy.deepcopy(parameters(back))
        go_on(est, X, y)
        for x, z in zip(before, parameters(back), strict=True):
            np.testing.assert_array_equal(x, z)  # nothing is shared
        assert_equal_fits(est, go_on(back, X, y))


@pytest.mark.parametrize("cls", OF_CLASS)
def test_skops_round_trip_after_partial_fit_on_sparse_rows(cls):
    X, y = sparse.csr_matrix(ROWS * (ROWS > 0)), TARGETS[OF_CLASS[cls][-1]]
    classes = {}
    if cls in (LogisticRegression, MLPClassifier):
        classes = {"classes": np.arange(2) if y.ndim == 2 else np.unique(y)}
    est = make(cls, "averaged").partial_fit(X[:40], y[:40], **classes)
    back = through_skops(est.partial_fit(X[40:], y[40:]))
    for _ in range(3):
        assert_equal_fits(est.partial_fit(X, y), back.partial_fit(X, y))


@pytest.mark.parametrize("cls", OF_CLASS)
def test_an_estimator_that_is_not_fitted_goes_through_skops(cls):
    est = make(cls, "plain")
    assert through_skops(est).get_params() == est.get_params()
