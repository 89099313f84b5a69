"""Raw predictions: rows through the layers of a fitted model, a linear one being a single layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skopt_est._checks import check_rows, plain_rows
from skopt_est._core import engine
from skopt_est._threads import one_blas_thread

Array = np.ndarray
# Rows that are converted at a time
CONVERTED_ROWS = 4096
# Elements of the largest layer below which no product goes to BLAS and its threads
LEAST_FOR_BLAS = 1 << 16


def raw_prediction(
    estimator: Any,
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str] = (),
) -> Array:
    """The last layer's products, (n_samples, n_outputs), of rows that are checked."""
    layers = coefs, intercepts, [engine.ACTIVATION_CODES[name] for name in activations]
    if plain_rows(estimator, X):
        # Numbers that are not finite are found on the way, and then told of by check_rows.
        raw = _through_layers(X, *layers, finite_only=True)
        if raw is not None:
            return raw
    X = check_rows(estimator, X, reset=False, dtype=[np.float64, np.float32])
    raw = _through_layers(X, *layers)
    assert raw is not None
    return raw


def _through_layers(
    X: Any,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    codes: list[int],
    finite_only: bool = False,
) -> Array | None:
    """None if only finite predictions are wanted, and some sum of X's numbers is not finite."""
    dtype = np.result_type(X.dtype, *(part.dtype for part in (*coefs, *intercepts)))
    # as they are, unless X is more precise or somebody put others in their place
    coefs = [np.ascontiguousarray(W, dtype) for W in coefs]
    intercepts = [np.ascontiguousarray(b, dtype) for b in intercepts]
    layers, n = (coefs, intercepts, codes, finite_only), X.shape[0]
    if n == 1 and max(W.size for W in coefs) < LEAST_FOR_BLAS:
        return engine.predict(X.astype(dtype, copy=False), *layers)
    # Threads would add in another order.
    with one_blas_thread():
        if X.dtype == dtype:
            return engine.predict(X, *layers)
        parts = [
            engine.predict(X[i : i + CONVERTED_ROWS].astype(dtype), *layers)
            for i in range(0, n, CONVERTED_ROWS)
        ]
    return None if any(part is None for part in parts) else np.concatenate(parts)
