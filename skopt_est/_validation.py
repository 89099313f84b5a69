"""The validation rows of a fit, and how they are scored."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils import _safe_indexing

from skopt_est import _targets
from skopt_est._rows import AllRows, Rows

if TYPE_CHECKING:
    from skopt_est._base import OptimizerEstimator
    from skopt_est._problem import Problem

Array = np.ndarray


class Validation(NamedTuple):
    """Rows held out or given, as the user passed them; `rows` are their positions in the
    training data if they were held out of it."""

    X: Any
    y: Any
    sample_weight: Array | None
    rows: Array | None = None


def take(X: Any, y: Any, sample_weight: Array | None, rows: Array) -> tuple[Any, Any, Any]:
    """Some rows of what the user passed, in the user's types."""
    X, y = (part.tocsr() if issparse(part) else part for part in (X, y))
    weights = None if sample_weight is None else sample_weight[rows]
    return _safe_indexing(X, rows), _safe_indexing(y, rows), weights


def held_out(given: tuple[Any, Any, Array | None], rows: Array, scoring: Any) -> Validation:
    """Rows of the training data; scorers see them as the user passed them, with their names."""
    if scoring == "loss":  # which the engine takes from the rows it has
        weights = given[2]
        return Validation(None, None, None if weights is None else weights[rows], rows)
    X, y, weights = take(*given, rows)
    return Validation(X, y, in_double(weights), rows)


def in_double(weights: Array | None) -> Array | None:
    """Scorers sum in the precision of what they are given."""
    return None if weights is None else weights.astype(np.float64, copy=False)


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


def hold_out(n: int, labels: Array | None, fraction: float, random_state: int) -> Array:
    """Which of n rows are for validation, True or False; stratified where there are labels, which
    are class indices. (`train_test_split` of scikit-learn needs eight times the memory: it puts
    each position into a list.)"""
    n_held = math.ceil(fraction * n)
    rng = np.random.RandomState(random_state)
    fault = "None would be left to train on." if n_held == n else None
    if labels is not None:
        codes = labels.astype(np.min_scalar_type(int(labels.max())))
        counts = np.unique_counts(codes).counts
        if counts.min() < 2:
            fault = "A class has one row only, where 2 are the least."
        elif min(n_held, n - n_held) < len(counts):
            fault = f"Each part must have a row of each of the {len(counts)} classes."
    if fault is not None:
        raise ValueError(
            f"early_stopping=True could not hold out validation_fraction={fraction} of {n} rows: "
            f"{fault} Pass X_val and y_val, or change validation_fraction."
        )
    if n_held < 2:
        raise ValueError(
            f"early_stopping=True held out {n_held} of {n} rows, too few to judge by: increase "
            f"validation_fraction={fraction}, or pass X_val and y_val."
        )
    held = np.zeros(n, bool)
    if labels is None:
        order = np.arange(n, dtype=np.int32)
        rng.shuffle(order)
        held[order[:n_held]] = True
        return held
    by_class = np.split(_in_classes(codes), np.cumsum(counts)[:-1])
    for rows, n_rows in zip(by_class, _shares(counts, n_held, rng), strict=True):
        rng.shuffle(rows)
        held[rows[:n_rows]] = True
    return held


def _in_classes(codes: Array) -> Array:
    """Positions from 0 to n - 1, int32, by their codes and then in order. In pieces, as NumPy
    counts and sorts by numbers of eight bytes."""
    n_codes, some = int(codes.max()) + 1, 1 << 12
    counts = np.zeros(n_codes, np.intp)
    for piece in _targets.pieces(len(codes), some):
        counts += np.bincount(codes[piece], minlength=n_codes)
    order, places = np.empty(len(codes), np.int32), np.cumsum(counts) - counts
    for piece in _targets.pieces(len(codes), some):
        first = np.argsort(codes[piece], kind="stable")
        of = codes[piece][first]
        here = np.bincount(of, minlength=n_codes)
        within = np.arange(len(of)) - (np.cumsum(here) - here)[of]
        order[places[of] + within] = first + piece.start
        places += here
    return order


def _shares(counts: Array, total: int, rng: np.random.RandomState) -> Array:
    """The total divided in proportion to counts: whole numbers, by the largest remainders, which
    the generator chooses from if they are equal."""
    exact = counts * (total / counts.sum())
    shares = np.floor(exact).astype(np.intp)
    remainders = np.round(exact - shares, 9)
    order = np.lexsort((rng.permutation(len(counts)), -remainders))
    shares[order[: total - shares.sum()]] += 1
    return shares


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


def score_of(
    estimator: OptimizerEstimator, validation: Validation, problem: Problem
) -> Callable[[Array], float]:
    """The validation score as a function of the parameters in training's units."""
    X_val, Y = problem.X, problem.targets.Y
    rows: Rows | None = validation.rows
    weights = validation.sample_weight
    if rows is None:
        X_val, y_val = estimator._validate(
            validation.X, validation.y, X_val.dtype, reset=False, names=("X_val", "y_val")
        )
        weights = _targets.weights_of(weights, X_val, "sample_weight_val")
        validation = validation._replace(sample_weight=in_double(weights))
        Y = estimator._encode(y_val, X_val.dtype, "y_val")
        if Y.shape[1] != problem.targets.Y.shape[1]:
            raise ValueError(
                f"y_val has {Y.shape[1]} targets, y has {problem.targets.Y.shape[1]}; they "
                "must be as many."
            )
        rows = AllRows(len(Y))
    if estimator.scoring == "loss":
        if issparse(X_val) and problem.scaling.shift is not None:
            raise ValueError(
                "X_val is sparse, but X is dense and centred in training: pass both in one "
                "form, or precondition=False."
            )
        held = problem.held_out(X_val, Y, rows, weights, validation.rows is not None)
        full_pass = held.full_pass()
        return lambda theta: -held.loss_value(theta, full_pass)
    evaluate = scorer_of(estimator, estimator.scoring)

    def score(theta: Array) -> float:
        fitted = estimator._twin()
        fitted._set_parameters(theta, problem)
        return evaluate(fitted, validation)

    return score
