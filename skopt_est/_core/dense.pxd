# Dense rows and one output, where a product is a sum: rows are read where they lie, shifted and
# scaled on the way, forward and then, from cache, back. Nothing is gathered or copied.
#
# Columns are taken in whole vectors, so that short rows don't spend their time on the rest: beyond
# a row's end the next one begins, and what belongs to a column is zero there. The last rows of X,
# which have no such neighbour, are copied first.
from libc.stdint cimport int32_t
from libc.string cimport memset

from skopt_est._core.fours cimport FOUR_LATER, back_run, dots_run, four_back, four_dots
from skopt_est._core.memory cimport skopt_prefetch
from skopt_est._core.rows cimport CACHE_LINE, ROWS_AHEAD, SPREAD_ORDER, Rows, prefetch
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
    GROUP = 4           # rows at once, as fours.pxd has them
    LONG_ROW = 256      # of a single pass, that are read from end to end before they are needed


cdef struct Columns:
    # (width,), zero beyond the d-th; width is that of whole vectors
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


cdef inline bint spread_out(const int32_t* order, Py_ssize_t size) noexcept nogil:
    """Whether rows are asked for a block ahead, a line at a time, half of them while the block
    before goes forward and half while it goes back."""
    return order == NULL or size >= SPREAD_ORDER


cdef inline Py_ssize_t ask_later(
    const Rows* rows, const int32_t* order, bint spread, Py_ssize_t at, Py_ssize_t end,
    const real** x, const char** later,
) noexcept nogil:
    """The two rows from place `at` on, as four_dots and four_back ask for them, with their pace; if
    they are not spread out, or beyond `end`, one that is in cache."""
    cdef Py_ssize_t i, size = rows.d * <Py_ssize_t> sizeof(real)
    for i in range(FOUR_LATER):
        later[i] = <const char*> x[0]
    if not spread:
        return 0
    if order == NULL:
        if at + FOUR_LATER <= end:
            for i in range(FOUR_LATER):
                later[i] = <const char*> rows.values + at * size + i * CACHE_LINE
        return FOUR_LATER * CACHE_LINE
    for i in range(min(FOUR_LATER, end - at)):
        later[i] = <const char*> rows.values + order[at + i] * size
        skopt_prefetch(later[i] + size - 1)
    return CACHE_LINE


cdef inline Py_ssize_t in_a_run(
    const Rows* rows, const int32_t* order, bint spread, Py_ssize_t start, Py_ssize_t count,
    Py_ssize_t width, Py_ssize_t at, Py_ssize_t end,
) noexcept nogil:
    """How many GROUPs from row `start` on can be taken in one go: they lie side by side, so much of
    X follows that they can be read in whole vectors, `width` elements each, and if `spread` there
    are rows to be asked for, from row `at` to `end`, FOUR_LATER a GROUP."""
    cdef Py_ssize_t to_edge
    if order != NULL or rows.d == 0:
        return 0
    to_edge = rows.n - (width + rows.d - 1) // rows.d + 1 - start
    count = min(count, to_edge) // GROUP
    if spread:
        count = min(count, (end - at) // FOUR_LATER)
    return max(count, 0)


cdef inline Py_ssize_t next_block(Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """Where the rows begin that are asked for while these are computed with."""
    return start + max(count, ROWS_AHEAD)


cdef inline void dense_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* w, const real* b, bint fresh, const Columns* columns, bint both, real* z,
) noexcept nogil:
    """z (count,) <- rows w + b, and what is left of its last GROUP <- anything; b: NULL without
    intercept; n: where the order ends; fresh: w is not that of the block before; both: the
    backward pass follows."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift if rows.shift != NULL else NULL
    cdef real* scaled = <real*> columns.scaled
    cdef const real* x[GROUP]
    cdef const char* later[FOUR_LATER]
    cdef real intercept = b[0] if b != NULL else 0
    cdef Py_ssize_t i, j, pace, size = rows.d * <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t ahead = next_block(start, count), end = min(ahead + count, n)
    cdef bint spread = both and spread_out(order, size)
    for j in range(rows.d if fresh else 0):
        scaled[j] = w[j] * inv_scale[j] if inv_scale != NULL else w[j]
    if order == NULL and not spread and size >= LONG_ROW:
        # From end to end before four at a time: the hardware fetches ahead at its full speed.
        skopt_read_through(
            <const real*> rows.values + start * rows.d, count * <size_t> size)
    i = GROUP * in_a_run(rows, order, spread, start, count, columns.width, ahead, end)
    if i:
        dots_run(<const real*> rows.values + start * rows.d, rows.d, i // GROUP, columns.width,
                 shift, scaled, intercept,
                 <const char*> rows.values + (ahead if spread else start) * size,
                 FOUR_LATER * size if spread else 0, FOUR_LATER * CACHE_LINE if spread else 0, z)
    while i < count:
        for j in range(GROUP if order != NULL and not spread else 0):
            prefetch(rows, order, start + i + j, n, rows.d, <real> 0)
        group(rows, order, start + i, count - i, columns, x)
        pace = ask_later(rows, order, spread, ahead + i // 2, end, x, later)
        four_dots(x, columns.width, shift, scaled, intercept, later, pace, z + i)
        i += GROUP


cdef inline void dense_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    real* z, bint fresh, const Columns* columns, real* g,
) noexcept nogil:
    """g (d,) += rows' z; <- if fresh. z: as dense_forward left it, in whole GROUPs. These rows are
    in cache, so memory would have nothing to do: some of those that come next are fetched
    meanwhile."""
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* shift = <const real*> columns.shift if rows.shift != NULL else NULL
    cdef real* sum = <real*> columns.sum
    cdef const real* x[GROUP]
    cdef const char* later[FOUR_LATER]
    cdef real back
    cdef Py_ssize_t i, j, pace, size = rows.d * <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t following = next_block(start, count), end = min(following + count, n)
    # those before were asked for in the forward pass
    cdef Py_ssize_t ahead = following + (count + GROUP - 1) // GROUP * FOUR_LATER
    cdef bint spread = spread_out(order, size)
    memset(sum, 0, columns.width * sizeof(real))
    i = count
    while i % GROUP:
        z[i] = 0
        i += 1
    i = GROUP * in_a_run(rows, order, spread, start, count, columns.width, ahead, end)
    if i:
        back_run(<const real*> rows.values + start * rows.d, rows.d, i // GROUP, columns.width,
                 shift, z, <const char*> rows.values + (ahead if spread else start) * size,
                 FOUR_LATER * size if spread else 0, FOUR_LATER * CACHE_LINE if spread else 0,
                 sum)
    while i < count:
        group(rows, order, start + i, count - i, columns, x)
        pace = ask_later(rows, order, spread, ahead + i // 2, end, x, later)
        four_back(x, columns.width, shift, z + i, later, pace, sum)
        i += GROUP
    for j in range(rows.d):
        back = sum[j] * inv_scale[j] if inv_scale != NULL else sum[j]
        g[j] = back if fresh else g[j] + back
