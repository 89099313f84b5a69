"""The epoch loop: the only one, for every stochastic solver and gd.

Frozen inputs (`Objective`, solver, `Settings`) and mutable state (`State`) are two objects. Python
is entered once an epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any, Self

import numpy as np

from skopt_est._callbacks import Tasks
from skopt_est._core import engine
from skopt_est._epoch import Passes
from skopt_est._monitor import Monitor
from skopt_est._objective import Objective
from skopt_est._report import Report
from skopt_est._state import Record, Settings, State
from skopt_est.solvers import Solver

Array = np.ndarray
ADAPTIVE_FACTOR, ADAPTIVE_FLOOR = 5.0, 1e-6


class Diverged(ValueError):
    """Training met a non-finite number before any epoch was complete."""


class Trainer:
    """One training: `run` takes the state through up to max_iter epochs. How it ended, where that
    calls for a warning, is left in the record.

    Parameters
    ----------
    score : callable(theta) -> float or None
        The validation score, greater is better.
    tasks : Tasks or None
        Whom to tell of each epoch.
    """

    def __init__(
        self,
        objective: Objective,
        solver: Solver,
        settings: Settings,
        state: State,
        record: Record,
        score: Callable[[Array], float] | None,
        tasks: Tasks | None,
    ) -> None:
        self.objective, self.solver, self.settings = objective, solver, settings
        self.state, self.record, self.score, self.tasks = state, record, score, tasks
        self.begun = len(record.history)
        self.passes = Passes(objective, solver, settings, state)
        self.penalty = objective.penalty_function()
        # Of so many weights a finite penalty tells that they are finite: no term is below 0, and
        # infinity times a strength of 0 is NaN.
        self.n_told = objective.layout.n_weights if objective.penalised else 0
        self.monitor = Monitor(settings.tol, settings.n_iter_no_change)
        self.report = Report(settings.verbose, self.begun)
        self.best: Array | None = None
        # Whether the weights are better than `best`, and not yet kept there.
        self.improved = False
        # Whether a callback asked for no more epochs.
        self.stop_requested = False
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
        self._commit()

    def run(self) -> None:
        """Train until stalled, stopped, diverged or max_iter."""
        settings, monitor = self.settings, self.monitor
        self.report.last = self.begun + settings.max_iter
        start = np.inf if settings.early_stopping else self.objective.value(self.state.theta)
        if not self.goes_on:
            self.record.best_value = np.inf
        for epoch in range(settings.max_iter):
            self.begin_task()
            finite, ended = self.epoch(epoch / settings.max_iter, 1 / settings.max_iter), False
            if finite:
                self._halve_after_rise()
                ended = monitor.stalled and not self._slow_down()
            self.end_task(finite)
            if not finite:
                self._restore_after_divergence()
                return
            if ended and settings.learning_rate == "adaptive":
                self.state.rate = 0.0  # a fit that goes on from here begins anew
            if ended or self.stop_requested:
                break
        if settings.early_stopping:
            self.restore_best()
        elif (value := self._ended()) > start + 0.1 * settings.magnitude:
            self._restore_after_rise(start, value)
            return
        if self._overflowed():
            self._restore_after_overflow()
            return
        if monitor.stalled:
            return
        self._leave_pending()
        if not self.stop_requested:
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
        self.begin_task()
        finite = self.epoch(done / horizon, 1 / horizon)
        if finite:
            self._halve_after_rise()
        overflowed = self._overflowed()
        self.end_task(finite and not overflowed)
        if not finite or overflowed:
            why = self._overflow() if finite else self._divergence()
            raise ValueError(why + " The estimator is left as it was.")
        self._leave_pending()

    def _leave_pending(self) -> None:
        monitor = self.monitor
        self.record.pending = (
            *(self.subject, monitor.best, monitor.stalled_epochs),
            self.last_value,
        )

    def epoch(self, progress: float, span: float) -> bool:
        """One pass over the data, in the share [progress, progress + span) of the training;
        False if it left a number that is not finite."""
        objective, state, settings = self.objective, self.state, self.settings
        start = time.perf_counter()
        before = state.theta.copy() if self.passes.n_batches == 1 else None
        sums, rate = self.passes.run(progress, span)
        # A full-batch loss is that of the weights before the step, so their penalty goes with it.
        penalty = None if before is not None else self.passes.penalty()
        if penalty is None:
            penalty = self.penalty(state.theta if before is None else before)
        n = len(objective.rows)
        loss = objective.data_term([total / n for total in sums.tolist()]) + penalty
        told = self.n_told if before is None else 0
        if not (math.isfinite(loss) and engine.all_finite(state.theta[told:])):
            loss = math.nan
        score = None
        if self.score is not None:
            score = self.score(state.model_parameters()) if math.isfinite(loss) else math.nan
        judged = score if settings.early_stopping and score is not None else 0.0
        finite = math.isfinite(loss) and math.isfinite(judged)
        self.enter(loss, score, rate, time.perf_counter() - start, before, finite)
        return finite

    def enter(
        self,
        loss: float,
        score: float | None,
        rate: float | None,
        seconds: float,
        met_at: Array | None = None,
        finite: bool = True,
    ) -> None:
        """Record an epoch, and let the monitor see it; met_at: the weights of the loss, if they
        are not those of the epoch's end."""
        self.record.add(loss, score, rate, seconds)
        if finite:
            self._judge(loss, score, met_at)
            self._commit()
        self.report(self.record.history[-1])

    def _judge(self, loss: float, score: float | None, met_at: Array | None) -> None:
        """Keep the weights if they are the best: those that gave the score, or those at which a
        full-batch loss was met."""
        stopping = self.settings.early_stopping and score is not None
        value = -score if score is not None and stopping else loss
        self.record.judge(value, "score" if stopping else "loss")
        if self.monitor.update(value):
            self.improved = stopping or met_at is None
            if not self.improved:
                self.best = met_at

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

    def begin_task(self) -> None:
        if self.tasks is not None:
            self.tasks.begin("epoch")

    def end_task(self, finite: bool) -> None:
        """Tell of an epoch; finite: there are weights to look at."""
        if self.tasks is not None and self.tasks.end_epoch(self, finite):
            self.stop_requested = True

    # -- interruptions -----------------------------------------------------------------------

    def _commit(self) -> None:
        """An epoch is complete. What an interruption goes back to changes in one assignment, as
        that may come between any two; the weights are still those of the epoch then."""
        self.complete = self._completed()
        if self.improved:
            if self.best is None:
                self.best = np.empty_like(self.state.theta)
            np.copyto(self.best, self.state.model_parameters())
            self.improved = False
            self.complete = self._completed()

    def _completed(self) -> tuple[Any, ...]:
        state, record = self.state, self.record
        return (
            *(self.improved, self.best),
            len(record.history),
            (record.best_iter, record.best_loss, record.best_score),
            (record.best_value, record.judged_by),
            (state.n_updates, state.t, state.n_moments),
        )

    def salvage(self) -> bool:
        """After an interruption: the best weights of the epochs that were completed, and what was
        told of these; False if there are none."""
        state, record = self.state, self.record
        improved, self.best, n_epochs, bests, judged, counters = self.complete
        if improved:
            self.best = state.model_parameters().copy()
        if self.best is None or n_epochs == self.begun:
            return False
        del record.history[n_epochs:]
        record.best_iter, record.best_loss, record.best_score = bests
        record.best_value, record.judged_by = judged
        state.n_updates, state.t, state.n_moments = counters
        self.restore_best()
        return True

    def so_far(self) -> Self:
        """This training as if it had been stopped here, sharing nothing with what goes on."""
        now = copy(self)
        now.state, now.best = deepcopy(self.state), deepcopy(self.best)
        now.record = replace(self.record, history=list(self.record.history))
        if self.solver.name != "lbfgs":
            now._leave_pending()
        return now

    # -- the end -----------------------------------------------------------------------------

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

    def _overflowed(self) -> bool:
        """Whether squares of gradients became infinite: what they divide did not move, nor will."""
        return not engine.all_finite(self.state.slots.ravel())

    def _overflow(self) -> str:
        return (
            f"Gradients are too large for {self.state.theta.dtype.name}, which left weights where "
            "they were. Scale the data or the target."
        )

    def _restore_after_overflow(self) -> None:
        self._go_back()
        self.record.warning = (
            self._overflow() + f" The weights of epoch {self.record.best_iter} are kept."
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
