# Dense rows and one output, where a product is a sum: rows are read where they lie, shifted and
# scaled on the way, forward and then, from cache, back. Nothing is gathered or copied.
#
# Columns are taken in whole vectors, so that short rows don't spend their time on the rest: beyond
# a row's end the next one begins, and what belongs to a column is zero there. The last rows of X,
# which have no such neighbour, are copied first.
from libc.stdint cimport int32_t
from libc.string cimport memset

from skopt_est._core.rows cimport CACHE_LINE, LANES, Rows, prefetch, skopt_prefetch
from skopt_est._core.types cimport real


cdef extern from *:
    """
    /* Reads a byte of each cache line. */
    static inline void skopt_read_through(const void* start, size_t size) {
        size_t at;
        for (at = 0; at < size; at += 64) (void) *((volatile const char*) start + at);
    }
    """
    void skopt_read_through(const void* start, size_t size) nogil


cdef enum:
    GROUP = 4           # rows at once: what belongs to a column is loaded once for all of them
    LONG_ROW = 256      # bytes


cdef struct Columns:
    # (width,), zero beyond the d-th; width is a multiple of LANES
    Py_ssize_t width
    void* shift
    void* scaled        # weights in the units of the data
    void* sum           # gradient before it is brought to the model's units
    void* edge          # (GROUP, width): copies of rows at the end of X


cdef inline void group(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t count,
    const Columns* columns, const real** x,
) noexcept nogil:
    """Where the rows from place `at` on lie; the last one stands for those beyond count. All rows
    are summed in the same way, so that bits don't depend on where in X a row is."""
    cdef Py_ssize_t i, j, place
    cdef real* copy
    for i in range(GROUP):
        place = at + min(i, count - 1)
        x[i] = <const real*> rows.values + (place if order == NULL else order[place]) * rows.d
        if x[i] + columns.width > <const real*> rows.values + rows.n * rows.d:
            copy = <real*> columns.edge + i * columns.width
            for j in range(rows.d):
                copy[j] = x[i][j]
            x[i] = copy


cdef inline void ask_for(
    const Rows* rows, const int32_t* order, Py_ssize_t place, Py_ssize_t n, real like
) noexcept nogil:
    """Fetch the row at this place, if there is one, from memory while others are computed with."""
    cdef const char* start
    cdef Py_ssize_t offset = 0, size = rows.d * <Py_ssize_t> sizeof(real)
    if place >= n:
        return
    start = <const char*> (
        <const real*> rows.values + (place if order == NULL else order[place]) * rows.d)
    while offset < size:
        skopt_prefetch(start + offset)
        offset += CACHE_LINE
    skopt_prefetch(start + size - 1)


cdef inline bint in_sequence(
    const int32_t* order, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    return order == NULL or (count > 1 and order[start + count - 1] - order[start] == count - 1)


cdef inline void dense_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* w, const real* b, const Columns* columns, real* z,
) noexcept nogil:
    """z (count,) <- rows w + b; b: NULL without intercept; n: the length of order."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* scaled = <real*> columns.scaled
    cdef const real* x[GROUP]
    cdef real sums[GROUP]
    cdef real intercept = b[0] if b != NULL else 0
    cdef bint sequence = in_sequence(order, start, count)
    cdef Py_ssize_t i, j
    for j in range(rows.d):
        scaled[j] = w[j] * inv_scale[j] if inv_scale != NULL else w[j]
    i = 0
    if sequence and rows.d * <Py_ssize_t> sizeof(real) >= LONG_ROW:
        # From end to end before four at a time: the hardware fetches ahead at its full speed.
        skopt_read_through(
            <const real*> rows.values + (start if order == NULL else order[start]) * rows.d,
            count * rows.d * sizeof(real))
    while i < count:
        for j in range(GROUP if not sequence else 0):
            prefetch(rows, order, start + i + j, n, <real> 0)
        group(rows, order, start + i, count - i, columns, x)
        if rows.shift == NULL:
            forward(x[0], x[1], x[2], x[3], columns.width, shift, scaled, sums, False)
        else:
            forward(x[0], x[1], x[2], x[3], columns.width, shift, scaled, sums, True)
        for j in range(min(GROUP, count - i)):
            z[i + j] = sums[j] + intercept
        i += GROUP


cdef inline void forward(
    const real* a, const real* b, const real* c, const real* e, Py_ssize_t width,
    const real* shift, const real* w, real* sums, bint centred,
) noexcept nogil:
    cdef real s0 = 0, s1 = 0, s2 = 0, s3 = 0, mean = 0
    cdef Py_ssize_t j
    for j in range(LANES * (width // LANES)):
        if centred:
            mean = shift[j]
        s0 += (a[j] - mean) * w[j]
        s1 += (b[j] - mean) * w[j]
        s2 += (c[j] - mean) * w[j]
        s3 += (e[j] - mean) * w[j]
    sums[0], sums[1], sums[2], sums[3] = s0, s1, s2, s3


cdef inline void dense_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* z, bint fresh, const Columns* columns, real* g,
) noexcept nogil:
    """g (d,) += rows' z; <- if fresh. These rows are in cache, so memory would have nothing to do:
    as many of the next ones, of the n in order, are fetched meanwhile if they are short and come
    in sequence."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* sum = <real*> columns.sum
    cdef const real* x[GROUP]
    cdef real parts[GROUP]
    cdef real back
    cdef bint fetch = (
        in_sequence(order, start, count) and rows.d * <Py_ssize_t> sizeof(real) < LONG_ROW)
    cdef Py_ssize_t i, j
    memset(sum, 0, columns.width * sizeof(real))
    i = 0
    while i < count:
        for j in range(GROUP if fetch else 0):
            ask_for(rows, order, start + count + i + j, n, <real> 0)
        group(rows, order, start + i, count - i, columns, x)
        for j in range(GROUP):
            parts[j] = z[i + j] if i + j < count else 0
        if rows.shift == NULL:
            backward(x[0], x[1], x[2], x[3], columns.width, shift, parts, sum, False)
        else:
            backward(x[0], x[1], x[2], x[3], columns.width, shift, parts, sum, True)
        i += GROUP
    for j in range(rows.d):
        back = sum[j] * inv_scale[j] if inv_scale != NULL else sum[j]
        g[j] = back if fresh else g[j] + back


cdef inline void backward(
    const real* a, const real* b, const real* c, const real* e, Py_ssize_t width,
    const real* shift, const real* z, real* sum, bint centred,
) noexcept nogil:
    cdef real z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3], mean = 0
    cdef Py_ssize_t j
    for j in range(LANES * (width // LANES)):
        if centred:
            mean = shift[j]
        sum[j] += (z0 * (a[j] - mean) + z1 * (b[j] - mean)) + (
            z2 * (c[j] - mean) + z3 * (e[j] - mean))
