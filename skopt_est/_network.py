"""The objective of a network in the units of training, and its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from skopt_est import _scaling
from skopt_est._core import engine, moments
from skopt_est._layout import Layout
from skopt_est._losses import Loss
from skopt_est._objective import Objective
from skopt_est._problem import Problem, Targets
from skopt_est._rows import Rows, compiled
from skopt_est._scaling import Scaling

Array = np.ndarray
# Beyond it an output can't be reached in some hundreds of steps of the usual rates.
LARGE_TARGET = 1e3


class Architecture(NamedTuple):
    """What lies between the inputs and the raw predictions, one entry a hidden layer."""

    units: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: tuple[float, ...]
    input_dropout: float

    def codes(self) -> list[int]:
        return [engine.ACTIVATION_CODES[name] for name in self.activations]

    def layout(self, n_features: int, n_outputs: int) -> Layout:
        return Layout(n_features, *self.units, n_outputs)

    def network(self, layout: Layout) -> engine.Network:
        return engine.Network(layout.units, self.codes(), self.dropout, self.input_dropout)


def glorot(
    rng: np.random.RandomState, layout: Layout, activations: Sequence[str], dtype: np.dtype
) -> Array:
    """Weights and intercepts uniform in ±sqrt(6 / (inputs + outputs)) of their layer, 2 in place
    of 6 for the logistic function (Glorot & Bengio 2010), layer by layer.

    The output layer goes by the last hidden layer's activation.
    """
    theta = np.empty(layout.size, dtype)
    names = [*activations, activations[-1] if activations else "identity"]
    layers = zip(layout.weights(theta), layout.intercepts(theta), names, strict=True)
    for W, b, name in layers:
        bound = np.sqrt((2.0 if name == "logistic" else 6.0) / sum(W.shape))
        W[:] = rng.uniform(-bound, bound, W.shape)
        b[:] = rng.uniform(-bound, bound, b.shape)
    return theta


def smoothed(Y: Array, loss: Loss, share: float) -> Array:
    """Targets of the binary log loss with this share of the weight on both labels alike."""
    if share == 0 or loss.name != "log_loss_binary":
        return Y
    return Y * (1 - share) + Y.dtype.type(share / 2)


def target_units(Y: Array, rows: Rows, weights: Array | None, loss: Loss) -> Scaling:
    """Units in which the targets have mean zero and deviation one."""
    if not loss.standardizes:
        raise ValueError(
            f"standardize_target=True does not go with loss={loss.name!r}, whose scale is not the "
            "target's; set it to False."
        )
    mean, square = moments.column_moments(Y, compiled(rows), weights, True)
    return Scaling(None, None, mean, _scaling.deviations(square, mean))


@dataclass(frozen=True)
class NetworkProblem(Problem):
    """A network. Regression losses are averaged over the targets, those of labels summed."""

    @classmethod
    def build(
        cls,
        X: Any,
        targets: Targets,
        rows: Rows,
        weights: Array | None,
        scaling: Scaling | None,
        architecture: Architecture,
        alpha: float,
        l1_ratio: float,
        label_smoothing: float,
    ) -> Self:
        """scaling None: measure the targets' units."""
        loss, k = targets.loss, targets.n_outputs
        if scaling is None:
            scaling = target_units(targets.Y, rows, weights, loss)
        layout = architecture.layout(X.shape[1], k)
        data = _data(X, targets.Y, loss, weights, scaling, label_smoothing)
        # as many numbers as there are weights would need more room than these
        l1 = np.broadcast_to(alpha * l1_ratio, layout.n_weights)
        l2 = np.broadcast_to(alpha * (1 - l1_ratio), layout.n_weights)
        network = architecture.network(layout)
        objective = Objective(data, loss, layout, network, l1, l2, np.ones(k), rows)
        return cls(X, targets, rows, weights, scaling, objective)

    def data(self, X, Y, weights):
        return _data(X, Y, self.targets.loss, weights, self.scaling, 0.0)

    def start(self, drawn, more_to_come):
        """The random parameters, but zeros for columns that are zero in all rows, if there is a
        penalty: the objective has its minimum there. A weight that never has a gradient gives an
        adaptive solver no scale for a step; it would keep its random start, by which rows with
        something in that column would be predicted."""
        objective = self.objective
        if drawn is None:
            return np.zeros(objective.layout.size, self.X.dtype)
        if not more_to_come and (objective.l1.any() or objective.l2.any()):
            squares = _scaling.column_squares(self.X, self.rows, self.weights)
            objective.layout.weights(drawn)[0][squares == 0] = 0
        return drawn

    def magnitude(self):
        loss, (mean, deviation) = self.targets.loss, self._target_moments()
        return loss.magnitude(mean, deviation) * _output_scale(loss, len(mean))

    def _target_moments(self) -> tuple[Array, Array]:
        """Means and deviations of the targets, in training's units."""
        Y = self.scaling.targets(self.targets.Y)
        mean, square = moments.column_moments(Y, compiled(self.rows), self.weights, True)
        return mean, _scaling.deviations(square, mean)

    def caution(self):
        loss, size = self.targets.loss, float(np.max(np.abs(self._target_moments())))
        if loss.name.startswith("log_loss") or size <= LARGE_TARGET:
            return ""
        remedy = "set standardize_target=True" if loss.standardizes else "divide it by a constant"
        return (
            f" The target has numbers of about {size:.0e}, and a network begins near "
            f"{0 if loss.standardizes else 1}: {remedy}."
        )

    def automatic_rate(self, solver, batch_size):
        return solver.network_rate

    def of_user(self, coefs: list[Array], intercepts: list[Array]) -> Array:
        """The inverse of `to_user`, from the arrays of each layer."""
        layout = self.objective.layout
        theta = np.empty(layout.size, self.X.dtype)
        views = (*layout.weights(theta), *layout.intercepts(theta))
        for view, given in zip(views, (*coefs, *intercepts), strict=True):
            if np.shape(given) != view.shape:
                raise ValueError(
                    f"coefs_ and intercepts_ were changed: an array of shape {np.shape(given)} "
                    f"stands where one of {view.shape} belongs."
                )
            view[...] = given
        scale, shift = self.scaling.target_scale, self.scaling.target_shift
        layout.weights(theta)[-1][:] /= scale
        b = layout.intercepts(theta)[-1]
        b[:] = (b - shift) / scale
        return theta

    def to_user(self, theta: Array) -> Array:
        """Parameters in the user's units: the last layer answers in the target's."""
        scale, shift = self.scaling.target_scale, self.scaling.target_shift
        if (scale == 1).all() and (shift == 0).all():
            return theta
        theta = theta.copy()
        layout = self.objective.layout
        layout.weights(theta)[-1][:] *= scale
        b = layout.intercepts(theta)[-1]
        b[:] = b * scale + shift
        return theta


def _data(
    X: Any, Y: Array, loss: Loss, weights: Array | None, scaling: Scaling, label_smoothing: float
) -> engine.Data:
    value: Any = loss.compiled_value(scaling.target_scale)
    if loss.name == "log_loss_multinomial":
        value = label_smoothing
    return engine.Data(
        X,
        smoothed(scaling.targets(Y), loss, label_smoothing),
        loss.code,
        value,
        weights,
        output_scale=_output_scale(loss, Y.shape[1]),
    )


def _output_scale(loss: Loss, n_outputs: int) -> float:
    """Losses of labels are summed, those of targets averaged."""
    return 1.0 if loss.name.startswith("log_loss") else 1.0 / n_outputs
