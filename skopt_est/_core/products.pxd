# Products of small dense matrices, row-major: loops where they beat a call of BLAS.
from libc.string cimport memset

from skopt_est._core.blas cimport gemm
from skopt_est._core.types cimport real


cdef enum:
    # Below this many multiplications a loop beats a call of BLAS.
    BLAS_WORK = 4096


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


cdef inline void multiply(
    const real* a, Py_ssize_t m, Py_ssize_t d, const real* w, Py_ssize_t k, real* z
) noexcept nogil:
    """z (m, k) <- a (m, d) w (d, k)."""
    cdef Py_ssize_t i, j
    if k != 1 and m * d * k >= BLAS_WORK:
        gemm(c'N', c'N', <int> m, <int> k, <int> d, <real*> a, <int> d, <real*> w, <int> k,
             <real> 0, z, <int> k)
        return
    memset(z, 0, m * k * sizeof(real))
    if k == 1:
        i = 0
        while i + 4 <= m:
            dot4(a + i * d, d, w, z + i, d)
            i += 4
        while i < m:
            z[i] += dot(a + i * d, w, d)
            i += 1
        return
    for i in range(m):
        for j in range(d):
            add_scaled(z + i * k, a[i * d + j], w + j * k, k)


cdef inline void add_transposed(
    const real* a, Py_ssize_t m, Py_ssize_t d, const real* z, Py_ssize_t k, bint fresh, real* g
) noexcept nogil:
    """g (d, k) += a' (d, m) z (m, k); <- if fresh."""
    cdef Py_ssize_t i, j
    if k != 1 and m * d * k >= BLAS_WORK:
        gemm(c'T', c'N', <int> d, <int> k, <int> m, <real*> a, <int> d, <real*> z, <int> k,
             <real> (0 if fresh else 1), g, <int> k)
        return
    if fresh:
        memset(g, 0, d * k * sizeof(real))
    if k == 1:
        i = 0
        while i + 4 <= m:
            add_scaled4(g, z + i, a + i * d, d, d)
            i += 4
        while i < m:
            add_scaled(g, z[i], a + i * d, d)
            i += 1
        return
    for i in range(m):
        for j in range(d):
            add_scaled(g + j * k, a[i * d + j], z + i * k, k)


cdef inline void multiply_transposed(
    const real* z, Py_ssize_t m, Py_ssize_t k, const real* w, Py_ssize_t d, real* a
) noexcept nogil:
    """a (m, d) <- z (m, k) w' (k, d)."""
    cdef Py_ssize_t i, j
    if k == 1:
        for i in range(m):
            for j in range(d):
                a[i * d + j] = z[i] * w[j]
    elif m * d * k < BLAS_WORK:
        for i in range(m):
            for j in range(d):
                a[i * d + j] = dot(z + i * k, w + j * k, k)
    else:
        gemm(c'N', c'T', <int> m, <int> d, <int> k, <real*> z, <int> k, <real*> w, <int> k,
             <real> 0, a, <int> d)
