"""One epoch of log loss on dense rows: ns a row, against scikit-learn's SGDClassifier.

Theirs is the difference of fits of four and two epochs, ours the epochs that a fit records,
in turns; the median of the repetitions is shown.
"""

import statistics
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

from benchmarks import report
from skopt_est import LogisticRegression

CASES = {
    "100k x 20 float32": (100_000, 20, np.float32),
    "100k x 100 float32": (100_000, 100, np.float32),
    "100k x 100 float64": (100_000, 100, np.float64),
    "10k x 1000 float32": (10_000, 1000, np.float32),
    "1M x 28 float32": (1_000_000, 28, np.float32),
    "1M x 28 float64": (1_000_000, 28, np.float64),
}
OURS = {
    "sgd b1": {"solver": "sgd", "batch_size": 1},
    "adagrad b1": {"solver": "adagrad", "batch_size": 1},
    "adam b256": {"solver": "adam", "batch_size": 256},
    "gd": {"solver": "gd"},
}


def add_arguments(parser) -> None:
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--textbook", action="store_true", help="time precondition=False, without standardising"
    )


def problem(n, d, dtype, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=dtype)
    return X, (X[:, : d // 2].sum(axis=1) + rng.standard_normal(n, dtype=dtype) > 0).astype(int)


def theirs(X, y) -> float:
    """ns a row and epoch."""
    seconds = {}
    for max_iter in (2, 4):
        model = SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=0.01, tol=None, max_iter=max_iter
        )
        start = time.perf_counter()
        model.fit(X, y)
        seconds[max_iter] = time.perf_counter() - start
    return (seconds[4] - seconds[2]) / 2 / len(X) * 1e9


def ours(X, y, precondition, **params) -> float:
    model = LogisticRegression(
        max_iter=4, tol=0.0, learning_rate="constant", precondition=precondition, **params
    )
    # gd alone makes its rate from the data; that is no part of an epoch
    model.fit(X, y)
    return statistics.median(entry["seconds"] for entry in model.history_[1:]) / len(X) * 1e9


def run(args) -> list[report.Row]:
    rows = []
    for case in args.cases:
        X, y = problem(*CASES[case])
        times: dict[str, list[float]] = {name: [] for name in ("SGDClassifier", *OURS)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for _ in range(args.repeats):
                times["SGDClassifier"].append(theirs(X, y))
                for name, params in OURS.items():
                    times[name].append(ours(X, y, not args.textbook, **params))
        median = {name: statistics.median(values) for name, values in times.items()}
        row: report.Row = {"case": case, "SGDClassifier ns": median["SGDClassifier"]}
        for name in OURS:
            row[f"{name} ns"] = median[name]
            row[f"{name} x"] = median["SGDClassifier"] / median[name]
        rows.append(row)
        print(
            report.markdown(rows[-1:]) if len(rows) == 1 else report.markdown(rows).split("\n")[-1]
        )
    return rows
