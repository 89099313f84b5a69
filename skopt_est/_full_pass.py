"""The mean loss over all rows and its gradient, in parts that threads can share.

How many parts there are depends on the data and the model alone, and they are added in their order:
the bits don't depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np

from skopt_est._core import engine
from skopt_est._rows import Rows, compiled
from skopt_est._threads import in_threads

Array = np.ndarray
# Multiply-adds of a part, at least: some 0.3 ms, ten times what it costs to hand it on
PART_WORK = 1 << 20
MOST_PARTS = 16
# The gradients of all parts take this share of the data's bytes, at most.
GRADIENTS_SHARE = 1 / 32


class FullPass:
    """Passes over these rows of the data, with buffers that are kept from one to the next."""

    def __init__(self, data: engine.Data, network: engine.Network, rows: Rows) -> None:
        self.data, self.network = data, network
        entries = data.n_entries * (len(rows) / max(data.n, 1))
        # of the first layer, whose inputs may be sparse, and of the others
        work = entries * network.units[1] + len(rows) * (
            network.size - network.units[0] * network.units[1]
        )
        most = min(MOST_PARTS, entries * GRADIENTS_SHARE / max(network.size, 1))
        n_parts = max(int(min(most, work / PART_WORK)), 1)
        ends = [len(rows) * i // n_parts for i in range(n_parts + 1)]
        self.rows = [compiled(rows, i, j) for i, j in pairwise(ends)]
        self.shares = np.diff(ends) / max(len(rows), 1)
        # as many as threads were at work at once
        self.scratches = deque([engine.Scratch(data, network)])
        self.gradients: Array | None = None

    def __call__(self, theta: Array, sums: Array, grad: Array | None = None) -> float:
        """The mean loss, in the units of training; that of each output into `sums`."""
        if len(self.rows) == 1:
            scratch = self.scratches[0]
            return engine.value_and_gradient(
                self.data, theta, self.network, grad, self.rows[0], sums, None, scratch
            )
        sums_of_parts = np.empty((len(self.rows), len(sums)))
        gradients = None
        if grad is not None:
            if self.gradients is None:
                self.gradients = np.empty((len(self.rows), len(grad)), grad.dtype)
            gradients = self.gradients

        def part(i: int) -> float:
            try:
                scratch = self.scratches.pop()
            except IndexError:
                scratch = engine.Scratch(self.data, self.network)
            value = engine.value_and_gradient(
                self.data,
                theta,
                self.network,
                None if gradients is None else gradients[i],
                self.rows[i],
                sums_of_parts[i],
                None,
                scratch,
            )
            self.scratches.append(scratch)
            return value

        values = in_threads(part, len(self.rows))
        sums[:] = self.shares @ sums_of_parts
        if grad is not None and gradients is not None:
            gradients *= self.shares.astype(grad.dtype)[:, None]
            np.add.reduce(gradients, axis=0, out=grad)
        return float(self.shares @ values)
