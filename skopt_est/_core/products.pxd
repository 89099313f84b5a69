# Products of dense matrices, row-major: sums of rows for one column, tiles in registers where the
# matrix whose rows are added up fits the cache, BLAS beyond.
from libc.string cimport memcpy, memset

from skopt_est._core.blas cimport gemm
from skopt_est._core.fours cimport column
from skopt_est._core.tiles cimport TILE_LIMIT, TILE_WHOLE, tiled
from skopt_est._core.types cimport real


cdef enum:
    TRANSPOSED_ROWS = 4     # too few rows are not worth the transposition of a matrix


cdef inline bint fits(Py_ssize_t n, Py_ssize_t depth, real like) noexcept nogil:
    """Whether tiles are the way to sum so many rows of n columns."""
    return n * depth * <Py_ssize_t> sizeof(real) <= TILE_LIMIT


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
    const real* a, Py_ssize_t step, const real* w, real start, real* z, Py_ssize_t n
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
    z[0] = start + s0
    z[1] = start + s1
    z[2] = start + s2
    z[3] = start + s3


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


cdef inline void add_rows(const real* a, Py_ssize_t m, Py_ssize_t n, real* g) noexcept nogil:
    """g (n,) += the sum of the rows of a (m, n)."""
    cdef Py_ssize_t i = 0, j
    cdef real total = 0
    cdef const real* row
    if n == 1:
        for i in range(m):
            total += a[i]
        g[0] += total
        return
    while i + 4 <= m:
        row = a + i * n
        for j in range(n):
            g[j] += (row[j] + row[n + j]) + (row[2 * n + j] + row[3 * n + j])
        i += 4
    while i < m:
        add_scaled(g, <real> 1, a + i * n, n)
        i += 1


cdef inline void multiply(
    const real* a, Py_ssize_t m, Py_ssize_t d, const real* w, Py_ssize_t k, const real* b, real* z
) noexcept nogil:
    """z (m, k) <- a (m, d) w (d, k), plus b (k,) to each row unless it is NULL."""
    cdef Py_ssize_t i = 0
    cdef real start = 0 if b == NULL else b[0]
    if k == 1 and d * <Py_ssize_t> sizeof(real) >= TILE_WHOLE:
        column(a, m, d, w, start, z)
    elif k == 1:
        while i + 4 <= m:
            dot4(a + i * d, d, w, start, z + i, d)
            i += 4
        while i < m:
            z[i] = start + dot(a + i * d, w, d)
            i += 1
    elif fits(k, d, start):
        tiled(m, k, d, a, d, 1, w, k, 1, b, False, <real*> NULL, z)
    else:
        if b != NULL:
            for i in range(m):
                memcpy(z + i * k, b, k * sizeof(real))
        gemm(c'N', c'N', <int> m, <int> k, <int> d, <real*> a, <int> d, <real*> w, <int> k,
             <real> (b != NULL), z, <int> k)


cdef inline void add_transposed(
    const real* a, Py_ssize_t m, Py_ssize_t d, const real* z, Py_ssize_t k, bint fresh, real* room,
    real* g,
) noexcept nogil:
    """g (d, k) += a' (d, m) z (m, k); <- if fresh. room: (d, m), to work in, which none of
    these lies over, or NULL."""
    cdef Py_ssize_t i = 0
    if k == 1:
        if fresh:
            memset(g, 0, d * sizeof(real))
        while i + 4 <= m:
            add_scaled4(g, z + i, a + i * d, d, d)
            i += 4
        while i < m:
            add_scaled(g, z[i], a + i * d, d)
            i += 1
    elif fits(k, m, <real> 0):
        tiled(d, k, m, a, 1, d, z, k, 1, <const real*> NULL, not fresh, room, g)
    else:
        gemm(c'T', c'N', <int> d, <int> k, <int> m, <real*> a, <int> d, <real*> z, <int> k,
             <real> (0 if fresh else 1), g, <int> k)


cdef inline void multiply_transposed(
    const real* z, Py_ssize_t m, Py_ssize_t k, const real* w, Py_ssize_t d, real* a
) noexcept nogil:
    """a (m, d) <- z (m, k) w' (k, d)."""
    cdef Py_ssize_t i, j
    if k == 1:
        for i in range(m):
            for j in range(d):
                a[i * d + j] = z[i] * w[j]
    elif m < TRANSPOSED_ROWS:
        for i in range(m):
            j = 0
            while j + 4 <= d:
                dot4(w + j * k, k, z + i * k, <real> 0, a + i * d + j, k)
                j += 4
            while j < d:
                a[i * d + j] = dot(w + j * k, z + i * k, k)
                j += 1
    elif fits(d, k, <real> 0):
        tiled(m, d, k, z, k, 1, w, 1, k, <const real*> NULL, False, <real*> NULL, a)
    else:
        gemm(c'N', c'T', <int> m, <int> d, <int> k, <real*> z, <int> k, <real*> w, <int> k,
             <real> 0, a, <int> d)
