"""Warnings that point at the line that called `fit`, not at one of ours."""

from __future__ import annotations

import sys
import warnings

from sklearn.exceptions import ConvergenceWarning


def warn_not_converged(message: str) -> None:
    """A ConvergenceWarning at the first frame outside the package and scikit-learn's wrapper of
    `fit`."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] != "skopt_est" and name != "sklearn.base":
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(message, ConvergenceWarning, stacklevel=level)
