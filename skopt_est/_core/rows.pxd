# A block of rows of X, dense or CSR: Z = X[idx] W and G += X[idx]' D.
# The only file that knows how X is stored. W and G are feature-major (features, outputs).
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memcpy, memset

from skopt_est._core.dropout cimport Drop, mask
from skopt_est._core.memory cimport skopt_prefetch
from skopt_est._core.products cimport add_scaled
from skopt_est._core.types cimport real


cdef enum:
    # Rows in random order come from far: the row so many places ahead is asked for early.
    ROWS_AHEAD = 12
    ROW_BYTES = 2048            # of it, at most
    # From so many bytes on it is asked for a line at a time, while other rows are computed with:
    # all at once it would be more than can be on its way, and wait.
    SPREAD_ORDER = 256
    PREFETCH_BYTES = 512        # of the entries of a sparse row, at most
    CACHE_LINE = 64
    ENTRIES_AHEAD = 8           # of a sparse row, whose weights are asked for
    LOOKED_UP = 128             # so many rows' pages are looked up in one go
    APART_BYTES = 1 << 23       # the pages of less are known: 2,048 addresses of 4 KB


cdef struct Rows:
    Py_ssize_t n, d
    const void* values           # dense: (n, d), C order
    const int32_t* indices       # CSR, else NULL
    const int64_t* indptr
    const void* shift            # (d,) or NULL: x is seen as (x - shift) * inv_scale
    const void* inv_scale


cdef inline void prefetch(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t n, Py_ssize_t width,
    real like,
) noexcept nogil:
    """Ask for the row ROWS_AHEAD places after `at`, if there is one: so many numbers of X."""
    cdef Py_ssize_t offset, size
    cdef const char* start
    if order == NULL or at + ROWS_AHEAD >= n:
        return
    start = <const char*> (<const real*> rows.values + order[at + ROWS_AHEAD] * rows.d)
    size = min(width * <Py_ssize_t> sizeof(real), ROW_BYTES)
    offset = 0
    while offset < size:
        skopt_prefetch(start + offset)
        offset += CACHE_LINE
    skopt_prefetch(start + size - 1)


cdef inline void prefetch_number(
    const real* of_rows, const int32_t* order, Py_ssize_t at, Py_ssize_t n
) noexcept nogil:
    """The same for an array with a number for each row, or NULL."""
    if of_rows != NULL and at + ROWS_AHEAD < n:
        skopt_prefetch(of_rows + order[at + ROWS_AHEAD])


cdef inline bint wide_apart(const Rows* rows, real like) noexcept nogil:
    return rows.n * rows.d * <Py_ssize_t> sizeof(real) > APART_BYTES


cdef inline void look_up(
    const Rows* rows, const real* of_rows, const int32_t* order, Py_ssize_t at, Py_ssize_t end,
    Py_ssize_t pace
) noexcept nogil:
    """Asks for the first line of every pace-th row from place `at` to `end`, and for its entry of
    of_rows. A line of a page that was not used lately waits until the page's address is found, and
    with it the steps: asked for in one go, several are looked up side by side."""
    while at < end:
        skopt_prefetch(<const real*> rows.values + order[at] * rows.d)
        skopt_prefetch(of_rows + order[at])
        at += pace


cdef inline void prefetch_numbers(
    const real* of_rows, const int32_t* order, Py_ssize_t at, Py_ssize_t end
) noexcept nogil:
    """Those of the rows from place `at` to `end`."""
    if of_rows == NULL:
        return
    while at < end:
        skopt_prefetch(of_rows + order[at])
        at += 1


cdef inline const real* gather(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    bint copy, real* buffer,
) noexcept nogil:
    """Dense rows order[start:start + count] (or start, start + 1, ... if order is NULL) as a
    C-contiguous block, shifted and scaled on the way; n: where the order ends. Untransformed
    rows that already lie side by side are copied only if `copy`."""
    cdef const real* values = <const real*> rows.values
    cdef const real* shift = <const real*> rows.shift
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef const real* x
    cdef real* out = buffer
    cdef Py_ssize_t d = rows.d, i, j
    if not copy and inv_scale == NULL and (order == NULL or count == 1):
        prefetch(rows, order, start, n, rows.d, <real> 0)
        return values + (start if order == NULL else order[start]) * d
    for i in range(start, start + count):
        x = values + (i if order == NULL else order[i]) * d
        prefetch(rows, order, i, n, rows.d, <real> 0)
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


cdef inline bint follow_on(
    const int32_t* order, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    """Whether order[start:start + count] are rows that follow one another in X."""
    cdef Py_ssize_t i
    cdef int32_t first = order[start], jumps = 0
    if order[start + count - 1] - first != count - 1:
        return False
    for i in range(count):
        jumps |= order[start + i] - first - <int32_t> i
    return jumps == 0


cdef inline const real* pick(
    const real* values, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    Py_ssize_t columns, real missing, real* buffer,
) noexcept nogil:
    """These rows of an array (n, columns), side by side: where they lie, or copied to buffer.
    All are `missing` if it is NULL."""
    cdef Py_ssize_t i, c
    if values == NULL:
        for i in range(count * columns):
            buffer[i] = missing
        return buffer
    if order == NULL:
        return values + start * columns
    if columns == 1:
        for i in range(count):
            buffer[i] = values[order[start + i]]
        return buffer
    for i in range(count):
        for c in range(columns):
            buffer[i * columns + c] = values[order[start + i] * columns + c]
    return buffer


cdef inline void prefetch_lines(const void* start, Py_ssize_t bytes) noexcept nogil:
    """All lines of the cache that have a part of it."""
    cdef Py_ssize_t offset = -(<Py_ssize_t> (<size_t> start % CACHE_LINE))
    while offset < bytes:
        skopt_prefetch(<const char*> start + offset)
        offset += CACHE_LINE


cdef inline void prefetch_entries(
    const Rows* rows, const int32_t* order, Py_ssize_t at, Py_ssize_t n, real like
) noexcept nogil:
    """Ask for the entries of the CSR row ROWS_AHEAD places after `at`, the first of a long row, and
    for where those of a later one lie; n: where the order ends."""
    cdef int64_t first, entries
    cdef Py_ssize_t row = at + ROWS_AHEAD
    if at + 2 * ROWS_AHEAD >= (n if order != NULL else min(n, rows.n)):
        return
    if order != NULL:
        row = order[row]
        skopt_prefetch(rows.indptr + order[at + 2 * ROWS_AHEAD])
    first = rows.indptr[row]
    entries = min(rows.indptr[row + 1] - first, <int64_t> (PREFETCH_BYTES // sizeof(real)))
    prefetch_lines(rows.indices + first, <Py_ssize_t> (entries * sizeof(int32_t)))
    prefetch_lines(<const real*> rows.values + first, <Py_ssize_t> (entries * sizeof(real)))


cdef inline void prefetch_weights(
    const Rows* rows, Py_ssize_t row, int64_t at, const real* w, Py_ssize_t k
) noexcept nogil:
    """Ask for the k weights of the entry ENTRIES_AHEAD places after `at`, if the row has one; the
    first ones of many, which are followed by themselves."""
    cdef const real* weights
    if at + ENTRIES_AHEAD < rows.indptr[row + 1]:
        weights = w + rows.indices[at + ENTRIES_AHEAD] * k
        skopt_prefetch(weights)
        skopt_prefetch(weights + min(k, CACHE_LINE // <Py_ssize_t> sizeof(real)))


cdef inline void one_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const int32_t* place, const real* inv_scale, const real* w, real bias, real* z,
) noexcept nogil:
    """z (count,) <- CSR rows times w, + bias; the weight of feature j is w[place[j]], or w[j] if
    place is NULL."""
    cdef const real* values = <const real*> rows.values
    cdef const int32_t* indices = rows.indices
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real sum
    for i in range(start, start + count):
        row = i if order == NULL else order[i]
        prefetch_entries(rows, order, i, n, bias)
        sum = bias
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = indices[p]
            sum += (values[p] * inv_scale[j] if inv_scale != NULL else values[p]) * w[
                place[j] if place != NULL else j]
        z[i - start] = sum


cdef inline void one_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const int32_t* place, const real* inv_scale, const real* z, real* g,
) noexcept nogil:
    """g += these rows' transpose times z, in the same places"""
    cdef const real* values = <const real*> rows.values
    cdef const int32_t* indices = rows.indices
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real slope
    for i in range(start, start + count):
        row = i if order == NULL else order[i]
        slope = z[i - start]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = indices[p]
            g[place[j] if place != NULL else j] += slope * (
                values[p] * inv_scale[j] if inv_scale != NULL else values[p])


cdef inline void sparse_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    const real* w, Py_ssize_t k, real* z, const Drop* drop,
) noexcept nogil:
    """z (count, k) <- rows w; drop: of the inputs, or NULL; n: where the order ends."""
    cdef const real* values = <const real*> rows.values
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real x
    if k == 1 and drop == NULL:
        one_forward(rows, order, start, count, n, NULL, inv_scale, w, <real> 0, z)
        return
    memset(z, 0, count * k * sizeof(real))
    for i in range(count):
        row = start + i if order == NULL else order[start + i]
        prefetch_entries(rows, order, start + i, n, <real> 0)
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            prefetch_weights(rows, row, p, w, k)
            x = values[p]
            if inv_scale != NULL:
                x = x * inv_scale[j]
            if drop != NULL:
                x = x * mask(drop, <uint64_t> ((start + i) * rows.d + j), <real> drop.scale)
            add_scaled(z + i * k, x, w + j * k, k)


cdef inline void sparse_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const real* z, Py_ssize_t k, real* g, const Drop* drop,
) noexcept nogil:
    cdef const real* values = <const real*> rows.values
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    cdef real x
    if k == 1 and drop == NULL:
        one_backward(rows, order, start, count, NULL, inv_scale, z, g)
        return
    for i in range(count):
        row = start + i if order == NULL else order[start + i]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            prefetch_weights(rows, row, p, g, k)
            x = values[p]
            if inv_scale != NULL:
                x = x * inv_scale[j]
            if drop != NULL:
                x = x * mask(drop, <uint64_t> ((start + i) * rows.d + j), <real> drop.scale)
            add_scaled(g + j * k, x, z + i * k, k)
