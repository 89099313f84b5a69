"""Short fits of every estimator, solver and form of rows, and what is compared of them.

Run as a script it makes all fits of this process and stores them: python fits.py FILE.npz
"""

import sys
import warnings

import numpy as np
from by_feature import steps
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor
from skopt_est._core import simd

ESTIMATORS = {
    cls.__name__: cls for cls in (LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor)
}
LINEAR_SOLVERS = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad", "lbfgs")
NETWORK_SOLVERS = (*LINEAR_SOLVERS, "adamw")
FORMS = {"dense": np.asarray, "csr": sparse.csr_matrix}
DTYPES = ("float32", "float64")
NEVER = {"tol": 0.0, "n_iter_no_change": 10**6}


def is_network(name):
    return name.startswith("MLP")


def solvers_of(name):
    return NETWORK_SOLVERS if is_network(name) else LINEAR_SOLVERS


def data(name, form="dense", dtype="float64", n=400, d=12):
    """Rows, a third of their entries zeros, and targets: numbers, or three classes by name."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < 2 / 3)
    z = X[:, :4] @ [1.0, -2.0, 0.5, 1.5] + rng.normal(size=n)
    if is_classifier(ESTIMATORS[name]()):
        z = np.array(["low", "mid", "top"])[np.digitize(z, (-1, 1))]
    return FORMS[form](X.astype(dtype)), z


def model(name, solver, **params):
    """Six epochs, all of them made."""
    size = {"hidden_layer_sizes": (9, 5), "activation": "tanh"} if is_network(name) else {}
    params = {"batch_size": 32, "max_iter": 6, "random_state": 0} | NEVER | size | params
    return ESTIMATORS[name](solver=solver, **params)


def parameters_of(est):
    """All coefficients as one array."""
    parts = (
        [*est.coefs_, *est.intercepts_] if hasattr(est, "coefs_") else [est.coef_, est.intercept_]
    )
    return np.concatenate([np.ravel(part) for part in parts])


def outcome(est, X):
    """What must not depend on where and when a fit is made: coefficients, losses, predictions."""
    predict = est.predict_proba if hasattr(est, "classes_") else est.predict
    predicted = np.concatenate([predict(X), predict(X[:1])])  # of one row: it may take another way
    curves = np.array(est.loss_curve_ + (est.validation_scores_ or []))
    return parameters_of(est), curves, predicted.ravel()


def of_case(name, solver, form="dense", dtype="float64", seed=0):
    form, _, by_feature = form.partition(" ")
    X, y = data(name, form, dtype)
    with steps(True if by_feature else None):
        return outcome(model(name, solver, random_state=seed).fit(X, y), X)


CASES = [
    (name, solver, form, dtype)
    for name in ESTIMATORS
    for solver in solvers_of(name)
    for form in (*FORMS, "csr by feature")
    for dtype in DTYPES
]
# What draws random numbers, divides rows or has a path of its own; `wide` is for BLAS and LAPACK,
# whose products the small fits don't reach.
FURTHER = {
    "held out": ("LogisticRegression", "adam", {"early_stopping": True}),
    "held out, networks": ("MLPClassifier", "adam", {"early_stopping": True, "scoring": None}),
    "l1": ("LogisticRegression", "sgd", {"alpha": 0.01, "l1_ratio": 1.0}),
    "weights of classes": ("LogisticRegression", "nadam", {"class_weight": "balanced"}),
    "average": ("LinearRegression", "sgd", {"average": True}),
    "quantile": ("LinearRegression", "adagrad", {"loss": "quantile", "batch_size": 1}),
    "dropout, restarts": ("MLPRegressor", "adam", {"dropout": 0.3, "n_init": 3}),
    "smoothing": ("MLPClassifier", "sgd", {"label_smoothing": 0.1, "max_grad_norm": 0.5}),
}
WIDE = {
    "wide": ("LogisticRegression", "lbfgs", {}),
    "wide, one output": ("LinearRegression", "lbfgs", {}),
    "wide, scored": (
        "LogisticRegression",
        "adam",
        {"early_stopping": True, "scoring": "neg_log_loss", "validation_fraction": 0.5},
    ),
    "wide network": (
        "MLPClassifier",
        "adam",
        {"hidden_layer_sizes": (700, 700), "batch_size": 1000, "max_iter": 2},
    ),
}


def every_fit():
    """The name and outcome of each."""
    for case in CASES:
        yield " ".join(case), of_case(*case)
    for group, size in ((FURTHER, {}), (WIDE, {"n": 1500, "d": 400})):
        for text, (name, solver, params) in group.items():
            X, y = data(name, **size)
            yield text, outcome(model(name, solver, **params).fit(X, y), X)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    arrays = {
        f"{name}: {what}": array
        for name, parts in every_fit()
        for what, array in zip(("parameters", "curves", "predictions"), parts, strict=True)
    }
    np.savez(sys.argv[1], simd=simd, **arrays)


if __name__ == "__main__":
    main()
