"""Prediction of one row and of 100k rows: microseconds a call, against scikit-learn and PyTorch.

All sides hold the same weights, those of a short fit of ours, and predict classes; scikit-learn's
in the types that its own fit of float32 rows leaves (SGDClassifier's intercept is float64). PyTorch
gets a tensor and checks nothing. The largest difference of the probabilities stands beside the
times. Where there is a C compiler, a loop that does nothing but read X, as one stream, takes its
turn beside the large linear case.
"""

import os
import shutil
import time
import warnings
from functools import partial

import numpy as np
import sklearn.neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier

from benchmarks import peers, problems, report, timing
from benchmarks.bounds_loops import Loops
from skopt_est import LogisticRegression, MLPClassifier

COLUMNS = 20
# rows, calls of a round, the ratio to reach against scikit-learn
SIZES = {"1 row": (1, 300, 2.0), "100k rows": (100_000, 3, 3.0)}
MODELS = ("linear, 20 columns", "MLP 20-(100)-1")
CASES = {f"{model}, {size}": (model, size) for model in MODELS for size in SIZES}
README = ("case", "against", "unit", "ours", "theirs", "x", "± %", "reach")


def add_arguments(parser) -> None:
    timing.add_cases(parser, CASES)
    timing.add_repeats(parser)


def linear(X, y):
    ours = LogisticRegression(max_iter=5, random_state=0).fit(X, y)
    theirs = SGDClassifier(loss="log_loss", max_iter=5, tol=None).fit(X, y)
    theirs.coef_[:], theirs.intercept_[:] = ours.coef_, ours.intercept_
    return ours, theirs, [(ours.coef_.T, ours.intercept_)]


def network(X, y):
    ours = MLPClassifier((100,), max_iter=5, random_state=0).fit(X, y)
    theirs = sklearn.neural_network.MLPClassifier((100,), max_iter=1).fit(X, y)
    for layer, (W, b) in enumerate(zip(ours.coefs_, ours.intercepts_, strict=True)):
        theirs.coefs_[layer][:], theirs.intercepts_[layer][:] = W, b
    return ours, theirs, list(zip(ours.coefs_, ours.intercepts_, strict=True))


class TorchClassifier:
    """A net of the given layers that is called as the others are."""

    def __init__(self, layers) -> None:
        self.torch = torch = peers.torch()
        parts = []
        for W, b in layers:
            part = torch.nn.Linear(*W.shape)
            part.load_state_dict({"weight": torch.tensor(W.T), "bias": torch.tensor(b)})
            parts += [part, torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*parts[:-1])

    def predict(self, X):
        with self.torch.inference_mode():
            return (self.net(self.torch.from_numpy(X))[:, 0] > 0).numpy()

    def predict_proba(self, X):
        with self.torch.inference_mode():
            p = self.torch.sigmoid(self.net(self.torch.from_numpy(X))[:, 0]).numpy()
        return np.stack([1 - p, p], axis=1)


class Reading:
    """Nothing but what a linear prediction reads."""

    def __init__(self, X) -> None:
        loops = Loops(np.float32, COLUMNS)
        loops.check()
        ways = loops.reading(X)
        taken = [min(timing.timed(way)[0] for _ in range(20)) for way in ways]
        self.read = ways[int(np.argmin(taken))]

    def predict(self, X):
        return self.read()


def per_call(model, X, calls):
    start = time.perf_counter()
    for _ in range(calls):
        model.predict(X)
    return (time.perf_counter() - start) / calls, None


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    X, y = problems.dense(100_000, COLUMNS)
    makers = dict(zip(MODELS, (linear, network), strict=True))
    for case in args.cases:
        kind, size = CASES[case]
        n, calls, reach = SIZES[size]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            ours, theirs, layers = makers[kind](X[:5000], y[:5000])
        models = {"ours": ours, "scikit-learn": theirs}
        if peers.torch() is not None:
            models["torch"] = TorchClassifier(layers)
        probabilities = {name: model.predict_proba(X[:n]) for name, model in models.items()}
        if kind == MODELS[0] and n > 1 and shutil.which(os.environ.get("CC", "cc")):
            models["reading X"] = Reading(X[:n])
        sides = {name: partial(per_call, model, X[:n], calls) for name, model in models.items()}
        figures = timing.alternate(sides, args.repeats)
        for name in models:
            if name == "ours":
                continue
            bound = reach if name == "scikit-learn" else None
            head: report.Row = {"case": case, "against": name}
            row = timing.versus(head, "us a call", figures["ours"], figures[name], bound, 1e6)
            row["largest difference"] = None
            if name in probabilities:
                difference = np.abs(probabilities["ours"] - probabilities[name]).max()
                row["largest difference"] = float(difference)
            rows.append(row)
            report.show_last(rows)
    return rows
