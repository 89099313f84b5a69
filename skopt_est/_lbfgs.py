"""L-BFGS on the same objective, through scipy; with L1 on the two signs of each weight."""

from __future__ import annotations

import time
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from skopt_est._trainer import Trainer

Array = np.ndarray


def run(trainer: Trainer, gtol: float, one_iteration: bool = False) -> None:
    """Minimise until the projected gradient (in training's units) is below gtol.

    One history entry an iteration; early stopping and the best weights are the trainer's.
    """
    objective, state, settings = trainer.objective, trainer.state, trainer.settings
    size, n, l1 = objective.layout.size, objective.layout.n_weights, objective.l1
    split = bool(l1.any())
    max_iter = 1 if one_iteration else settings.max_iter
    theta, grad = np.empty_like(state.theta), np.empty_like(state.theta)
    evaluations, clock = 0, time.perf_counter()
    last_x: Array = np.empty(0)
    last_loss = np.inf

    def join(x: Array) -> Array:
        theta[:] = x[:size]
        if split:
            theta[:n] = x[:n] - x[size:]
        return theta

    def fun(x: Array) -> tuple[float, Array]:
        nonlocal evaluations, last_x, last_loss
        evaluations += 1
        value, last_loss = objective.training_value(join(x), grad)
        last_x = x.copy()
        g = grad.astype(np.float64)
        if not split:
            return value, g
        # |w| <= u + v, with equality at the minimum.
        value += float(l1 @ (x[:n] + x[size:] - np.abs(x[:n] - x[size:])))
        return value, np.concatenate([g[:n] + l1, g[n:], l1 - g[:n]])

    def callback(intermediate_result) -> None:
        record(intermediate_result.x)
        if settings.early_stopping and trainer.monitor.stalled:
            raise StopIteration

    def record(x: Array) -> None:
        nonlocal clock, evaluations
        state.theta[:] = join(x)
        state.n_updates += 1
        state.t += evaluations * len(objective.rows)
        evaluations = 0
        loss = last_loss if np.array_equal(x, last_x) else objective.value(state.theta)
        score = trainer.score(state.theta) if trainer.score else None
        now = time.perf_counter()
        trainer.record.add(loss, score, None, now - clock)
        clock = now
        trainer.judge(loss, score)
        trainer.report()

    start, bounds = state.theta.astype(np.float64), None
    if split:
        start = np.concatenate([start, np.maximum(-start[:n], 0)])
        start[:n] = np.maximum(start[:n], 0)
        bounds = [(0, None)] * n + [(None, None)] * (size - n) + [(0, None)] * n
    result = minimize(
        fun,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=callback,
        options={
            "maxiter": max_iter,
            "maxfun": 20 * max_iter,
            "gtol": gtol,
            # the precision at which F is known
            "ftol": 16 * np.finfo(theta.dtype).eps,
            "maxls": 50,
        },
    )
    if result.nit == 0:
        record(result.x)  # the start was the minimum
    state.theta[:] = join(result.x)
    if not np.isfinite(state.theta).all() or not np.isfinite(result.fun):
        raise ValueError(
            "solver='lbfgs' met a non-finite objective from its first step on: scale the data "
            "and the target."
        )
    if one_iteration:
        return
    if settings.early_stopping:
        trainer.restore_best()
    elif result.status == 1:
        warnings.warn(
            f"solver='lbfgs' reached max_iter={settings.max_iter} before its gradient fell below "
            f"tol ({gtol:g}, in standardised units). Increase max_iter or tol.",
            ConvergenceWarning,
            stacklevel=4,
        )
    elif not result.success:
        warnings.warn(
            f"solver='lbfgs' stopped where its line search found no lower point "
            f"({result.message}). The weights are the best it met; another solver may do better.",
            ConvergenceWarning,
            stacklevel=4,
        )
