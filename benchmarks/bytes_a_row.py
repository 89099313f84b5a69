"""Bytes that a fit takes for each row beside X and y, by what it is asked for.

The most that NumPy's arrays took during a fit of two epochs (by tracemalloc), less what doesn't
depend on the rows, which is told apart by fits of two sizes: 300,000 rows and half of them. X is
float32, 28 columns or 112 bytes a row; labels are int64, targets and weights float64. `% of X` is
that of the larger fit, all in all.
"""

import tracemalloc
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import report
from skopt_est import LinearRegression, LogisticRegression

ROWS, COLUMNS = 300_000, 28
EARLY = {"early_stopping": True}
BALANCED = {"class_weight": "balanced"}
# parameters, and whether samples have weights
FITS = {
    "adam": ({}, False),
    "sgd": ({"solver": "sgd"}, False),
    "gd": ({"solver": "gd"}, False),
    "lbfgs": ({"solver": "lbfgs"}, False),
    "`class_weight`": (BALANCED, False),
    "`sample_weight`": ({}, True),
    "`class_weight` and `sample_weight`": (BALANCED, True),
    "`early_stopping=True`": (EARLY, False),
    "the same and both weights": ({**EARLY, **BALANCED}, True),
    "the same, lbfgs": ({**EARLY, **BALANCED, "solver": "lbfgs"}, True),
    "`early_stopping=True, scoring=None`": ({**EARLY, "scoring": None}, False),
    "labels that are floats": ({}, False),
    "`LinearRegression`": ({}, False),
}


def add_arguments(parser) -> None:
    parser.add_argument("--fits", nargs="+", choices=list(FITS), default=list(FITS))


def peak(name: str, X: np.ndarray) -> int:
    """Bytes."""
    params, weighted = FITS[name]
    y = X[:, 0] > 0
    y = y.astype(float if "float" in name else int)
    model = LogisticRegression(max_iter=2, random_state=0, **params)
    if name == "`LinearRegression`":
        model, y = LinearRegression(max_iter=2, random_state=0), X[:, 1].astype(float)
    weight = np.random.default_rng(1).random(len(X)) if weighted else None
    tracemalloc.start()
    try:
        model.fit(X, y, weight)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run(args) -> list[report.Row]:
    X = np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in args.fits:
            peak(name, X[:500])  # what is allocated once in a process
            half, whole = peak(name, X[: ROWS // 2]), peak(name, X)
            row = {"fit": name, "bytes a row": 2 * (whole - half) / ROWS}
            row |= {"MB beside": (2 * half - whole) / 1e6, "% of X": 100 * whole / X.nbytes}
            rows.append(row)
            report.show_last(rows)
    return rows
