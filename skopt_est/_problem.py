"""The frozen inputs of a fit, and what is computed from them before training starts."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skopt_est import _scaling, _targets
from skopt_est._core import engine, moments
from skopt_est._losses import Loss
from skopt_est._objective import Objective
from skopt_est._rows import AllRows, Rows, compiled
from skopt_est._scaling import Scaling
from skopt_est.solvers import Solver

Array = np.ndarray


class Targets(NamedTuple):
    """y as the engine takes it."""

    Y: Array
    loss: Loss
    n_outputs: int
    class_factors: Array | None = None
    """The weight of each class; Y then holds class indices."""


@dataclass(frozen=True)
class Problem(ABC):
    """Rows, targets, weights and units of a fit, and the objective they make.

    Attributes
    ----------
    rows : the rows to train on, neither held out nor of weight zero
    weights : of all rows, times n / S; None where those of `rows` are equal. Those of rows held out
        are set later, by their own sum (`held_out`); nothing else may look at them
    """

    X: Any
    targets: Targets
    rows: Rows
    weights: Array | None
    scaling: Scaling
    objective: Objective

    @abstractmethod
    def data(self, X: Any, Y: Array, weights: Array | None) -> engine.Data:
        """Other rows, with the same loss, in the same units; dropout and the like are off."""

    @abstractmethod
    def start(self, drawn: Array | None, more_to_come: bool) -> Array:
        """Parameters to start from. drawn: random ones, where the model has them; more_to_come:
        whether training goes on with other rows than these."""

    @abstractmethod
    def automatic_rate(self, solver: Solver, batch_size: int) -> float:
        """learning_rate_init="auto"."""

    def caution(self) -> str:
        """What about the data may have kept a training from its minimum, with a space before it."""
        return ""

    def held_out(
        self, X: Any, Y: Array, rows: Rows, weights: Array | None, same_array: bool
    ) -> Objective:
        """The objective's loss over other rows, whose weights these are: `loss_value` is what is
        asked of it. same_array: they are rows of the training's X, which are not trained on."""
        some = _targets.of_rows(Y, rows)
        given = _targets.with_class_factors(weights, self.targets.class_factors, some)
        kept = _targets.weighted_rows(given, len(rows))
        rows = rows if isinstance(kept, AllRows) else rows[kept]
        out = self.weights if same_array else None  # which has room for theirs
        scaled = _targets.row_weights(given, kept, rows, len(Y), X.dtype, out)
        return self.objective._replace(data=self.data(X, Y, scaled), rows=rows)

    def data_mark(self) -> int:
        """A checksum of the targets, the weights and some rows, to tell these data from others."""
        rows, Y, mark = self.rows, self.targets.Y, 0
        for piece in _targets.pieces(len(rows)):
            some = rows[piece]
            for part in (some, Y[some], None if self.weights is None else self.weights[some]):
                if part is not None:
                    mark = zlib.crc32(np.ascontiguousarray(part).data, mark)
        X = self.X[rows[:: max(1, len(rows) // 64)]]
        return zlib.crc32(np.ascontiguousarray(X.data if issparse(X) else X).data, mark)

    def magnitude(self) -> float:
        """The size of the objective of a constant model."""
        mean, square = moments.column_moments(
            *(self.targets.Y, compiled(self.rows), self.weights), True
        )
        return self.targets.loss.magnitude(mean, _scaling.deviations(square, mean))
