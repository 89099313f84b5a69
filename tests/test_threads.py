"""Threads within a fit or a prediction: the bits of one thread, no more threads than BLAS may have,
and what becomes of errors and of fewer threads than wanted."""

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, _full_pass, _threads
from skopt_est._core import engine
from skopt_est._full_pass import FullPass
from skopt_est._predict import _through_layers
from skopt_est.solvers import SOLVERS

SECONDS = 60
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Tables of a test's size are cut as large ones are."""
    monkeypatch.setattr(_full_pass, "PART_WORK", 300)
    monkeypatch.setattr(_full_pass, "GRADIENTS_SHARE", 1.0)
    monkeypatch.setattr("skopt_est._predict.PART_WORK", 1000)


@pytest.fixture
def at_work(monkeypatch):
    """How many threads were at work, one number a job."""
    found = []
    in_threads = _threads.in_threads

    def watched(job, count):
        # all that are allowed meet, so that none can do the work of another
        meeting = threading.Barrier(min(_threads.n_threads(), count))
        met, seen = threading.local(), set()

        def seen_job(i):
            if not hasattr(met, "met"):
                met.met = True
                meeting.wait(SECONDS)
            seen.add(threading.get_ident())
            return job(i)

        results = in_threads(seen_job, count)
        found.append(len(seen))
        return results

    monkeypatch.setattr(_full_pass, "in_threads", watched)
    monkeypatch.setattr("skopt_est._predict.in_threads", watched)
    return found


def table(n=3000, d=12, dtype=np.float64, form="dense", classes=2):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(dtype)
    scores = X @ rng.normal(size=(d, classes)) + rng.normal(size=(n, classes))
    if form == "csr":
        X[X < 0.3] = 0
        X = sparse.csr_matrix(X)
    return X, scores.argmax(axis=1)


FITS = {
    "lbfgs": LogisticRegression(solver="lbfgs", max_iter=8),
    "lbfgs, L1": LogisticRegression(solver="lbfgs", l1_ratio=0.5, max_iter=8),
    "gd": LogisticRegression(solver="gd", max_iter=8),
    "adam, one batch": LogisticRegression(batch_size=10**6, max_iter=8, average=True),
    "targets": LinearRegression(solver="lbfgs", max_iter=8),
    "network, lbfgs": MLPClassifier((7,), solver="lbfgs", max_iter=8),
    "network, gd": MLPClassifier((7,), solver="gd", max_iter=8),
    "validation": LogisticRegression(early_stopping=True, max_iter=4),
}


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FITS)
def test_fits_have_the_bits_of_one_thread(name, dtype, form, classes, at_work):
    X, y = table(dtype=dtype, form=form, classes=classes)
    est = FITS[name].set_params(random_state=0)
    if name == "targets":
        y = np.column_stack([y, y == 0])[:, : classes - 1]
    fitted = []
    for threads in (1, 2, 3):
        at_work.clear()
        with threadpool_limits(threads, "blas"):
            est.fit(X, y)
        coefs = est.coefs_ if name.startswith("network") else [est.coef_, est.intercept_]
        fitted.append([*(c.copy() for c in coefs), np.array(est.loss_curve_)])
        assert max(at_work) == threads
    for other in fitted[1:]:
        for a, b in zip(fitted[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("units", [(12, 1), (12, 3), (12, 5, 2)])
def test_parts_add_up_to_the_whole(units, form, weighted):
    X, _ = table(n=1003, form=form)
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.1, 2, size=1003) if weighted else None
    Y = rng.normal(size=(1003, units[-1]))
    network = engine.Network(units, [engine.ACTIVATION_CODES["tanh"]] * (len(units) - 2))
    data = engine.Data(X, Y, engine.LOSS_CODES["squared_error"], row_weight=weights)
    rows = rng.permutation(1003)[:900].astype(np.int32)
    theta = rng.normal(size=network.size)
    whole, parts = np.empty_like(theta), np.empty_like(theta)
    sums, sums_of_parts = np.empty(units[-1]), np.empty(units[-1])
    value = engine.value_and_gradient(data, theta, network, whole, rows, sums)
    full_pass = FullPass(data, network, rows)
    assert len(full_pass.rows) > 3
    assert full_pass(theta, sums_of_parts, parts) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(parts, whole, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(sums_of_parts, sums, rtol=1e-13)
    assert full_pass(theta, sums_of_parts) == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("units", [(12, 1), (12, 3), (12, 50, 1), (12, 9, 20, 4)])
@pytest.mark.parametrize("given", ["as trained", "other"])
def test_predictions_have_the_bits_of_one_thread(units, dtype, form, given, at_work, monkeypatch):
    X, _ = table(n=1013, dtype=dtype, form=form)
    rng = np.random.default_rng(1)
    kind = dtype if given == "as trained" else {4: np.float64, 8: np.float32}[X.dtype.itemsize]
    coefs = [rng.normal(size=s).astype(kind) for s in pairwise(units)]
    layers = (
        coefs,
        [W[0].copy() for W in coefs],
        [engine.ACTIVATION_CODES["relu"]] * (len(coefs) - 1),
    )
    monkeypatch.setattr("skopt_est._predict.PART_WORK", 10**9)
    whole = _through_layers(X, *layers)
    for work in (1000, 30):
        monkeypatch.setattr("skopt_est._predict.PART_WORK", work)
        results = []
        for threads in (1, 2, 3):
            at_work.clear()
            with threadpool_limits(threads, "blas"):
                results.append(_through_layers(X, *layers))
            assert max(at_work) == threads
        np.testing.assert_array_equal(results[1], results[0])
        np.testing.assert_array_equal(results[2], results[0])
        rtol = 1e-4 if results[0].dtype == np.float32 else 1e-12
        np.testing.assert_allclose(results[0], whole, rtol=rtol, atol=rtol)


def test_arrays_that_the_engine_cannot_fill_or_take_are_refused():
    rng = np.random.default_rng(0)
    X, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), np.zeros(2)
    filled = np.empty((5, 2))
    assert engine.predict(X, [W], [b], [], False, filled) is filled
    np.testing.assert_allclose(filled, X @ W, rtol=1e-12)
    read_only = np.empty((5, 2))
    read_only.flags.writeable = False
    for result in (np.empty((5, 1)), np.empty((2, 5)).T, np.empty((5, 2), np.float32), read_only):
        with pytest.raises((ValueError, BufferError), match=r"result must be|writable"):
            engine.predict(X, [W], [b], [], False, result)
    with pytest.raises(ValueError, match="result must be"):
        engine.predict(X, [W], [b], [], False, np.empty((5, 2), np.int64))
    data = engine.Data(X, np.ones((5, 1)), engine.LOSS_CODES["squared_error"])
    network = engine.Network((3, 1))
    solver = SOLVERS["gd"]()
    zeros = np.zeros(3)
    model = engine.Model(np.ones(4), np.zeros((0, 4)), network, zeros, zeros, solver.hyper())
    scratch, order = engine.Scratch(data, network), np.arange(5, dtype=np.int32)
    one = solver.coefficients(np.ones(1), np.full(1, 0.5), np.zeros(1))
    given = np.arange(4.0)
    sums = engine.run_epoch(data, model, scratch, order, 5, one, gradient=given)
    np.testing.assert_array_equal(model.theta, 1 - 0.5 * given)
    np.testing.assert_array_equal(sums, 0)
    # whatever row stands for all
    engine.run_epoch(data, model, scratch, order[:1], 5, one, gradient=given)
    np.testing.assert_array_equal(model.theta, 1 - given)
    for gradient in (np.zeros(3), np.zeros(4, np.float32), np.zeros((4, 1)), np.zeros(8)[::2]):
        with pytest.raises(ValueError, match="gradient must be"):
            engine.run_epoch(data, model, scratch, order, 5, one, gradient=gradient)
    with pytest.raises(ValueError, match="a gradient is of one step, not of 3"):
        engine.run_epoch(data, model, scratch, order, 2, one, gradient=given)


def test_numbers_that_are_not_finite_are_found_in_any_part():
    X, y = table()
    model = MLPClassifier((5,), max_iter=1, random_state=0).fit(X, y)
    for row in (0, 1500, 2999):
        spoiled = X.copy()
        spoiled[row, 3] = np.nan
        with threadpool_limits(2, "blas"), pytest.raises(ValueError, match="NaN"):
            model.predict(spoiled)


def test_threads_are_shared_by_what_is_under_way():
    both, done = threading.Barrier(2), threading.Barrier(2)

    def number(_):
        with _threads.one_blas_thread():
            both.wait(SECONDS)
            found = _threads.n_threads()
            with _threads.one_blas_thread():  # a score within a fit
                again = _threads.n_threads()
            done.wait(SECONDS)
        return found, again

    with threadpool_limits(4, "blas"):
        with _threads.one_blas_thread():
            assert _threads.n_threads() == 4
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(number, range(2))) == [(2, 2), (2, 2)]
    assert _threads.n_threads() == 1  # nothing is under way


def test_an_error_ends_the_others():
    meeting, began = threading.Barrier(2), []

    def job(i):
        began.append(i)
        if i < 2:
            meeting.wait(SECONDS)
        if i == 1:
            raise MemoryError("of one part")
        if i == 0:
            meeting.wait(SECONDS)  # which nobody else comes to
        return i

    meeting_broken = threading.Timer(0.2, meeting.abort)
    meeting_broken.start()
    with threadpool_limits(2, "blas"), _threads.one_blas_thread():
        with pytest.raises((MemoryError, threading.BrokenBarrierError)):
            _threads.in_threads(job, 50)
        assert _threads.in_threads(lambda i: i * i, 50) == [i * i for i in range(50)]


def test_fewer_threads_than_wanted_do_the_same(monkeypatch):
    X, y = table()
    est = LogisticRegression(solver="lbfgs", max_iter=5)
    with threadpool_limits(2, "blas"):
        expected = est.fit(X, y).coef_.copy()

    class NoThread:
        def submit(self, work):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_threads, "_pool", NoThread())
    with threadpool_limits(2, "blas"):
        np.testing.assert_array_equal(est.fit(X, y).coef_, expected)


SCRIPT = """
    import faulthandler, os, sys
    faulthandler.dump_traceback_later(60, exit=True)
    import numpy as np
    from threadpoolctl import threadpool_limits
    from skopt_est import LogisticRegression, _full_pass
    _full_pass.PART_WORK = 1000
    X = np.random.default_rng(0).normal(size=(3000, 12))
    fit = lambda: LogisticRegression(solver="lbfgs", max_iter=5).fit(X, X[:, 0] > 0).coef_
    with threadpool_limits(2, "blas"):
        before = fit()
        child = os.fork()
        same = np.array_equal(before, fit())
        if child == 0:
            os._exit(0 if same else 1)
        assert same and os.waitpid(child, 0)[1] == 0
        import atexit
        atexit.register(fit)
"""


def test_threads_after_a_fork_and_while_the_interpreter_ends():
    code = textwrap.dedent(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
