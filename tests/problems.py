"""Small problems with every kind of target, on which the suite compares with exact minima."""

import numpy as np
from scipy import sparse

ROWS, FEATURES = 240, 9

# name of the problem: (loss of the objective, further arguments of objective and estimator)
KINDS = {
    "binary": ("log_loss", {}),
    "multiclass": ("log_loss", {}),
    "squared_error": ("squared_error", {}),
    "huber": ("huber", {"delta": 1.0}),
    "poisson": ("poisson", {}),
    "gamma": ("gamma", {}),
    "absolute_error": ("absolute_error", {}),
    "quantile": ("quantile", {"quantile": 0.3}),
}
# Chosen for the exact minimum alone: its zeros are not near ties, with any of the penalties
# (test_exact.py), so that a solver can be asked for just these zeros.
SEEDS = {"binary": 23, "multiclass": 48, "squared_error": 32, "huber": 44, "poisson": 30}
PENALTIES = {
    "l2": {"alpha": 0.01, "l1_ratio": 0.0},
    "l1": {"alpha": 0.04, "l1_ratio": 1.0},
    "elastic_net": {"alpha": 0.05, "l1_ratio": 0.6},
}


def rows(form, seed=0, n=ROWS, d=FEATURES):
    """Correlated columns of unequal scale; as CSR, two thirds of the entries are zeros."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) + 0.5 * rng.standard_normal((n, 1))
    X *= np.geomspace(0.6, 1.6, d)
    if form == "dense":
        return X
    return sparse.csr_matrix(X * (rng.random((n, d)) < 1 / 3))


def problem(kind, form):
    """X and y; the signal is in four of the features, and the noise is substantial."""
    seed = SEEDS.get(kind, 3)
    rng = np.random.default_rng(seed + 1)
    X = rows(form, seed)
    n, d = X.shape
    weights = np.zeros(d)
    weights[[0, 2, 3, 7]] = [0.9, -0.7, 0.6, -0.5]
    signal = X @ weights
    if kind == "multiclass":
        columns = X[:, [0, 2, 7]]
        columns = columns.toarray() if sparse.issparse(columns) else columns
        index = np.argmax(columns + rng.gumbel(size=(n, 3)), axis=1)
        return X, np.array(["low", "middle", "top"])[index]
    if kind == "binary":
        return X, (signal + rng.logistic(size=n) > 0.3).astype(int)
    if kind == "poisson":
        return X, rng.poisson(np.exp(0.5 + 0.5 * signal)).astype(float)
    if kind == "gamma":
        return X, rng.gamma(2.0, np.exp(0.5 * signal + 0.5) / 2.0) + 1e-3
    if kind == "squared_error":
        return X, signal + 1.5 + rng.standard_normal(n)
    return X, signal + 1.5 + rng.standard_t(2, size=n)
