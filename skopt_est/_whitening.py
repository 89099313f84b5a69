"""Coordinates for L-BFGS in which the objective is about as curved in every direction.

``x = root theta``, with root² about the Hessian up to a factor: of each parameter alone, or of the
weights of an output together (`whitener`), where correlated columns would else make valleys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky
from scipy.linalg.lapack import dtrtrs

from skopt_est._rows import Rows
from skopt_est._scaling import Scaling
from skopt_est._targets import pieces

Array = np.ndarray
# Rows of the sample that correlations are taken from: for each column, and at least
ROWS_PER_COLUMN, LEAST_ROWS = 2, 2000
# The sample's products take as long as d² / (12 n) passes over n rows. Whitening saves up to some
# tens of passes; where it costs more than one, it waits for a sign that columns are correlated:
SQUARED_COLUMNS_PER_PASS, MOST_PASSES = 12, 16
# a mean square of the eigenvalues of their moments (one on average) as large as this.
LEAST_SPREAD, SPREAD_ROWS = 1.1, 256
# A column with less of its mean square, one, in the sample is taken to be rare.
SEEN = 0.5
# Added, as a share of the largest mean square: dependent columns stay positive definite in float32.
# A sample of few rows a column underrates the directions with the least in them, so that share is,
# if larger, this times the columns a row of it (of a full one: repeated rows are weights).
RIDGE, RIDGE_OF_SAMPLE = 1e-3, 0.05


@dataclass(frozen=True)
class Coordinates:
    """Parameters of training seen by L-BFGS.

    Attributes
    ----------
    root : of each weight alone
    upper : triangular, for all weights of an output together; then root is not used
    """

    root: Array
    upper: Array | None

    def enter(self, theta: Array) -> Array:
        """x of theta."""
        x = theta.astype(np.float64)
        n = len(self.root)
        if self.upper is None:
            x[:n] *= self.root
        else:
            x[:n] = (self.upper @ self._columns(x)).ravel()
        return x

    def leave(self, x: Array, theta: Array) -> None:
        """theta of x."""
        self._solve(x, theta, trans=0)

    def gradient(self, g: Array) -> Array:
        """dF/dx of dF/dtheta."""
        out = np.empty(len(g))
        self._solve(g, out, trans=1)
        return out

    def _solve(self, values: Array, out: Array, trans: int) -> None:
        n = len(self.root)
        if self.upper is None:
            np.divide(values[:n], self.root, out=out[:n], casting="same_kind")
        else:
            columns = self._columns(values.astype(np.float64, copy=False))
            # what solve_triangular ends in: on small tables its checks take longer than all else
            out[:n] = dtrtrs(self.upper, columns, trans=trans)[0].ravel()
        out[n:] = values[n:]

    def _columns(self, values: Array) -> Array:
        """The weights as (features, outputs)."""
        assert self.upper is not None
        return values[: len(self.root)].reshape(len(self.upper), -1)


def whitener(
    X: Array, rows: Rows, row_weight: Array | None, scaling: Scaling, penalty: Array
) -> Array | None:
    """Upper triangular R with R'R the columns' second moments, from a sample of the rows, plus
    the diagonal `penalty`; None where it would cost more than it saves.

    Rare columns get the mean square that they have in all rows. The others keep the sample's: else
    what depends linearly on other columns, in all rows and so in the sample, would not any more.
    """
    n, d = len(rows), X.shape[1]
    passes = d * d / (SQUARED_COLUMNS_PER_PASS * n)
    if min(n, d) < 2 or passes > MOST_PASSES:
        return None
    if passes > 1 and _spread(_sample(X, rows, row_weight, scaling, SPREAD_ROWS)) < LEAST_SPREAD:
        return None
    size = max(ROWS_PER_COLUMN * d, LEAST_ROWS)
    Z = _sample(X, rows, row_weight, scaling, size)
    moments = Z.T @ Z / Z.dtype.type(len(Z))
    found = moments.diagonal()
    missed = np.where(found < SEEN, 1.0 - found, 0.0)
    ridge = max(RIDGE, RIDGE_OF_SAMPLE * d / size) * max(1.0, float(found.max()))
    moments[np.diag_indices(d)] += missed + penalty + ridge
    return cholesky(moments, overwrite_a=True, check_finite=False).astype(np.float64, order="F")


def _sample(X: Array, rows: Rows, row_weight: Array | None, scaling: Scaling, size: int) -> Array:
    """About `size` rows in training's units: all, times the roots of their weights, if there are
    no more, else some drawn by weight."""
    few = len(rows) <= size
    Z = X[rows[:] if few else rows[_drawn(size, row_weight, rows)]]
    units: dict[str, Any] = scaling.as_rows(X.dtype)
    if units["shift"] is not None:
        Z -= units["shift"]
    Z *= units["inv_scale"]
    if few and row_weight is not None:
        weights = row_weight[rows[:]]
        Z *= np.sqrt(weights / weights.mean())[:, None]
    return Z


def _drawn(size: int, row_weight: Array | None, rows: Rows) -> Array:
    """Places in `rows`, evenly spread, each as often as its row's weight asks for: a weighted row
    counts as a repeated one. At irrational places, lest rounding decide."""
    n = len(rows)
    places = (np.arange(size) + 0.5 * (np.sqrt(5.0) - 1.0)) / size
    if row_weight is None:
        return (places * n).astype(np.intp)
    total = sum(float(row_weight[rows[piece]].sum(dtype=np.float64)) for piece in pieces(n))
    places *= total
    drawn, done, before = np.empty(size, np.intp), 0, 0.0
    for piece in pieces(n):  # running sums of all rows would have eight bytes each
        reached = before + np.cumsum(row_weight[rows[piece]], dtype=np.float64)
        before = reached[-1]
        until = int(np.searchsorted(places, before, side="left"))
        some = np.searchsorted(reached, places[done:until], side="right")
        drawn[done:until] = piece.start + some
        done = until
    drawn[done:] = n - 1
    return drawn


def _spread(Z: Array) -> float:
    """The mean square of the eigenvalues of Z's moments C: of two rows, E (z z')² = trace C²."""
    products = Z @ Z.T
    m, d = Z.shape
    np.fill_diagonal(products, 0.0)
    return float(np.sum(products.astype(np.float64) ** 2)) / (m * (m - 1) * d)
