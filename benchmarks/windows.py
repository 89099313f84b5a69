"""What the order of an epoch costs in accuracy: blocks of neighbours in windows, on sorted rows.

Logistic data sorted by label and then by a column, the worst case for an order that is not fully
random; dense columns, or groups of one-hot ones. Training starts anew for each number of epochs, on
a cosine of the rate. Per cent above the optimum, the mean over data of so many seeds with its
standard error. `ours`: as `skopt_est/_order.py` has it for so many columns. No time is measured.
"""

import warnings
from unittest import mock

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import report
from benchmarks.objectives import logistic
from skopt_est import LogisticRegression, _order

ALPHA = 1e-3
TABLES = {"10": 10, "20": 20, "32": 32, "32, one-hot": 32, "100": 100}
LEVELS = 8  # of a one-hot group
EPOCHS = (2, 4, 8)
SOLVERS = {"sgd": 1, "adagrad": 1, "adam": 8}  # batch sizes
ORDERS = {
    "all rows mixed": None,
    "ours": {},
    "8 rows x 256 blocks": {"BLOCK": (8, 8), "MOST_BLOCKS": 256},
    "16 x 256": {"BLOCK": (16, 16), "MOST_BLOCKS": 256},
    "16 x 64": {"BLOCK": (16, 16), "MOST_BLOCKS": 64},
    "16 x 16": {"BLOCK": (16, 16), "MOST_BLOCKS": 16},
    "64 x 64": {"BLOCK": (64, 64), "MOST_BLOCKS": 64},
}


def add_arguments(parser) -> None:
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))


def problem(n, d, seed, one_hot=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    if one_hot:
        drawn = rng.integers(LEVELS, size=(n, d // LEVELS))
        X = (drawn[:, :, None] == np.arange(LEVELS)).reshape(n, d).astype(np.float64)
    y = (X @ rng.standard_normal(d) + rng.logistic(size=n) > 0).astype(int)
    by_label = np.lexsort((X[:, 0], y))
    return X[by_label], y[by_label]


def visited(order: dict | None):
    """Rows are visited in this order meanwhile."""
    if order is None:
        return mock.patch.object(_order, "IN_CACHE", np.inf)
    unlimited = {"BLOCK_ELEMENTS": 1 << 40} if order else {}
    return mock.patch.multiple(_order, IN_CACHE=0, **unlimited, **order)


def gap(model, X, y, best) -> float:
    model.fit(X, y)
    return 100 * (logistic(model.coef_, model.intercept_, X, y, ALPHA) / best - 1)


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for table in args.tables:
            gaps: dict[tuple[str, str], list] = {}
            for seed in range(args.seeds):
                X, y = problem(args.rows, TABLES[table], seed, "one-hot" in table)
                exact = LogisticRegression(solver="lbfgs", alpha=ALPHA, tol=1e-9, max_iter=1000)
                exact.fit(X, y)
                best = logistic(exact.coef_, exact.intercept_, X, y, ALPHA)
                for (name, order), (solver, batch) in (
                    (o, s) for o in ORDERS.items() for s in SOLVERS.items()
                ):
                    model = LogisticRegression(solver=solver, batch_size=batch, alpha=ALPHA)
                    model.set_params(learning_rate="cosine", tol=0.0, random_state=seed)
                    model.set_params(n_iter_no_change=max(EPOCHS))
                    with visited(order):
                        gaps.setdefault((name, solver), []).append(
                            [gap(model.set_params(max_iter=e), X, y, best) for e in EPOCHS]
                        )
            for name in ORDERS:
                row: report.Row = {"columns": table, "order": name}
                for solver, batch in SOLVERS.items():
                    of_seeds = np.array(gaps[name, solver])
                    error = of_seeds.std(0, ddof=1) / np.sqrt(args.seeds)
                    row[f"{solver}, batch {batch}"] = ", ".join(
                        f"{mean:.2g} ± {spread:.1g}"
                        for mean, spread in zip(of_seeds.mean(0), error, strict=True)
                    )
                rows.append(row)
                report.show_last(rows)
    return rows
