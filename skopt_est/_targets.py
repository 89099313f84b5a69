"""y and weights <-> the target matrix and row weights that the engine takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, overload

import numpy as np
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from skopt_est._rows import AllRows, Rows

Array = np.ndarray
PIECE = 1 << 14


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
    """Valid sample weights, float32 if they are, else float64; None for none. ValueError names the
    argument."""
    if sample_weight is None:
        return None
    try:
        single = getattr(sample_weight, "dtype", None) == np.float32
        weights = _check_sample_weight(sample_weight, X, dtype=np.float32 if single else np.float64)
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
    with np.errstate(over="ignore"):
        _check_sum(weights.sum(dtype=np.float64), weights.max(), argument)
    return weights


def _check_sum(total: float, most: float, argument: str) -> None:
    """ValueError if double precision doesn't hold the sum of weights."""
    if not np.isfinite(total):
        raise ValueError(
            f"{argument} has a sum beyond float64 (largest weight: {most:g}). Divide the "
            "weights by a constant: only their ratios matter."
        )


def class_masses(
    Y: Array, weights: Array | None, n_classes: int, rows: Rows | None = None
) -> Array:
    """The weight of the rows (None: all) of each class, added in their order; Y holds class
    indices."""
    masses = np.zeros(n_classes)
    for piece in pieces(len(Y) if rows is None else len(rows)):
        some = piece if rows is None else rows[piece]
        mass = 1.0 if weights is None else weights[some].astype(np.float64, copy=False)
        np.add.at(masses, Y[some, 0].astype(np.intp), mass)
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


class RowWeights(NamedTuple):
    """The weight of each row, made for as many as are asked for: an array of all in double
    precision would be the largest thing that a fit needs beside X."""

    given: Array | None
    """Of the samples."""
    factors: Array | None = None
    """Of the classes."""
    codes: Array | None = None
    """Class indices (n, 1), where there are factors."""

    def of(self, rows: Array | slice) -> Array:
        """Those of some rows, float64; to be left as they are."""
        given = None if self.given is None else self.given[rows].astype(np.float64, copy=False)
        if self.factors is None or self.codes is None:
            assert given is not None
            return given
        of_class = self.factors[self.codes[rows, 0].astype(np.intp)]
        if given is None:
            return of_class
        with np.errstate(over="ignore", invalid="ignore"):
            return of_class * given

    def total(self, rows: Rows) -> float:
        with np.errstate(over="ignore"):
            return sum(float(self.of(rows[piece]).sum()) for piece in pieces(len(rows)))


def with_class_factors(given: Array | None, factors: Array | None, Y: Array) -> RowWeights | None:
    """The weights of the samples times those of their classes; Y holds class indices."""
    if factors is None:
        return None if given is None else RowWeights(given)
    weights = RowWeights(given, factors, Y)
    most, total = 0.0, 0.0
    with np.errstate(over="ignore"):
        for piece in pieces(len(Y)):
            some = weights.of(piece)
            most, total = np.fmax(most, some.max()), total + some.sum()
    _check_sum(total, most, "sample_weight times class_weight")
    return weights


def positions(mask: Array, wanted: bool = True) -> Array:
    """Indices where the mask is `wanted`, int32: those that NumPy finds have twice the bytes."""
    found = np.empty(np.count_nonzero(mask == wanted), np.int32)
    at = 0
    for piece in pieces(len(mask)):
        some = np.flatnonzero(mask[piece] == wanted)
        found[at : at + len(some)] = some + piece.start
        at += len(some)
    return found


def weighted_rows(weights: RowWeights | None, n: int) -> Rows:
    """Indices of the rows whose weight is not zero."""
    if weights is None:
        return AllRows(n)
    weighted = np.concatenate([weights.of(piece) != 0 for piece in pieces(n)])
    if not weighted.any():
        raise ValueError("sample_weight times class_weight is zero for every sample.")
    return AllRows(n) if weighted.all() else positions(weighted)


@overload
def of_rows(values: Array, rows: Rows) -> Array: ...
@overload
def of_rows(values: None, rows: Rows) -> None: ...
def of_rows(values: Array | None, rows: Rows) -> Array | None:
    """What belongs to these rows, which are in order and each there once; no copy of all."""
    if values is None or len(rows) == len(values):
        return values
    some = np.empty((len(rows), *values.shape[1:]), values.dtype)
    for piece in pieces(len(rows)):  # numpy makes positions of eight bytes of `rows`
        some[piece] = values[rows[piece]]
    return some


def row_weights(
    weights: RowWeights | None,
    places: Rows,
    rows: Rows,
    n: int,
    dtype: np.dtype,
    out: Array | None = None,
) -> Array | None:
    """For n rows the weights times len(rows) / S, as the engine takes them; None where those of
    `rows` are equal. `places`: which of the weights are those of `rows`. `out`: an array of n to
    write to, whose other rows are left as they are."""
    if weights is None:
        return None
    least, most = np.inf, 0.0
    for piece in pieces(len(rows)):
        some = weights.of(places[piece])
        least, most = min(least, some.min()), max(most, some.max())
    if least == most:
        return None
    total = sum(float((weights.of(places[piece]) / most).sum()) for piece in pieces(len(rows)))
    scaled = np.zeros(n, dtype) if out is None else out
    for piece in pieces(len(rows)):
        scaled[rows[piece]] = weights.of(places[piece]) / most * (len(rows) / total)
    return scaled


def weighted_mean(values: Array, weights: Array | None, rows: Rows) -> Array:
    """Of each column over these rows of an array (n, k)."""
    total, mass = np.zeros(values.shape[1]), 0.0
    for piece in pieces(len(rows)):
        some: Array = values[rows[piece]]
        if weights is None:
            mass += len(some)
        else:
            of_row = weights[rows[piece]].astype(np.float64, copy=False)
            mass += float(of_row.sum())
            some = some * of_row[:, None]
        total += some.sum(axis=0, dtype=np.float64)
    return total / mass
