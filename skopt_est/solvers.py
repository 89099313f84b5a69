"""The solvers: hyper-parameters, state and recurrence of each.

A solver is known by its name, the string that the estimators' `solver` takes. Its class here
names the state it keeps (one array of the parameters' size a slot), the numbers that change
from step to step, and how its momentum goes on when a gradient is zero (which sparse training
needs in closed form). The update itself is the compiled kernel of the same name in
``_core/solvers.pxd``.

To add one: a kernel and a code there, a class here, an entry in `SOLVERS`, an oracle in
``tests/reference.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from skopt_est._core import engine

__all__ = [
    "GD",
    "LBFGS",
    "SGD",
    "SOLVERS",
    "AMSGrad",
    "Adagrad",
    "Adam",
    "AdamW",
    "NAdam",
    "RMSprop",
]

Array = np.ndarray


class Momentum(NamedTuple):
    """How a parameter moves while its gradient is zero.

    The move at step s is ``ratio**i * weights[s]`` times a constant, i steps after the last
    gradient; the first and second moment shrink by `decay_1` and `decay_2` a step.
    """

    weights: Array
    ratio: float
    decay_1: float
    decay_2: float


def _power(beta: float, t: Array) -> Array:
    """beta**t, for increasing t, as far as one less it tells the difference; then zero."""
    out = np.zeros(len(t))
    n = np.searchsorted(t, _ends(beta))
    np.power(beta, t[:n], out=out[:n])
    return out


def _ends(beta: float) -> float:
    """From which t on, of 1, 2, ..., 1 - beta**t is 1 in double precision."""
    if not 0 < beta < 1:
        return 1.0 if beta == 0 else math.inf
    return 37.5 / -math.log(beta)  # e**-37.5 < 2**-54


@dataclass(frozen=True)
class Solver:
    """What all solvers have. They add no fields, so are not decorated: that takes a millisecond of
    the import each.

    Parameters
    ----------
    momentum, nesterovs_momentum, beta_1, beta_2, rho, epsilon, weight_decay
        The estimators' hyper-parameters of these names.
    """

    momentum: float = 0.0
    nesterovs_momentum: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    rho: float = 0.9
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    name: ClassVar[str]
    slots: ClassVar[tuple[str, ...]] = ()
    full_batch: ClassVar[bool] = False
    # Whether a step's numbers follow from its own number and rate.
    steps_foreseen: ClassVar[bool] = True
    # The rate of learning_rate_init="auto": of linear models on standardised rows (None: made from
    # the data), and of networks.
    auto_rate: ClassVar[float | None] = None
    network_rate: ClassVar[float] = 0.001

    def hyper(self) -> dict[str, Any]:
        """The constants of a fit, as the compiled kernels take them."""
        return {**vars(self), "weight_decay": 0.0, "code": engine.SOLVER_CODES[self.name]}

    def n_slots(self) -> int:
        return len(self.slots)

    def coefficients(self, t: Array, rates: Array, extras: Array) -> Array:
        """The numbers of steps t (float64, from 1): (len(t), 4), the rate first.

        `extras` is a float64 array of the solver's own, kept between epochs.
        """
        out = np.zeros((len(t), 4))
        out[:, 0] = rates
        return out

    def settled(self) -> float:
        """From which step on, of 1, 2, ..., all steps of one rate have the same numbers."""
        return 1.0

    def kept(self, rates: Array) -> Array | None:
        """What weight decay leaves of a weight in each step; None: there is none."""
        return None

    def momentum_of(self, coefficients: Array) -> Momentum | None:
        """How parameters move without a gradient; None: not at all."""
        return None


class GD(Solver):
    """Full-batch gradient descent, ``w <- w - eta g``; one step an epoch."""

    name = "gd"
    full_batch = True
    network_rate = 0.3


class SGD(Solver):
    """Mini-batch gradient descent with (Nesterov) momentum: ``b <- momentum b + g``, step
    ``eta b``, or ``eta (g + momentum b)`` (Robbins & Monro 1951; Sutskever et al. 2013)."""

    name = "sgd"
    slots = ("b",)

    def n_slots(self):
        return int(self.momentum != 0)

    def momentum_of(self, coefficients):
        if self.momentum == 0:
            return None
        weights = coefficients[:, 0] * (self.momentum if self.nesterovs_momentum else 1.0)
        return Momentum(weights, self.momentum, self.momentum, 0.0)


class Adagrad(Solver):
    """``G <- G + g²``, step ``eta g / (sqrt(G) + epsilon)`` (Duchi, Hazan & Singer 2011)."""

    name = "adagrad"
    slots = ("G",)
    auto_rate = 0.1
    network_rate = 0.03


class RMSprop(Solver):
    """``v <- rho v + (1 - rho) g²``, step ``eta g / (sqrt(v) + epsilon)``
    (Tieleman & Hinton 2012)."""

    name = "rmsprop"
    slots = ("v", "D")
    auto_rate = 0.003

    def momentum_of(self, coefficients):
        return Momentum(np.zeros(len(coefficients)), 0.0, 0.0, self.rho)


class Adam(Solver):
    """``m <- beta_1 m + (1 - beta_1) g``, ``v <- beta_2 v + (1 - beta_2) g²``, step
    ``eta m̂ / (sqrt(v̂) + epsilon)``, both moments divided by ``1 - beta^t``
    (Kingma & Ba 2015)."""

    name = "adam"
    slots: ClassVar[tuple[str, ...]] = ("m", "v", "D")
    auto_rate = 0.01

    def settled(self):
        return max(_ends(self.beta_1), _ends(self.beta_2))

    def coefficients(self, t, rates, extras):
        out = super().coefficients(t, rates, extras)
        out[:, 1] = rates / (1.0 - _power(self.beta_1, t))
        out[:, 2] = 1.0 / np.sqrt(1.0 - _power(self.beta_2, t))
        return out

    def momentum_of(self, coefficients):
        # The step is c1 m / (sqrt(v) c2): m falls by beta_1, sqrt(v) by sqrt(beta_2).
        ratio = self.beta_1 / np.sqrt(self.beta_2) if self.beta_2 > 0 else np.inf
        weights = coefficients[:, 1] / coefficients[:, 2]
        return Momentum(weights, float(ratio), self.beta_1, self.beta_2)


class AdamW(Adam):
    """Adam whose weights (not intercepts) shrink by ``eta weight_decay w`` in each step, beside
    the penalty (Loshchilov & Hutter 2019): ``w <- (1 - eta weight_decay) w``, then Adam's step.

    Its fixed point is not the objective's minimiser: for networks only.
    """

    name = "adamw"
    network_rate = 0.003

    def hyper(self):
        return {**super().hyper(), "weight_decay": self.weight_decay}

    def kept(self, rates):
        if self.weight_decay * rates.max() >= 1:
            raise ValueError(
                f"weight_decay={self.weight_decay:g} times a learning rate of {rates.max():g} is "
                "not below 1: a step would turn weights around. Lower weight_decay or "
                "learning_rate_init."
            )
        return 1.0 - self.weight_decay * rates


class NAdam(Adam):
    """Adam with Nesterov's look-ahead: with ``mu_t = beta_1 (1 - 0.96**(0.004 t) / 2)``, step
    ``eta (mu_{t+1} m / (1 - prod mu_{1..t+1}) + (1 - mu_t) g / (1 - prod mu_{1..t}))
    / (sqrt(v̂) + epsilon)`` (Dozat 2016), as PyTorch has it."""

    name = "nadam"
    steps_foreseen = False
    network_rate = 0.003

    def settled(self):
        return math.inf

    def coefficients(self, t, rates, extras):
        out = super().coefficients(t, rates, extras)
        # extras[0]: one less the product of all mu so far, kept so as to lose no precision
        mu = self.beta_1 * (1.0 - 0.5 * 0.96 ** (0.004 * t))
        ahead = self.beta_1 * (1.0 - 0.5 * 0.96 ** (0.004 * (t + 1)))
        product = np.cumprod(mu) * (1.0 - extras[0])
        extras[0] = 1.0 - product[-1]
        out[:, 1] = rates * ahead / (1.0 - product * ahead)
        out[:, 3] = rates * (1.0 - mu) / (1.0 - product)
        return out


class AMSGrad(Adam):
    """Adam whose second moment never falls: ``top <- max(top, v)`` stands for v in the step
    (Reddi, Kale & Kumar 2018)."""

    name = "amsgrad"
    network_rate = 0.003
    slots = ("m", "v", "top", "D")

    def momentum_of(self, coefficients):
        # the root does not fall, only m does
        weights = coefficients[:, 1] / coefficients[:, 2]
        return Momentum(weights, self.beta_1, self.beta_1, self.beta_2)


class LBFGS(Solver):
    """scipy's L-BFGS-B on the objective and its gradient (Byrd et al. 1995); with an L1 term
    on ``w = u - v``, u and v at least 0."""

    name = "lbfgs"
    full_batch = True


SOLVERS: dict[str, type[Solver]] = {
    cls.name: cls for cls in (GD, SGD, Adagrad, RMSprop, Adam, AdamW, NAdam, AMSGrad, LBFGS)
}
# those that minimise the objective
LINEAR_SOLVERS = tuple(name for name in SOLVERS if name != "adamw")
