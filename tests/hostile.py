"""Arguments made wrong in the ways that memory and arithmetic mind."""

import numpy as np
from scipy import sparse

HUGE = (-(2**63), -(2**31) - 1, -2, -1, 0, 2**31 - 1, 2**31, 2**60, 2**63 - 1, 2**64, 10**30)
FLOATS = (0.0, -0.0, -1.0, 5e-324, 1e-308, 1e-300, 1e-30, 1e30, 1e300, np.inf, -np.inf, np.nan)
OTHER_TYPES = (None, "red", [1, 2, 3], {}, 3, 2.5, b"x", object())
DTYPES = (
    *(np.float16, np.float32, np.float64, np.longdouble, np.complex128, np.int8, np.int32),
    *(np.int64, np.uint64, bool, object, ">f4", ">f8", ">i4", "S3", "M8[s]"),
)


class CSR:
    """A matrix that is what it says it is and no more: its parts need not fit."""

    def __init__(self, data, indices, indptr, shape):
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, shape
        self.dtype, self.nnz = data.dtype, len(data)


def nan_payload(rng, dtype):
    """A NaN, signalling or not, of any sign and payload."""
    bits, exponent = {4: (np.uint32, 0x7F800000), 8: (np.uint64, 0x7FF0000000000000)}[
        np.dtype(dtype).itemsize
    ]
    size = 23 if bits is np.uint32 else 52
    payload = int(rng.integers(1, 2**size)) | exponent
    if rng.random() < 0.5:
        payload |= 1 << (8 * np.dtype(dtype).itemsize - 1)
    return np.array([payload], bits).view(dtype)[0]


def scale(rng, X):
    """Numbers of extreme but finite size."""
    top = 300 if X.dtype == np.float64 else 37
    size = 10.0 ** rng.uniform(-top, top, X.shape if rng.random() < 0.5 else ())
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(X * size, -np.finfo(X.dtype).max, np.finfo(X.dtype).max).astype(X.dtype)


def sprinkle(rng, X):
    """Some numbers that are none, or hardly any."""
    X = X.copy()
    for _ in range(int(rng.integers(1, 4))):
        at = tuple(rng.integers(0, n) for n in X.shape)
        if X.dtype.kind == "i":
            bounds = np.iinfo(X.dtype)
            X[at] = np.clip(HUGE[rng.integers(len(HUGE) - 2)], bounds.min, bounds.max)
        elif X.dtype.kind == "u":
            X[at] = rng.integers(0, 2**63)
        elif X.dtype.kind == "f":
            pick = rng.integers(len(FLOATS) + 1)
            with np.errstate(over="ignore"):
                X[at] = nan_payload(rng, X.dtype) if pick == len(FLOATS) else FLOATS[pick]
    return X


def misaligned(X):
    space = np.zeros(X.nbytes + 1, np.uint8)
    out = space[1:].view(X.dtype).reshape(X.shape) if X.size else X
    out[...] = X
    return out


def of_another_form(rng, X):
    with np.errstate(all="ignore"):
        kind = rng.integers(9)
        if kind == 0:
            return X[: len(X) - int(rng.integers(1, 3))] if len(X) else X
        if kind == 1:
            return np.concatenate([X, X[:1]])
        if kind == 2:
            return X[:0]
        if kind == 3:
            try:
                return X.astype(DTYPES[rng.integers(len(DTYPES))])
            except (TypeError, ValueError):
                return X.astype(object)
        if kind == 4:
            return X[..., None] if rng.random() < 0.5 else X.reshape(-1)
        if kind == 5:
            return np.repeat(X, 2, axis=-1)[..., ::2]
        if kind == 6:
            return np.asfortranarray(X)[::-1]
        if kind == 7:
            out = X.copy()
            out.flags.writeable = False
            return out
        return misaligned(X)


def hostile_csr(rng, X):
    data, indices, indptr = X.data.copy(), X.indices.copy(), X.indptr.copy()
    part = rng.integers(7)
    if part == 0:
        data = hostile(rng, data) if len(data) else data
    elif part == 1:
        indices = hostile(rng, indices) if len(indices) else indices
    elif part == 2:
        indptr = hostile(rng, indptr)
    elif part == 3 and len(indices):
        indices[rng.integers(len(indices))] = (-1, X.shape[1], 2**31 - 1, -(2**31))[rng.integers(4)]
    elif part == 4:
        indptr[rng.integers(len(indptr))] += (-1, 1, 1000, 2**30, -(2**30))[rng.integers(5)]
    elif part == 5:
        shape = X.shape[0] + int(rng.integers(-1, 2)), X.shape[1] + int(rng.integers(-2, 2))
        if rng.random() < 0.3:
            number = (-1, -2, -(2**31), -(2**63))[rng.integers(4)]
            shape = (number, shape[1]) if rng.random() < 0.5 else (shape[0], number)
            indptr = indptr[: max(shape[0], -1) + 1]
        return CSR(data, indices, indptr, shape)
    else:
        indices = indices[::-1]
    if not all(isinstance(part, np.ndarray) for part in (data, indices, indptr)):
        return OTHER_TYPES[rng.integers(len(OTHER_TYPES))]
    return CSR(data, indices, indptr, X.shape)


def hostile(rng, value):
    """Something like the value that no caller should pass, or not without need."""
    if rng.random() < 0.05:
        return OTHER_TYPES[rng.integers(len(OTHER_TYPES))]
    if sparse.issparse(value):
        return hostile_csr(rng, value)
    if isinstance(value, np.ndarray):
        kind = rng.integers(3)
        if kind == 0 and value.dtype.kind == "f":
            return scale(rng, value)
        return sprinkle(rng, value) if kind == 1 and value.size else of_another_form(rng, value)
    if isinstance(value, dict):
        key = sorted(value)[rng.integers(len(value))]
        return {**value, key: hostile(rng, value[key])}
    if isinstance(value, (list, tuple)):
        items = list(value)
        if not items or rng.random() < 0.3:
            return type(value)(items + items[:1] + [1] * (not items) if rng.random() < 0.5 else [])
        at = rng.integers(len(items))
        items[at] = hostile(rng, items[at])
        return type(value)(items)
    if isinstance(value, (bool, float)):
        return FLOATS[rng.integers(len(FLOATS))]
    return int(rng.integers(-5, 40)) if rng.random() < 0.5 else HUGE[rng.integers(len(HUGE))]
