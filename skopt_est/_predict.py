"""Raw predictions: rows through the layers of a fitted model, a linear one being a single layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skopt_est._checks import check_rows, plain_rows
from skopt_est._core import engine
from skopt_est._threads import in_threads, one_blas_thread

Array = np.ndarray
# Rows that are converted at a time
CONVERTED_ROWS = 4096
# Elements of the largest layer below which no product goes to BLAS and its threads
LEAST_FOR_BLAS = 1 << 16
# Multiply-adds of a part, at least, which threads may share: some 0.5 ms
PART_WORK, MOST_PARTS = 1 << 24, 64


def raw_prediction(
    estimator: Any,
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str] = (),
    signs: bool = False,
) -> Array:
    """The last layer's products, (n_samples, n_outputs), of rows that are checked; `signs`: of a
    single output integers, 1 where they are above 0, else 0, which takes no array of products."""
    signs = signs and coefs[-1].shape[1] == 1
    layers = coefs, intercepts, [engine.ACTIVATION_CODES[name] for name in activations]
    if plain_rows(estimator, X):
        # Numbers that are not finite are found on the way, and then told of by check_rows.
        raw = _through_layers(X, *layers, signs=signs, finite_only=True)
        if raw is not None:
            return raw
    X = check_rows(estimator, X, reset=False, dtype=[np.float64, np.float32])
    raw = _through_layers(X, *layers, signs=signs)
    assert raw is not None
    return raw


def _through_layers(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    codes: list[int],
    signs: bool = False,
    finite_only: bool = False,
) -> Array | None:
    """None if only finite predictions are wanted, and some sum of X's numbers is not finite."""
    # as they are, unless X is more precise or somebody put others in their place
    dtype, n = X.dtype, X.shape[0]
    parts = (*coefs, *intercepts)
    if not all(p.dtype == dtype and p.flags.c_contiguous and p.ndim for p in parts):
        dtype = np.result_type(dtype, *(part.dtype for part in parts))
        coefs = [np.ascontiguousarray(W, dtype) for W in coefs]
        intercepts = [np.ascontiguousarray(b, dtype) for b in intercepts]
    layers = (coefs, intercepts, codes, finite_only)
    result = np.empty((n, coefs[-1].shape[1]), np.int64 if signs else dtype)
    work = X.size * coefs[0].shape[1] + n * sum(W.size for W in coefs[1:])
    n_parts = max(min(work // PART_WORK, MOST_PARTS, n), 1)
    few = n == 1 and max(W.size for W in coefs) < LEAST_FOR_BLAS
    by_one_column = n_parts == len(coefs) == coefs[0].shape[1] == 1
    without_blas = few or by_one_column
    if without_blas and (n == 1 or X.dtype == dtype):
        return engine.predict(X.astype(dtype, copy=False), *layers, result)
    ends = [n * i // n_parts for i in range(n_parts + 1)]

    def predict(part: int) -> bool:
        step = ends[part + 1] - ends[part] if X.dtype == dtype else CONVERTED_ROWS
        for first in range(ends[part], ends[part + 1], max(step, 1)):
            stop = min(first + step, ends[part + 1])
            rows = _some_rows(X, first, stop, dtype)
            if engine.predict(rows, *layers, result[first:stop]) is None:
                return False
        return True

    if without_blas:
        return result if predict(0) else None
    # BLAS's threads would add in another order.
    with one_blas_thread():
        return result if all(in_threads(predict, n_parts)) else None


class _Csr(NamedTuple):
    """What the engine asks of a CSR matrix."""

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]
    dtype: np.dtype


def _some_rows(X: Any, first: int, stop: int, dtype: np.dtype) -> Any:
    """Rows of X in this dtype, where they lie if they have it."""
    if not issparse(X):
        return X[first:stop].astype(dtype, copy=False)
    start, end = X.indptr[first], X.indptr[stop]
    return _Csr(
        X.data[start:end].astype(dtype, copy=False),
        X.indices[start:end],
        X.indptr[first : stop + 1] - start,
        (stop - first, X.shape[1]),
        dtype,
    )
