"""Interruptions at any line: what a fit has is kept, and a search ends."""

import os
import random
import signal
import subprocess
import sys

import joblib
import numpy as np
import pytest
from faults import (
    EPOCHS,
    EVERY,
    ROWS,
    SOLVERS,
    AtLine,
    WithinTheLimit,
    assert_untouched,
    data,
    fit,
    lines_of,
    model,
    weights_of,
)
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from skopt_est import LogisticRegression, MLPClassifier, _threads, solvers
from skopt_est._core import engine


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(("cls", "solver"), [(c, s) for c in EVERY for s in SOLVERS])
def test_interrupt_at_any_line_leaves_the_best_of_the_complete_epochs(cls, solver, early_stopping):
    X, y = data(cls)
    est = model(cls, solver=solver, early_stopping=early_stopping)
    held = {"X_val": X[::2], "y_val": y[::2]} if early_stopping else {}
    full = fit(clone(est), X, y, **held)
    values = -np.array(full.validation_scores_) if early_stopping else np.array(full.loss_curve_)
    # without early stopping a shorter fit ends with its last epoch; of gd a loss is that of the
    # weights before its step
    shorter = clone(est).set_params(early_stopping=False)
    ends = [fit(clone(shorter).set_params(max_iter=k), X, y) for k in range(1, full.n_iter_ + 1)]
    behind = int(solver == "gd" and not early_stopping)
    epochs = []
    for number in lines_of(est, X, y, n=25, **held):
        cut = clone(est)
        with AtLine(number, KeyboardInterrupt) as fault, pytest.raises(KeyboardInterrupt):
            fit(cut, X, y, **held)
        if not hasattr(cut, "n_iter_"):
            assert vars(cut).keys() == est.get_params().keys()
            if "_take_over" not in fault.places and fault.places[0] != "_fit":
                epochs.append(0)  # elsewhere it may be that all was done, but not handed over
            continue
        k = cut.n_iter_
        epochs.append(k)
        assert k == len(cut.loss_curve_) == len(cut.history_) > 0
        assert cut.loss_curve_ == full.loss_curve_[:k]
        assert (cut.t_, cut.n_updates_) == (ends[k - 1].t_, ends[k - 1].n_updates_)
        assert cut.best_iter_ == 1 + np.argmin(values[:k])
        if cut.best_iter_ > behind and not np.array_equal(weights_of(cut), weights_of(full)):
            best = ends[cut.best_iter_ - 1 - behind]
            np.testing.assert_array_equal(weights_of(cut), weights_of(best))
        assert np.isfinite(cut.score(X, y))
    assert epochs == sorted(epochs) and 0 in epochs and len(set(epochs)) > 2


@pytest.mark.parametrize("cls", EVERY)
def test_interrupt_of_a_second_fit_leaves_one_of_the_two(cls):
    X, y = data(cls)
    other, z = data(cls, shift=3.0)
    other, z = other[:, :3], z if z.dtype == float else np.where(z == "yes", "left", "right")
    outcomes = set()
    for number in lines_of(model(cls), other, z, n=40):
        est = fit(model(cls), X, y)
        before, digest = dict(vars(est)), joblib.hash(vars(est))
        with AtLine(number, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
            fit(est, other, z)
        if est.n_features_in_ == 4:
            assert_untouched(est, before, digest)
        assert len(est.predict(other if est.n_features_in_ == 3 else X)) == ROWS
        outcomes.add(est.n_features_in_)
    assert outcomes == {3, 4}


@pytest.mark.parametrize("cls", [LogisticRegression, MLPClassifier])
def test_interrupted_partial_fit_leaves_the_call_before_or_its_own_epoch(cls):
    X, y = data(cls)
    est = model(cls).partial_fit(X, y, classes=np.unique(y)).partial_fit(X, y)
    before, digest = dict(vars(est)), joblib.hash(vars(est))
    again = clone(est)
    with AtLine(None, None) as counter:
        again.partial_fit(X, y, classes=np.unique(y))
    for number in range(10, counter.lines, counter.lines // 20):
        with AtLine(number, KeyboardInterrupt) as fault, pytest.raises(KeyboardInterrupt):
            est.partial_fit(X, y)
        if est.t_ > before["t_"]:  # the epoch was complete
            assert not {"_validate", "_steps"} & set(fault.places)
            assert (est.t_, len(est.history_)) == (3 * ROWS, 3)
            est.__dict__ = dict(before)
        assert_untouched(est, before, digest)


@pytest.mark.parametrize("seed", range(6))
def test_signal_at_a_random_epoch(seed):
    X, y = data(MLPClassifier)
    last = random.Random(seed).randrange(2, 40)
    steps = []

    def rate(progress):
        steps.append(progress)
        if len(steps) == 4 * last + 2:  # of four steps an epoch
            signal.raise_signal(signal.SIGINT)
        return 1.0

    est = model(MLPClassifier, max_iter=60, learning_rate=rate)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            est.fit(X, y)
    finally:
        signal.signal(signal.SIGINT, before)
    assert est.n_iter_ == last
    alone = clone(est).set_params(learning_rate=lambda _: 1.0, max_iter=est.best_iter_)
    np.testing.assert_array_equal(weights_of(est), weights_of(fit(alone, X, y)))


@pytest.mark.parametrize("fitted", [False, True])
def test_signal_within_an_epoch_is_heard_there(fitted):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 50)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)

    def rate(progress):
        # of processor time: the rates of all steps are asked for, then the first step is made
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.05)
        return 1.0

    # one epoch takes a second or more: if the signal waited for its end, there would be a fit
    est = MLPClassifier((500, 500), max_iter=1, learning_rate=rate, random_state=0)
    kept = fit(MLPClassifier((3,), max_iter=1), X[:90, :5], y[:90])
    if fitted:
        est.__dict__.update({name: vars(kept)[name] for name in vars(kept) if name[-1] == "_"})
        est._state, est._record = kept._state, kept._record
    names = set(vars(est))
    before = signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            fit(est, X, y)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert any(entry.name.endswith(".run_epoch") for entry in caught.traceback)
    assert set(vars(est)) == names
    assert hasattr(est, "coefs_") == fitted


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt_ends_a_search(n_jobs):
    X, y = data(LogisticRegression)

    def interrupted(estimator, X, y):
        raise KeyboardInterrupt

    est = model(LogisticRegression, scoring=interrupted, early_stopping=True)
    search = GridSearchCV(est, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=n_jobs, error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, y)
    assert not hasattr(search, "best_estimator_") and not hasattr(search, "cv_results_")


def calm(progress):
    return 1.0


class Interrupted:
    """A schedule that is interrupted once a training has come so far."""

    def __init__(self, progress):
        self.progress = progress

    def __call__(self, progress):
        if progress >= self.progress:
            raise KeyboardInterrupt
        return 1.0


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("progress", [0.0, 0.3, 0.8])
def test_interrupt_at_an_epoch_of_a_later_candidate_ends_a_search(progress, n_jobs):
    X, y = data(LogisticRegression)
    grid = {"learning_rate": [calm, Interrupted(progress)]}
    est = model(LogisticRegression, max_iter=10)
    search = GridSearchCV(est, grid, cv=2, n_jobs=n_jobs, error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        fit(search, X, y)
    assert not hasattr(search, "best_estimator_") and not hasattr(search, "cv_results_")


@pytest.mark.parametrize("seed", range(8))
def test_interrupt_at_a_random_step_of_a_search(seed):
    """Of any candidate, or of the fit of the best one."""
    X, y = data(LogisticRegression)
    steps = []

    def rate(progress):
        steps.append(progress)
        if len(steps) == last:
            raise KeyboardInterrupt
        return 1.0

    est = model(LogisticRegression, learning_rate=rate)
    search = GridSearchCV(est, {"alpha": [0.1, 1.0]}, cv=2, error_score=0.0)
    last = None
    fit(search, X, y)
    n_refit = EPOCHS * ROWS // 12
    first = len(steps) - n_refit if seed == 0 else 0
    last = first + 1 + random.Random(seed).randrange(len(steps) - first)
    steps.clear()
    again = clone(search)
    with pytest.raises(KeyboardInterrupt):
        fit(again, X, y)
    assert hasattr(search, "cv_results_") and not hasattr(again, "cv_results_")


SEARCH = """
import os, signal, sys
import numpy as np
from sklearn.model_selection import GridSearchCV
from skopt_est import LogisticRegression

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = (X[:, 0] > 0).astype(int)

class Rate:
    told = False
    def __call__(self, progress):
        if not self.told:
            self.told = True
            os.write(1, b"training\\n")
        return 1.0

est = LogisticRegression(learning_rate=Rate(), max_iter=10**9, n_iter_no_change=np.inf)
search = GridSearchCV(est, {"alpha": [0.1, 1.0]}, cv=2, n_jobs=int(sys.argv[1]))
try:
    search.fit(X, y)
except KeyboardInterrupt:
    os.write(1, b"interrupted\\n")
"""


@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_ctrl_c_in_a_terminal_ends_a_search(n_jobs):
    # a terminal sends the signal to all processes of the group
    search = subprocess.Popen(
        [sys.executable, "-P", "-c", SEARCH, n_jobs], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert search.stdout.readline() == b"training\n"
        os.killpg(search.pid, signal.SIGINT)
        output, _ = search.communicate(timeout=120)
    finally:
        if search.poll() is None:
            os.killpg(search.pid, signal.SIGKILL)
    assert output.splitlines()[-1] == b"interrupted"


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def blas_of_two_threads():
    with threadpool_limits(2, user_api="blas"):
        limit_and_lift(WithinTheLimit(None, None))  # the libraries are looked for once
        yield blas_threads()


def limit_and_lift(fault):
    with fault, _threads.one_blas_thread():
        pass
    return fault.lines


def test_interrupt_while_the_threads_of_blas_change(blas_of_two_threads):
    n_lines = limit_and_lift(WithinTheLimit(None, None))
    assert set(blas_of_two_threads) == {2} and n_lines > 20
    for number in range(1, n_lines + 1):
        with pytest.raises(KeyboardInterrupt):
            limit_and_lift(WithinTheLimit(number, KeyboardInterrupt()))
        assert blas_threads() == blas_of_two_threads and not _threads._entries


class Handler(WithinTheLimit):
    """A signal's handler that fits, as it were."""

    def act(self):
        with _threads.one_blas_thread():
            self.seen = blas_threads()


def test_handler_that_fits_while_the_threads_of_blas_change(blas_of_two_threads):
    for number in range(1, limit_and_lift(WithinTheLimit(None, None)) + 1):
        handler = Handler(number, None)
        limit_and_lift(handler)
        assert set(handler.seen) == {1}
        assert blas_threads() == blas_of_two_threads


# block: steps between two looks for signals
@pytest.mark.parametrize(
    "by_feature, d, batch_size, block", [(True, 12, 1, 33_024), (False, 2000, 32, 1049)]
)
@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam", "rmsprop"])
def test_sparse_epoch_that_is_interrupted_leaves_the_weights_of_its_steps(
    name, by_feature, d, batch_size, block
):
    """Of all features, up to the last step: a penalty shrinks them in each."""
    n = 400_000
    n_steps = n // batch_size
    rate = 0.5 if name == "adagrad" else 0.003
    rng = np.random.default_rng(0)
    X = csr_matrix((np.ones(n, np.float32), rng.integers(0, d, n), np.arange(n + 1)), (n, d))
    solver, order = solvers.SOLVERS[name](), np.arange(n, dtype=np.int32)
    network = engine.Network((d, 1))
    data = engine.Data(X, rng.random((n, 1), np.float32), engine.LOSS_CODES["squared_error"])
    age = np.arange(1.0, n_steps + 1)
    coefficients = solver.coefficients(age, np.full(n_steps, rate), np.zeros(4))
    momentum = solver.momentum_of(coefficients)

    def weights_after(steps, seconds=0.0):
        """None: it was not interrupted, though it should have been."""
        theta, slots = np.zeros(d + 1, np.float32), np.zeros((solver.n_slots(), d + 1), np.float32)
        strengths = np.zeros(d, np.float32), np.full(d, 0.3, np.float32)
        model = engine.Model(theta, slots, network, *strengths, solver.hyper())
        scratch, options = engine.Scratch(data, network), {}
        if by_feature and momentum is not None:
            tail = engine.momentum_tail(momentum.weights[:steps], momentum.ratio)
            options = {"tail": tail, **momentum._asdict()}
            del options["weights"]
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
            engine.run_epoch(
                *(data, model, scratch, order[: steps * batch_size], batch_size),
                coefficients[:steps],
                by_feature=by_feature,
                **options,
            )
        except KeyboardInterrupt:
            return theta
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None if seconds else theta

    before = signal.signal(signal.SIGVTALRM, signal.default_int_handler)
    try:
        # Too early, it finds no step made; too late, all of them, or comes when the epoch is over.
        complete = weights_after(n_steps)
        tried = (weights_after(n_steps, seconds) for seconds in np.geomspace(0.001, 1.0, 40))
        interrupted = next(
            theta
            for theta in tried
            if theta is not None and theta.any() and (theta != complete).any()
        )
    finally:
        signal.signal(signal.SIGVTALRM, before)
    looks = range(block, n_steps, block)
    off = [np.abs(weights_after(steps) - interrupted).max() for steps in looks]
    assert min(off) < 2e-6 < 2e-5 < sorted(off)[1]
