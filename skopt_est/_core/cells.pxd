# CSR rows and one output. What belongs to a feature lies side by side in memory, in a cell, so that
# a step fetches one place a feature; a batch's features are brought side by side for the
# arithmetic: first the steps that they missed (absent.pxd), then their own.
from libc.stdint cimport int32_t, int64_t

from skopt_est._core.absent cimport Listed, bring_up
from skopt_est._core.lazy cimport Steps
from skopt_est._core.losses cimport point_alone
from skopt_est._core.memory cimport skopt_prefetch
from skopt_est._core.rows cimport CACHE_LINE, LANES, PREFETCH_BYTES, ROWS_AHEAD, Rows
from skopt_est._core.solvers cimport N_SLOTS_MAX, Hyper, data_step, prox, slot_of_D
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp


cdef enum:
    # A cell, in numbers of the type of the data
    WEIGHT
    LAST                # the number of this epoch's steps that it has had
    INV_SCALE
    L2                  # plain: log(1 + rate L2), by which a step's shrinking is an exponent
    SLOT                # the solver's slots; then L1
    NARROW = 4          # a cell without slots and L1
    WIDE = 8            # with L1 at WIDE - 1 and up to three slots
    WIDEST = 16         # with L1 at SLOT + N_SLOTS_MAX
    MOST_STEPS = 1 << 24        # LAST is exact in single precision


cdef struct Cells:
    void* table
    Py_ssize_t width, n_slots, l1
    bint lasso
    # sgd at a constant rate, without momentum and L1: the penalty's step of a feature's own update
    # waits with those that it misses
    bint plain


cdef inline void take_cells(
    const Cells* cells, const int32_t* features, Py_ssize_t n, const Listed* a, real like
) noexcept nogil:
    """Cells side by side in a, with room for whole vectors."""
    cdef const real* table = <const real*> cells.table
    cdef Py_ssize_t width = cells.width
    cdef const real* cell
    cdef real* w = <real*> a.w
    cdef real* last = <real*> a.last
    cdef real* inv_scale = <real*> a.inv_scale
    cdef real* part = <real*> a.l2
    cdef Py_ssize_t i, m
    for i in range(n):
        cell = table + features[i] * width
        w[i] = cell[WEIGHT]
        last[i] = cell[LAST]
        inv_scale[i] = cell[INV_SCALE]
        part[i] = cell[L2]
    for m in range(cells.n_slots):
        part = <real*> a.slots[m]
        for i in range(n):
            part[i] = table[features[i] * width + SLOT + m]
    if cells.lasso:
        part = <real*> a.l1
        for i in range(n):
            part[i] = table[features[i] * width + cells.l1]


cdef inline void put_cells(
    const Cells* cells, const int32_t* features, Py_ssize_t n, Py_ssize_t now, const Listed* a,
    real like,
) noexcept nogil:
    cdef real* table = <real*> cells.table
    cdef Py_ssize_t width = cells.width
    cdef real* cell
    cdef const real* part = <const real*> a.w
    cdef real last = <real> now
    cdef Py_ssize_t i, m
    for i in range(n):
        cell = table + features[i] * width
        cell[WEIGHT] = part[i]
        cell[LAST] = last
    for m in range(cells.n_slots):
        part = <const real*> a.slots[m]
        for i in range(n):
            table[features[i] * width + SLOT + m] = part[i]


cdef inline void step_listed(
    const Listed* a, Py_ssize_t n, const Hyper* h, const double* c, bint penalised, real like
) noexcept nogil:
    """The solver's step, with the gradient in a.g, in whole vectors."""
    cdef int slot = slot_of_D(h.code)
    cdef real* slots[N_SLOTS_MAX]
    cdef real* D
    cdef Py_ssize_t m
    n += (LANES - n % LANES) % LANES
    for m in range(N_SLOTS_MAX):
        slots[m] = <real*> a.slots[m]
    D = slots[slot] if slot >= 0 else <real*> a.D
    data_step(<real*> a.w, <const real*> a.g, slots, 0, D, n, h, c)
    if penalised:
        prox(<real*> a.w, D, <const real*> a.l1, <const real*> a.l2, n)


cdef inline void prefetch_entries(
    const Rows* rows, Py_ssize_t row, const real* values
) noexcept nogil:
    """Ask for the entries of a row, the first ones of a long row."""
    cdef int64_t p = rows.indptr[row]
    cdef int64_t stop = min(
        rows.indptr[row + 1], p + PREFETCH_BYTES // <Py_ssize_t> sizeof(int32_t))
    while p < stop:
        skopt_prefetch(rows.indices + p)
        skopt_prefetch(values + p)
        if real is double:
            skopt_prefetch(values + p + 8)
        p += CACHE_LINE // <Py_ssize_t> sizeof(int32_t)


cdef inline void shrink_plain(real* w, const real* exponent, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(LANES * (n // LANES)):
        w[j] *= vexp(-exponent[j])


cdef inline double plain_step(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t s, Py_ssize_t n_steps, real* bias, real eta,
    const Cells* cells, const Listed* a,
) noexcept nogil:
    """`row_step` where the cells are plain."""
    cdef const real* values = <const real*> rows.values
    cdef real* table = <real*> cells.table
    cdef real* cell
    cdef real* w = <real*> a.w
    cdef real* x = <real*> a.g
    cdef real* exponent = <real*> a.away
    cdef const int32_t* features = rows.indices
    cdef Py_ssize_t row = order[s], n, whole, i
    cdef int64_t first = rows.indptr[row], p
    cdef real z = 0, now = <real> s, weight, value, gradient
    n = <Py_ssize_t> (rows.indptr[row + 1] - first)
    whole = n + (LANES - n % LANES) % LANES
    if s + ROWS_AHEAD < n_steps:
        prefetch_entries(rows, order[s + ROWS_AHEAD], values)
    if s + 2 < n_steps:
        for p in range(rows.indptr[order[s + 2]], rows.indptr[order[s + 2] + 1]):
            skopt_prefetch(table + features[p] * <Py_ssize_t> NARROW)
    for i in range(n):
        cell = table + features[first + i] * <Py_ssize_t> NARROW
        w[i] = cell[WEIGHT]
        exponent[i] = (now - cell[LAST]) * cell[L2]
        x[i] = values[first + i] * cell[INV_SCALE]
    for i in range(n, whole):
        exponent[i] = x[i] = 0
    shrink_plain(w, exponent, whole)
    for i in range(LANES * (whole // LANES)):
        z += x[i] * w[i]
    if bias != NULL:
        z += bias[0]
    weight = scale * weights[row] if weights != NULL else scale
    value = point_alone(loss, targets[row], z, param, &gradient)
    gradient *= weight * eta
    for i in range(n):
        cell = table + features[first + i] * <Py_ssize_t> NARROW
        cell[WEIGHT] = w[i] - gradient * x[i]
        cell[LAST] = now
    if bias != NULL:
        bias[0] -= gradient
    return weight * value


cdef inline double row_step(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t s, Py_ssize_t n_steps, real* bias, real* bias_slots,
    Py_ssize_t stride, const Hyper* h, const Steps* steps, const Cells* cells, const Listed* a,
) noexcept nogil:
    """Step s, of one row; returns its weighted loss."""
    cdef const real* values = <const real*> rows.values
    cdef const real* w = <const real*> a.w
    cdef const real* inv_scale = <const real*> a.inv_scale
    cdef real* g = <real*> a.g
    cdef const double* c = steps.coefficients + s * steps.stride
    cdef const int32_t* features
    cdef const int32_t* ahead = rows.indices
    cdef const real* table = <const real*> cells.table
    cdef Py_ssize_t width = cells.width
    cdef real* slots[N_SLOTS_MAX]
    cdef real z = 0, weight, value, gradient, D
    cdef Py_ssize_t row = order[s], n, whole, i
    cdef int64_t first = rows.indptr[row], p
    n = <Py_ssize_t> (rows.indptr[row + 1] - first)
    whole = n + (LANES - n % LANES) % LANES
    features = rows.indices + first
    take_cells(cells, features, n, a, <real> 0)
    if s + 2 < n_steps:
        for p in range(rows.indptr[order[s + 2]], rows.indptr[order[s + 2] + 1]):
            skopt_prefetch(table + ahead[p] * width)
    if s + ROWS_AHEAD < n_steps:
        prefetch_entries(rows, order[s + ROWS_AHEAD], values)
    if steps.moves_without_gradient:
        bring_up(a, n, s, h, steps, <real> 0)
    for i in range(n):
        g[i] = values[first + i] * inv_scale[i]
    for i in range(n, whole):
        g[i] = 0
    for i in range(LANES * (whole // LANES)):
        z += g[i] * w[i]
    if bias != NULL:
        z += bias[0]
    weight = scale * weights[row] if weights != NULL else scale
    value = point_alone(loss, targets[row], z, param, &gradient)
    gradient *= weight
    for i in range(LANES * (whole // LANES)):
        g[i] *= gradient
    step_listed(a, n, h, c, steps.penalised, <real> 0)
    put_cells(cells, features, n, s + 1, a, <real> 0)
    if bias != NULL:
        for i in range(N_SLOTS_MAX):
            slots[i] = bias_slots + i * stride if i < cells.n_slots else NULL
        data_step(bias, &gradient, slots, 0, slots[slot_of_D(h.code)]
                  if slot_of_D(h.code) >= 0 else &D, 1, h, c)
    return weight * value


cdef inline Py_ssize_t list_features(
    const Rows* rows, const int32_t* order, Py_ssize_t count, int32_t* place, int32_t* features
) noexcept nogil:
    """The features of these rows, each once; feature j is at place[j]. Returns how many.

    place[j] need not be a place before: it counts only if features has j there
    (Briggs & Torczon 1993)."""
    cdef Py_ssize_t i, n = 0
    cdef int64_t p
    cdef int32_t j
    for i in range(count):
        for p in range(rows.indptr[order[i]], rows.indptr[order[i] + 1]):
            j = rows.indices[p]
            if place[j] >= n or features[place[j]] != j:
                place[j] = <int32_t> n
                features[n] = j
                n += 1
    return n


cdef inline void listed_forward(
    const Rows* rows, const int32_t* order, Py_ssize_t count, const int32_t* place,
    const real* scaled, const real* bias, real* z,
) noexcept nogil:
    """z (count,) <- rows times the listed weights in the units of the data, + bias"""
    cdef const real* values = <const real*> rows.values
    cdef Py_ssize_t i
    cdef int64_t p
    cdef real sum
    for i in range(count):
        sum = bias[0] if bias != NULL else 0
        for p in range(rows.indptr[order[i]], rows.indptr[order[i] + 1]):
            sum += values[p] * scaled[place[rows.indices[p]]]
        z[i] = sum


cdef inline void listed_backward(
    const Rows* rows, const int32_t* order, Py_ssize_t count, const int32_t* place,
    const real* z, real* g,
) noexcept nogil:
    cdef const real* values = <const real*> rows.values
    cdef Py_ssize_t i
    cdef int64_t p
    for i in range(count):
        for p in range(rows.indptr[order[i]], rows.indptr[order[i] + 1]):
            g[place[rows.indices[p]]] += values[p] * z[i]
