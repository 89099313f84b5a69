"""What a training is given beside its objective, what it changes, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Settings:
    """The parameters of the loop; names as in the estimators."""

    learning_rate: str | Callable[[float], float]
    power_t: float
    max_iter: int
    batch_size: int
    shuffle: bool
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    magnitude: float
    """Of the objective of a constant model."""
    halve_on_rise: bool
    average_from: int | None
    verbose: int
    data_mark: int = 0
    """Tells these rows, targets and weights from others."""
    max_grad_norm: float = 0.0
    """The longest gradient of a step; 0: any."""
    by_loss: bool = True
    """Whether the validation score is the loss, negated."""


@dataclass
class State:
    """What training changes, and what it takes to resume it: arrays and numbers only."""

    theta: Array
    slots: Array
    extras: Array
    rng: Array
    rate: float
    n_updates: int = 0
    t: int = 0
    n_moments: int = 0
    """Steps since the slots were new: the moments' age, for bias correction."""
    average: Array | None = None
    n_averaged: int = 0

    def model_parameters(self) -> Array:
        """The weights to predict with: the averages where there are any."""
        if self.average is None or self.n_averaged == 0:
            return self.theta
        return (self.average / self.n_averaged).astype(self.theta.dtype)


@dataclass
class Record:
    """What is told of a training: one entry an epoch, kept over resumed fits."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_iter: int | None = None
    best_loss: float = np.inf
    best_score: float | None = None
    best_value: float = np.inf
    judged_by: str = "loss"
    diverged: bool = False
    warning: str | None = None
    """Why training ended without having converged, and what to change."""
    pending: tuple[Any, ...] | None = None
    """Of a training that was cut short: what it was about, its best value, its stall so far, and
    the last value that gd compared."""

    def losses(self, begun: int, before: list[float] | None) -> list[float]:
        """By epoch. before: those of the first `begun` epochs, where they are known: a call of
        partial_fit need not go through all the calls before it."""
        if before is None or len(before) != begun:
            begun, before = 0, []
        return [*before, *(entry["loss"] for entry in self.history[begun:])]

    def judge(self, value: float, judged_by: str) -> None:
        """Let the last epoch be the best if its value, to be made smaller, is below all others
        that were judged alike."""
        if judged_by != self.judged_by:
            self.judged_by, self.best_value = judged_by, np.inf
        if value < self.best_value:
            self.best_value, self.best_iter = value, len(self.history)

    def scores(self, begun: int, before: list[float] | None) -> list[float] | None:
        """Likewise; None: there are none. before: None if the first `begun` epochs had none."""
        scores = [entry["validation_score"] for entry in self.history[begun:]]
        if begun and before is not None and len(before) == begun:
            return [*before, *scores]
        if begun and (before is not None or any(score is not None for score in scores)):
            scores = [entry["validation_score"] for entry in self.history]
        return None if all(score is None for score in scores) else scores

    def add(self, loss: float, score: float | None, rate: float | None, seconds: float) -> None:
        self.history.append(
            {
                "epoch": len(self.history) + 1,
                "loss": loss,
                "validation_score": score,
                "learning_rate": rate,
                "seconds": seconds,
            }
        )
        if math.isfinite(loss):
            self.best_loss = min(self.best_loss, loss)
        if score is not None and math.isfinite(score):
            self.best_score = score if self.best_score is None else max(self.best_score, score)
