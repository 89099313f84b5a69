"""Preconditioning: training in standardised units, answers in the user's.

With column means mu and deviations sigma (of the targets too, for losses whose scale is the
target's) training runs on ``u = sigma w / s`` over rows ``(x - mu) / sigma`` and targets
``(y - m) / s``. Thresholds of the penalty are rewritten in u, so that the objective and its
minimiser stay those of the original problem: the path changes, the answer does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from skopt_est._core import moments
from skopt_est._layout import Layout
from skopt_est._losses import Loss
from skopt_est._rows import Rows, compiled
from skopt_est._targets import pieces

Array = np.ndarray


class Scaling(NamedTuple):
    """Units of training. `shift` is None where rows are not centred, `scale` where they are
    taken as they come."""

    shift: Array | None
    scale: Array | None
    target_shift: Array
    target_scale: Array

    def targets(self, Y: Array) -> Array:
        if (self.target_scale == 1).all() and (self.target_shift == 0).all():
            return Y
        out = np.empty_like(Y)
        for piece in pieces(len(Y)):
            out[piece] = (Y[piece] - self.target_shift) / self.target_scale
        return out

    def as_rows(self, dtype: np.dtype) -> dict[str, Array | None]:
        """`shift` and `inv_scale` as the engine takes them."""
        return {
            "shift": None if self.shift is None else self.shift.astype(dtype),
            "inv_scale": None if self.scale is None else (1.0 / self.scale).astype(dtype),
        }

    def to_coef(self, theta: Array, layout: Layout) -> tuple[Array, Array]:
        """Parameters in units of training -> weights (features, outputs) and intercepts in the
        user's units, float64."""
        (W,), (b,) = layout.weights(theta), layout.intercepts(theta)
        W = W.astype(np.float64) * self.target_scale
        if self.scale is not None:
            W /= self.scale[:, None]
        b = b.astype(np.float64) * self.target_scale + self.target_shift
        if self.shift is not None:
            b -= self.shift @ W
        return W, b

    def penalty(self, l1: float, l2: float, unit: Array, n_features: int) -> tuple[Array, Array]:
        """The penalty's strengths on each parameter of training, (features, outputs) raveled."""
        factor = np.broadcast_to(self.target_scale, (n_features, len(unit)))
        if self.scale is not None:
            factor = factor / self.scale[:, None]
        return (l1 * factor / unit).ravel(), (l2 * factor**2 / unit).ravel()


def identity(n_outputs: int) -> Scaling:
    return Scaling(None, None, np.zeros(n_outputs), np.ones(n_outputs))


def deviations(mean_square: Array, mean: Array) -> Array:
    """Square roots; 1 where a column is constant up to the rounding of its moments."""
    scale = np.sqrt(mean_square)
    scale[scale <= 1e-12 * np.abs(mean)] = 1.0
    scale[(scale == 0) | ~np.isfinite(scale)] = 1.0
    return scale


def column_squares(X, rows: Rows, row_weight: Array | None) -> Array:
    """Weighted mean square of each column over these rows, float64."""
    if not issparse(X):
        return moments.column_moments(X, compiled(rows), row_weight, False)[1]
    return moments.column_squares(X, compiled(rows), row_weight)


def measure(
    X,
    Y: Array,
    rows: Rows,
    row_weight: Array | None,
    loss: Loss,
    n_outputs: int,
    fit_intercept: bool,
) -> Scaling:
    """The units in which columns (and targets) have deviation one.

    Where nothing is centred (CSR, or no intercept) the deviation is that from zero, the root
    mean square, as it is from there that a step sees the column.
    """
    if issparse(X) or not fit_intercept:
        shift, scale = None, deviations(column_squares(X, rows, row_weight), np.zeros(X.shape[1]))
    else:
        shift, square = moments.column_moments(X, compiled(rows), row_weight, True)
        scale = deviations(square, shift)
    target_shift, target_scale = np.zeros(n_outputs), np.ones(n_outputs)
    if loss.standardizes:
        y_mean, y_square = moments.column_moments(Y, compiled(rows), row_weight, fit_intercept)
        target_scale = deviations(y_square, y_mean)
        if fit_intercept:
            target_shift = loss.constant(Y, row_weight, rows).astype(np.float64)
    return Scaling(shift, scale, target_shift, target_scale)
