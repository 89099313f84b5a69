"""scikit-learn's callbacks: what they are told, when, and what they can do."""

import importlib
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor, _callbacks

if parse_version(sklearn.__version__) < parse_version("1.9"):
    pytest.skip("scikit-learn has callbacks since 1.9", allow_module_level=True)
callback = importlib.import_module("sklearn.callback")

EVERY = [LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor]
SOLVERS = ["gd", "sgd", "adam", "lbfgs"]
each_fit = pytest.mark.parametrize(
    ("cls", "solver"), [(cls, solver) for cls in EVERY for solver in SOLVERS]
)


class Hooks:
    """Notes what it is told, and lets `act(estimator, context, fitted_estimator)` answer."""

    def __init__(self, act=None, begin=None):
        self.act, self.on_begin = act, begin
        self.calls = []

    def of(self, hook, task="epoch"):
        return [c for c in self.calls if c["hook"] == hook and c["task"] == task]

    def setup(self, estimator, context):
        self.calls.append({"hook": "setup", "task": context.task_name})

    def teardown(self, estimator, context):
        self.calls.append({"hook": "teardown", "task": context.task_name})

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.note("begin", estimator, context, X=X, y=y, metadata=metadata)
        if self.on_begin is not None:
            self.on_begin(estimator, context)

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        told = dict(X=X, y=y, metadata=metadata, fitted=fitted_estimator)
        self.note("end", estimator, context, **told)
        return self.act(estimator, context, fitted_estimator) if self.act else None

    def note(self, hook, estimator, context, **told):
        place = {"task": context.task_name, "id": context.task_id, "most": context.max_subtasks}
        self.calls.append({"hook": hook, "estimator": estimator} | place | told)


class Plain:
    """Asks for nothing, so nothing need be made for it."""

    def __init__(self):
        self.epochs = 0

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.epochs += context.task_name == "epoch"


def data(cls, n=90):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 4))
    z = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=n)
    return X, z if cls in (LinearRegression, MLPRegressor) else np.where(z > 0, "yes", "no")


def model(cls, **params):
    params = {"random_state": 0, "max_iter": 6, "tol": 0.0, "n_iter_no_change": np.inf} | params
    if cls in (MLPClassifier, MLPRegressor):
        params = {"hidden_layer_sizes": (5,), "batch_size": 30} | params
    if cls is LinearRegression:
        params = {"loss": "huber"} | params  # lbfgs takes some iterations
    return cls(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    arrays = [*est.coefs_, *est.intercepts_] if hasattr(est, "coefs_") else [est.coef_]
    arrays += [] if hasattr(est, "coefs_") else [est.intercept_]
    return np.concatenate([np.ravel(array) for array in arrays])


def at_epoch(number, answer):
    """Answers at the end of the epoch of this number, from 1."""

    def act(estimator, context, fitted):
        return answer() if (context.task_name, context.task_id) == ("epoch", number - 1) else None

    return act


# -- what they are told --------------------------------------------------------------------------


def test_weights_are_told_in_double_precision():
    X, y = data(LinearRegression)
    weight, hooks = np.full(len(y), 0.5, np.float32), Hooks()
    fit(LinearRegression(max_iter=2).set_callbacks(hooks), X, y, sample_weight=weight)
    for told in hooks.of("begin"):  # scorers sum in the precision of what they are given
        assert told["metadata"]["sample_weight"].dtype == np.float64


@each_fit
def test_each_epoch_is_a_task_of_the_fit(cls, solver):
    X, y = data(cls)
    weight, hooks = np.ones(len(y)), Hooks()
    est = fit(model(cls, solver=solver).set_callbacks(hooks), X, y, sample_weight=weight)
    assert [c["hook"] for c in hooks.calls][:: len(hooks.calls) - 1] == ["setup", "teardown"]
    begun, ended = hooks.of("begin"), hooks.of("end")
    assert [c["id"] for c in begun] == [c["id"] for c in ended] == list(range(est.n_iter_))
    pairs = [c["hook"] for c in hooks.calls if c["task"] == "epoch"]
    assert pairs == ["begin", "end"] * est.n_iter_
    (whole,) = hooks.of("end", "fit")
    assert whole["most"] == 6 and whole["fitted"].n_iter_ == est.n_iter_
    for told in (*begun, *ended, whole):
        assert told["X"] is X and told["y"] is y and told["estimator"] is est
        np.testing.assert_array_equal(told["metadata"]["sample_weight"], weight)


@each_fit
def test_fitted_estimator_is_that_of_a_fit_that_ends_there(cls, solver):
    X, y = data(cls)
    hooks = Hooks()
    full = fit(model(cls, solver=solver, learning_rate="constant").set_callbacks(hooks), X, y)
    for told in hooks.of("end"):
        there = told["fitted"]
        alone = fit(clone(full).set_callbacks().set_params(max_iter=told["id"] + 1), X, y)
        np.testing.assert_array_equal(weights_of(there), weights_of(alone))
        np.testing.assert_array_equal(there.predict(X), alone.predict(X))
        assert there.loss_curve_ == alone.loss_curve_
        assert (there.n_iter_, there.t_, there.n_updates_, there.best_iter_) == (
            *(alone.n_iter_, alone.t_, alone.n_updates_, alone.best_iter_),
        )


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("cls", EVERY)
def test_fitted_estimator_is_a_checkpoint(cls, average):
    X, y = data(cls)
    kept = Hooks()
    full = model(cls, learning_rate="constant", average=average).set_callbacks(kept)
    fit(full, X, y)
    there = pickle.loads(pickle.dumps(kept.of("end")[1]["fitted"].set_callbacks()))
    fit(there.set_params(warm_start=True, max_iter=4), X, y)
    np.testing.assert_array_equal(weights_of(there), weights_of(full))
    assert there.loss_curve_ == full.loss_curve_


def test_fitted_estimator_is_made_only_where_it_is_asked_for(monkeypatch):
    made = []
    original = LogisticRegression._fitted_so_far

    def count(self, *args):
        made.append(self)
        return original(self, *args)

    monkeypatch.setattr(LogisticRegression, "_fitted_so_far", count)
    X, y = data(LogisticRegression)
    plain = Plain()
    est = fit(model(LogisticRegression).set_callbacks(plain), X, y)
    assert (plain.epochs, made) == (est.n_iter_, [])
    fit(est.set_callbacks(plain, Hooks()), X, y)
    assert len(made) == est.n_iter_


def test_nobody_is_told_where_nobody_listens(monkeypatch):
    monkeypatch.setattr(_callbacks.Tasks, "begin", None)
    X, y = data(MLPClassifier)
    fit(model(MLPClassifier), X, y)
    with pytest.raises(TypeError, match="not callable"):
        fit(model(MLPClassifier).set_callbacks(Plain()), X, y)


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_rows_that_are_held_out_are_not_training_data(scoring):
    X, y = data(LogisticRegression)
    X = pd.DataFrame(X, columns=list("abcd"))
    weight, hooks = np.arange(1.0, len(y) + 1), Hooks()
    est = model(LogisticRegression, early_stopping=True, scoring=scoring, max_iter=2)
    fit(est.set_callbacks(hooks), X, y, sample_weight=weight)
    told = hooks.of("end")[0]
    rows = X.index.get_indexer(told["X"].index)
    assert len(rows) == 81 and est.t_ == 2 * 81
    pd.testing.assert_frame_equal(told["X"], X.iloc[rows])
    np.testing.assert_array_equal(told["y"], y[rows])
    np.testing.assert_array_equal(told["metadata"]["sample_weight"], weight[rows])
    assert hooks.of("begin")[1]["X"] is told["X"]  # taken once


def test_starts_lie_between_the_fit_and_its_epochs():
    X, y = data(MLPClassifier)
    hooks = Hooks()
    est = fit(model(MLPClassifier, n_init=3, max_iter=2).set_callbacks(hooks), X, y)
    assert [c["most"] for c in hooks.of("begin", "fit")] == [3]
    assert [(c["id"], c["most"]) for c in hooks.of("end", "start")] == [(0, 2), (1, 2), (2, 2)]
    assert [c["id"] for c in hooks.of("end")] == [0, 1] * 3
    assert est.n_iter_ == 2


@pytest.mark.parametrize("cls", EVERY)
def test_partial_fit_is_a_fit_of_one_epoch(cls):
    X, y = data(cls)
    hooks = Hooks()
    est = model(cls).set_callbacks(hooks)
    classes = {} if y.dtype == float else {"classes": np.unique(y)}
    est.partial_fit(X, y, **classes).partial_fit(X, y)
    names = [(c["hook"], c["task"]) for c in hooks.calls]
    call = [("setup", "partial-fit"), ("begin", "partial-fit"), ("begin", "epoch")]
    call += [("end", "epoch"), ("end", "partial-fit"), ("teardown", "partial-fit")]
    assert names == call * 2
    np.testing.assert_array_equal(weights_of(hooks.of("end")[1]["fitted"]), weights_of(est))


def test_epoch_that_diverged_has_no_fitted_estimator():
    X, y = data(LinearRegression)
    hooks = Hooks()
    est = model(LinearRegression, loss="squared_error", solver="sgd", batch_size=1)
    est.set_params(learning_rate=lambda p: 1.0 if p < 0.3 else 1e200, learning_rate_init=0.01)
    est.set_callbacks(hooks)
    with pytest.warns(ConvergenceWarning, match="non-finite"):
        est.fit(X, y)
    fitted = [c["fitted"] for c in hooks.of("end")]
    assert len(fitted) == est.n_iter_ > 1 and fitted[-1] is None and None not in fitted[:-1]


def test_hooks_see_numpy_as_their_caller_set_it():
    X, y = data(LogisticRegression)
    seen = []
    hooks = Hooks(lambda *_: seen.append(np.geterr()))
    with np.errstate(over="raise", invalid="call", under="print"):
        expected = np.geterr()
        fit(model(LogisticRegression, max_iter=1).set_callbacks(hooks), X, y)
    assert seen == [expected] * 2


def test_what_a_hook_sets_on_the_estimator_stays_and_what_scikit_learn_sets_does_not():
    X, y = data(LogisticRegression)

    def act(estimator, context, fitted):
        estimator.seen_ = context.task_name

    est = fit(model(LogisticRegression).set_callbacks(Hooks(act)), X, y)
    assert est.seen_ == "fit"
    assert est.coef_.shape == (1, 4)
    assert not [name for name in vars(est) if "callback" in name and name != "_skl_callbacks"]
    fit(est.set_callbacks(), X, y)
    assert not [name for name in vars(est) if "callback" in name]


# -- what they can do ----------------------------------------------------------------------------


@each_fit
def test_stop_request_ends_training_without_a_warning(cls, solver):
    X, y = data(cls)
    est = model(cls, solver=solver, learning_rate="constant")
    if cls in (LinearRegression, LogisticRegression):
        est.set_params(alpha=0.01, l1_ratio=1.0)  # the polish follows training all the same
    est.set_callbacks(Hooks(at_epoch(3, lambda: True)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y)
    assert est.n_iter_ == len(est.loss_curve_) == 3
    alone = fit(clone(est).set_callbacks().set_params(max_iter=3), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(alone))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_stop_request_leaves_the_weights_of_the_best_epoch(cls, solver):
    X, y = data(cls)
    scores = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    est = model(cls, solver=solver, early_stopping=True, scoring=lambda *_: next(scores))
    est.set_callbacks(Hooks(at_epoch(4, lambda: True))).fit(X, y)
    assert (est.n_iter_, est.best_iter_, est.best_validation_score_) == (4, 2, 0.9)
    plain = clone(est).set_callbacks().set_params(scoring="loss", max_iter=2)
    hooks = Hooks()
    fit(plain.set_callbacks(hooks), X, y)
    second = hooks.of("end")[1]["fitted"]
    np.testing.assert_array_equal(weights_of(est), weights_of(second))


@pytest.mark.parametrize("cls", EVERY)
def test_stopped_fit_goes_on_where_it_was(cls):
    X, y = data(cls)
    est = model(cls, learning_rate="constant", warm_start=True)
    full = fit(clone(est), X, y)
    est.set_callbacks(Hooks(at_epoch(2, lambda: True))).fit(X, y)
    fit(est.set_callbacks().set_params(max_iter=4), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(full))
    assert est.loss_curve_ == full.loss_curve_


def test_stop_request_ends_its_own_level_only():
    X, y = data(MLPClassifier)
    hooks = Hooks(at_epoch(1, lambda: True))
    fit(model(MLPClassifier, n_init=3).set_callbacks(hooks), X, y)
    assert [c["id"] for c in hooks.of("end")] == [0, 0, 0]
    hooks = Hooks(lambda estimator, context, fitted: context.task_name == "start")
    est = fit(model(MLPClassifier, n_init=3).set_callbacks(hooks), X, y)
    assert [c["id"] for c in hooks.of("end")] == list(range(6))
    alone = fit(model(MLPClassifier), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(alone))


class Broken(Exception):
    pass


@pytest.mark.parametrize("error", [Broken, ValueError, StopIteration, MemoryError])
@pytest.mark.parametrize("hook", ["begin", "end"])
@each_fit
def test_error_of_a_hook_goes_through_and_loses_nothing(cls, solver, hook, error):
    X, y = data(cls)

    def fail(estimator, context, *_):
        if (context.task_name, context.task_id) == ("epoch", 3):
            raise error("of the hook")

    hooks = Hooks(fail) if hook == "end" else Hooks(None, fail)
    est = model(cls, solver=solver, learning_rate="constant").set_callbacks(hooks)
    with pytest.raises(error, match="of the hook"):
        est.fit(X, y)
    assert hooks.calls[-1]["hook"] == "teardown"
    complete = 4 if hook == "end" else 3
    assert est.n_iter_ == len(est.loss_curve_) == len(est.history_) == complete
    clean = clone(est).set_callbacks()
    # the weights at which the best loss was met: of gd those before the step
    behind = 1 if solver == "gd" else 0
    best = fit(clean.set_params(max_iter=est.best_iter_ - behind), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(best))
    full = fit(clean.set_params(max_iter=complete), X, y)
    assert (est.t_, est.n_updates_) == (full.t_, full.n_updates_)
    assert est.loss_curve_ == full.loss_curve_


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("task", ["setup", "fit", "epoch"])
def test_error_before_the_first_epoch_changes_nothing(task, fitted):
    X, y = data(LogisticRegression)
    est = model(LogisticRegression)
    if fitted:
        fit(est, X, y)
    before = dict(vars(est))

    def fail(estimator, context):
        if context.task_name == task or task == "setup":
            raise Broken

    hooks = Hooks(None, fail)
    if task == "setup":
        hooks.setup = fail
    est.set_callbacks(hooks)
    with pytest.raises(Broken):
        est.fit(X[:, :2], np.where(y == "yes", 3, 4))
    est.set_callbacks()
    assert vars(est).keys() == before.keys()
    assert all(vars(est)[name] is before[name] for name in before)


@pytest.mark.parametrize("hook", ["end", "teardown"])
def test_error_after_the_last_epoch_leaves_a_complete_fit(hook):
    X, y = data(LogisticRegression)

    def fail(estimator, context, *_):
        if context.task_name == "fit":
            raise Broken

    hooks = Hooks(fail if hook == "end" else None)
    if hook == "teardown":
        hooks.teardown = fail
    est = model(LogisticRegression, alpha=0.01, l1_ratio=1.0).set_callbacks(hooks)
    with pytest.raises(Broken):
        fit(est, X, y)
    alone = fit(clone(est).set_callbacks(), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(alone))


def test_error_in_a_later_start_keeps_the_best_so_far():
    X, y = data(MLPClassifier)
    starts = []

    def fail(estimator, context, *_):
        starts.append(context.task_name)
        if starts.count("start") == 1 and starts[-1] == "epoch":
            raise Broken

    est = model(MLPClassifier, n_init=3, learning_rate_init=0.05).set_callbacks(Hooks(fail))
    with pytest.raises(Broken):
        fit(est, X, y)
    alone = fit(clone(est).set_callbacks().set_params(n_init=1), X, y)
    np.testing.assert_array_equal(weights_of(est), weights_of(alone))


# -- scikit-learn's own --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_scoring_monitor_logs_the_score_of_each_epoch(cls, solver):
    X, y = data(cls)
    X = pd.DataFrame(X, columns=list("abcd"))
    weight = np.random.default_rng(0).uniform(1, 2, len(y))
    monitor = callback.ScoringMonitor(scoring="accuracy")
    est = model(cls, solver=solver, learning_rate="constant").set_callbacks(monitor)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of column names
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X, y, sample_weight=weight)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    assert list(epochs.task_id) == list(range(est.n_iter_))
    for epoch, logged in zip(epochs.task_id, epochs.accuracy, strict=True):
        alone = clone(est).set_callbacks().set_params(max_iter=epoch + 1)
        fit(alone, X, y, sample_weight=weight)
        assert logged == alone.score(X, y, sample_weight=weight)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_in_a_pipeline_in_a_search(n_jobs):
    X, y = data(LogisticRegression)
    monitor = callback.ScoringMonitor(scoring={"own": make_scorer(accuracy_score)})
    clf = model(LogisticRegression, max_iter=4, batch_size=16).set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), clf),
        {"logisticregression__alpha": [0.1, 1.0, 10.0]},
        cv=2,
        n_jobs=n_jobs,
    )
    fit(search, X, y)
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    fits = epochs.groupby("parent_task_id_path").size()
    assert list(fits) == [4] * (3 * 2 + 1)
    # tasks of the refit: fit of the search, refit, fit of the pipeline's last step
    refit = epochs[epochs.parent_task_id_path == (0, 1, 1)]
    assert list(refit.task_id) == [0, 1, 2, 3]
    assert refit.own.iloc[-1] == search.score(X, y)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_progress_bars_of_candidates_folds_and_epochs(n_jobs, capsys):
    X, y = data(LogisticRegression)
    bars = callback.ProgressBar(max_propagation_depth=None)
    pipe = make_pipeline(StandardScaler(), model(LogisticRegression))
    search = GridSearchCV(pipe, {"logisticregression__alpha": [0.1, 1]}, cv=2, n_jobs=n_jobs)
    fit(search.set_callbacks(bars), X, y)
    lines = capsys.readouterr().out.splitlines()
    depth = [(len(line) - len(line.lstrip())) // 2 for line in lines if "%" in line]
    assert all("100%" in line for line in lines if "%" in line)
    # the search, its candidates and folds, the pipeline of each, its two steps; and the refit
    assert depth == [0, 1, *([2, 3, 3] * 4), 1, 2, 2]
    assert sum("LogisticRegression - fit" in line for line in lines) == 5


def test_progress_counts_epochs():
    X, y = data(LogisticRegression)
    shares = []
    bar = callback.ProgressBar()

    def act(estimator, context, fitted):
        shares.append((context.parent.max_subtasks, context.task_id))

    est = model(LogisticRegression, max_iter=3).set_callbacks(bar, Hooks(act))
    with pytest.raises(AttributeError, match="max_subtasks"):  # the fit has no parent
        fit(est, X, y)
    assert shares == [(3, 0), (3, 1), (3, 2)]
    assert est.n_iter_ == 3


def test_estimator_with_callbacks_is_cloned_pickled_and_searched():
    X, y = data(LogisticRegression)
    plain = Plain()
    est = model(LogisticRegression).set_callbacks(plain)
    assert clone(est)._skl_callbacks == [plain]
    fit(GridSearchCV(est, {"alpha": [0.1, 1]}, cv=2), X, y)
    assert plain.epochs == 5 * 6
    again = pickle.loads(pickle.dumps(fit(est, X, y)))
    np.testing.assert_array_equal(again.coef_, est.coef_)
    with pytest.raises(TypeError, match="FitCallback"):
        est.set_callbacks(print)


def test_without_scikit_learn_s_callbacks_there_are_none():
    code = """
import sys
import sklearn.linear_model, sklearn.model_selection, sklearn.multioutput
import sklearn.neural_network, sklearn.pipeline
sys.modules["sklearn.callback"] = None  # as in versions before 1.9: it can't be imported
from skopt_est import LogisticRegression
est = LogisticRegression(random_state=0).fit([[0.0], [1.0], [2.0]], [0, 1, 1])
print(hasattr(est, "set_callbacks"), est.coef_.shape)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "False (1, 1)"
