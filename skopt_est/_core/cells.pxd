# CSR rows and one output. What belongs to a feature lies side by side in memory, in a cell, so that
# a step fetches one place a feature; a batch's features are brought side by side for the
# arithmetic: first the steps that they missed (absent.pxd), then their own.
from libc.math cimport M_LOG2E, fabs, log1p
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcpy, memset

from skopt_est._core.absent cimport Listed, bring_up
from skopt_est._core.lazy cimport Steps
from skopt_est._core.losses cimport gradient_alone
from skopt_est._core.memory cimport skopt_ahead, skopt_ask_all, skopt_prefetch
from skopt_est._core.places cimport list_all
from skopt_est._core.plain cimport PLAIN_ASKS_LATE, backward_plain, forward_plain
from skopt_est._core.plain_adam cimport backward_adam, forward_adam, plain_absent, plain_adam
from skopt_est._core.quads cimport QUAD_LANES, put_quads, take_quads, whole_lanes
from skopt_est._core.rows cimport (
    CACHE_LINE, PREFETCH_BYTES, ROWS_AHEAD, Rows, prefetch_entries,
)
from skopt_est._core.solvers cimport (
    ADAGRAD, ADAM, N_SLOTS_MAX, SGD, Hyper, adagrad as adagrad_step, data_step, prox, sgd,
    slot_of_D, tiny,
)
from skopt_est._core.types cimport real


cdef enum:
    # A cell, in quads of numbers of the type of the data: the weight, the number of this epoch's
    # steps that it has had, inv_scale and the L2 penalty; then the solver's slots, then L1, or
    # for plain_adam.pxd the table `tail` at that number.
    QUAD = 4
    QUADS_MOST = 3
    MOST_STEPS = 1 << 24        # the number of steps is exact in single precision
    CELLS_AHEAD = 2             # the row whose cells are asked for, at most
    # Entries of a later row are there in time if they are asked for so many entries before, or so
    # many rows, if these are long; much earlier, they would push out of the first cache what is
    # needed before, and be pushed out themselves.
    ENTRIES_BEFORE = 200
    ROWS_BEFORE = 4
    # Of places, and cells that fill up vectors: more than CELLS_AHEAD, a power of two. A row loads
    # what the row so many before it has stored.
    LISTS = 4


cdef struct Cells:
    void* table
    Py_ssize_t width, n_quads
    Py_ssize_t n_changing       # quads that a step changes
    Py_ssize_t n_slots
    int32_t empty               # the first of LISTS features that fill up vectors: see places.pxd
    # One row a step, without L1: sgd and adagrad at a constant rate, without momentum (plain.pxd),
    # Adam (plain_adam.pxd)
    bint plain, plain_adam
    double ridge
    int shift                   # a cell takes 1 << shift bytes
    uint32_t* places            # LISTS of so many, of rows one after the other: see places.pxd
    Py_ssize_t most
    Py_ssize_t rows_ahead       # how many rows on entries are asked for
    double log_ratio, log_decay_1, log_decay_2      # to base 2
    bint ratio_is_decays        # that of the moments' decays, the second's by its root
    void* columns[QUADS_MOST * QUAD]    # where the numbers of a cell go


cdef inline void take_cells(
    const Cells* cells, const int32_t* features, Py_ssize_t n, real like
) noexcept nogil:
    """Cells side by side in the columns, up to whole vectors."""
    cdef const real* table = <const real*> cells.table
    cdef Py_ssize_t m
    for m in range(cells.n_quads):
        take_quads(table + m * QUAD, cells.width, features, n, cells.empty,
                   <void**> (cells.columns + m * QUAD))


cdef inline void put_cells(
    const Cells* cells, const int32_t* features, Py_ssize_t n, Py_ssize_t n_quads, real like
) noexcept nogil:
    cdef real* table = <real*> cells.table
    cdef Py_ssize_t m
    for m in range(n_quads):
        put_quads(table + m * QUAD, cells.width, features, n, <void**> (cells.columns + m * QUAD))


cdef inline void take_row(
    const Rows* rows, int64_t first, Py_ssize_t n, const real* inv_scale, real* x
) noexcept nogil:
    """A row's values in the units of training, up to whole vectors."""
    cdef const real* values = <const real*> rows.values
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = values[first + i] * inv_scale[i]
    for i in range(n, whole_lanes(n)):
        x[i] = 0


cdef inline void step_listed(
    const Listed* a, Py_ssize_t n, const Hyper* h, const double* c, bint penalised, real like
) noexcept nogil:
    """The solver's step, with the gradient in a.g, in whole vectors."""
    cdef int slot = slot_of_D(h.code)
    cdef real* slots[N_SLOTS_MAX]
    cdef real* D
    cdef Py_ssize_t m
    n = whole_lanes(n)
    for m in range(N_SLOTS_MAX):
        slots[m] = <real*> a.slots[m]
    D = slots[slot] if slot >= 0 else <real*> a.D
    data_step(<real*> a.w, <const real*> a.g, slots, 0, D, n, h, c)
    if penalised:
        prox(<real*> a.w, D, <const real*> a.l1, <const real*> a.l2, n)


cdef inline uint32_t* places_of(const Cells* cells, Py_ssize_t s) noexcept nogil:
    """Those of the row of step s."""
    return cells.places + (s & (LISTS - 1)) * cells.most


cdef inline int32_t filling(const Cells* cells, Py_ssize_t s) noexcept nogil:
    """The feature that fills up the row of step s."""
    return cells.empty + <int32_t> (s & (LISTS - 1))


cdef inline const real* in_vectors(
    const Rows* rows, int64_t first, Py_ssize_t n, real* room
) noexcept nogil:
    """These values, to be read in whole vectors: where there is nothing to read behind them they
    are copied."""
    cdef const real* values = <const real*> rows.values + first
    if first + whole_lanes(n) <= rows.indptr[rows.n]:
        return values
    memset(room, 0, whole_lanes(n) * sizeof(real))
    memcpy(room, values, n * sizeof(real))
    return room


cdef inline Py_ssize_t cells_ahead(int code) noexcept nogil:
    """How many steps on the row is whose cells are asked for in plain steps of this solver. Steps
    of adagrad and Adam are long enough for one row's to come from the second cache."""
    return 1 if PLAIN_ASKS_LATE and code != SGD else CELLS_AHEAD


cdef inline void list_first(
    const Rows* rows, const int32_t* order, Py_ssize_t n_steps, Py_ssize_t before,
    const Cells* cells, real like
) noexcept nogil:
    """The places of the first rows, so many, which no step before them lists."""
    cdef const int32_t* features = rows.indices
    cdef skopt_ahead ahead
    cdef Py_ssize_t s
    ahead.index = ahead.value = NULL
    ahead.entries = 0
    for s in range(min(before, n_steps)):
        ahead.feature = features + rows.indptr[order[s]]
        ahead.last_feature = features + rows.indptr[order[s] + 1]
        ahead.place = places_of(cells, s)
        list_all(&ahead, <const real*> cells.table, cells.shift, filling(cells, s))


cdef inline void look_ahead(
    skopt_ahead* ahead, const Rows* rows, const int32_t* order, Py_ssize_t s, Py_ssize_t by,
    Py_ssize_t n_steps, const real* targets, const Cells* cells,
) noexcept nogil:
    """What is to be asked for in step s: the cells of the row `by` steps on, whose places
    are listed if any are, and the entries of the row `rows_ahead` steps on, the first ones of a
    long row. Its target, and where the entries of a later row lie, are asked for here."""
    cdef const real* values = <const real*> rows.values
    cdef int64_t first
    cdef Py_ssize_t row, far = s + cells.rows_ahead
    ahead.feature = ahead.last_feature = NULL
    ahead.place = NULL
    ahead.index = ahead.value = NULL
    ahead.entries = 0
    if s + by < n_steps:
        row = order[s + by]
        ahead.feature = rows.indices + rows.indptr[row]
        ahead.last_feature = rows.indices + rows.indptr[row + 1]
        if cells.places != NULL:
            ahead.place = places_of(cells, s + by)
    if far + cells.rows_ahead < n_steps:
        skopt_prefetch(rows.indptr + order[far + cells.rows_ahead])
    if far < n_steps:
        row = order[far]
        skopt_prefetch(targets + row)
        first = rows.indptr[row]
        ahead.index = <const char*> (rows.indices + first)
        ahead.value = <const char*> (values + first)
        # With the line in which they end, wherever they begin: as many for rows of equal length,
        # which can be foreseen.
        ahead.entries = min(4 * (rows.indptr[row + 1] - first), PREFETCH_BYTES) + CACHE_LINE - 4


cdef inline Py_ssize_t rows_asked(const Rows* rows) noexcept nogil:
    """How many rows on entries are asked for."""
    cdef int64_t most = ROWS_AHEAD, least = ROWS_BEFORE, before = ENTRIES_BEFORE
    return <Py_ssize_t> max(least, min(most, before * rows.n // max(rows.indptr[rows.n], 1)))


cdef inline char* in_line(void* address) noexcept nogil:
    """The first place from there on where a line of the cache begins."""
    return <char*> address + (-<size_t> address) % CACHE_LINE


cdef inline real slope(
    int loss, const real* targets, const real* weights, Py_ssize_t row, real z, real param,
    real scale,
) noexcept nogil:
    """The gradient of this row's weighted loss."""
    return gradient_alone(
        loss, targets[row], z, param, scale * weights[row] if weights != NULL else scale)


cdef inline void plain_rows(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t first, Py_ssize_t stop, Py_ssize_t n_steps, real* bias,
    real* bias_slots, bint adagrad, const Hyper* h, const Steps* steps, const Cells* cells,
    real* parts, real* room, real* told,
) noexcept nogil:
    """Steps first, ..., stop - 1 where the cells are plain, and what was predicted in them."""
    cdef real* table = <real*> cells.table
    cdef const real* values
    cdef const uint32_t* places
    cdef real eta = <real> steps.constant_rate, ridge = <real> (steps.constant_rate * cells.ridge)
    cdef real eps = <real> h.epsilon, z, gradient, now, D, intercept = 0
    cdef Py_ssize_t s, row, n, by = cells_ahead(ADAGRAD if adagrad else SGD)
    cdef int64_t at
    cdef skopt_ahead ahead
    if bias != NULL:
        intercept = bias[0]
    for s in range(first, stop):
        row = order[s]
        at = rows.indptr[row]
        n = <Py_ssize_t> (rows.indptr[row + 1] - at)
        values = in_vectors(rows, at, n, room)
        places = places_of(cells, s)
        now = <real> s
        look_ahead(&ahead, rows, order, s, by, n_steps, targets, cells)
        z = intercept + forward_plain(
            table, places, values, n, filling(cells, s + by), adagrad, now, ridge, eps,
            parts, &ahead)
        told[s - first] = z
        gradient = slope(loss, targets, weights, row, z, param, scale)
        backward_plain(table, places, n, filling(cells, s + by), adagrad, now, gradient, eta, eps,
                       parts, &ahead)
        if bias != NULL:
            # whose rate is that of all steps: the one at hand would have to be waited for
            if adagrad:
                adagrad_step(&intercept, &gradient, bias_slots, &D, 1, h, steps.coefficients)
            else:
                sgd(&intercept, &gradient, <real*> NULL, &D, 1, h, steps.coefficients)
    if bias != NULL:
        bias[0] = intercept


cdef inline real row_step(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t s, Py_ssize_t n_steps, real* bias, real* bias_slots,
    Py_ssize_t stride, const Hyper* h, const Steps* steps, const Cells* cells, const Listed* a,
) noexcept nogil:
    """Step s, of one row; returns what was predicted for it."""
    cdef const real* w = <const real*> a.w
    cdef real* last = <real*> a.last
    cdef real* tail = <real*> a.tail
    cdef real* g = <real*> a.g
    cdef const double* c = steps.coefficients + s * steps.stride
    cdef const int32_t* features
    cdef real* slots[N_SLOTS_MAX]
    cdef real z = 0, gradient, D, now = <real> (s + 1)
    cdef Py_ssize_t row = order[s], n, whole, i
    cdef Py_ssize_t by = cells_ahead(ADAM) if cells.plain_adam else CELLS_AHEAD
    cdef int64_t first = rows.indptr[row]
    cdef skopt_ahead ahead
    n = <Py_ssize_t> (rows.indptr[row + 1] - first)
    whole = whole_lanes(n)
    features = rows.indices + first
    take_cells(cells, features, n, now)
    look_ahead(&ahead, rows, order, s, by, n_steps, targets, cells)
    skopt_ask_all(&ahead, cells.table, cells.width * sizeof(real), sizeof(real))
    if steps.moves_without_gradient:
        bring_up(a, n, s, h, steps, now)
    take_row(rows, first, n, <const real*> a.inv_scale, g)
    for i in range(QUAD_LANES * (whole // QUAD_LANES)):
        z += g[i] * w[i]
    if bias != NULL:
        z += bias[0]
    gradient = slope(loss, targets, weights, row, z, param, scale)
    for i in range(QUAD_LANES * (whole // QUAD_LANES)):
        g[i] *= gradient
    step_listed(a, n, h, c, steps.penalised, now)
    for i in range(QUAD_LANES * (whole // QUAD_LANES)):
        last[i] = now
        if cells.plain_adam:
            tail[i] = <real> steps.tail[s + 1]
    put_cells(cells, features, n, cells.n_changing, now)
    if bias != NULL:
        for i in range(N_SLOTS_MAX):
            slots[i] = bias_slots + i * stride if i < cells.n_slots else NULL
        data_step(bias, &gradient, slots, 0, slots[slot_of_D(h.code)]
                  if slot_of_D(h.code) >= 0 else &D, 1, h, c)
    return z


cdef inline void missed(
    plain_absent* absent, Py_ssize_t now, const Hyper* h, const Steps* steps, const Cells* cells,
    real like,
) noexcept nogil:
    """What Adam's features need in order to catch up, after so many steps; called for one number
    after the other. Where the penalty outruns momentum it leaves little but the last moves: these
    are taken for a geometric sequence. move: the last one, of a unit moment; turn: its ratio to the
    one before, times that of the moments; final: move times both; even: for so many steps up to now
    the moves' ratio changed by no more than a fiftieth from one to the next."""
    cdef double move = 0, before = absent.move, x = 0, turn = absent.turn
    absent.now, absent.ratio, absent.log_ratio = now, steps.ratio, cells.log_ratio
    absent.log_decay_1, absent.log_decay_2 = cells.log_decay_1, cells.log_decay_2
    absent.ratio_is_decays = cells.ratio_is_decays
    absent.eps = h.epsilon / steps.coefficients[max(now - 1, 0) * steps.stride + 2]
    absent.tail_now, absent.tiny = steps.tail[now], tiny(like)
    if now > 0:
        move = steps.tail[now - 1] - steps.ratio * steps.tail[now]
    if before > 0 and move > 0:
        x = move / before - 1
    absent.move, absent.final, absent.turn = move, move * (1 + x), steps.ratio * (1 + x)
    absent.even += 1
    if move <= 0 or now < 1:
        absent.even = 0
    elif before <= 0 or now < 2:
        absent.even = 1
    elif now > 2 and fabs(absent.turn - turn) > 0.02 * turn:
        absent.even = 2
    x = x * (1 - x * (0.5 - x * (1.0 / 3))) if fabs(x) < 1e-4 else log1p(x)
    absent.log_turn = cells.log_ratio + M_LOG2E * x


cdef inline bint adam_step(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t s, Py_ssize_t n_steps, real* bias, real* bias_slots,
    Py_ssize_t stride, const Hyper* h, const Steps* steps, const Cells* cells, const Listed* a,
    plain_absent* absent, real* told,
) noexcept nogil:
    """`row_step` of Adam without L1, if all of the row's features have a closed form; else False,
    and nothing is done but what is for later rows."""
    cdef real* table = <real*> cells.table
    cdef real* parts = <real*> a.parts
    cdef real* slots[N_SLOTS_MAX]
    cdef const double* c = steps.coefficients + s * steps.stride
    cdef Py_ssize_t row = order[s], n, i, by = cells_ahead(ADAM)
    cdef int64_t first = rows.indptr[row]
    cdef const uint32_t* places = places_of(cells, s)
    cdef real z = 0, gradient
    cdef plain_adam step
    cdef skopt_ahead ahead
    look_ahead(&ahead, rows, order, s, by, n_steps, targets, cells)
    n = <Py_ssize_t> (rows.indptr[row + 1] - first)
    missed(absent, s, h, steps, cells, param)
    if not forward_adam(table, places, in_vectors(rows, first, n, <real*> a.w), n,
                        filling(cells, s + by), absent, parts, &z, &ahead):
        return False
    if bias != NULL:
        z += bias[0]
    gradient = slope(loss, targets, weights, row, z, param, scale)
    step.beta_1, step.beta_2, step.eps, step.tiny = h.beta_1, h.beta_2, h.epsilon, tiny(param)
    step.tail = steps.tail[s + 1]
    step.eta, step.eta_m, step.root = c[0], c[1], c[2]
    backward_adam(table, places, n, <real> (s + 1), gradient, &step, parts)
    if bias != NULL:
        for i in range(N_SLOTS_MAX):
            slots[i] = bias_slots + i * stride if i < cells.n_slots else NULL
        data_step(bias, &gradient, slots, 0, slots[slot_of_D(h.code)], 1, h, c)
    told[0] = z
    return True


cdef inline Py_ssize_t list_features(
    const Rows* rows, const int32_t* order, Py_ssize_t count, Py_ssize_t n_ahead, int32_t* place,
    int32_t* features, real like,
) noexcept nogil:
    """The features of these rows, each once; feature j is at place[j]. Returns how many. n_ahead:
    the length of order, of which these rows are the first.

    place[j] need not be a place before: it counts only if features has j there
    (Briggs & Torczon 1993)."""
    cdef Py_ssize_t i, n = 0
    cdef int64_t p
    cdef int32_t j
    for i in range(count):
        prefetch_entries(rows, order, i, n_ahead, like)
        for p in range(rows.indptr[order[i]], rows.indptr[order[i] + 1]):
            j = rows.indices[p]
            if place[j] >= n or features[place[j]] != j:
                place[j] = <int32_t> n
                features[n] = j
                n += 1
    return n
