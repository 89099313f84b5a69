"""Where the time of a fit or a prediction goes: shares of samples by part of the engine.

The engine is built with line numbers into a temporary directory, for this processor only and with
the instructions of use, which takes two minutes; `--build` keeps it. A fresh process makes the
case's fits under `perf record`, by the clock, as a virtual machine may have no counters; only
what comes after a warm-up counts. A sample is of the line of Cython that its instruction was
compiled from, whatever that was inlined into, and the line's file is the part of the engine.
`mostly` has the functions with most of a part's samples, and their % of all; `--functions` shows
a row for each. Arithmetic waits for what was loaded, so shares are of work and of waiting alike.
They are shares of whole fits, also of what a fit does once, which `epochs` and `mlp` leave out.

Linux only, with perf and addr2line (binutils).
"""

import json
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import skopt_est
from benchmarks import epochs_dense, epochs_sparse, mlp, problems, profile_samples, report, timing

LINEAR = (("100k x 20 float32", "adagrad b1"), ("100k x 100 float32", "sgd b1"))
LINEAR += tuple(("100k x 100 float64", solver) for solver in ("sgd b1", "gd"))
LINEAR += tuple(("1M x 28 float64", solver) for solver in ("sgd b1", "adagrad b1", "gd"))
NETWORKS = ("50k x 20, (100), b200", "50k x 100, (256, 256, 256), b1024")
ALIKE, WORDS = "CSR 20k x 100k, 50 a row", "CSR 20k x 100k, 50 a row, as words"
SPARSE = tuple((case, solver) for case in (ALIKE, WORDS) for solver in ("sgd", "adagrad"))
SPARSE += ((WORDS, "adam"),)
LINEAR_PREDICTION = "linear prediction, 100k x 20 float32"
NETWORK_PREDICTION = "network prediction, 100k x 20 float32, (100)"


def logistic(case: str, solver: str) -> Callable[[], Any]:
    n, d, dtype, _ = epochs_dense.CASES[case]
    X, y = problems.dense(n, d, dtype)
    epochs = max(4, 20_000_000 // (n * d))
    return partial(epochs_dense.logistic_regression, X, y, epochs, **epochs_dense.OURS[solver])


def sparse(case: str, solver: str) -> Callable[[], Any]:
    *shape, zipf = epochs_sparse.CASES[case]
    X, y = problems.csr(*shape, zipf=zipf)
    rate = epochs_sparse.SOLVERS[solver] or "auto"
    params = {"solver": solver, "batch_size": 1, "learning_rate_init": rate}
    return partial(epochs_dense.logistic_regression, X, y, 10, **params)


def network(case: str) -> Callable[[], Any]:
    n, d, hidden, batch, epochs = mlp.CASES[case]
    X, y = problems.dense(n, d)
    return partial(mlp.fit, skopt_est.MLPClassifier, hidden, batch, X, y, epochs)


def prediction(model: Any) -> Callable[[], Any]:
    X, y = problems.dense(100_000, 20)
    return partial(model.fit(X[:50_000], y[:50_000]).predict, X)


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    **{f"{case}, {solver}": partial(logistic, case, solver) for case, solver in LINEAR},
    **{case: partial(network, case) for case in NETWORKS},
    **{f"{case}, {solver} b1": partial(sparse, case, solver) for case, solver in SPARSE},
    LINEAR_PREDICTION: partial(prediction, skopt_est.LogisticRegression(max_iter=5)),
    NETWORK_PREDICTION: partial(prediction, skopt_est.MLPClassifier((100,), max_iter=2)),
}


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    parser.add_argument("--seconds", type=float, default=2.0, help="of samples (default: 2)")
    parser.add_argument("--top", type=int, default=8, help="rows of a case (default: 8)")
    parser.add_argument("--functions", action="store_true", help="a row for each function")
    parser.add_argument(
        "--build", type=Path, help="folder for the build; one that is there is used as it is"
    )


def table(case: str, counts: Counter, top: int, functions: bool) -> list[report.Row]:
    total = counts.total()
    groups: dict[Any, Counter] = {}
    for key, number in counts.items():
        groups.setdefault(key if functions else key[0], Counter())[key] = number
    rows: list[report.Row] = []
    for group in sorted(groups.values(), key=Counter.total, reverse=True)[:top]:
        most = group.most_common(1 if functions else 3)
        mostly = ", ".join(
            f"{file} {re.split('[<(]', function)[0]}".strip() + f" {100 * number / total:.0f}"
            for (_, file, function), number in most
            if functions or number >= total / 200
        )
        row: report.Row = {"case": case, "samples": total, "part": most[0][0][0]}
        rows.append(row | {"%": 100 * group.total() / total, "mostly": mostly})
    return rows


def run(args) -> list[report.Row]:
    for name in ("perf", "addr2line"):
        if not shutil.which(name):
            sys.exit(f"{name} is not installed.")
    simd = skopt_est.show_config(mode="dicts")["simd"]
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = (args.build or Path(folder)).resolve()
        tree.mkdir(exist_ok=True, parents=True)
        profile_samples.build(tree, simd)
        for case in args.cases:
            child, samples = profile_samples.sampled(tree, simd, case, args.seconds)
            if not samples:
                sys.exit(f"{case}: no samples")
            for row in table(
                case, profile_samples.places(tree, child, samples), args.top, args.functions
            ):
                rows.append(row)
                report.show_last(rows)
    return rows


def main(case: str, seconds: float) -> None:
    """In the process that is watched: the times between which it fits, and where its code lies."""
    if Path.cwd() not in Path(skopt_est.__file__).parents:
        sys.exit(f"{skopt_est.__file__} was imported in place of the build in {Path.cwd()}.")
    timing.warm_blas()
    call = CASES[case]()
    call()
    begin = time.clock_gettime(time.CLOCK_MONOTONIC)
    while time.clock_gettime(time.CLOCK_MONOTONIC) < begin + seconds:
        call()
    end = time.clock_gettime(time.CLOCK_MONOTONIC)
    maps = {}  # what to take from an address for that within the file
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, offset, _, _, *path = line.split(maxsplit=5)
        if "x" in rights and path and "skopt_est/_core" in path[0]:
            maps[path[0]] = int(span.split("-")[0], 16) - int(offset, 16)
    print(json.dumps({"begin": begin, "end": end, "maps": maps}))


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    main(sys.argv[1], float(sys.argv[2]))
