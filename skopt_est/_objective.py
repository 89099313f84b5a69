"""The objective F, in the user's units, as a function of the parameters in training's units.

    F(W, b) = (1/S) sum_i s_i loss(y_i, f(x_i)) + alpha (l1_ratio |W|_1 + (1 - l1_ratio)/2 |W|²)

For a linear model training minimises the sum over outputs of F_k / unit_k: the outputs are
separable, so the minimiser is the same, and each is of order one. A network's outputs share their
hidden layers; its units are one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skopt_est._core import engine
from skopt_est._full_pass import FullPass
from skopt_est._layout import Layout
from skopt_est._losses import Loss
from skopt_est._rows import Rows

Array = np.ndarray


class Objective(NamedTuple):
    """Frozen inputs of a fit: data (with its loss), penalty, and the units between them."""

    data: engine.Data
    loss: Loss
    layout: Layout
    network: engine.Network
    l1: Array
    """Strength of |u_p| and, in `l2`, of u_p² / 2, for each weight in training's units."""
    l2: Array
    unit: Array
    """F of output k over what training minimises for it, (n_outputs,)."""
    rows: Rows
    """Indices of the rows trained on: neither held out nor of weight zero."""

    @property
    def n_outputs(self) -> int:
        return self.layout.units[-1]

    @property
    def penalised(self) -> bool:
        return bool(self.l1.any() or self.l2.any())

    def data_term(self, means: Array | list[float]) -> float:
        """Mean losses of the outputs, as compiled, to their sum in the user's units. A number
        takes less time than an array of one."""
        if len(means) == 1:
            return float(means[0]) * float(self.unit[0])
        return float(np.add.reduce(means * self.unit))

    def penalty(self, theta: Array) -> float:
        """alpha times the penalty, in the user's units."""
        return self.penalty_function()(theta)

    def penalty_function(self) -> Callable[[Array], float]:
        """`penalty`, for many calls: what does not change is found out once."""
        if not self.penalised:
            return lambda theta: 0.0
        if (self.unit != 1).any():
            return lambda theta: self._penalties(theta)[1]
        n = self.layout.n_weights
        l1: Any
        half_l2: Any
        if self.network.n_layers > 1:  # the same for all weights
            l1, half_l2 = float(self.l1[0]), 0.5 * float(self.l2[0])
        else:
            l1 = np.ascontiguousarray(self.l1) if self.l1.any() else 0.0
            half_l2 = 0.5 * self.l2
        return lambda theta: engine.penalty(theta, n, l1, half_l2)

    def _penalties(self, theta: Array) -> tuple[float, float]:
        """The penalty in training's units, and in the user's."""
        size = np.abs(theta[: self.layout.n_weights].astype(np.float64))
        terms = size * (self.l1 + 0.5 * self.l2 * size)
        return float(terms.sum()), float((terms.reshape(-1, self.n_outputs) * self.unit).sum())

    def scratch(self) -> engine.Scratch:
        """Work buffers for passes over the data."""
        return engine.Scratch(self.data, self.network)

    def value(self, theta: Array) -> float:
        """F at theta, exactly."""
        return self.loss_value(theta) + self.penalty(theta)

    def full_pass(self) -> FullPass:
        """A pass over all rows, and its buffers."""
        return FullPass(self.data, self.network, self.rows)

    def loss_value(self, theta: Array, full_pass: FullPass | None = None) -> float:
        """The data term alone, in the user's units."""
        sums = np.empty(self.n_outputs)
        (full_pass or self.full_pass())(theta, sums)
        return self.data_term(sums)

    def evaluation(self) -> Callable[[Array, Array], tuple[float, float]]:
        """A function of theta, for many calls: what training minimises, and F. Its second argument
        receives the gradient of the former's smooth part: with the L2 term, without the L1 term."""
        sums, full_pass, n = np.empty(self.n_outputs), self.full_pass(), self.layout.n_weights
        penalty = self.penalty_function()

        def one_penalty(theta: Array) -> tuple[float, float]:
            return (total := penalty(theta)), total

        penalties = one_penalty if (self.unit == 1).all() else self._penalties

        def evaluate(theta: Array, grad: Array) -> tuple[float, float]:
            value = full_pass(theta, sums, grad)
            in_training, in_users = penalties(theta)
            grad[:n] += self.l2 * theta[:n]
            return value + in_training, self.data_term(sums) + in_users

        return evaluate
