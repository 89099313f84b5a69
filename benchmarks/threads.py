"""One thread against two, inside a fit or a prediction and around it: ms, and whether bits agree.

arithmetic: products of small matrices, two heaps of them: what two threads can bring at most here
networks: an epoch of the large networks of `mlp` and of a larger one, with one and two BLAS threads
    (a fit itself allows BLAS one)
gradient: the full gradient of log loss, whose parts a fit's threads share
fit: whole fits by full gradients
prediction: raw predictions, whose rows the threads share
fits: two independent fits, in turns or in a thread each, as GridSearchCV can run them
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from unittest import mock

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from benchmarks import mlp, problems, report, timing
from skopt_est import LogisticRegression, MLPClassifier
from skopt_est._core import engine
from skopt_est._full_pass import FullPass
from skopt_est._threads import one_blas_thread

Array = np.ndarray
# Seconds of a call, and its result
Side = Callable[[], tuple[float, Array]]
SECONDS = 0.1  # of a side in a round, at least
LARGER = "10k x 100, (1024, 1024), b1024"
NETWORKS = dict(list(mlp.CASES.items())[-2:]) | {LARGER: (10_000, 100, (1024, 1024), 1024, 1)}
TABLES = {
    "100k x 20 float32": (100_000, 20, np.float32),
    "100k x 100 float64": (100_000, 100, np.float64),
    "1M x 28 float32": (1_000_000, 28, np.float32),
}
README = ("what", "size", "1 thread ms", "2 threads ms", "x", "same bits")
pool = ThreadPoolExecutor(2)


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    timing.add_repeats(parser)


def per_call(call: Callable[[], Array]) -> tuple[float, Array]:
    """Seconds of a call, of as many as fill a round."""
    taken, count = 0.0, 0
    while taken < SECONDS:
        seconds, result = timing.timed(call)
        taken, count = taken + seconds, count + 1
    return taken / count, result


def in_turns_and_at_once(jobs: list[Callable[[], Array]]) -> tuple[Side, Side]:
    def at_once() -> Array:
        return np.stack([future.result() for future in [pool.submit(job) for job in jobs]])

    return partial(per_call, lambda: np.stack([job() for job in jobs])), partial(per_call, at_once)


def arithmetic() -> Iterator[tuple[str, Side, Side]]:
    def products(seed: int) -> Array:
        a = np.random.default_rng(seed).standard_normal((256, 256), np.float32) / 16
        b = a
        for _ in range(200):
            b = a @ b
        return b

    yield "256 x 256", *in_turns_and_at_once([partial(products, seed) for seed in range(2)])


@contextmanager
def unlimited() -> Iterator[None]:
    """Let fits and predictions have as many BLAS threads as the process."""
    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith("skopt_est") and hasattr(module, "one_blas_thread"):
                stack.enter_context(mock.patch.object(module, "one_blas_thread", nullcontext))
        yield


def networks() -> Iterator[tuple[str, Side, Side]]:
    timing.warm_blas()
    for case, (n, d, *network, epochs) in NETWORKS.items():
        X, y = problems.dense(n, d)

        def fit(threads: int, epochs: int, network=network, X=X, y=y) -> Array:
            with unlimited(), threadpool_limits(threads, "blas"):
                model = mlp.trained(MLPClassifier, *network, X, y, epochs)
            return np.concatenate([W.ravel() for W in model.coefs_])

        one, two = (partial(timing.epoch, partial(fit, threads), epochs) for threads in (1, 2))
        yield case, one, two


def by_threads(call: Callable[[], Array]) -> tuple[Side, Side]:
    """Where BLAS, and so a fit or prediction, may have one thread and two."""

    def side(threads: int) -> tuple[float, Array]:
        with threadpool_limits(threads, "blas"):
            return per_call(call)

    return partial(side, 1), partial(side, 2)


def gradient() -> Iterator[tuple[str, Side, Side]]:
    code = engine.LOSS_CODES["log_loss_binary"]
    for case, (n, d, dtype) in TABLES.items():
        X, y = problems.dense(n, d, dtype)
        theta = np.linspace(-1, 1, d + 1, dtype=dtype)
        data = engine.Data(X, y.astype(dtype)[:, None], code)
        full_pass = FullPass(data, engine.Network((d, 1)), np.arange(n, dtype=np.int32))

        def call(theta=theta, full_pass=full_pass) -> Array:
            out = np.empty_like(theta)
            with one_blas_thread():
                full_pass(theta, np.empty(1), out)
            return out

        yield case, *by_threads(call)


def fit() -> Iterator[tuple[str, Side, Side]]:
    for case, (n, d, dtype) in TABLES.items():
        X, y = problems.dense(n, d, dtype)
        for solver, epochs in (("lbfgs", 100), ("gd", 30)):
            model = LogisticRegression(solver=solver, max_iter=epochs)
            yield f"{solver}, {case}", *by_threads(lambda m=model, X=X, y=y: m.fit(X, y).coef_)


def prediction() -> Iterator[tuple[str, Side, Side]]:
    for units in ((20, 1), (20, 100, 1), (100, 256, 256, 1)):
        X, y = problems.dense(100_000, units[0])
        if len(units) == 2:
            model = LogisticRegression().fit(X[:1000], y[:1000])
        else:
            model = MLPClassifier(units[1:-1], max_iter=1).fit(X[:1000], y[:1000])
        size = "100k rows, " + "-".join(map(str, units))
        yield size, *by_threads(lambda model=model, X=X: model.predict_proba(X))


def fits() -> Iterator[tuple[str, Side, Side]]:
    def linear(n: int, seed: int) -> Array:
        return LogisticRegression(random_state=seed).fit(*tables[n]).coef_

    def network(seed: int) -> Array:
        model = MLPClassifier((64, 64), max_iter=5, random_state=seed).fit(*tables[5000])
        return np.concatenate([W.ravel() for W in model.coefs_])

    tables = {n: problems.dense(n, 20) for n in (1000, 5000, 100_000)}
    for n, size in ((1000, "1k x 20"), (100_000, "100k x 20")):
        jobs = [partial(linear, n, seed) for seed in range(2)]
        yield f"LogisticRegression {size}", *in_turns_and_at_once(jobs)
    jobs = [partial(network, seed) for seed in range(2)]
    yield "MLPClassifier 5k x 20, (64, 64)", *in_turns_and_at_once(jobs)


CASES = {part.__name__: part for part in (arithmetic, networks, gradient, fit, prediction, fits)}


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for case in args.cases:
        for size, one, two in CASES[case]():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                figures = timing.alternate({1: one, 2: two}, args.repeats)
            row: report.Row = {"what": case, "size": size}
            row["1 thread ms"] = 1000 * figures[1].median
            row["2 threads ms"] = 1000 * figures[2].median
            row["x"] = figures[1].median / figures[2].median
            row["± %"] = timing.noise(figures[2], figures[1])
            row["same bits"] = np.array_equal(figures[1].result, figures[2].result)
            rows.append(row)
            report.show_last(rows)
    return rows
