"""Learning-rate schedules: the factor on the initial rate at each update.

A schedule is a function ``(t, progress, power_t) -> factor`` of arrays: `t` counts solver steps
from 1, `progress` in [0, 1) is the share of the training that lies behind. Every schedule works
with every stochastic solver. To add one, write its function, name it in `SCHEDULES`, and give
it an oracle in ``tests/reference.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["SCHEDULES", "constant", "cosine", "invscaling", "one_cycle"]

Array = np.ndarray


def constant(t: Array, progress: Array, power_t: float) -> Array:
    """The initial rate throughout."""
    return np.ones_like(progress)


def invscaling(t: Array, progress: Array, power_t: float) -> Array:
    """``1 / t**power_t``, by solver steps (Robbins & Monro 1951 for power_t in (½, 1])."""
    return 1.0 / np.power(t, power_t)


def cosine(t: Array, progress: Array, power_t: float) -> Array:
    """``(1 + cos(pi progress)) / 2`` (Loshchilov & Hutter 2017, one period)."""
    return 0.5 * (1.0 + np.cos(np.pi * progress))


def one_cycle(t: Array, progress: Array, power_t: float) -> Array:
    """Up from 1/25 over the first 30 %, then down to 1/250000, both along a cosine
    (Smith & Topin 2019)."""
    low, end, top = 1 / 25, 1 / 25e4, 0.3
    up = cosine(t, np.minimum(progress / top, 1.0), power_t)
    down = cosine(t, np.maximum((progress - top) / (1 - top), 0.0), power_t)
    return np.where(progress < top, 1.0 + (low - 1.0) * up, end + (1.0 - end) * down)


# "adaptive" is the constant rate whose base the trainer divides by 5 on a stall.
SCHEDULES: dict[str, Callable[[Array, Array, float], Array]] = {
    "constant": constant,
    "invscaling": invscaling,
    "adaptive": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


def is_constant(learning_rate: str | Callable[[float], float]) -> bool:
    """Whether all steps of an epoch have the same rate."""
    return isinstance(learning_rate, str) and SCHEDULES[learning_rate] is constant


def factors(
    learning_rate: str | Callable[[float], float], t: Array, progress: Array, power_t: float
) -> Array:
    """The factors of the steps `t` for the estimator's parameter `learning_rate`."""
    if isinstance(learning_rate, str):
        return SCHEDULES[learning_rate](t, progress, power_t)
    returned = [learning_rate(float(p)) for p in progress]
    try:
        values = np.array([float(factor) for factor in returned])
    except (TypeError, ValueError) as error:
        raise ValueError(f"learning_rate, a callable, must return numbers: {error}") from error
    bad = ~np.isfinite(values) | (values < 0)
    if bad.any():
        raise ValueError(
            f"learning_rate, a callable, returned {values[bad][0]} at progress "
            f"{progress[bad][0]:.3g}: it must return finite factors of at least 0."
        )
    return values
