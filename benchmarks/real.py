"""Fits of real tables with default parameters: seconds, score and objective of each estimator.

Linear models are fitted as they are, with alpha 1e-4 (scikit-learn: C = 1 / (alpha n)); networks
train for a fixed number of epochs, one hidden layer of 100 units, adam, batches of 200. Rows are
float32; adult and newsgroups20 are CSR, the others dense. Flights: whether one is at least 15
minutes late. The score is accuracy on test rows. The objective is that of the training rows, in
double precision; that of SGDClassifier with more than two classes is another one (one-vs-rest) and
is left out. `x` is the time of scikit-learn's LogisticRegression (lbfgs), SGDClassifier and
MLPClassifier over the estimator's. Of each estimator a small fit warms up; one that takes more than
20 seconds is fitted once (`fits`).
"""

import warnings
from functools import partial

import numpy as np
from sklearn import linear_model, neural_network
from sklearn.exceptions import ConvergenceWarning

import skopt_est
from benchmarks import report, tables, timing
from benchmarks.objectives import logistic

ALPHA, BATCH = 1e-4, 200
LONG = 20.0
# epochs of the networks: shorter where an epoch is long
TABLES = {
    "adult": 20,
    "nycflights13": 5,
    "letter": 20,
    "mnist10k": 20,
    "newsgroups20": 3,
}
OURS_LINEAR = ("adam", "sgd", "lbfgs")
README = ("table", "estimator", "seconds", "x lbfgs", "x SGD", "x MLP", "score", "objective")


def add_arguments(parser) -> None:
    tables.add_data(parser, "all tables but adult and letter (and for the whole nycflights13)")
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--rows", type=int, help="most training rows of a table (default: all)")
    parser.add_argument("--linear", action="store_true", help="without the networks")
    timing.add_repeats(parser)


def estimators(n, epochs, linear_only):
    """Functions that make an estimator, by its name in the table."""
    network = {"batch_size": BATCH, "max_iter": epochs, "tol": 0.0, "random_state": 0}
    network["n_iter_no_change"] = 10 * epochs
    makers = {
        "LogisticRegression lbfgs": partial(
            linear_model.LogisticRegression, C=1 / (ALPHA * n), max_iter=1000
        ),
        "SGDClassifier": partial(linear_model.SGDClassifier, loss="log_loss", random_state=0),
        "MLPClassifier": partial(neural_network.MLPClassifier, alpha=ALPHA * BATCH, **network),
    }
    makers |= {
        f"ours, {solver}": partial(
            skopt_est.LogisticRegression, solver=solver, alpha=ALPHA, random_state=0
        )
        for solver in OURS_LINEAR
    }
    makers["ours, MLP"] = partial(skopt_est.MLPClassifier, alpha=ALPHA, **network)
    return {name: make for name, make in makers.items() if not (linear_only and "MLP" in name)}


def objective(model, X, y) -> float | None:
    if hasattr(model, "coefs_"):
        penalty = ALPHA / 2 * sum(float((W.astype(np.float64) ** 2).sum()) for W in model.coefs_)
        if isinstance(model, skopt_est.MLPClassifier):
            log_p = model.predict_log_proba(X)
        else:  # theirs has logarithms of zeros
            log_p = np.log(np.maximum(model.predict_proba(X).astype(np.float64), 1e-300))
        return penalty - float(log_p[np.arange(len(y)), y].astype(np.float64).mean())
    if isinstance(model, linear_model.SGDClassifier) and len(model.classes_) > 2:
        return None
    return logistic(model.coef_, model.intercept_, X, y, ALPHA)


def warm_up(makers, X, y) -> None:
    """A small fit of each, in place of a whole round: some take minutes."""
    timing.warm_blas()
    some = np.concatenate([np.flatnonzero(y == label)[:20] for label in np.unique(y)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a batch is larger than all these rows
        for make in makers.values():
            make().set_params(max_iter=2).fit(X[some], y[some])


def measure(name, args):
    X, y, X_test, y_test = tables.split(name, args.data, args.rows)
    makers = estimators(len(y), TABLES[name], args.linear)
    warm_up(makers, X, y)

    def fit(make):
        return timing.timed(lambda: make().fit(X, y))

    sides = {label: partial(fit, make) for label, make in makers.items()}
    figures = timing.alternate(sides, args.repeats, warm_up=False, once_over=LONG)
    for label, figure in figures.items():
        row: report.Row = {"table": name, "estimator": label, "rows": len(y)}
        row |= {"columns": X.shape[1], "seconds": figure.median}
        row["fits"] = len(figure.values)
        row["epochs"] = int(np.max(figure.result.n_iter_))
        network = label.endswith(("MLP", "MLPClassifier"))
        for head, peer in (
            ("x lbfgs", "LogisticRegression lbfgs"),
            ("x SGD", "SGDClassifier"),
            ("x MLP", "MLPClassifier"),
        ):
            alike = network == (peer == "MLPClassifier") and label.startswith("ours")
            theirs = figures.get(peer)
            row[head] = theirs.median / figure.median if alike and theirs else None
        row["score"] = figure.result.score(X_test, y_test)
        row["objective"] = objective(figure.result, X, y)
        yield row


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name in args.tables:
            for row in measure(name, args):
                rows.append(row)
                report.show_last(rows)
    return rows
