# Dense rows and one output, where a product is a sum: rows are read where they lie, shifted and
# scaled on the way, forward and then, from cache, back. Nothing is gathered or copied.
#
# Columns are taken in whole vectors, so that short rows don't spend their time on the rest: beyond
# a row's end the next one begins, and what belongs to a column is zero there. The last rows of X,
# which have no such neighbour, are copied first.
from libc.stdint cimport int32_t
from libc.string cimport memset

from skopt_est._core.memory cimport skopt_prefetch
from skopt_est._core.rows cimport CACHE_LINE, LANES, Rows, prefetch
from skopt_est._core.tiles cimport four_dots
from skopt_est._core.types cimport real


cdef extern from *:
    """
    /* Reads a byte of each cache line. */
    static inline void skopt_read_through(const void* start, size_t size) {
        size_t at;
        for (at = 0; at < size; at += 64) (void) *((volatile const char*) start + at);
    }

    /* Rows that follow one another are asked for a block ahead if they have at most AHEAD_BYTES:
     * in the backward pass over the block before, but the first half of those of at least
     * SPLIT_BYTES in the forward pass. Measured like SKOPT_ROW_BYTES; AVX-512 splits none. */
    #if defined(__AVX512F__)
    #define SKOPT_AHEAD_BYTES 255
    #define SKOPT_SPLIT_BYTES 256
    #else
    #define SKOPT_AHEAD_BYTES 1024
    #define SKOPT_SPLIT_BYTES 128
    #endif
    """
    const Py_ssize_t SKOPT_AHEAD_BYTES, SKOPT_SPLIT_BYTES
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
    if order == NULL and count >= GROUP:
        x[0] = <const real*> rows.values + at * rows.d
        x[1] = x[0] + rows.d
        x[2] = x[1] + rows.d
        x[3] = x[2] + rows.d
        if x[3] + columns.width <= <const real*> rows.values + rows.n * rows.d:
            return
    for i in range(GROUP):
        place = at + min(i, count - 1)
        x[i] = <const real*> rows.values + (place if order == NULL else order[place]) * rows.d
        if x[i] + columns.width > <const real*> rows.values + rows.n * rows.d:
            copy = <real*> columns.edge + i * columns.width
            for j in range(rows.d):
                copy[j] = x[i][j]
            x[i] = copy


cdef inline Py_ssize_t half(Py_ssize_t size) noexcept nogil:
    """How many bytes of a row are asked for in the forward pass."""
    return size // 2 if SKOPT_SPLIT_BYTES <= size <= SKOPT_AHEAD_BYTES else 0


cdef inline void ask_for(
    const Rows* rows, Py_ssize_t row, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, real like
) noexcept nogil:
    """Fetch these bytes of this row, if it is one of n, from memory while others are computed
    with."""
    cdef const char* start
    if row >= n:
        return
    start = <const char*> (<const real*> rows.values + row * rows.d)
    while begin < end:
        skopt_prefetch(start + begin)
        begin += CACHE_LINE
    skopt_prefetch(start + end - 1)


cdef inline void dense_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* w, const real* b, const Columns* columns, bint both, real* z,
) noexcept nogil:
    """z (count,) <- rows w + b; b: NULL without intercept; n: the length of order; both: the
    backward pass follows."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* scaled = <real*> columns.scaled
    cdef const real* x[GROUP]
    cdef real sums[GROUP]
    cdef real intercept = b[0] if b != NULL else 0
    cdef bint sequence = order == NULL
    cdef Py_ssize_t i, j, size = rows.d * <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t early = half(size) if sequence and both else 0
    for j in range(rows.d):
        scaled[j] = w[j] * inv_scale[j] if inv_scale != NULL else w[j]
    i = 0
    if sequence and size >= LONG_ROW:
        # From end to end before four at a time: the hardware fetches ahead at its full speed.
        skopt_read_through(
            <const real*> rows.values + start * rows.d, count * <size_t> size)
    while i < count:
        for j in range(GROUP if not sequence else 0):
            prefetch(rows, order, start + i + j, n, <real> 0)
        for j in range(GROUP if early else 0):
            ask_for(rows, start + count + i + j, n, 0, early, <real> 0)
        group(rows, order, start + i, count - i, columns, x)
        if rows.shift == NULL:
            four_dots(x, columns.width, shift, scaled, False, sums)
        else:
            four_dots(x, columns.width, shift, scaled, True, sums)
        for j in range(min(GROUP, count - i)):
            z[i + j] = sums[j] + intercept
        i += GROUP


cdef inline void dense_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* z, bint fresh, const Columns* columns, real* g,
) noexcept nogil:
    """g (d,) += rows' z; <- if fresh. These rows are in cache, so memory would have nothing to do:
    as many of the next ones are fetched meanwhile if they are short and come in sequence."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift
    cdef real* sum = <real*> columns.sum
    cdef const real* x[GROUP]
    cdef real parts[GROUP]
    cdef real back
    cdef Py_ssize_t i, j, size = rows.d * <Py_ssize_t> sizeof(real), early = half(size)
    cdef bint fetch = order == NULL and size <= SKOPT_AHEAD_BYTES
    memset(sum, 0, columns.width * sizeof(real))
    i = 0
    while i < count:
        for j in range(GROUP if fetch else 0):
            ask_for(rows, start + count + i + j, n, early, size, <real> 0)
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
