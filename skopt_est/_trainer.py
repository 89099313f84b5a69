"""The epoch loop: the only one, for every stochastic solver and gd.

Frozen inputs (`Objective`, solver, schedule, settings) and mutable state (`State`) are two
objects. Python is entered once an epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from skopt_est import schedules
from skopt_est._core import engine
from skopt_est._monitor import Monitor
from skopt_est._objective import Objective
from skopt_est._order import visiting_order
from skopt_est.solvers import Solver

Array = np.ndarray
ADAPTIVE_FACTOR, ADAPTIVE_FLOOR = 5.0, 1e-6
STEPS_AT_ONCE = 1 << 16
"""Of one call of the engine: bounds the memory for the numbers of each step."""


@dataclass
class State:
    """What training changes, and what it takes to resume it: arrays and numbers only."""

    theta: Array
    slots: Array
    extras: Array
    rng: Array
    rate: float
    n_updates: int = 0
    t: int = 0
    n_moments: int = 0
    """Steps since the slots were new: the moments' age, for bias correction."""
    average: Array | None = None
    n_averaged: int = 0

    def model_parameters(self) -> Array:
        """The weights to predict with: the averages where there are any."""
        if self.average is None or self.n_averaged == 0:
            return self.theta
        return (self.average / self.n_averaged).astype(self.theta.dtype)


@dataclass
class Record:
    """What is told of a training: one entry an epoch, kept over resumed fits."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_iter: int | None = None
    best_loss: float = np.inf
    best_score: float | None = None
    best_value: float = np.inf
    judged_by: str = "loss"
    diverged: bool = False
    warning: str | None = None
    """Why training ended without having converged, and what to change."""
    pending: tuple[Any, ...] | None = None
    """Of a training that was cut short: what it was about, its best value, its stall so far, and
    the last value that gd compared."""

    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.history]

    def judge(self, value: float, judged_by: str) -> None:
        """Let the last epoch be the best if its value, to be made smaller, is below all others
        that were judged alike."""
        if judged_by != self.judged_by:
            self.judged_by, self.best_value = judged_by, np.inf
        if value < self.best_value:
            self.best_value, self.best_iter = value, len(self.history)

    def scores(self) -> list[float] | None:
        scores = [entry["validation_score"] for entry in self.history]
        return None if all(score is None for score in scores) else scores

    def add(self, loss: float, score: float | None, rate: float | None, seconds: float) -> None:
        self.history.append(
            {
                "epoch": len(self.history) + 1,
                "loss": loss,
                "validation_score": score,
                "learning_rate": rate,
                "seconds": seconds,
            }
        )
        self.best_loss = min(self.best_loss, loss) if np.isfinite(loss) else self.best_loss
        if score is not None and np.isfinite(score):
            self.best_score = score if self.best_score is None else max(self.best_score, score)


@dataclass(frozen=True)
class Settings:
    """The parameters of the loop; names as in the estimators."""

    learning_rate: str | Callable[[float], float]
    power_t: float
    max_iter: int
    batch_size: int
    shuffle: bool
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    magnitude: float
    """Of the objective of a constant model."""
    halve_on_rise: bool
    average_from: int | None
    verbose: int
    data_mark: int = 0
    """Tells these rows, targets and weights from others."""
    max_grad_norm: float = 0.0
    """The longest gradient of a step; 0: any."""
    by_loss: bool = True
    """Whether the validation score is the loss, negated."""


class Diverged(ValueError):
    """Training met a non-finite number before any epoch was complete."""


class Trainer:
    """One training: `run` takes the state through up to max_iter epochs. How it ended, where that
    calls for a warning, is left in the record.

    Parameters
    ----------
    score : callable(theta) -> float or None
        The validation score, greater is better.
    """

    def __init__(
        self,
        objective: Objective,
        solver: Solver,
        settings: Settings,
        state: State,
        record: Record,
        score: Callable[[Array], float] | None,
    ) -> None:
        self.objective, self.solver, self.settings = objective, solver, settings
        self.state, self.record, self.score = state, record, score
        self.begun = len(record.history)
        self.monitor = Monitor(settings.tol, settings.n_iter_no_change)
        self.best: Array | None = None
        # The same rows, targets and rule as before: patience goes on where it was.
        self.subject = (
            *(settings.data_mark, len(objective.rows), settings.magnitude, settings.tol),
            *(settings.n_iter_no_change, settings.early_stopping),
        )
        self.goes_on = record.pending is not None and record.pending[0] == self.subject
        self.last_value: float | None = None
        if self.goes_on and record.pending is not None:
            self.monitor.best, self.monitor.stalled_epochs, self.last_value = record.pending[1:]
            self.best = state.model_parameters().copy()
        record.pending = None
        self.n_batches = -(-len(objective.rows) // settings.batch_size)
        # Absent features are brought up to date after each run of steps: of all of them, rarely.
        wide = objective.network.units[0] if objective.data.sparse else 0
        self.steps_at_once = max(STEPS_AT_ONCE, wide)

    @cached_property
    def scratch(self) -> engine.Scratch:
        return self.objective.scratch()

    @cached_property
    def model(self) -> engine.Model:
        state, objective = self.state, self.objective
        return engine.Model(
            state.theta,
            state.slots,
            objective.network,
            objective.l1.astype(state.theta.dtype),
            objective.l2.astype(state.theta.dtype),
            self.solver.hyper(),
            state.average,
            self.settings.max_grad_norm,
        )

    def run(self) -> None:
        """Train until stalled, diverged or max_iter."""
        settings, monitor = self.settings, self.monitor
        start = np.inf if settings.early_stopping else self.objective.value(self.state.theta)
        if not self.goes_on:
            self.record.best_value = np.inf
        for epoch in range(settings.max_iter):
            if not self.epoch(epoch / settings.max_iter, 1 / settings.max_iter):
                self._restore_after_divergence()
                return
            self._halve_after_rise()
            if monitor.stalled and not self._slow_down():
                if settings.learning_rate == "adaptive":
                    self.state.rate = 0.0  # a fit that goes on from here begins anew
                break
        if settings.early_stopping:
            self.restore_best()
        elif (ended := self._ended()) > start + 0.1 * settings.magnitude:
            self._restore_after_rise(start, ended)
            return
        if not np.isfinite(self.state.slots).all():
            self._restore_after_overflow()
            return
        if not monitor.stalled:
            self._leave_pending()
            self.record.warning = (
                f"solver={self.solver.name!r} reached max_iter={settings.max_iter} before the "
                f"stopping rule held (tol={settings.tol:g}, n_iter_no_change="
                f"{settings.n_iter_no_change:g}). Increase max_iter, tol or the learning rate."
            )

    def _ended(self) -> float:
        """The objective at the end: as it was met, unless units were missing then."""
        if self.objective.network.drops:
            return self.objective.value(self.state.theta)
        return self.record.history[-1]["loss"]

    def run_one_epoch(self) -> None:
        """One epoch of partial_fit: max_iter is the horizon of the schedules, nothing stops."""
        horizon = self.settings.max_iter
        done = min(len(self.record.history), horizon - 1)
        if not self.epoch(done / horizon, 1 / horizon):
            raise ValueError(self._divergence() + " The estimator is left as it was.")
        self._halve_after_rise()
        self._leave_pending()

    def _leave_pending(self) -> None:
        monitor = self.monitor
        self.record.pending = (
            *(self.subject, monitor.best, monitor.stalled_epochs),
            self.last_value,
        )

    def epoch(self, progress: float, span: float) -> bool:
        """One pass over the data, in the share [progress, progress + span) of the training;
        False if it left a number that is not finite. Counters tell of whole epochs only."""
        state = self.state
        completed = state.n_updates, state.t, state.n_moments, state.n_averaged
        average = None if state.average is None else state.average.copy()
        try:
            return self._epoch(progress, span)
        except KeyboardInterrupt:
            state.n_updates, state.t, state.n_moments, state.n_averaged = completed
            state.average = average
            raise

    def _epoch(self, progress: float, span: float) -> bool:
        objective, state, settings = self.objective, self.state, self.settings
        start = time.perf_counter()
        rows = objective.rows
        # One batch of all rows is summed in their own order.
        if settings.shuffle and self.n_batches > 1:
            rows = visiting_order(rows, objective.data.d, state.rng)
        before = state.theta.copy() if self.n_batches == 1 else None
        sums = np.zeros(objective.n_outputs)
        for first in range(0, self.n_batches, self.steps_at_once):
            part = rows[first * settings.batch_size :][: self.steps_at_once * settings.batch_size]
            rates = self._rates(first, -(-len(part) // settings.batch_size), progress, span)
            sums += self._steps(part, rates)
        # A full-batch loss is that of the weights before the step, so their penalty goes with it.
        met_at = state.theta if before is None else before
        loss = objective.data_term(sums / len(rows)) + objective.penalty(met_at)
        if not (np.isfinite(loss) and np.isfinite(state.theta).all()):
            loss = np.nan
        score = None
        if self.score is not None:
            score = self.score(state.model_parameters()) if np.isfinite(loss) else np.nan
        self.record.add(loss, score, float(rates[-1]), time.perf_counter() - start)
        judged = score if settings.early_stopping and score is not None else 0.0
        finite = bool(np.isfinite(loss) and np.isfinite(judged))
        if finite:
            self.judge(loss, score, before)
        self.report()
        return finite

    def judge(self, loss: float, score: float | None, met_at: Array | None = None) -> None:
        """Let the monitor see this epoch, and keep its weights if it is the best: those that
        gave the score, or those at which a full-batch loss was met."""
        stopping = self.settings.early_stopping and score is not None
        value = -score if score is not None and stopping else loss
        self.record.judge(value, "score" if stopping else "loss")
        if self.monitor.update(value):
            self.best = self.state.model_parameters().copy()
            if not stopping and met_at is not None:
                self.best = met_at

    def _rates(self, first: int, n_steps: int, progress: float, span: float) -> Array:
        """The rates of these steps of the epoch; one number if all steps are alike, but for
        CSR rows, whose absent features need tables over the steps."""
        learning_rate, state = self.settings.learning_rate, self.state
        alike = schedules.is_constant(learning_rate) and self.solver.steps_alike
        if alike and not self.objective.data.sparse:
            return np.array([state.rate])
        part = np.arange(first, first + n_steps) / self.n_batches
        done = np.minimum(progress + span * part, 1.0)
        t = state.n_updates + 1.0 + np.arange(n_steps)
        return state.rate * schedules.factors(learning_rate, t, done, self.settings.power_t)

    def _steps(self, rows: Array, rates: Array) -> Array:
        state, average_from = self.state, self.settings.average_from
        n_steps = -(-len(rows) // self.settings.batch_size)
        age = state.n_moments + 1.0 + np.arange(len(rates))
        coefficients = self.solver.coefficients(age, rates, state.extras)
        options: dict[str, Any] = {}
        sparse = self.objective.data.sparse
        kept = self.solver.kept(rates)
        if sparse and (momentum := self.solver.momentum_of(coefficients)) is not None:
            weights, ratio = np.ascontiguousarray(momentum.weights), min(momentum.ratio, 1.0)
            tail = engine.momentum_tail(weights, ratio, kept)
            options = {"tail": tail, "kept": kept, **momentum._asdict()}
            del options["weights"]
        if average_from is not None:
            batches_to_go = -(-(average_from - state.t) // self.settings.batch_size)
            first = min(max(batches_to_go - 1, 0), n_steps)
            options["average_from"] = first
            state.n_averaged += n_steps - first
        if self.objective.network.drops:
            options["mask_key"] = engine.next_word(state.rng)
        sums = engine.run_epoch(
            *(self.objective.data, self.model, self.scratch),
            *(rows, self.settings.batch_size, coefficients),
            **options,
        )
        state.n_updates += n_steps
        state.n_moments += n_steps
        state.t += len(rows)
        return sums

    def _halve_after_rise(self) -> None:
        """gd with a rate made from the data: the curvature was larger than estimated."""
        if not (self.settings.halve_on_rise and self.solver.name == "gd"):
            return
        now = self.record.history[-1]["loss"]
        if self.objective.network.drops:
            now = self.objective.value(self.state.theta)  # losses of two masks don't compare
        before, self.last_value = self.last_value, now
        if before is not None and now > before + 1e-12 * abs(before):
            self.state.rate /= 2.0

    def _slow_down(self) -> bool:
        """On a stall: lower the rate of the adaptive schedule; False if that is at its end."""
        lower = self.state.rate / ADAPTIVE_FACTOR
        if self.settings.learning_rate != "adaptive" or lower < ADAPTIVE_FLOOR:
            return False
        self.state.rate = lower
        self.monitor.reset_patience()
        return True

    def has_begun(self) -> bool:
        """Whether an epoch is complete."""
        return len(self.record.history) > self.begun

    def outcome(self) -> float:
        """What the weights are worth, to be made smaller: the best validation score, negated, if
        that decided, else the objective."""
        if self.settings.early_stopping:
            return self.record.best_value
        return self.objective.value(self.state.model_parameters())

    def restore_best(self) -> None:
        """Go back to the weights of the best epoch."""
        if self.best is not None:
            self.state.theta[:] = self.best
            self.state.average, self.state.n_averaged = None, 0

    def _restore_after_rise(self, start: float, ended: float) -> None:
        """The numbers stayed finite, but training led away from where it began."""
        self._go_back()
        self.record.warning = (
            f"The objective ended at {ended:g}, above {start:g} where it began. Lower "
            f"learning_rate_init. The weights of epoch {self.record.best_iter} are kept."
        )

    def _restore_after_overflow(self) -> None:
        """Squares of gradients became infinite: what they divide did not move."""
        self._go_back()
        self.record.warning = (
            f"Gradients are too large for {self.state.theta.dtype.name}, which left weights where "
            f"they were. Scale the data or the target. The weights of epoch "
            f"{self.record.best_iter} are kept."
        )

    def _go_back(self) -> None:
        """To the best weights, without the moments and the rate that led away from them."""
        self.restore_best()
        self.record.diverged = True
        self.state.slots[:] = 0
        self.state.extras[:] = 0
        self.state.n_moments, self.state.rate = 0, 0.0

    def _divergence(self) -> str:
        """What went wrong in the last epoch, and what would help."""
        entry = self.record.history[-1]
        if np.isfinite(entry["loss"]) and not self.settings.by_loss:
            return (
                f"The validation score of epoch {entry['epoch']} is {entry['validation_score']}: "
                "choose a scoring that is defined on these validation rows."
            )
        return (
            f"Training met a non-finite number in epoch {entry['epoch']} with "
            f"learning_rate_init={self.state.rate:g}. Lower learning_rate_init, or scale the data."
        )

    def _restore_after_divergence(self) -> None:
        advice = self._divergence()
        if self.best is None:
            by_score = np.isfinite(self.record.history[-1]["loss"]) and not self.settings.by_loss
            what = "a score" if by_score else "finite weights"
            raise Diverged(f"{advice} No epoch before it had {what} to keep.")
        self._go_back()
        self.record.warning = advice + f" The weights of epoch {self.record.best_iter} are kept."

    def report(self) -> None:
        every, entry = self.settings.verbose, self.record.history[-1]
        if every and entry["epoch"] % every == 0:
            score = entry["validation_score"]
            print(
                f"Iteration {entry['epoch']:4d}  loss {entry['loss']:.6g}"
                + (f"  validation score {score:.6g}" if score is not None else "")
                + (f"  rate {rate:.3g}" if (rate := entry["learning_rate"]) is not None else "")
                + f"  {entry['seconds']:.3g} s"
            )
