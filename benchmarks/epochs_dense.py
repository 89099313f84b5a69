"""One epoch of log loss on dense rows, against scikit-learn's SGDClassifier; at 20 columns against
Vowpal Wabbit, too, if it is installed."""

import math
from functools import partial

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier

from benchmarks import peers, problems, report, timing
from benchmarks.objectives import logistic
from benchmarks.vowpal import Rows
from skopt_est import LogisticRegression

ALPHA = 1e-4
VW = "VW sgd"  # a pass over its cache
OURS = {
    "sgd b1": {"solver": "sgd", "batch_size": 1},
    "adagrad b1": {"solver": "adagrad", "batch_size": 1},
    "adam b256": {"solver": "adam", "batch_size": 256},
    "gd": {"solver": "gd"},
}
# rows, columns, precision, the ratios to reach in the order of OURS
CASES = {
    "100k x 20 float32": (100_000, 20, np.float32, (6, 3.5, 5, 16)),
    "100k x 100 float32": (100_000, 100, np.float32, (7, 3, 6, 11)),
    "100k x 100 float64": (100_000, 100, np.float64, (5, 2, 4, 7)),
    "10k x 1000 float32": (10_000, 1000, np.float32, (4, 2, 4, 8)),
    "1M x 28 float32": (1_000_000, 28, np.float32, (7, 4, 6, 19)),
    "1M x 28 float64": (1_000_000, 28, np.float64, (7, 3.5, 5, 17)),
}


def sgd_classifier(X, y, epochs, eta0):
    model = SGDClassifier(
        loss="log_loss",
        alpha=ALPHA,
        learning_rate="constant",
        eta0=eta0,
        tol=None,
        max_iter=epochs,
        random_state=0,
    )
    return model.fit(X, y)


def logistic_regression(X, y, epochs, **params):
    """A fit of exactly so many epochs."""
    model = LogisticRegression(
        alpha=ALPHA,
        max_iter=epochs,
        tol=0.0,
        n_iter_no_change=math.inf,
        learning_rate="constant",
        random_state=0,
        **params,
    )
    model.fit(X, y)
    if model.n_iter_ != epochs:
        raise RuntimeError(f"{model.n_iter_} epochs in place of {epochs}")
    return model


def measure(case, repeats, textbook):
    n, d, dtype, reach = CASES[case]
    X, y = problems.dense(n, d, dtype)
    epochs = max(4, 20_000_000 // (n * d))
    sides = {
        "SGDClassifier": lambda: timing.epoch(
            lambda k: sgd_classifier(X, y, k, eta0=0.2 / d), epochs
        )
    }
    for name, params in OURS.items():
        fit = partial(logistic_regression, X, y, precondition=not textbook, **params)
        sides[name] = partial(timing.epoch, fit, 5 * epochs if name == "gd" else epochs)
    if d == 20 and peers.vowpalwabbit() is not None:
        text = Rows(csr_matrix(X), y)
        sides[VW] = partial(timing.epoch, partial(text.train, "sgd", ALPHA), 4)
    figures = timing.alternate(sides, repeats)
    losses = {
        name: logistic(figure.result.coef_, figure.result.intercept_, X, y, ALPHA)
        for name, figure in figures.items()
    }
    against: list = [(name, "SGDClassifier", r) for name, r in zip(OURS, reach, strict=True)]
    against += [("sgd b1", VW, None)] if VW in figures else []
    for name, other, ratio in against:
        head: report.Row = {"case": case, "solver": name, "against": other}
        row = timing.versus(head, "ns a row", figures[name], figures[other], ratio, 1e9 / n)
        row["objective, ours"] = losses[name]
        row["objective, theirs"] = losses[other]
        yield row
