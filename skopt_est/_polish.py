"""The polish: a few exact proximal steps that give an L1 solution its zeros.

No stochastic proximal method finds them: every step lifts weights off zero again.
"""

from __future__ import annotations

import numpy as np

from skopt_est._objective import Objective

Array = np.ndarray


def polish(objective: Objective, theta: Array, curvature: Array, max_iter: int) -> Array:
    """Parameters after up to max_iter full-batch proximal steps, each kept only if it lowers
    the objective; ends when nothing moves.

    Parameters
    ----------
    curvature : ndarray (n_parameters,)
        The objective's second derivative in each parameter alone. The step of parameter j is
        1 / (kappa curvature_j), kappa from the last step and the change of the gradient along
        it (Barzilai & Borwein 1988; SpaRSA, Wright, Nowak & Figueiredo 2009), doubled where the
        objective rose.
    """
    n, l1 = objective.layout.n_weights, objective.l1
    grad, trial_grad = np.empty_like(theta), np.empty_like(theta)
    evaluate = objective.evaluation()
    value, _ = evaluate(theta, grad)
    kappa, kept = 1.0, 0
    for _ in range(3 * max_iter):
        step = 1.0 / (kappa * curvature)
        trial = theta - step * grad
        # grad has the L2 term in it: only the threshold is left to apply.
        size = np.abs(trial[:n]) - step[:n] * l1
        trial[:n] = np.where(size > 0, np.copysign(size, trial[:n]), 0.0)
        trial = trial.astype(theta.dtype)
        if np.array_equal(trial, theta):
            break
        trial_value, _ = evaluate(trial, trial_grad)
        if not trial_value < value:
            kappa *= 2.0
            continue
        move = (trial - theta).astype(np.float64)
        along = float(move @ (trial_grad - grad)) / float(move @ (curvature * move))
        kappa = along if along > 1e-3 * kappa else kappa / 2.0
        theta, value, kept = trial, trial_value, kept + 1
        grad, trial_grad = trial_grad, grad
        if kept == max_iter:
            break
    return theta
