"""The losses: what Python needs to know of each beside its compiled value and gradient.

A loss is a function of the target y and the raw prediction f; `_core/losses.pxd` computes it.
Here stand its domain, its link, the best constant model (where training starts), its unit (how
it scales with the target), and its curvature (for the learning rates made from the data).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from skopt_est._core import engine
from skopt_est._rows import Rows
from skopt_est._targets import class_masses, of_rows, weighted_mean

Array = np.ndarray


def weighted_quantile(y: Array, q: float, weights: Array | None) -> Array:
    """The smallest value of each column that has at least the share q of the weight below it."""
    out = np.empty(y.shape[1])
    for k, column in enumerate(y.T):
        order = np.argsort(column, kind="stable")
        mass = np.cumsum(np.ones(len(column)) if weights is None else weights[order])
        # a little less, so that rounding of the weights does not decide a tie
        out[k] = column[order[np.searchsorted(mass, q * mass[-1] * (1 - 1e-12))]]
    return out


@dataclass(frozen=True)
class Loss:
    """Squared error, ½ (y - f)²; the base of the others.

    Attributes
    ----------
    name : key of the registry and of the compiled code
    parameter : the estimator's parameter that the loss takes, or None
    value : its value
    standardizes : whether targets may be shifted and scaled (location-scale families)
    kinked : whether the gradient jumps, so that it need not vanish on the way to the minimum
    out_activation : name of the link, as the networks' attribute tells it
    """

    name: str = "squared_error"
    parameter: str | None = None
    value: float = 0.0
    standardizes: bool = True
    kinked = False
    out_activation = "identity"

    @property
    def code(self) -> int:
        return engine.LOSS_CODES[self.name]

    def check(self, y: Array, argument: str) -> None:
        """Raise ValueError if a target lies outside the loss's domain."""

    def link(self, f: Array) -> Array:
        """Raw prediction to the prediction in the target's units."""
        return f

    def constant(self, y: Array, weights: Array | None, rows: Rows) -> Array:
        """The raw prediction of the constant model that is best for these rows, one number an
        output."""
        return weighted_mean(y, weights, rows)

    def unit(self, scale: Array) -> Array:
        """The loss of an output over that of its y / scale and f / scale."""
        return scale**2

    def compiled_value(self, scale: Array) -> Array | float:
        """The parameter as the compiled loss of y / scale takes it."""
        return self.value

    def compiled_scale(self, scale: Array) -> Array | float:
        """A factor on the loss of y / scale that keeps its gradients of order one."""
        return 1.0

    def curvature(self, y: Array, constant: Array) -> Array | float:
        """d²loss/df² near the best constant model, for each row where it depends on y; a kink
        is taken as rounded. Its mean over rows falls from there as the model explains more."""
        return 1.0

    def largest_curvature(self, y: Array, constant: Array) -> Array | float:
        """A bound for any row and model, where there is one."""
        return self.curvature(y, constant)

    def magnitude(self, mean: Array, deviation: Array) -> float:
        """The size of the loss of a constant model, for relative tolerances."""
        return float((self.unit(deviation) / self.compiled_scale(deviation)).sum())


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """|y - f|, the median's loss."""

    name: str = "absolute_error"
    kinked = True
    level = 0.5

    def constant(self, y, weights, rows):
        return weighted_quantile(of_rows(y, rows), self.level, of_rows(weights, rows))

    def unit(self, scale):
        return scale

    def curvature(self, y, constant):
        return 10.0  # the kink rounded over a tenth of the target's deviation


@dataclass(frozen=True)
class Quantile(AbsoluteError):
    """The pinball loss of Koenker & Bassett (1978)."""

    name: str = "quantile"
    parameter: str | None = "quantile"

    def constant(self, y, weights, rows):
        return weighted_quantile(of_rows(y, rows), self.value, of_rows(weights, rows))


@dataclass(frozen=True)
class Huber(Loss):
    """Quadratic within delta, linear beyond (Huber 1964)."""

    name: str = "huber"
    parameter: str | None = "delta"

    def constant(self, y, weights, rows):
        return weighted_quantile(of_rows(y, rows), 0.5, of_rows(weights, rows))

    def compiled_value(self, scale):
        return self.value / scale

    def compiled_scale(self, scale):
        return 1.0 / np.minimum(1.0, self.value / scale)


@dataclass(frozen=True)
class Poisson(Loss):
    """exp(f) - y f: half the Poisson deviance up to a constant; log link."""

    name: str = "poisson"
    standardizes: bool = False
    out_activation = "exp"

    def check(self, y, argument):
        if (y < 0).any():
            raise ValueError(
                f"Some value of {argument} is negative ({y.min():g}): loss='poisson' takes "
                "counts, 0 or greater."
            )

    def link(self, f):
        return np.exp(f)

    def constant(self, y, weights, rows):
        # All targets zero would put the constant at minus infinity: half a count stands in.
        mean = weighted_mean(y, weights, rows)
        return np.log(np.where(mean > 0, mean, 0.5 / len(rows)))

    def unit(self, scale):
        return np.ones_like(scale)

    def curvature(self, y, constant):
        # between those of the constant and of a perfect model
        return 0.5 * (y + np.exp(constant)).max(axis=1)

    def largest_curvature(self, y, constant):
        return (y + np.exp(constant)).max(axis=1)

    def magnitude(self, mean, deviation):
        return max(float(mean.sum()), 1e-12)


@dataclass(frozen=True)
class Gamma(Poisson):
    """f + y exp(-f): half the gamma deviance up to a constant; log link."""

    name: str = "gamma"

    def check(self, y, argument):
        if (y <= 0).any():
            raise ValueError(
                f"Some value of {argument} is not positive ({y.min():g}): loss='gamma' takes "
                "values greater than 0."
            )

    def curvature(self, y, constant):
        return 0.5 * (1.0 + (y / np.exp(constant)).max(axis=1))

    def largest_curvature(self, y, constant):
        return 1.0 + (y / np.exp(constant)).max(axis=1)

    def magnitude(self, mean, deviation):
        return float(len(mean))


@dataclass(frozen=True)
class LogLossBinary(Loss):
    """softplus(f) - y f, y in {0, 1}."""

    name: str = "log_loss_binary"
    standardizes: bool = False
    out_activation = "logistic"

    def constant(self, y, weights, rows):
        # A class that a first batch lacks has half a row.
        share, none = weighted_mean(y, weights, rows), 0.5 / len(rows)
        share = np.where(share > 0, np.where(share < 1, share, 1 - none), none)
        return np.log(share / (1 - share))

    def unit(self, scale):
        return np.ones_like(scale)

    def curvature(self, y, constant):
        share = expit(constant[0])
        return float(share * (1 - share))

    def largest_curvature(self, y, constant):
        return 0.25


@dataclass(frozen=True)
class LogLossMultinomial(LogLossBinary):
    """logsumexp(f) - f_y; y holds class indices."""

    name: str = "log_loss_multinomial"
    n_classes: int = 0
    out_activation = "softmax"

    def constant(self, y, weights, rows):
        mass = class_masses(y, weights, self.n_classes, rows)
        f = np.log(np.where(mass > 0, mass / mass.sum(), 0.5 / len(rows)))
        return f - f.mean()

    def curvature(self, y, constant):
        # diag(p) - p p' is below diag(p), and below a half
        return float(min(softmax(constant).max(), 0.5))

    def largest_curvature(self, y, constant):
        return 0.5


LOSSES: dict[str, Any] = {
    loss.name: loss
    for loss in (
        Loss(),
        AbsoluteError(),
        Huber(),
        Quantile(),
        Poisson(),
        Gamma(),
        LogLossBinary(),
        LogLossMultinomial(),
    )
}
