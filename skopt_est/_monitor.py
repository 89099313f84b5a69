"""When to stop, and which epoch was the best: numbers in, verdict out."""

from __future__ import annotations

import math


class Monitor:
    """The one stopping rule of the suite.

    An epoch improves if its value is below the best by more than `tol`. After exactly
    `n_iter_no_change` epochs in a row that do not, training has stalled. Values are to be made
    smaller: a validation score comes in negated.
    """

    def __init__(self, tol: float, n_iter_no_change: float) -> None:
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.best = math.inf
        self.best_epoch = 0
        self.stalled_epochs = 0
        self.epoch = 0

    def update(self, value: float) -> bool:
        """Take the value of the next epoch; return whether it is the best so far."""
        self.epoch += 1
        if value < self.best - self.tol or math.isinf(self.best):
            self.stalled_epochs = 0
        else:
            self.stalled_epochs += 1
        is_best = value < self.best
        if is_best:
            self.best = value
            self.best_epoch = self.epoch
        return is_best

    @property
    def stalled(self) -> bool:
        return self.stalled_epochs >= self.n_iter_no_change

    def reset_patience(self) -> None:
        """Begin to count anew, as after a change of the learning rate."""
        self.stalled_epochs = 0
