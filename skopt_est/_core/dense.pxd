# Dense rows and one output, where a product is a sum: rows are read where they lie, shifted and
# scaled on the way, forward and then, from cache, back. Nothing is gathered or copied.
#
# Columns are taken in whole vectors, so that short rows don't spend their time on the rest: beyond
# a row's end the next one begins, and what belongs to a column is zero there. The last rows of X,
# which have no such neighbour, are taken one by one.
from libc.stdint cimport int32_t
from libc.string cimport memset

from skopt_est._core.rows cimport LANES, Rows, prefetch
from skopt_est._core.types cimport real


cdef struct Columns:
    # (width,), zero beyond the d-th; width is a multiple of LANES
    Py_ssize_t width
    void* shift
    void* scaled        # weights in the units of the data
    void* sum           # gradient before it is brought to the model's units


cdef inline bint four_with_neighbours(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t width
) noexcept nogil:
    cdef Py_ssize_t last = at + 3
    if order != NULL:
        last = max(max(order[at], order[at + 1]), max(order[at + 2], order[at + 3]))
    return last * rows.d + width <= rows.n * rows.d


cdef inline const real* row_at(
    const Rows* rows, const int32_t* order, Py_ssize_t i, real like
) noexcept nogil:
    return <const real*> rows.values + (i if order == NULL else order[i]) * rows.d


cdef inline void dense_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* w, const real* b, const Columns* columns, real* z,
) noexcept nogil:
    """z (count,) <- rows w + b; b: NULL without intercept; n: the length of order."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* scaled = <real*> columns.scaled
    cdef Py_ssize_t j, stop = start + count
    cdef real intercept = b[0] if b != NULL else 0
    for j in range(rows.d):
        scaled[j] = w[j] * inv_scale[j] if inv_scale != NULL else w[j]
    while start < stop:
        if start + 4 <= stop and four_with_neighbours(rows, order, start, columns.width):
            for j in range(4):
                prefetch(rows, order, start + j, n, <real> 0)
            if rows.shift == NULL:
                forward4(rows, order, start, columns.width, shift, scaled, intercept, z, False)
            else:
                forward4(rows, order, start, columns.width, shift, scaled, intercept, z, True)
            start += 4
            z += 4
        else:
            z[0] = intercept + forward1(
                row_at(rows, order, start, <real> 0), rows.d, shift, scaled)
            start += 1
            z += 1


cdef inline void forward4(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t width, const real* shift,
    const real* w, real b, real* z, bint centred,
) noexcept nogil:
    """Four rows at once: what belongs to a column is loaded once, and four sums run side by
    side."""
    cdef const real* a = row_at(rows, order, at, <real> 0)
    cdef const real* f = row_at(rows, order, at + 1, <real> 0)
    cdef const real* c = row_at(rows, order, at + 2, <real> 0)
    cdef const real* e = row_at(rows, order, at + 3, <real> 0)
    cdef real s0 = 0, s1 = 0, s2 = 0, s3 = 0, mean = 0
    cdef Py_ssize_t j
    for j in range(LANES * (width // LANES)):
        if centred:
            mean = shift[j]
        s0 += (a[j] - mean) * w[j]
        s1 += (f[j] - mean) * w[j]
        s2 += (c[j] - mean) * w[j]
        s3 += (e[j] - mean) * w[j]
    z[0] = b + s0
    z[1] = b + s1
    z[2] = b + s2
    z[3] = b + s3


cdef inline real forward1(
    const real* x, Py_ssize_t d, const real* shift, const real* w
) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t j
    for j in range(d):
        total += (x[j] - shift[j]) * w[j]
    return total


cdef inline void dense_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, const real* z,
    bint fresh, const Columns* columns, real* g,
) noexcept nogil:
    """g (d,) += rows' z; <- if fresh."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* sum = <real*> columns.sum
    cdef real back
    cdef Py_ssize_t j, stop = start + count
    memset(sum, 0, columns.width * sizeof(real))
    while start < stop:
        if start + 4 <= stop and four_with_neighbours(rows, order, start, columns.width):
            if rows.shift == NULL:
                backward4(rows, order, start, columns.width, shift, z, sum, False)
            else:
                backward4(rows, order, start, columns.width, shift, z, sum, True)
            start += 4
            z += 4
        else:
            backward1(row_at(rows, order, start, <real> 0), rows.d, shift, z[0], sum)
            start += 1
            z += 1
    for j in range(rows.d):
        back = sum[j] * inv_scale[j] if inv_scale != NULL else sum[j]
        g[j] = back if fresh else g[j] + back


cdef inline void backward4(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t width, const real* shift,
    const real* z, real* sum, bint centred,
) noexcept nogil:
    cdef const real* a = row_at(rows, order, at, <real> 0)
    cdef const real* f = row_at(rows, order, at + 1, <real> 0)
    cdef const real* c = row_at(rows, order, at + 2, <real> 0)
    cdef const real* e = row_at(rows, order, at + 3, <real> 0)
    cdef real z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3], mean = 0
    cdef Py_ssize_t j
    for j in range(LANES * (width // LANES)):
        if centred:
            mean = shift[j]
        sum[j] += (z0 * (a[j] - mean) + z1 * (f[j] - mean)) + (
            z2 * (c[j] - mean) + z3 * (e[j] - mean))


cdef inline void backward1(
    const real* x, Py_ssize_t d, const real* shift, real z, real* sum
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(d):
        sum[j] += z * (x[j] - shift[j])
