"""One pass over the rows: their order, the numbers of each step, and the calls of the engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property, reduce
from typing import Any

import numpy as np

from skopt_est import schedules
from skopt_est._core import engine
from skopt_est._full_pass import FullPass
from skopt_est._objective import Objective
from skopt_est._order import visiting_order
from skopt_est._rows import Rows
from skopt_est._state import Settings, State
from skopt_est.solvers import Solver

Array = np.ndarray
STEPS_AT_ONCE = 1 << 16
"""Of one call of the engine: bounds the memory for the numbers of each step."""
STEPS_FORESEEN = 1 << 12
"""Whose numbers are made at once, at one rate, where an epoch has few steps."""
ROWS_AT_ONCE = 1 << 16
"""Of one call, whose order is made at once: a fourth of all, but at most so many and at least an
eighth of so many; four times so many where something is done or drawn after each call (absent
features, masks of dropout); never fewer than a sixteenth of all or, by feature, than columns."""
ANY_ROW = np.zeros(1, np.int32)
ANY_ROW.setflags(write=False)
"""For a step whose gradient is there already."""
ASK_EARLY_BYTES = 2048
"""Rows up to so long are asked for a window ahead by plain sgd's steps of one row; longer ones were
not faster by it."""


DENSE_FROM = {
    "one output": 1 / 32,
    "one layer": 1 / 64,
    "network": 1 / 16,
    "Adam beside L2": 1 / 128,
    "Adam beside L1": 1 / 512,
}
"""The share of a sparse table's features that a batch has, from which on a step on all weights
takes less time than to list the batch's features and bring each up to date: measured with 300 to
300,000 features. Beside a penalty, absent features' moments are made up for step by step, with one
output only beside L1."""


def steps_by_feature(objective: Objective, solver: Solver, settings: Settings) -> bool:
    """Whether a step on CSR rows moves the features of its batch only, and what the others miss is
    made up for when they come back, in place of dense steps."""
    data, network, batch_size = objective.data, objective.network, settings.batch_size
    if not data.sparse or batch_size >= len(objective.rows):
        return False
    in_cells = (
        network.n_layers == objective.n_outputs == 1
        and not network.drops
        and settings.average_from is None
        and settings.max_grad_norm == 0
        and solver.hyper()["weight_decay"] == 0
    )
    if in_cells and batch_size == 1:
        return True
    momentum = solver.momentum_of(np.ones((1, 4)))
    kind = "one output" if in_cells else "one layer" if network.n_layers == 1 else "network"
    if momentum is not None and momentum.ratio > 0 < momentum.decay_2:
        if objective.l1.any():
            kind = "Adam beside L1"
        elif objective.l2.any() and not in_cells:
            kind = "Adam beside L2"
    rows = objective.rows[:: len(objective.rows) // batch_size][:batch_size]
    return data.n_features_of(np.ascontiguousarray(rows)) < DENSE_FROM[kind] * data.d


def asks_early(objective: Objective, solver: Solver, settings: Settings) -> bool:
    """Whether steps at one rate are those that ask memory for rows of the next window."""
    data, network = objective.data, objective.network
    return (
        solver.name == "sgd"
        and solver.momentum == 0
        and settings.batch_size == 1
        and settings.average_from is None
        and settings.max_grad_norm == 0
        and network.n_layers == objective.n_outputs == 1
        and not (data.sparse or network.drops or objective.l1.any())
        and data.d * data.dtype.itemsize <= ASK_EARLY_BYTES
    )


class Passes:
    """The passes of one training; each takes `state` further."""

    def __init__(
        self, objective: Objective, solver: Solver, settings: Settings, state: State
    ) -> None:
        self.objective, self.solver, self.settings, self.state = objective, solver, settings, state
        self.n_batches = -(-len(objective.rows) // settings.batch_size)
        self.by_feature = steps_by_feature(objective, solver, settings)
        # Absent features are brought up to date after each run of steps: of all of them, rarely.
        wide = objective.network.units[0] if self.by_feature else 0
        n_rows = len(objective.rows)
        at_once = min(ROWS_AT_ONCE, max(n_rows // 4, ROWS_AT_ONCE // 8))
        if self.by_feature or objective.network.drops:
            at_once = 4 * ROWS_AT_ONCE
        most_rows = max(at_once, wide, n_rows // 16)
        most_steps = min(max(STEPS_AT_ONCE, wide), most_rows // settings.batch_size)
        self.steps_at_once = max(most_steps, 1)
        self.drops = objective.network.drops
        self.constant = schedules.is_constant(settings.learning_rate)
        self.settled = solver.settled() if self.constant else math.inf
        self.asks_early = self.settled <= 1 and asks_early(objective, solver, settings)
        longest = 1 if self.settled <= 1 else min(self.n_batches, self.steps_at_once)
        self.foreseen = self.constant and solver.steps_foreseen and 4 * longest <= STEPS_FORESEEN
        if self.foreseen and self.settled > 1:
            longest = max(longest, STEPS_FORESEEN)
        self.counts = np.arange(longest, dtype=np.float64)
        self.same_rates = np.empty(0)
        # the numbers of steps from `cached_from` on, all at `cached_rate`
        self.cached_table, self.cached_from, self.cached_rate = np.empty((0, 4)), 0, 0.0
        # the rate of steps alike, and their numbers
        self.alike_at: tuple[float, Array] | None = None
        # what `_going_on` found for so many steps alike, and their rate
        self.gone_on: tuple[int, float, dict[str, Any]] = 0, 0.0, {}
        # False before the first call; after it nobody but the engine writes to weights and slots.
        self.resumes = False

    @property
    def alike(self) -> bool:
        """Whether the numbers of the next step are those of all that follow at this rate."""
        return self.state.n_moments + 1 >= self.settled

    @cached_property
    def scratch(self) -> engine.Scratch:
        return self.objective.scratch()

    def penalty(self) -> float | None:
        """Of the weights that the last pass left, in the user's units, by strengths in the data's
        type; None: the engine did not find it on its way."""
        found = self.scratch.penalty
        return None if math.isnan(found) else found * float(self.objective.unit[0])

    @cached_property
    def full_pass(self) -> FullPass | None:
        """For one batch of all rows where it comes in parts."""
        if self.n_batches > 1 or self.drops:
            return None
        full_pass = self.objective.full_pass()
        return full_pass if len(full_pass.rows) > 1 else None

    @cached_property
    def model(self) -> engine.Model:
        state, objective = self.state, self.objective
        strengths: list[Any] = [objective.l1, objective.l2]
        if objective.network.n_layers > 1:  # the same for all weights
            strengths = [float(values[0]) for values in strengths]
        else:
            # no step times an infinite strength would be no number
            most = np.finfo(state.theta.dtype).max
            strengths = [np.minimum(values, most).astype(most.dtype) for values in strengths]
        return engine.Model(
            state.theta,
            state.slots,
            objective.network,
            *strengths,
            self.solver.hyper(),
            state.average,
            self.settings.max_grad_norm,
        )

    def run(self, progress: float, span: float) -> tuple[Array, float]:
        """One pass, in the share [progress, progress + span) of the training: the sums of the
        outputs' losses, and the rate of the last step."""
        objective, settings = self.objective, self.settings
        rows = objective.rows
        size = self.steps_at_once * settings.batch_size
        parts: Iterable[tuple[Rows, Array | None]]
        if self.full_pass is not None:
            parts = ((rows, None),)
        # One batch of all rows is summed in their own order.
        elif settings.shuffle and self.n_batches > 1:
            parts = visiting_order(
                rows, objective.data.d, self.state.rng, size, settings.batch_size, self.asks_early
            )
        else:
            parts = ((rows[first : first + size], None) for first in range(0, len(rows), size))
        sums = []
        for i, (part, coming) in enumerate(parts):
            n_steps = -(-len(part) // settings.batch_size)
            rates = self._rates(i * self.steps_at_once, n_steps, progress, span)
            sums.append(self._steps(part, rates, n_steps, coming))
        return reduce(np.add, sums), float(rates[-1])

    def _rates(self, first: int, n_steps: int, progress: float, span: float) -> Array:
        """The rates of these steps of the epoch; one number if all steps are alike."""
        state, settings = self.state, self.settings
        if self.constant:
            n_steps = 1 if self.alike else n_steps
            if len(self.same_rates) != n_steps or self.same_rates[0] != state.rate:
                self.same_rates = np.full(n_steps, state.rate)
            return self.same_rates
        counts = self.counts[:n_steps]
        done = np.minimum(progress + span * ((first + counts) / self.n_batches), 1.0)
        t = state.n_updates + 1.0 + counts
        return state.rate * schedules.factors(settings.learning_rate, t, done, settings.power_t)

    def _coefficients(self, rates: Array) -> Array:
        """The numbers of the next steps, as many as there are rates."""
        state, n, age = self.state, len(rates), self.state.n_moments + 1.0
        if self.alike:
            if self.alike_at is None or self.alike_at[0] != state.rate:
                table = self.solver.coefficients(age + self.counts[:n], rates, state.extras)
                self.alike_at = state.rate, table
            return self.alike_at[1]
        if not self.foreseen:
            return self.solver.coefficients(age + self.counts[:n], rates, state.extras)
        at = state.n_moments - self.cached_from
        if state.rate != self.cached_rate or not 0 <= at <= len(self.cached_table) - n:
            self.cached_rate, self.cached_from, at = state.rate, state.n_moments, 0
            rates = np.full(len(self.counts), state.rate)
            self.cached_table = self.solver.coefficients(age + self.counts, rates, state.extras)
        return self.cached_table[at : at + n]

    def _going_on(self, coefficients: Array, rates: Array, n_steps: int) -> dict[str, Any]:
        """What features move by in steps that they are absent from, as the engine takes it."""
        kept, rate = self.solver.kept(rates), self.state.rate
        momentum = self.solver.momentum_of(coefficients) if self.by_feature else None
        if momentum is None:
            return {}
        if self.alike and self.gone_on[:2] == (n_steps, rate):
            return self.gone_on[2]
        weights, ratio = np.full(n_steps, momentum.weights), min(momentum.ratio, 1.0)
        kept = None if kept is None else np.full(n_steps, kept)
        tail = engine.momentum_tail(weights, ratio, kept)
        options = {"tail": tail, "kept": kept, **momentum._asdict()}
        del options["weights"]
        if self.alike:
            self.gone_on = n_steps, rate, options
        return options

    def _steps(self, rows: Rows, rates: Array, n_steps: int, coming: Array | None) -> Array:
        state, average_from = self.state, self.settings.average_from
        coefficients = self._coefficients(rates)
        options = self._going_on(coefficients, rates, n_steps).copy()
        if average_from is not None:
            batches_to_go = -(-(average_from - state.t) // self.settings.batch_size)
            first = min(max(batches_to_go - 1, 0), n_steps)
            options["average_from"] = first
            state.n_averaged += n_steps - first
        if self.drops:
            options["mask_key"] = engine.next_word(state.rng)
        means, order = None, rows
        if self.full_pass is not None:
            means, theta = np.empty(self.objective.n_outputs), self.model.theta
            options["gradient"] = np.empty_like(theta)
            self.full_pass(theta, means, options["gradient"])
            order = ANY_ROW
        sums = engine.run_epoch(
            self.objective.data,
            self.model,
            self.scratch,
            order,
            self.settings.batch_size,
            coefficients,
            by_feature=self.by_feature,
            coming=coming,
            resumes=self.resumes,
            **options,
        )
        self.resumes = True
        if means is not None:
            sums = means * len(rows)
        state.n_updates += n_steps
        state.n_moments += n_steps
        state.t += len(rows)
        return sums
