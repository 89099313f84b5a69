"""The objective of a linear model in the units of training, its start and its learning rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse

from skopt_est import _rates, _scaling, _targets, _whitening
from skopt_est._core import engine
from skopt_est._layout import Layout
from skopt_est._losses import Loss
from skopt_est._objective import Objective
from skopt_est._problem import Problem, Targets
from skopt_est._rows import Rows
from skopt_est._scaling import Scaling

Array = np.ndarray
# The share of a prediction's variation that rounding may take without a word
ROUNDED_OFF = 0.05


@dataclass(frozen=True)
class LinearProblem(Problem):
    """A linear model, trained in standardised units."""

    @classmethod
    def build(
        cls,
        X: Any,
        targets: Targets,
        rows: Rows,
        weights: Array | None,
        scaling: Scaling | None,
        l1: float,
        l2: float,
        fit_intercept: bool,
    ) -> Self:
        """l1, l2: alpha l1_ratio and alpha (1 - l1_ratio). scaling None: measure it."""
        loss, layout = targets.loss, Layout(X.shape[1], targets.n_outputs)
        if scaling is None:
            scaling = _scaling.measure(
                X, targets.Y, rows, weights, loss, targets.n_outputs, fit_intercept
            )
        unit = loss.unit(scaling.target_scale) / _output_scale(loss, scaling)
        data = _data(X, targets.Y, loss, weights, scaling)
        penalty = scaling.penalty(l1, l2, unit, X.shape[1])
        network = engine.Network(layout.units, fit_intercept=fit_intercept)
        objective = Objective(data, loss, layout, network, *penalty, unit, rows)
        return cls(X, targets, rows, weights, scaling, objective)

    def data(self, X, Y, weights):
        return _data(X, Y, self.targets.loss, weights, self.scaling)

    def start(self, drawn, more_to_come):
        """Zeros and, in standardised units, the best constant."""
        theta = np.zeros(self.objective.layout.size, self.X.dtype)
        loss = self.targets.loss
        standardised = self.scaling.scale is not None and self.objective.network.fit_intercept
        if standardised and not loss.standardizes:  # else the constant is the targets' shift
            constant = loss.constant(self.targets.Y, self.weights, self.rows)
            self.objective.layout.intercepts(theta)[0][:] = constant
        return theta

    def automatic_rate(self, solver, batch_size):
        if solver.auto_rate is not None:
            return solver.auto_rate
        curvatures = self._curvatures()
        return _rates.automatic(
            solver, self.objective, self.X, self.weights, self.scaling, *curvatures, batch_size
        )

    def whitener(self) -> Array | None:
        """For lbfgs on dense standardised rows without an L1 term, whose zeros are in the weights'
        own coordinates; None: correlations are not worth it, or not to be had."""
        objective, d = self.objective, self.X.shape[1]
        if issparse(self.X) or self.scaling.scale is None or objective.l1.any():
            return None
        bound = self._mean_curvature()
        penalty = objective.l2.reshape(d, -1).mean(axis=1) / max(bound, 1e-12)
        return _whitening.whitener(self.X, self.rows, self.weights, self.scaling, penalty)

    def lost_digits(self, theta: Array) -> str:
        """Which column rounds off what was learned: training is centred, but predictions are sums
        in the user's units. Nothing, if none does."""
        shift, scale, eps = self.scaling.shift, self.scaling.scale, np.finfo(self.X.dtype).eps
        if shift is None or scale is None:
            return ""
        (U,) = self.objective.layout.weights(theta)
        off_centre = np.abs(U * (shift / scale)[:, None])
        learned = np.sqrt(np.square(U, dtype=np.float64).sum(axis=0))
        share = np.zeros_like(learned)
        np.divide(eps * off_centre.sum(axis=0), learned, out=share, where=learned > 0)
        if share.max() <= ROUNDED_OFF:
            return ""
        j = int(np.argmax(off_centre.max(axis=1)))
        times = abs(shift[j] / scale[j])
        precise = "" if eps < 1e-10 else ', or fit in double precision (dtype="float64")'
        return (
            f"Column {j} of X has a mean {times:.0e} times its deviation, so that "
            f"{self.X.dtype.name} rounds predictions by {share.max():.0%} of what they vary. "
            f"Subtract a constant from that column{precise}."
        )

    def parameter_curvature(self) -> Array:
        """The objective's second derivative in each parameter alone, near a constant model."""
        bound = self._mean_curvature()
        columns = np.ones(self.X.shape[1])
        if self.scaling.scale is None:
            columns = _scaling.column_squares(self.X, self.rows, self.weights)
        weights = np.repeat(bound * columns, self.targets.n_outputs) + self.objective.l2
        intercepts = np.full(self.targets.n_outputs, bound)
        # A column without any entry has no curvature and no gradient: any step will do.
        return np.maximum(np.concatenate([weights, intercepts]), 1e-12)

    def _mean_curvature(self) -> float:
        """Of the rows, near a constant model."""
        typical = self._curvatures()[0]
        if isinstance(typical, np.ndarray):
            (typical,) = _targets.weighted_mean(typical[:, None], self.weights, self.rows)
        return float(typical)

    def _curvatures(self) -> tuple[Array | float, Array | float]:
        """Typical and largest d²loss/df², a number or one for each row."""
        loss, Y = self.targets.loss, self.scaling.targets(self.targets.Y)
        # in the targets' precision, as are then the curvatures of all rows
        constant = loss.constant(Y, self.weights, self.rows).astype(Y.dtype, copy=False)
        scale = float(np.max(_output_scale(loss, self.scaling)))
        return scale * loss.curvature(Y, constant), scale * loss.largest_curvature(Y, constant)


def _output_scale(loss: Loss, scaling: Scaling) -> Array | float:
    return 1.0 if scaling.scale is None else loss.compiled_scale(scaling.target_scale)


def _data(X: Any, Y: Array, loss: Loss, weights: Array | None, scaling: Scaling) -> engine.Data:
    return engine.Data(
        X,
        scaling.targets(Y),
        loss.code,
        loss.compiled_value(scaling.target_scale),
        weights,
        output_scale=_output_scale(loss, scaling),
        **scaling.as_rows(X.dtype),
    )
