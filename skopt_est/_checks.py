"""scikit-learn's validation of X and y, with errors that say where the fault lies."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import _num_samples, validate_data

Array = np.ndarray


def plain_rows(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's validation would let X through to a prediction as it is, if its
    numbers are finite: that validation takes longer than the prediction of one row."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and X.shape[0] > 0
        and X.dtype.char in "fd"
        and X.dtype.isnative
        and X.flags.c_contiguous
        and X.flags.aligned
        # else those who pass an array are told that names are missing
        and not hasattr(estimator, "feature_names_in_")
    )


def check_rows(estimator: Any, X: Any, *, reset: bool, dtype: Any, name: str = "X") -> Any:
    """X as a C-ordered array or canonical CSR matrix of one of these dtypes."""
    X = native(X)
    try:
        X = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=dtype, order="C")
    except ValueError as error:
        raise ValueError(_located(X, name, error)) from error
    except np.exceptions.DTypePromotionError as error:
        raise TypeError(_located(X, name, error)) from error
    return canonical(X) if issparse(X) else aligned(X)


def check_rows_and_targets(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    reset: bool,
    dtype: Any,
    numeric: bool,
    matrix: bool,
    names: tuple[str, str] = ("X", "y"),
) -> tuple[Any, Array]:
    """X as `check_rows` gives it, and y, one or (matrix) several columns."""
    X = native(X)
    try:
        X_valid, y_valid = validate_data(
            estimator,
            X,
            y,
            reset=reset,
            accept_sparse="csr",
            dtype=dtype,
            order="C",
            multi_output=matrix,
            y_numeric=numeric,
        )
    except ValueError as error:
        text = str(error)
        if text.startswith("could not convert"):
            in_X = hasattr(X, "shape") or np.asarray(X, object).ndim == 2
            located = _located(X, names[0], error) if in_X else text
            text = located if located != text else f"{names[1]} is not numeric: {text}"
        elif "inconsistent numbers of samples" in text:
            text = (
                f"{names[0]} has {_num_samples(X)} samples, {names[1]} has {_num_samples(y)}; "
                f"they must be as many. ({text})"
            )
        elif "contains NaN" in text and (column := _missing(X)) is not None:
            text = f"Column {column} of {names[0]} has missing values; impute them first. {text}"
        elif not any(re.search(rf"\b{name}\b", text) for name in names):
            text = f"{names[0]}, {names[1]}: {text}"
        raise ValueError(text) from error
    except np.exceptions.DTypePromotionError as error:
        raise TypeError(_located(X, names[0], error)) from error
    if issparse(y_valid):
        y_valid = y_valid.toarray()
    X_valid = canonical(X_valid) if issparse(X_valid) else aligned(X_valid)
    return X_valid, aligned(y_valid)


def _located(X: Any, name: str, error: Exception) -> str:
    """The error's text; where it is a failed conversion, with the column that did not convert."""
    text = str(error)
    if not text.startswith("could not convert") and isinstance(error, ValueError):
        return text if name == "X" or re.search(rf"\b{name}\b", text) else f"{name}: {text}"
    columns = getattr(X, "columns", None)
    values = np.asarray(X, dtype=object)
    for j in range(values.shape[1] if values.ndim == 2 else 0):
        try:
            values[:, j].astype(np.float64)
        except (ValueError, TypeError):
            column = repr(columns[j]) if columns is not None else str(j)
            return (
                f"Column {column} of {name} is not numeric: {text}. Encode it first, with "
                "sklearn.preprocessing.OneHotEncoder for one."
            )
    return text


def _missing(X: Any) -> str | None:
    """The first column of a frame that has missing values."""
    if not hasattr(X, "isna"):
        return None
    has = X.isna().any()
    return repr(has.index[has.argmax()]) if has.any() else None


def native(X: Any) -> Any:
    """Floats in the processor's order of bytes: float32 in the other order is float32, too."""
    if (issparse(X) or isinstance(X, np.ndarray)) and X.dtype.kind == "f" and not X.dtype.isnative:
        return X.astype(X.dtype.newbyteorder("="))
    return X


def aligned(array: Array) -> Array:
    """The array, or a copy if its numbers lie where the processor doesn't expect them: in a file
    that is mapped from an odd byte on, for one."""
    return array if array.flags.aligned else array.copy()


def canonical(X: Any) -> Any:
    """CSR without duplicate entries and with 32-bit column indices; the user's own arrays
    where they are so already."""
    # A matrix of its own: looking at one may replace its arrays, and one that was looked at says
    # what it was like then.
    X = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
    # Indices are trusted in compiled code: a bad one would write where it points to.
    X.check_format(full_check=True)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    elsewhere = not all(
        part.flags.c_contiguous and part.flags.aligned for part in (X.data, X.indices, X.indptr)
    )
    if X.indices.dtype != np.int32 or elsewhere:
        if X.shape[1] > np.iinfo(np.int32).max:
            raise ValueError(f"X has {X.shape[1]} columns; at most 2**31 - 1 are supported.")
        narrow = type(X)(X.shape, dtype=X.dtype)
        narrow.data = np.require(X.data, requirements=("C", "A"))
        narrow.indptr = np.require(X.indptr, requirements=("C", "A"))
        narrow.indices = np.require(X.indices, np.int32, ("C", "A"))
        narrow.has_canonical_format = True
        X = narrow
    return X
