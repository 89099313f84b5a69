"""Faults at any line of the package, and fits for them to hit."""

import copy
import os
import random
import sys
import warnings

import joblib
import numpy as np
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning

import skopt_est
from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor, _threads

PACKAGE = os.path.dirname(skopt_est.__file__)
EPOCHS, ROWS = 4, 48
EVERY = [LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor]
SOLVERS = ["gd", "sgd", "adam", "lbfgs"]


class Fault(MemoryError):
    """One of ours."""


class AtLine:
    """Raises an error when the package executes so many of its lines; none if number is None.
    `places` are the functions that were running, the innermost first."""

    def __init__(self, number, error):
        self.number, self.error = number, error
        self.lines, self.places = 0, []

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def watches(self, code):
        # Python looks for signals after calls only, so not on the way out of a lock's block.
        name = code.co_filename
        return name.startswith(PACKAGE) and not name.endswith("_threads.py")

    def act(self):
        raise self.error

    def trace(self, frame, event, argument):
        if not self.watches(frame.f_code):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.number:
                while frame is not None:
                    self.places.append(frame.f_code.co_name)
                    frame = frame.f_back
                self.act()
        return self.trace


class WithinTheLimit(AtLine):
    """At a line of those that limit BLAS to one thread and lift that, threadpoolctl's too."""

    def watches(self, code):
        ours = code.co_filename == _threads.__file__ and code.co_name in ("_limit", "_lift")
        return ours or code.co_filename == threadpoolctl.__file__


def data(cls, shift=0.0):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 4)) + shift
    z = (X - shift) @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=ROWS)
    return X, z if cls in (LinearRegression, MLPRegressor) else np.where(z > 0, "yes", "no")


def model(cls, **params):
    params = {"random_state": 0, "max_iter": EPOCHS, "tol": 0.0, "n_iter_no_change": 99} | params
    params = {"learning_rate": "constant", "batch_size": 12} | params
    if cls in (MLPClassifier, MLPRegressor):
        params = {"hidden_layer_sizes": (5,)} | params
    else:
        params = {"polish_iter": 0} | params
    if cls is LinearRegression:
        params = {"loss": "huber"} | params  # lbfgs takes some iterations
    return cls(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    if hasattr(est, "coefs_"):
        return np.concatenate([np.ravel(part) for part in (*est.coefs_, *est.intercepts_)])
    return np.concatenate([np.ravel(est.coef_), np.ravel(est.intercept_)])


def lines_of(est, *args, n, **kwargs):
    """n numbers of lines that this fit executes, at random, in ascending order."""
    est = copy.deepcopy(est)
    with AtLine(None, None) as counter:
        fit(est, *args, **kwargs)
    return sorted(random.Random(counter.lines).sample(range(1, counter.lines + 1), n))


def assert_untouched(est, before, digest):
    assert vars(est).keys() == before.keys()
    assert all(vars(est)[name] is before[name] for name in before)
    assert joblib.hash(before) == digest
