"""y and weights <-> the target matrix and row weights that the engine takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import numpy as np
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

Array = np.ndarray
PIECE = 1 << 16


def pieces(n: int, size: int = PIECE) -> Iterator[slice]:
    """n rows in turns: what is made of each needs less room than an array of all would."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def regression_targets(y: Array, dtype: np.dtype, argument: str) -> Array:
    """y as an (n, n_targets) matrix."""
    try:
        with np.errstate(over="ignore"):
            Y = np.ascontiguousarray(y.reshape(len(y), -1), dtype=dtype)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{argument} is not numeric: {error}") from error
    if not np.isfinite(Y).all():
        raise ValueError(f"{argument} has values too large for {np.dtype(dtype).name}.")
    return Y


def class_indices(y: Array, classes: Array, dtype: np.dtype, argument: str) -> Array:
    """The position of each label in `classes`; ValueError for a label that is not there."""
    codes = np.empty(len(y), dtype)
    for piece in pieces(len(y)):
        some = y[piece]
        try:
            found = np.minimum(np.searchsorted(classes, some), len(classes) - 1)
            known = bool(np.all(classes[found] == some))
        except TypeError:  # a label that doesn't sort with the classes
            known = False
        if not known:
            raise ValueError(
                f"{argument} has the labels {_unseen(y, classes)}, which are not among the classes "
                f"{classes.tolist()}."
            )
        codes[piece] = found
    return codes


def _unseen(y: Array, classes: Array) -> list:
    labels = set(y[~np.isin(y, classes)].tolist())
    try:
        return sorted(labels)
    except TypeError:
        return sorted(labels, key=repr)


def weights_of(sample_weight, X, argument: str) -> Array | None:
    """Valid sample weights as float64, None for none; ValueError names the argument."""
    if sample_weight is None:
        return None
    try:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    except ValueError as error:
        shape = f" Got shape {np.shape(sample_weight)}." if np.ndim(sample_weight) > 1 else ""
        raise ValueError(f"{argument}: {error}{shape}") from error
    if (weights < 0).any():
        raise ValueError(
            f"{argument} has negative values (least: {weights.min():g}); weights must be at "
            "least 0."
        )
    if not weights.any():
        raise ValueError(f"{argument} is zero for every sample; some weight must be positive.")
    _check_sum(weights, argument)
    return weights


def _check_sum(weights: Array, argument: str) -> None:
    """ValueError if double precision doesn't hold it."""
    with np.errstate(over="ignore"):
        total = weights.sum()
    if not np.isfinite(total):
        raise ValueError(
            f"{argument} has a sum beyond float64 (largest weight: {weights.max():g}). Divide the "
            "weights by a constant: only their ratios matter."
        )


def class_masses(Y: Array, weights: Array | None, n_classes: int) -> Array:
    """The weight of the rows of each class, added in their order; Y holds class indices."""
    masses = np.zeros(n_classes)
    for piece in pieces(len(Y)):
        some = 1.0 if weights is None else weights[piece].astype(np.float64, copy=False)
        np.add.at(masses, Y[piece, 0].astype(np.intp), some)
    return masses


def class_factors(class_weight, classes: Array, Y: Array, weights: Array | None):
    """The weight of each class, or None; Y holds class indices. "balanced" counts rows by their
    weight, so that a weight of two is a row twice."""
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        mass = class_masses(Y, weights, len(classes))
        with np.errstate(over="ignore"):
            ratio = np.divide(mass.sum(), mass, out=np.zeros_like(mass), where=mass > 0)
        return ratio / len(classes)
    factors = compute_class_weight(class_weight, classes=classes, y=classes)
    if not np.isfinite(factors).all() or (factors < 0).any():
        raise ValueError(f"class_weight={class_weight!r} must have finite weights of at least 0.")
    return factors


def with_class_factors(weights: Array | None, factors: Array | None, Y: Array) -> Array | None:
    """Weights times the weight of each row's class, in an array of its own; Y holds class indices.
    Without factors the weights as they are."""
    if factors is None:
        return weights
    of_row = np.empty(len(Y))
    for piece in pieces(len(Y)):
        of_row[piece] = factors[Y[piece, 0].astype(np.intp)]
    if weights is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            of_row *= weights
    _check_sum(of_row, "sample_weight times class_weight")
    return of_row


def weighted_rows(weights: Array | None, n: int) -> Array:
    """Indices of the rows whose weight is not zero."""
    rows = np.arange(n, dtype=np.int32)  # positions that numpy makes have twice the bytes
    if weights is None or weights.all():
        return rows
    rows = rows[weights != 0]
    if not len(rows):
        raise ValueError("sample_weight times class_weight is zero for every sample.")
    return rows


@overload
def of_rows(values: Array, rows: Array) -> Array: ...
@overload
def of_rows(values: None, rows: Array) -> None: ...
def of_rows(values: Array | None, rows: Array) -> Array | None:
    """What belongs to these rows, which are in order and each there once; no copy of all."""
    if values is None or len(rows) == len(values):
        return values
    some = np.empty((len(rows), *values.shape[1:]), values.dtype)
    for piece in pieces(len(rows)):  # numpy makes positions of eight bytes of `rows`
        some[piece] = values[rows[piece]]
    return some


def row_weights(weights: Array | None, rows: Array, n: int, dtype: np.dtype) -> Array | None:
    """Of n rows the weights times len(rows) / S, as the engine takes them; None where those of
    `rows` are equal. `weights` has those of `rows` only, and is overwritten."""
    if weights is None or weights.min() == weights.max():
        return None
    weights /= weights.max()
    weights *= len(rows) / weights.sum()
    if len(rows) == n:
        return weights.astype(dtype, copy=False)
    scaled = np.zeros(n, dtype)
    for piece in pieces(len(rows)):
        scaled[rows[piece]] = weights[piece]
    return scaled
