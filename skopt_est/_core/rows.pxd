# A block of rows of X, dense or CSR: Z = X[idx] W + b and G += X[idx]' D.
# The only file that knows how X is stored. W and G are feature-major (features, outputs).
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from skopt_est._core.blas cimport gemm
from skopt_est._core.types cimport real


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define skopt_prefetch(address) __builtin_prefetch(address)
    #else
    #define skopt_prefetch(address) ((void) 0)
    #endif
    """
    void skopt_prefetch(const void* address) nogil


cdef enum:
    # Below this many multiplications a loop beats a call of BLAS.
    BLAS_WORK = 4096
    # Rows in random order come from far: the row so many places ahead is asked for early, but
    # no more of it than this, the hardware follows longer rows by itself.
    ROWS_AHEAD = 4
    PREFETCH_BYTES = 512
    CACHE_LINE = 64


cdef struct Rows:
    Py_ssize_t n, d
    const void* values           # dense: (n, d), C order
    const int32_t* indices       # CSR, else NULL
    const int64_t* indptr
    const void* shift            # (d,) or NULL: x is seen as (x - shift) * inv_scale
    const void* inv_scale


cdef inline real dot(const real* a, const real* b, Py_ssize_t n) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += a[j] * b[j]
    return total


cdef inline void add_scaled(real* y, real a, const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        y[j] += a * x[j]


cdef inline void dot4(
    const real* a, Py_ssize_t step, const real* w, real* z, Py_ssize_t n
) noexcept nogil:
    """Four rows at once: each element of w is loaded once, and four sums run side by side."""
    cdef const real* b = a + step
    cdef const real* c = b + step
    cdef const real* e = c + step
    cdef real s0 = 0, s1 = 0, s2 = 0, s3 = 0
    cdef Py_ssize_t j
    for j in range(n):
        s0 += a[j] * w[j]
        s1 += b[j] * w[j]
        s2 += c[j] * w[j]
        s3 += e[j] * w[j]
    z[0] += s0
    z[1] += s1
    z[2] += s2
    z[3] += s3


cdef inline void add_scaled4(
    real* g, const real* z, const real* a, Py_ssize_t step, Py_ssize_t n
) noexcept nogil:
    cdef const real* b = a + step
    cdef const real* c = b + step
    cdef const real* e = c + step
    cdef real z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3]
    cdef Py_ssize_t j
    for j in range(n):
        g[j] += (z0 * a[j] + z1 * b[j]) + (z2 * c[j] + z3 * e[j])


cdef inline void prefetch(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t n, real like
) noexcept nogil:
    """Ask for the row ROWS_AHEAD places after `at`, if there is one."""
    cdef Py_ssize_t offset, size
    cdef const char* start
    if order == NULL or at + ROWS_AHEAD >= n:
        return
    start = <const char*> (<const real*> rows.values + order[at + ROWS_AHEAD] * rows.d)
    size = min(rows.d * <Py_ssize_t> sizeof(real), PREFETCH_BYTES)
    offset = 0
    while offset < size:
        skopt_prefetch(start + offset)
        offset += CACHE_LINE
    skopt_prefetch(start + size - 1)


cdef inline const real* gather(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    real* buffer,
) noexcept nogil:
    """Dense rows order[start:start + count] (or start, start + 1, ... if order is NULL) as a
    C-contiguous block, shifted and scaled on the way; n: the length of order. Untransformed
    rows that already lie side by side are not copied."""
    cdef const real* values = <const real*> rows.values
    cdef const real* shift = <const real*> rows.shift
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* x
    cdef real* out = buffer
    cdef Py_ssize_t d = rows.d, i, j
    if inv_scale == NULL and (order == NULL or count == 1):
        prefetch(rows, order, start, n, <real> 0)
        return values + (start if order == NULL else order[start]) * d
    for i in range(start, start + count):
        x = values + (i if order == NULL else order[i]) * d
        prefetch(rows, order, i, n, <real> 0)
        if shift != NULL:
            for j in range(d):
                out[j] = (x[j] - shift[j]) * inv_scale[j]
        elif inv_scale != NULL:
            for j in range(d):
                out[j] = x[j] * inv_scale[j]
        else:
            memcpy(out, x, d * sizeof(real))
        out += d
    return buffer


cdef inline void dense_forward(
    const real* a, Py_ssize_t count, Py_ssize_t d, const real* w, Py_ssize_t k, real* z
) noexcept nogil:
    """z (count, k) += a (count, d) w (d, k)."""
    cdef Py_ssize_t i, j
    if k == 1:
        i = 0
        while i + 4 <= count:
            dot4(a + i * d, d, w, z + i, d)
            i += 4
        while i < count:
            z[i] += dot(a + i * d, w, d)
            i += 1
    elif count * d * k < BLAS_WORK:
        for i in range(count):
            for j in range(d):
                add_scaled(z + i * k, a[i * d + j], w + j * k, k)
    else:
        gemm(c'N', c'N', <int> count, <int> k, <int> d, <real*> a, <int> d, <real*> w, <int> k,
             <real> 1, z, <int> k)


cdef inline void dense_backward(
    const real* a, Py_ssize_t count, Py_ssize_t d, const real* z, Py_ssize_t k, real* g
) noexcept nogil:
    """g (d, k) += a' (d, count) z (count, k)."""
    cdef Py_ssize_t i, j
    if k == 1:
        i = 0
        while i + 4 <= count:
            add_scaled4(g, z + i, a + i * d, d, d)
            i += 4
        while i < count:
            add_scaled(g, z[i], a + i * d, d)
            i += 1
    elif count * d * k < BLAS_WORK:
        for i in range(count):
            for j in range(d):
                add_scaled(g + j * k, a[i * d + j], z + i * k, k)
    else:
        gemm(c'T', c'N', <int> d, <int> k, <int> count, <real*> a, <int> d, <real*> z, <int> k,
             <real> 1, g, <int> k)


cdef inline void sparse_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const real* w, Py_ssize_t k, real* z,
) noexcept nogil:
    cdef const real* values = <const real*> rows.values
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real x
    for i in range(count):
        row = start + i if order == NULL else order[start + i]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            x = values[p]
            if inv_scale != NULL:
                x = x * inv_scale[j]
            if k == 1:
                z[i] += x * w[j]
            else:
                add_scaled(z + i * k, x, w + j * k, k)


cdef inline void sparse_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const real* z, Py_ssize_t k, real* g,
) noexcept nogil:
    cdef const real* values = <const real*> rows.values
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real x
    for i in range(count):
        row = start + i if order == NULL else order[start + i]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            x = values[p]
            if inv_scale != NULL:
                x = x * inv_scale[j]
            if k == 1:
                g[j] += x * z[i]
            else:
                add_scaled(g + j * k, x, z + i * k, k)
