"""L-BFGS on the same objective, through scipy; with L1 on the two signs of each weight."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import minimize

from skopt_est._trainer import Diverged, Trainer
from skopt_est._whitening import Coordinates

Array = np.ndarray
# F is known to so many units of its type's precision, and below this share of a constant model's
# (or of its start, if that is less) to so many of that: an iteration that brings less was the
# last. (scipy's own rule takes any F for one at least, and would end a fit at 0.04 that can be told
# almost without loss.)
ROUNDING, LEAST_SHARE = 32, 1e-3


def run(
    trainer: Trainer,
    gtol: float,
    *,
    whitener: Array | None = None,
    ftol: float = 0.0,
    max_fun: int | None = None,
    one_iteration: bool = False,
) -> None:
    """Minimise until the projected gradient is below gtol, or F falls by less than is lost in its
    rounding, or than ftol (of F, or of 1 if F is below), or after max_fun evaluations (None: 20 an
    iteration).

    Works on ``x = root theta`` with root² the curvature of standardised columns plus the
    penalty's, so that a strongly penalised weight is no stiffer than another; `whitener`, where
    given, is a root that knows of the columns' correlations, too. One history entry an
    iteration; early stopping and the best weights are the trainer's.
    """
    objective, state, settings = trainer.objective, trainer.state, trainer.settings
    size, n = objective.layout.size, objective.layout.n_weights
    coordinates = Coordinates(np.sqrt(1.0 + objective.l2), whitener)
    l1 = objective.l1 / coordinates.root
    split = bool(l1.any())
    max_iter = 1 if one_iteration else settings.max_iter
    theta, grad = np.empty_like(state.theta), np.empty_like(state.theta)
    evaluations, clock, evaluate = 0, time.perf_counter(), objective.evaluation()
    last_x, last_loss = None, np.inf
    first, reached, settled = np.inf, np.inf, False
    # Whether an iteration has begun, and an error that scipy would take for a request to stop
    begun, escaped = False, None
    if not one_iteration:
        trainer.report.last = trainer.begun + max_iter

    def join(x: Array) -> Array:
        """x, or with an L1 term its positive and negative parts, to theta."""
        signed = x
        if split:
            signed = x[:size].copy()
            signed[:n] -= x[size:]
        coordinates.leave(signed, theta)
        return theta

    def fun(x: Array) -> tuple[float, Array]:
        nonlocal evaluations, last_x, last_loss, begun, first, reached
        if not begun:
            trainer.begin_task()
            begun = True
        evaluations += 1
        value, last_loss = evaluate(join(x), grad)
        last_x = x.copy()
        g = coordinates.gradient(grad)
        if split:
            # |w| <= u + v, with equality at the minimum.
            value += float(l1 @ (x[:n] + x[size:] - np.abs(x[:n] - x[size:])))
            g = np.concatenate([g[:n] + l1, g[n:], l1 - g[:n]])
        if not np.isfinite(first):
            first = reached = value
        return value, g

    def record(x: Array) -> None:
        nonlocal clock, evaluations, begun
        met = last_x is not None and not (x != last_x).any()
        state.theta[:] = theta if met else join(x)
        state.n_updates += 1
        state.t += evaluations * len(objective.rows)
        evaluations = 0
        loss = last_loss if met else objective.value(state.theta)
        score = trainer.score(state.theta) if trainer.score else None
        now = time.perf_counter()
        finite = bool(np.isfinite(loss))
        trainer.enter(loss, score, None, now - clock, finite=finite)
        clock = now
        if begun:
            begun = False
            trainer.end_task(finite)

    def callback(intermediate_result) -> None:
        nonlocal escaped, reached, settled
        try:
            record(intermediate_result.x)
        except StopIteration as error:
            escaped = error
            raise
        before, reached = reached, intermediate_result.fun
        known_to = rounding * max(abs(reached), LEAST_SHARE * min(abs(first), typical))
        settled = reached == 0 or before - reached <= known_to
        if settled or stopped():
            raise StopIteration

    def stopped() -> bool:
        return trainer.stop_requested or (settings.early_stopping and trainer.monitor.stalled)

    start, bounds = coordinates.enter(state.theta), None
    if split:
        start = np.concatenate([start, np.maximum(-start[:n], 0)])
        start[:n] = np.maximum(start[:n], 0)
        bounds = [(0, None)] * n + [(None, None)] * (size - n) + [(0, None)] * n
    rounding = ROUNDING * float(np.finfo(theta.dtype).eps)
    typical = settings.magnitude / float(np.mean(objective.unit))  # F in the units of fun
    if objective.loss.kinked:  # a kink leaves no gradient to tell the minimum by
        ftol = 1e-7
    options = {"maxiter": max_iter, "maxfun": max_fun or 20 * max_iter, "gtol": gtol, "ftol": ftol}
    result = minimize(
        fun,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=callback,
        options={**options, "maxls": 50},
    )
    if escaped is not None:
        raise escaped
    if result.nit == 0:
        record(result.x)  # the start was the minimum
    if begun:
        trainer.end_task(False)  # a line search that found no lower point
    state.theta[:] = join(result.x)
    # result.fun may be of a point of the line search that was not taken
    ends = result.fun, trainer.record.history[-1]["loss"]
    if not (np.isfinite(state.theta).all() and np.isfinite(ends).all()):
        raise Diverged(
            "solver='lbfgs' met a non-finite objective from its first step on: scale the data "
            "and the target."
        )
    if one_iteration:
        return
    ended = settled or stopped()
    cut_short = max_fun is not None and result.nfev >= max_fun
    if not ended and not result.success and (cut_short or _slope(result, split, n) > gtol):
        trainer.record.warning = _why_not(result, max_iter, gtol)
    if settings.early_stopping:
        trainer.restore_best()


def _slope(result, split: bool, n: int) -> float:
    """The largest entry of the gradient along which the bounds leave room to descend."""
    slope = np.abs(result.jac)
    if split:
        at_bound = (result.x == 0) & (result.jac > 0)
        slope[:n][at_bound[:n]] = 0
        slope[-n:][at_bound[-n:]] = 0
    return float(slope.max())


def _why_not(result, max_iter: int, gtol: float) -> str:
    if result.status == 1:
        reached = f"max_iter={max_iter}" if result.nit >= max_iter else "its number of evaluations"
        return (
            f"solver='lbfgs' reached {reached} before its gradient fell below tol "
            f"({gtol:g}, in training's units). Increase max_iter (max_fun, where there is one) "
            "or tol."
        )
    return (
        f"solver='lbfgs' stopped where its line search found no lower point ({result.message}). "
        "The weights are the best it met; another solver may do better."
    )
