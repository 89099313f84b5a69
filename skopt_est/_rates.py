"""learning_rate_init="auto" for the solvers whose rate is made from the data.

All rates are for training's units, where columns have deviation one if `precondition` is on.
"""

from __future__ import annotations

import numpy as np

from skopt_est._core import engine, moments
from skopt_est._objective import Objective
from skopt_est._rows import Rows, compiled
from skopt_est._scaling import Scaling
from skopt_est._targets import pieces
from skopt_est.solvers import Solver

Array = np.ndarray


def automatic(
    solver: Solver,
    objective: Objective,
    X,
    row_weight: Array | None,
    scaling: Scaling,
    curvature: Array | float,
    largest_curvature: Array | float,
    batch_size: int,
) -> float:
    """The rate that `solver` starts with.

    gd: 1 / L, L the smoothness of the data term at the constant model (the trainer halves the
    rate should a step raise the objective). sgd: 1 / (T + R / batch_size), the expected
    smoothness of a batch (Gower et al. 2019) with T the mean squared row norm, a bound of L, and
    R the largest; times 1 - momentum, as momentum repeats each step that many times.
    """
    rows, intercept = objective.rows, objective.network.fit_intercept
    units = scaling.as_rows(X.dtype)
    if solver.full_batch:
        # Squared error with targets zero and rows weighted by the curvature: its gradient at v
        # is the Hessian's bound times v.
        weights = row_weight
        if isinstance(curvature, np.ndarray):
            weights = curvature.astype(X.dtype) * (1 if row_weight is None else row_weight)
            curvature = 1.0
        code = engine.LOSS_CODES["squared_error"]
        data = engine.Data(objective.data, None, code, row_weight=weights, **units)
        return 1.0 / max(curvature * smoothness(data, rows, intercept), 1e-30)
    total = worst = 0.0
    for piece in pieces(len(rows)):
        some = rows[piece]
        norms = moments.squared_norms(X, some, **units)
        norms += intercept
        if row_weight is not None:
            norms *= row_weight[some]
        if isinstance(largest_curvature, np.ndarray):
            worst = max(worst, float(np.max(norms * largest_curvature[some])))
        else:  # the same number without an array of products
            worst = max(worst, float(np.max(norms)) * largest_curvature)
        norms *= _of_rows(curvature, some)
        total += float(np.sum(norms))
        del norms  # else it waits for the next piece's
    typical = total / len(rows)
    return (1.0 - solver.momentum) / max(typical + worst / batch_size, 1e-30)


def _of_rows(per_row: Array | float, rows: Array) -> Array | float:
    return per_row[rows] if isinstance(per_row, np.ndarray) else per_row


def smoothness(
    data: engine.Data, rows: Rows, fit_intercept: bool, max_iter: int = 50, rtol: float = 0.01
) -> float:
    """The largest eigenvalue of the Hessian's bound, by power iteration, a little enlarged as
    power iteration approaches it from below."""
    network = engine.Network((data.d, 1), fit_intercept=fit_intercept)
    v = np.random.default_rng(0).normal(size=data.d + 1).astype(data.dtype)
    v[-1] *= fit_intercept
    grad, largest = np.empty_like(v), 0.0
    for _ in range(max_iter):
        norm = float(np.linalg.norm(v))
        if norm == 0 or not np.isfinite(norm):
            break
        v /= norm
        engine.value_and_gradient(data, v, network, grad, compiled(rows))
        previous, largest = largest, float(np.linalg.norm(grad))
        v, grad = grad, v
        if abs(largest - previous) <= rtol * largest:
            break
    return 1.05 * largest
