"""Fits in workers of every kind, and in many threads at once, are those of one fit alone."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from fits import CASES, ESTIMATORS, FORMS, data, model, of_case, outcome, solvers_of
from threadpoolctl import threadpool_info

from skopt_est import _threads

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
AT_ONCE = 16
SECONDS = 300  # until a process is thought to hang


def assert_same_bits(results, expected):
    for parts, alone in zip(results, expected, strict=True):
        for a, b in zip(parts, alone, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def alone():
    """The outcome of each case in this process, one after the other."""
    return [of_case(*case) for case in CASES]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(method, alone):
    # this process has made fits, with BLAS too, before it forks
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        pids = set(pool.map(process_of_a_fit, CASES[:4]))
        results = list(pool.map(of_case, *zip(*CASES, strict=True), timeout=SECONDS, chunksize=8))
    assert os.getpid() not in pids
    assert_same_bits(results, alone)


def process_of_a_fit(case):
    of_case(*case)
    return os.getpid()


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_workers_of_joblib(backend, alone):
    with joblib.parallel_config(backend, n_jobs=2):
        results = joblib.Parallel(batch_size=8, timeout=SECONDS)(
            joblib.delayed(of_case)(*case) for case in CASES
        )
    assert_same_bits(results, alone)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_fits_at_once_in_threads_on_one_data_set(name, form, sparse_steps):
    X, y = data(name, form, n=2000)
    before = [getattr(X, part).copy() for part in ("data", "indices", "indptr") if form == "csr"]
    before = before or [X.copy()]
    solvers = solvers_of(name)
    models = [
        model(
            name, solvers[i % len(solvers)], random_state=i, max_iter=3, batch_size=(8, 100)[i % 2]
        )
        for i in range(AT_ONCE)
    ]
    serial = [outcome(est.fit(X, y), X) for est in models]
    limits = [pool["num_threads"] for pool in threadpool_info()]
    barrier = threading.Barrier(AT_ONCE)

    def together(est):
        barrier.wait(SECONDS)
        return outcome(est.fit(X, y), X)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(together, models))
    assert_same_bits(results, serial)
    assert [pool["num_threads"] for pool in threadpool_info()] == limits
    after = [X] if form == "dense" else [X.data, X.indices, X.indptr]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


class OnOpenMP:
    """A BLAS of which each thread has its own number of threads."""

    def __init__(self):
        self.of_thread = threading.local()

    def get_num_threads(self):
        return getattr(self.of_thread, "number", 4)

    def set_num_threads(self, number):
        self.of_thread.number = number


def test_limit_of_a_thread_is_lifted_in_that_thread(monkeypatch):
    library, both = OnOpenMP(), threading.Barrier(2)
    monkeypatch.setattr(_threads, "_libraries", lambda: ([], [library]))

    def numbers(first):
        with _threads.one_blas_thread():
            both.wait(SECONDS)
            inside = library.get_num_threads()
            if first:
                with _threads.one_blas_thread():
                    both.wait(SECONDS)
        after = library.get_num_threads()
        if not first:
            both.wait(SECONDS)
        return inside, after

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(numbers, [True, False])) == [(1, 4), (1, 4)]


# -- forked in the midst of something ------------------------------------------------------------

# Each script runs in a process of its own that ends, with the stacks of its threads, if it hangs.
PRELUDE = f"""
    import faulthandler, os, signal, sys, threading, warnings
    faulthandler.dump_traceback_later({SECONDS}, exit=True)
    warnings.simplefilter("ignore")
    sys.path.insert(0, {os.path.dirname(__file__)!r})
    import numpy as np
    from fits import data, model, outcome
    from threadpoolctl import threadpool_info, threadpool_limits
    from skopt_est import _threads

    def blas_threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    WIDE = {{"hidden_layer_sizes": (400, 400), "batch_size": 300, "max_iter": 2}}
    X, y = data("MLPClassifier", n=300, d=100)

    def result():
        return outcome(model("MLPClassifier", "adam", **WIDE).fit(X, y), X)

    def in_child(work):
        # what it returns in a forked process that does nothing else; 0 for success
        pid = os.fork()
        if pid == 0:
            signal.alarm({SECONDS})  # faulthandler's watch is a thread, which isn't here
            status = 1
            try:
                status = int(work())
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def differs(expected):
        return not all(map(np.array_equal, result(), expected))
"""


def run_script(text, **environment):
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(text)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"} | environment,
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["through"], done.stdout


def test_fork_after_a_fit_with_blas_threads():
    run_script("""
        rng = np.random.default_rng(0)
        large = rng.normal(size=(1000, 1000))
        large @ large  # BLAS has started its threads
        expected = result()
        large @ large
        threads = blas_threads()

        def child():
            large @ large
            return differs(expected) or blas_threads() != threads

        assert in_child(child) == 0
        assert in_child(lambda: in_child(child)) == 0
        assert not differs(expected)
        print("through")
    """)


def test_fork_while_another_thread_fits_leaves_the_child_no_limit_and_no_lock():
    run_script("""
        expected, threads = result(), blas_threads()
        inside, forked = threading.Event(), threading.Event()

        def waiting(progress):
            inside.set()
            forked.wait()
            return 1.0

        est = model("LinearRegression", "adam", learning_rate=waiting)
        thread = threading.Thread(target=est.fit, args=data("LinearRegression"))
        thread.start()
        inside.wait()
        limited = blas_threads()
        assert set(limited) == {1}

        def child():
            return blas_threads() != threads or differs(expected) or blas_threads() != threads

        assert in_child(child) == 0
        assert blas_threads() == limited  # the parent's fit goes on
        forked.set()
        thread.join()
        assert blas_threads() == threads
        assert est.n_iter_ == 6
        print("through")
    """)


def test_fork_within_a_fit_keeps_the_limit_of_that_fit():
    run_script("""
        expected, threads, seen = result(), blas_threads(), []

        def forking(progress):
            if not seen:
                work = lambda: set(blas_threads()) != {1} or differs(expected)
                seen.append(in_child(work))
            return 1.0

        model("LinearRegression", "adam", learning_rate=forking).fit(*data("LinearRegression"))
        assert seen == [0] and blas_threads() == threads
        print("through")
    """)


def test_fork_waits_for_a_thread_that_changes_the_limit():
    run_script("""
        expected = result()
        held, forking = threading.Event(), threading.Event()

        def hold():
            with _threads._lock:
                held.set()
                forking.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
        os.register_at_fork(before=forking.set)  # runs before what was registered earlier
        assert in_child(lambda: differs(expected)) == 0
        thread.join()
        print("through")
    """)


def test_last_of_the_fits_in_threads_lifts_the_limit_of_the_first():
    run_script("""
        threads, seen = blas_threads(), []
        first_inside, last_inside, first_out, last_out = (threading.Event() for _ in range(4))

        def fit(inside, before_leaving):
            def waiting(progress):
                inside.set()
                before_leaving.wait()
                seen.extend(blas_threads())
                return 1.0

            model("LinearRegression", "adam", learning_rate=waiting).fit(*data("LinearRegression"))

        def first():
            fit(first_inside, last_inside)
            first_out.set()
            last_out.wait()  # threadpoolctl asks whether the thread is alive

        thread = threading.Thread(target=first)
        thread.start()
        first_inside.wait()
        fit(last_inside, first_out)
        assert set(seen) == {1} and blas_threads() == threads
        last_out.set()
        thread.join()

        with threadpool_limits(2, user_api="blas"):  # another thread's
            thread = threading.Thread(target=fit, args=(first_inside, first_out))
            thread.start()
            thread.join()
        assert set(seen) == {1} and blas_threads() == threads
        print("through")
    """)


def test_fork_by_a_handler_where_its_thread_changes_the_limit():
    run_script("""
        expected, threads = result(), blas_threads()
        with _threads._lock:
            assert in_child(lambda: differs(expected) or blas_threads() != threads) == 0
        assert not differs(expected) and blas_threads() == threads
        print("through")
    """)
