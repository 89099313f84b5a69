"""The objective that both sides minimise, from their coefficients, in double precision."""

import numpy as np
from scipy.special import logsumexp


def log_loss(f, y) -> float:
    """Mean loss of raw predictions: one column (two classes) or one a class; y holds 0, 1, ..."""
    f = np.asarray(f, np.float64)
    if f.ndim == 1 or f.shape[1] == 1:
        f = f.ravel()
        return float(np.mean(np.logaddexp(0, f) - y * f))
    return float(np.mean(logsumexp(f, axis=1) - f[np.arange(len(y)), y]))


def logistic(coef, intercept, X, y, alpha) -> float:
    """Log loss and L2 penalty of a linear model, block by block: X is not copied to float64."""
    coef, intercept = np.atleast_2d(coef).astype(np.float64), np.ravel(intercept)
    total, block = 0.0, 1 << 16
    for begin in range(0, len(y), block):
        rows = X[begin : begin + block]
        f = np.asarray(rows.astype(np.float64) @ coef.T) + intercept
        total += log_loss(f, y[begin : begin + block]) * rows.shape[0]
    return total / len(y) + alpha / 2 * float((coef**2).sum())
