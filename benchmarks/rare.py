"""Rare features and L1, sparse logistic data with a heavy tail: what the polish mends.

3,000 rows, 400 columns, column j about 1 / (j + 5) as frequent as the commonest; batches of 8,
40 epochs, cosine rate. Gap to the optimum and non-zeros, without the polish and with it.
"""

import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from benchmarks import report
from skopt_est import LogisticRegression

SOLVERS = ("sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")


def add_arguments(parser) -> None:
    parser.add_argument("--alpha", type=float, default=3e-4)


def problem(seed=0):
    rng = np.random.default_rng(seed)
    n, d = 3000, 400
    often = np.minimum(0.5, 5.0 / (np.arange(d) + 5.0) ** 1.1)
    X = sparse.csr_matrix((rng.random((n, d)) < often) * rng.uniform(0.5, 1.5, (n, d)))
    weights = rng.standard_normal(d) * (rng.random(d) < 0.5)
    return X, (X @ weights + rng.logistic(size=n) > 0).astype(int)


def objective(model, X, y) -> float:
    w = model.coef_[0]
    f = X @ w + model.intercept_[0]
    return float(np.mean(np.logaddexp(0, f) - y * f) + model.alpha * np.abs(w).sum())


def run(args) -> list[report.Row]:
    X, y = problem()
    common = {"alpha": args.alpha, "l1_ratio": 1.0, "random_state": 0}
    noisy = {"batch_size": 8, "max_iter": 40, "n_iter_no_change": 40, "learning_rate": "cosine"}
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        exact = LogisticRegression(solver="lbfgs", tol=1e-10, max_iter=50_000, **common)
        exact.fit(X, y)
        best = objective(exact, X, y)
        for solver in SOLVERS:
            row: report.Row = {"solver": solver}
            for name, polish_iter in (("alone", 0), ("polished", "auto")):
                model = LogisticRegression(
                    solver=solver, polish_iter=polish_iter, **common, **noisy
                ).fit(X, y)
                row[f"gap %, {name}"] = 100 * (objective(model, X, y) / best - 1)
                row[f"non-zeros, {name}"] = int(np.count_nonzero(model.coef_))
            rows.append(row)
            report.show_last(rows)
    print(f"The optimum has {np.count_nonzero(exact.coef_)} non-zeros.")
    return rows
