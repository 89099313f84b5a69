"""Time to within 1 % and 0.1 % of the optimum, against scikit-learn's LogisticRegression.

A whole fit is timed, validation included, both sides with default parameters at the same
objective (alpha 1e-4). The time to a gap is that of the shortest fit that reaches it, as
max_iter grows; the sides take turns and the median of the repetitions is shown.
"""

import statistics
import time
import warnings

import numpy as np
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Peer

from benchmarks import report
from skopt_est import LogisticRegression

ALPHA = 1e-4
CASES = {
    "100k x 20": (100_000, 20),
    "100k x 100": (100_000, 100),
    "10k x 1000": (10_000, 1000),
    "1M x 28": (1_000_000, 28),
}
GAPS = (1e-2, 1e-3)


def add_arguments(parser) -> None:
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--repeats", type=int, default=5)


def problem(n, d, seed=0):
    """Correlated columns and labels with noise, float32."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, max(d // 4, 2)), dtype=np.float32)
    X = factors @ rng.standard_normal((factors.shape[1], d), dtype=np.float32)
    X += rng.standard_normal((n, d), dtype=np.float32)
    X /= X.std(axis=0)
    f = X @ (rng.standard_normal(d, dtype=np.float32) / np.sqrt(d))
    return X, (rng.random(n) < expit(2 * f)).astype(int)


def objective(model, X, y) -> float:
    w = model.coef_[0].astype(np.float64)
    f = X.astype(np.float64) @ w + float(model.intercept_[0])
    return float(np.mean(np.logaddexp(0, f) - y * f) + ALPHA / 2 * w @ w)


def makers(n):
    return {
        "scikit-learn lbfgs": lambda k: Peer(C=1 / (ALPHA * n), max_iter=k),
        "skopt_est lbfgs": lambda k: LogisticRegression(alpha=ALPHA, solver="lbfgs", max_iter=k),
        "skopt_est default": lambda k: LogisticRegression(alpha=ALPHA, max_iter=k, random_state=0),
    }


def timed(model, X, y):
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start


def run(args) -> list[report.Row]:
    rows = []
    for case in args.cases:
        X, y = problem(*CASES[case])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            exact = Peer(C=1 / (ALPHA * len(X)), tol=1e-9, max_iter=5000)
            best = objective(exact.fit(X.astype(np.float64), y), X, y)
            row: report.Row = {"case": case}
            needed = {}
            for name, make in makers(len(X)).items():
                for gap in GAPS:
                    needed[name, gap] = next(
                        (
                            k
                            for k in (*range(1, 21), *range(22, 101, 3))
                            if objective(make(k).fit(X, y), X, y) <= best * (1 + gap)
                        ),
                        None,
                    )
            times: dict[tuple, list[float]] = {key: [] for key in needed}
            for _ in range(args.repeats):
                for key, k in needed.items():
                    if k is not None:
                        times[key].append(timed(makers(len(X))[key[0]](k), X, y))
            for (name, gap), values in times.items():
                row[f"{name} {gap:.1%} ms"] = (
                    statistics.median(values) * 1e3 if values else float("nan")
                )
        rows.append(row)
        report.show_last(rows)
    return rows
