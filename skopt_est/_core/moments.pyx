"""Moments of the columns and norms of the rows of X, dense or CSR.

Built for the same vector units as the engine.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t

from skopt_est._core.entry cimport check_aligned, csr_fault, range_start
from skopt_est._core.types cimport real

cdef Py_ssize_t BLOCK_ELEMENTS = 16384      # of X: a block stays in cache for its two passes


cdef Py_ssize_t n_columns(X) except? -1:
    # tuples are read without bounds checks
    if len(X.shape) != 2:
        raise ValueError(f"X must have two dimensions, got {len(X.shape)}")
    return X.shape[1]


cdef int check_csr(X, const int32_t[::1] indices, const int64_t[::1] indptr) except -1:
    cdef const char* fault
    cdef Py_ssize_t n = X.shape[0], n_entries = len(X.data)
    if n < 0 or indptr.shape[0] != n + 1 or indices.shape[0] != n_entries:
        raise ValueError("X.indptr must have one entry a row and one more, X.indices one an entry")
    check_aligned(&indptr[0], sizeof(int64_t))
    check_aligned(&indices[0] if n_entries else NULL, sizeof(int32_t))
    fault = csr_fault(&indptr[0], &indices[0] if n_entries else NULL, n, n_columns(X), n_entries)
    if fault != NULL:
        raise ValueError(fault.decode())
    return 0


cdef struct Weights:
    # of rows, in one of two precisions; both NULL: ones
    const float* f32
    const double* f64


cdef object _set_weights(Weights* weights, object row_weight):
    """Let `weights` be those of an array or None. Returns what has to be kept for them."""
    cdef const float[::1] f32
    cdef const double[::1] f64
    weights.f32, weights.f64 = NULL, NULL
    if row_weight is None or not len(row_weight):
        return None
    if row_weight.dtype == np.float32 and row_weight.flags.c_contiguous:
        f32 = row_weight
        weights.f32 = &f32[0]
        check_aligned(weights.f32, sizeof(float))
        return row_weight
    f64 = row_weight = np.ascontiguousarray(row_weight, np.float64)
    weights.f64 = &f64[0]
    check_aligned(weights.f64, sizeof(double))
    return row_weight


cdef inline double _weight(const Weights* weights, Py_ssize_t row) noexcept nogil:
    if weights.f32 != NULL:
        return weights.f32[row]
    return weights.f64[row] if weights.f64 != NULL else 1


cdef struct Picked:
    # rows: order[0], order[1], ...; if it is NULL, 0, 1, ...
    const int32_t* order
    Py_ssize_t n


cdef object _set_picked(Picked* picked, object rows, Py_ssize_t n):
    """Let `picked` be an int32 array of some of n rows, or range(n). Returns what has to be kept
    for them."""
    cdef const int32_t[::1] given
    picked.order, picked.n = NULL, len(rows)
    if isinstance(rows, range):
        if range_start(rows, n) != 0:
            raise ValueError(f"a range of rows must begin at 0, got {rows}")
        return None
    given = rows
    if not picked.n:
        return None
    if np.min(rows) < 0 or np.max(rows) >= n:
        raise ValueError("rows holds an index that is not a row")
    picked.order = &given[0]
    check_aligned(picked.order, sizeof(int32_t))
    return rows


cdef inline Py_ssize_t _row(const Picked* picked, Py_ssize_t i) noexcept nogil:
    return i if picked.order == NULL else picked.order[i]


def column_moments(X, rows, row_weight, bint centre):
    """Weighted mean and variance of the columns over these rows (int32 array, or a range from 0 on)
    of a dense, C-ordered X, in one pass over memory.

    Blocks of rows are averaged in cache and merged (Chan, Golub & LeVeque 1983), so large
    means cost no precision. Without `centre` the mean is zero and the second moment is
    returned.
    """
    cdef Py_ssize_t d = n_columns(X)
    mean, square = np.zeros(d), np.zeros(d)
    cdef double[::1] m = mean, q = square
    cdef double[::1] block_mean = np.zeros(d), block_square = np.zeros(d)
    cdef Weights weights
    cdef Picked picked
    cdef Py_ssize_t at_once
    cdef int32_t[::1] block
    cdef const float[:, ::1] xf
    cdef const double[:, ::1] xd
    if len(rows) == 0 or d == 0:
        return mean, square
    at_once = max(8, BLOCK_ELEMENTS // d)
    block = np.empty(at_once, np.int32)
    if row_weight is not None and row_weight.shape != X.shape[:1]:
        raise ValueError(f"row_weight has the shape {row_weight.shape}, X {X.shape[0]} rows")
    _kept = _set_weights(&weights, row_weight), _set_picked(&picked, rows, X.shape[0])
    if X.dtype == np.float32:
        xf = X
        check_aligned(&xf[0, 0], sizeof(float))
        with nogil:
            _moments(&xf[0, 0], &picked, d, &weights, centre, &m[0], &q[0], at_once, &block[0],
                     &block_mean[0], &block_square[0])
    else:
        xd = X
        check_aligned(&xd[0, 0], sizeof(double))
        with nogil:
            _moments(&xd[0, 0], &picked, d, &weights, centre, &m[0], &q[0], at_once, &block[0],
                     &block_mean[0], &block_square[0])
    return mean, square


cdef void _moments(
    const real* X, const Picked* picked, Py_ssize_t d, const Weights* w, bint centre, double* mean,
    double* square, Py_ssize_t at_once, int32_t* block, double* block_mean, double* block_square,
) noexcept nogil:
    """block (at_once,): rows, so that the same loops, with the same bits, are for an order and for
    none."""
    cdef const real* x
    cdef Py_ssize_t n = picked.n, start = 0, count, i, j
    cdef double total = 0, part, weight, delta, share
    while start < n:
        count = min(at_once, n - start)
        for i in range(count):
            block[i] = <int32_t> _row(picked, start + i)
        part = 0
        for j in range(d):
            block_mean[j] = 0
            block_square[j] = 0
        for i in range(count):
            part += _weight(w, block[i])
        if centre and part > 0:
            for i in range(count):
                weight = _weight(w, block[i]) / part
                x = X + block[i] * d
                for j in range(d):
                    block_mean[j] += weight * x[j]
        for i in range(count):
            weight = _weight(w, block[i])
            x = X + block[i] * d
            for j in range(d):
                delta = x[j] - block_mean[j]
                block_square[j] += weight * delta * delta
        if part > 0:
            share = part / (total + part)
            for j in range(d):
                delta = block_mean[j] - mean[j]
                mean[j] += share * delta
                square[j] += block_square[j] + delta * delta * total * share
            total += part
        start += count
    if total > 0:
        for j in range(d):
            square[j] /= total


def column_squares(X, rows, row_weight):
    """Weighted mean square of each column over these rows (int32 array, or a range from 0 on) of a
    CSR matrix; 0 if they weigh nothing."""
    out = np.zeros(n_columns(X))
    cdef double[::1] square = out
    cdef double total = 0
    cdef Weights weights
    cdef Picked picked
    cdef const int32_t[::1] indices = X.indices
    cdef const int64_t[::1] indptr = X.indptr.astype(np.int64, copy=False)
    cdef const float[::1] xf
    cdef const double[::1] xd
    check_csr(X, indices, indptr)
    if row_weight is not None and row_weight.shape != X.shape[:1]:
        raise ValueError(f"row_weight has the shape {row_weight.shape}, X {X.shape[0]} rows")
    if X.nnz == 0 or len(rows) == 0:
        return out
    _kept = _set_weights(&weights, row_weight), _set_picked(&picked, rows, X.shape[0])
    if X.dtype == np.float32:
        xf = X.data
        check_aligned(&xf[0], sizeof(float))
        with nogil:
            total = _column_squares(&xf[0], &indices[0], indptr, &picked, &weights, square)
    else:
        xd = X.data
        check_aligned(&xd[0], sizeof(double))
        with nogil:
            total = _column_squares(&xd[0], &indices[0], indptr, &picked, &weights, square)
    return out / (total or 1.0)


cdef double _column_squares(
    const real* x, const int32_t* indices, const int64_t[::1] indptr, const Picked* picked,
    const Weights* weights, double[::1] square,
) noexcept nogil:
    """Returns the weight of these rows."""
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef double weight, total = 0
    for i in range(picked.n):
        row = _row(picked, i)
        weight = _weight(weights, row)
        total += weight
        for p in range(indptr[row], indptr[row + 1]):
            square[indices[p]] += weight * <double> x[p] * x[p]
    return total


def squared_norms(X, int32_t[::1] rows, shift=None, inv_scale=None):
    """The squared norms of these rows, seen as (x - shift) * inv_scale, float64; CSR takes no
    shift."""
    cdef Py_ssize_t d = n_columns(X)
    cdef bint dense = isinstance(X, np.ndarray)
    out = np.zeros(rows.shape[0])
    if out.shape[0] == 0 or d == 0:
        return out
    cdef double[::1] norms = out
    cdef const double[::1] centre = np.zeros(d) if shift is None else np.asarray(shift, float)
    cdef const double[::1] scale = np.ones(d) if inv_scale is None else np.asarray(inv_scale, float)
    cdef const int32_t[::1] indices = np.arange(d, dtype=np.int32) if dense else X.indices
    cdef const int64_t[::1] indptr = (
        np.zeros(1, np.int64) if dense else X.indptr.astype(np.int64, copy=False))
    cdef const float[::1] xf
    cdef const double[::1] xd
    values = X.ravel() if dense else X.data
    if centre.shape[0] != d or scale.shape[0] != d:
        raise ValueError(f"shift and inv_scale must have {d} entries, one a column")
    if not dense:
        check_csr(X, indices, indptr)
    if np.min(rows) < 0 or np.max(rows) >= X.shape[0]:
        raise ValueError("rows holds an index that is not a row")
    check_aligned(&rows[0], sizeof(int32_t))
    if values.shape[0] == 0:
        return out
    check_aligned(&centre[0], sizeof(double))
    check_aligned(&scale[0], sizeof(double))
    if X.dtype == np.float32:
        xf = values
        check_aligned(&xf[0], sizeof(float))
        with nogil:
            _norms(&xf[0], indices, indptr, rows, dense, centre, scale, norms)
    else:
        xd = values
        check_aligned(&xd[0], sizeof(double))
        with nogil:
            _norms(&xd[0], indices, indptr, rows, dense, centre, scale, norms)
    return out


cdef void _norms(
    const real* values, const int32_t[::1] indices, const int64_t[::1] indptr,
    const int32_t[::1] rows, bint dense, const double[::1] centre, const double[::1] scale,
    double[::1] norms,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t p, begin, end, d = centre.shape[0]
    cdef int32_t j
    cdef double x, total
    for i in range(norms.shape[0]):
        total = 0
        begin = rows[i] * d if dense else indptr[rows[i]]
        end = begin + d if dense else indptr[rows[i] + 1]
        for p in range(begin, end):
            j = indices[p - begin] if dense else indices[p]
            x = (values[p] - centre[j]) * scale[j]
            total += x * x
        norms[i] = total
