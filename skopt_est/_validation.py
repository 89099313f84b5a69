"""The validation rows of a fit, and how they are scored."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import check_scoring, get_scorer
from sklearn.model_selection import train_test_split

Array = np.ndarray


class Validation(NamedTuple):
    """Rows held out or given, as the user passed them; `rows` are their positions in the
    training data if they were held out of it."""

    X: Any
    y: Any
    sample_weight: Array | None
    rows: Array | None = None


def check_arguments(
    scoring: Any, X_val: Any, y_val: Any, sample_weight_val: Any, needs_rows: bool
) -> None:
    """Raise ValueError for an unknown scorer, or validation arguments that don't go together.
    needs_rows: there is early stopping, and rows can't be held out."""
    if isinstance(scoring, str) and scoring != "loss":
        # an unknown name is an error even where nothing is scored
        try:
            get_scorer(scoring)
        except ValueError as error:
            raise ValueError(f"scoring={scoring!r}: {error}") from error
    if (X_val is None) != (y_val is None):
        given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
        raise ValueError(f"{given} was given without {missing}; pass both or neither.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val was given without X_val and y_val.")
    if needs_rows and X_val is None:
        raise ValueError(
            "early_stopping=True with partial_fit needs X_val and y_val: rows held out of one "
            "batch would be trained on in the next."
        )


def hold_out(
    n: int, labels: Array | None, fraction: float, random_state: int
) -> tuple[Array, Array]:
    """Positions of training and validation rows; stratified where there are labels."""
    try:
        train, held = train_test_split(
            np.arange(n), test_size=fraction, stratify=labels, random_state=random_state
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping=True could not hold out validation_fraction={fraction} of {n} rows: "
            f"{error} Pass X_val and y_val, or change validation_fraction."
        ) from error
    if len(held) < 2:
        raise ValueError(
            f"early_stopping=True held out {len(held)} of {n} rows, too few to judge by: increase "
            f"validation_fraction={fraction}, or pass X_val and y_val."
        )
    return np.sort(train), np.sort(held)


def scorer_of(estimator, scoring: str | Callable | None) -> Callable[[Any, Validation], float]:
    """A function (fitted estimator, validation rows) -> score for any kind of `scoring` but
    "loss"."""
    if scoring is None:

        def own_score(fitted, rows: Validation) -> float:
            return float(fitted.score(rows.X, rows.y, sample_weight=rows.sample_weight))

        return own_score
    scorer = check_scoring(estimator, scoring=scoring)
    metric = getattr(scorer, "_score_func", scorer)
    takes_weight = "sample_weight" in inspect.signature(metric).parameters

    def score(fitted, rows: Validation) -> float:
        weighted = rows.sample_weight is not None and takes_weight
        weights = {"sample_weight": rows.sample_weight} if weighted else {}
        try:
            return float(scorer(fitted, rows.X, rows.y, **weights))
        except (AttributeError, ValueError) as error:
            raise ValueError(f"scoring={scoring!r} failed on validation rows: {error}") from error

    return score
