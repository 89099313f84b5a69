"""Moments of the columns and norms of the rows of X, dense or CSR.

Built for the same vector units as the engine.
"""
import numpy as np

from libc.stdint cimport int32_t, int64_t

from skopt_est._core.entry cimport check_aligned, csr_fault
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
    const float* single
    const double* double_


cdef object _set_weights(Weights* weights, object row_weight):
    """Let `weights` be those of an array or None. Returns what has to be kept for them."""
    cdef const float[::1] single
    cdef const double[::1] double_
    weights.single, weights.double_ = NULL, NULL
    if row_weight is None or not len(row_weight):
        return None
    if row_weight.dtype == np.float32 and row_weight.flags.c_contiguous:
        single = row_weight
        weights.single = &single[0]
        check_aligned(weights.single, sizeof(float))
        return row_weight
    double_ = row_weight = np.ascontiguousarray(row_weight, np.float64)
    weights.double_ = &double_[0]
    check_aligned(weights.double_, sizeof(double))
    return row_weight


cdef inline double _weight(const Weights* weights, Py_ssize_t row) noexcept nogil:
    if weights.single != NULL:
        return weights.single[row]
    return weights.double_[row] if weights.double_ != NULL else 1


def column_moments(X, int32_t[::1] rows, row_weight, bint centre):
    """Weighted mean and variance of the columns over these rows of a dense, C-ordered X, in one
    pass over memory.

    Blocks of rows are averaged in cache and merged (Chan, Golub & LeVeque 1983), so large
    means cost no precision. Without `centre` the mean is zero and the second moment is
    returned.
    """
    cdef Py_ssize_t d = n_columns(X)
    mean, square = np.zeros(d), np.zeros(d)
    cdef double[::1] m = mean, q = square
    cdef double[::1] block_mean = np.zeros(d), block_square = np.zeros(d)
    cdef Weights weights
    cdef const float[:, ::1] xf
    cdef const double[:, ::1] xd
    if rows.shape[0] == 0 or d == 0:
        return mean, square
    if row_weight is not None and row_weight.shape != X.shape[:1]:
        raise ValueError(f"row_weight has the shape {row_weight.shape}, X {X.shape[0]} rows")
    _kept = _set_weights(&weights, row_weight)
    if np.min(rows) < 0 or np.max(rows) >= X.shape[0]:
        raise ValueError("rows holds an index that is not a row")
    check_aligned(&rows[0], sizeof(int32_t))
    if X.dtype == np.float32:
        xf = X
        check_aligned(&xf[0, 0], sizeof(float))
        with nogil:
            _moments(&xf[0, 0], &rows[0], rows.shape[0], d, &weights, centre, &m[0], &q[0],
                     &block_mean[0], &block_square[0])
    else:
        xd = X
        check_aligned(&xd[0, 0], sizeof(double))
        with nogil:
            _moments(&xd[0, 0], &rows[0], rows.shape[0], d, &weights, centre, &m[0], &q[0],
                     &block_mean[0], &block_square[0])
    return mean, square


cdef void _moments(
    const real* X, const int32_t* order, Py_ssize_t n, Py_ssize_t d, const Weights* w,
    bint centre, double* mean, double* square, double* block_mean, double* block_square,
) noexcept nogil:
    cdef const real* x
    cdef Py_ssize_t start = 0, stop, i, j
    cdef Py_ssize_t rows = max(8, BLOCK_ELEMENTS // d)
    cdef double total = 0, part, weight, delta, share
    while start < n:
        stop = min(start + rows, n)
        part = 0
        for j in range(d):
            block_mean[j] = 0
            block_square[j] = 0
        for i in range(start, stop):
            part += _weight(w, order[i])
        if centre and part > 0:
            for i in range(start, stop):
                weight = _weight(w, order[i]) / part
                x = X + order[i] * d
                for j in range(d):
                    block_mean[j] += weight * x[j]
        for i in range(start, stop):
            weight = _weight(w, order[i])
            x = X + order[i] * d
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
        start = stop
    if total > 0:
        for j in range(d):
            square[j] /= total


def column_squares(X, int32_t[::1] rows, row_weight):
    """Weighted mean square of each column over these rows of a CSR matrix; 0 if they weigh
    nothing."""
    out = np.zeros(n_columns(X))
    cdef double[::1] square = out
    cdef double total = 0
    cdef Weights weights
    cdef const int32_t[::1] indices = X.indices
    cdef const int64_t[::1] indptr = X.indptr.astype(np.int64, copy=False)
    cdef const float[::1] xf
    cdef const double[::1] xd
    check_csr(X, indices, indptr)
    if row_weight is not None and row_weight.shape != X.shape[:1]:
        raise ValueError(f"row_weight has the shape {row_weight.shape}, X {X.shape[0]} rows")
    if X.nnz == 0 or rows.shape[0] == 0:
        return out
    _kept = _set_weights(&weights, row_weight)
    if np.min(rows) < 0 or np.max(rows) >= X.shape[0]:
        raise ValueError("rows holds an index that is not a row")
    check_aligned(&rows[0], sizeof(int32_t))
    if X.dtype == np.float32:
        xf = X.data
        check_aligned(&xf[0], sizeof(float))
        with nogil:
            total = _column_squares(&xf[0], &indices[0], indptr, rows, &weights, square)
    else:
        xd = X.data
        check_aligned(&xd[0], sizeof(double))
        with nogil:
            total = _column_squares(&xd[0], &indices[0], indptr, rows, &weights, square)
    return out / (total or 1.0)


cdef double _column_squares(
    const real* x, const int32_t* indices, const int64_t[::1] indptr, const int32_t[::1] rows,
    const Weights* weights, double[::1] square,
) noexcept nogil:
    """Returns the weight of these rows."""
    cdef Py_ssize_t i
    cdef int64_t p
    cdef double weight, total = 0
    for i in range(rows.shape[0]):
        weight = _weight(weights, rows[i])
        total += weight
        for p in range(indptr[rows[i]], indptr[rows[i] + 1]):
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
