"""First learning rates of networks by solver: what learning_rate_init="auto" was chosen from.

Default networks (one hidden layer of 100) with each solver and rate on six real tables. Excess: by
how much the validation loss of the best epoch lies above the least that any solver and rate had on
the table, in per cent of what a constant model lies above it, at most 100 (worse than that, or
diverged); the mean over tables. Epochs: the median. "gd" runs without the halving that "auto" adds.
"""

import statistics
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from benchmarks import report
from benchmarks.solvers import TABLES, matrices
from skopt_est import MLPClassifier, MLPRegressor
from skopt_est.solvers import SOLVERS

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
MAX_ITER = {"gd": 1000}


def add_arguments(parser) -> None:
    parser.add_argument("--rows", type=int, default=4000, help="most training rows of a table")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS)[:-1])


def best_loss(task, solver, rate, rows) -> tuple[float, int]:
    """The least validation loss and the epochs trained; inf where training diverged at once."""
    X_train, X_val, y_train, y_val = rows
    params = {"solver": solver, "learning_rate_init": rate, "random_state": 0}
    params |= {"early_stopping": True, "max_iter": MAX_ITER.get(solver, 200), "dtype": "float32"}
    if task in ("binary", "multiclass"):
        model = MLPClassifier(**params)
    else:
        model = MLPRegressor(loss="poisson" if task == "count" else "squared_error", **params)
    try:
        model.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    except ValueError:
        return np.inf, 0
    return -model.best_validation_score_, model.n_iter_


def constant_loss(task, y_train, y_val) -> float:
    """The validation loss of the best constant model."""
    if task in ("binary", "multiclass"):
        labels, counts = np.unique(y_train, return_counts=True)
        return float(-np.log(counts / counts.sum())[np.searchsorted(labels, y_val)].mean())
    mean = float(y_train.mean())
    if task == "count":
        return mean - float(y_val.mean()) * np.log(mean)
    return float(((y_val - mean) ** 2).mean()) / 2


def run(args) -> list[report.Row]:
    losses: dict[tuple[str, float], list[float]] = {}
    epochs: dict[tuple[str, float], list[int]] = {}
    for name in TABLES:
        X, y, _, _, task = matrices(name, args.rows)
        if task == "regression":
            y = (y - y.mean()) / y.std()
        rows = train_test_split(X, y, test_size=0.25, random_state=0)
        results = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for solver in args.solvers:
                for rate in RATES:
                    results[solver, rate] = best_loss(task, solver, rate, rows)
        least = min(loss for loss, _ in results.values())
        constant = constant_loss(task, rows[2], rows[3])
        for key, (loss, n_iter) in results.items():
            losses.setdefault(key, []).append(min(100 * (loss - least) / (constant - least), 100.0))
            epochs.setdefault(key, []).append(n_iter)
        print(
            f"{name}: least validation loss {least:.4f}, of a constant {constant:.4f}", flush=True
        )
    table: list[report.Row] = []
    for solver in args.solvers:
        row: report.Row = {"solver": solver, "auto": SOLVERS[solver].network_rate}
        for rate in RATES:
            row[f"{rate:g}"] = statistics.mean(losses[solver, rate])
        means = {rate: statistics.mean(losses[solver, rate]) for rate in RATES}
        best = min(means, key=means.__getitem__)
        row |= {"best": best, "epochs at best": int(statistics.median(epochs[solver, best]))}
        table.append(row)
    print(report.markdown(table))
    return table
