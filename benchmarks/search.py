"""Grid searches on the adult table: seconds and best score, and the gain of two threads.

Five solvers x three rates x five folds of ours, against the search that scikit-learn's estimators
allow: SGDClassifier over its three schedules with a rate x five rates, MLPClassifier over
its two stochastic solvers x three rates (and ours over five solvers; see `ms a fit`). The rows are
one-hot encoded once, CSR, float32. Networks train for 5 epochs.

Then our search with joblib's threading backend on one and on two threads: the kernels hold no lock
of the interpreter, so that two threads are faster, and scores and coefficients are the same bits.
Searches take long: one small search warms up in place of a whole round.
"""

import os
import warnings
from functools import partial

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier

import skopt_est
from benchmarks import report, tables, timing

FOLDS = 5
SOLVERS = ["sgd", "adagrad", "rmsprop", "adam", "nadam"]
NETWORK = {"max_iter": 5, "batch_size": 200, "random_state": 0}
# an estimator and its grid; SGDClassifier's other schedules have no rate
SEARCHES = {
    "linear": {
        "ours": (
            skopt_est.LogisticRegression(random_state=0),
            {"solver": SOLVERS, "learning_rate_init": [0.001, 0.01, 0.1]},
        ),
        "theirs": (
            SGDClassifier(loss="log_loss", random_state=0),
            {
                "learning_rate": ["constant", "invscaling", "adaptive"],
                "eta0": [0.001, 0.003, 0.01, 0.03, 0.1],
            },
        ),
    },
    "MLP (100)": {
        "ours": (
            skopt_est.MLPClassifier((100,), **NETWORK),
            {"solver": SOLVERS, "learning_rate_init": [0.0003, 0.001, 0.01]},
        ),
        "theirs": (
            MLPClassifier((100,), **NETWORK),
            {"solver": ["sgd", "adam"], "learning_rate_init": [0.0003, 0.001, 0.01]},
        ),
    },
}


def add_arguments(parser) -> None:
    parser.add_argument("--cases", nargs="+", choices=list(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--rows", type=int, help="most training rows (default: all)")
    timing.add_repeats(parser)


def search(estimator, grid, X, y, n_jobs=1):
    """Seconds, and the fitted search."""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    model = GridSearchCV(estimator, grid, cv=folds, n_jobs=n_jobs, error_score="raise")
    with joblib.parallel_config(backend="threading"):
        return timing.timed(lambda: model.fit(X, y))


def n_fits(model) -> int:
    return len(model.cv_results_["params"]) * FOLDS + 1


def same(one, two) -> bool:
    """Whether all scores, and the coefficients of the best model, are the same bits."""
    coefficients = [
        [best.coef_, best.intercept_] if hasattr(best, "coef_") else best.coefs_ + best.intercepts_
        for best in (one.best_estimator_, two.best_estimator_)
    ]
    scores = [
        model.cv_results_[f"split{fold}_test_score"]
        for model in (one, two)
        for fold in range(FOLDS)
    ]
    pairs = [*zip(*coefficients, strict=True), *zip(scores[:FOLDS], scores[FOLDS:], strict=True)]
    return all(np.array_equal(a, b) for a, b in pairs)


def line(case, who, figure, against=None) -> report.Row:
    fits = n_fits(figure.result)
    return {
        "search": case,
        "by": who,
        "fits": fits,
        "seconds": figure.median,
        "ms a fit": 1000 * figure.median / fits,
        "x": None if against is None else against.median / figure.median,
        "best score": float(figure.result.best_score_),
        "same result": None if against is None else same(figure.result, against.result),
    }


def measure(case, X, y, repeats):
    some = slice(0, 500)
    sides = {}
    for side, (estimator, grid) in SEARCHES[case].items():
        search(estimator, grid, X[some], y[some])
        sides[side] = partial(search, estimator, grid, X, y)
    cores = os.cpu_count() or 1
    sides["two threads"] = partial(sides["ours"], n_jobs=2)
    figures = timing.alternate(sides, repeats, warm_up=False)
    theirs, ours = figures["theirs"], figures["ours"]
    first = line(case, "ours", ours)
    yield first | {"x": theirs.median / ours.median}
    yield line(case, "scikit-learn", theirs)
    yield line(case, f"ours, 2 threads on {cores} cores", figures["two threads"], ours)


def run(args) -> list[report.Row]:
    X, y, *_ = tables.split("adult", None, args.rows)
    timing.warm_blas()
    rows: list[report.Row] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in args.cases:
            for row in measure(case, X, y, args.repeats):
                rows.append(row)
                report.show_last(rows)
    return rows
