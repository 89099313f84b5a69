# Batches of one dense row, one output, and a solver without momentum: the same numbers as the
# general path (its oracle), fused. A step is a chain of waits (dot product, exponential, update,
# dot product), so what counts is its latency: everything is kept in rows padded to whole vectors,
# since a load that spans two smaller stores, of a loop's vector part and its rest, stalls.
from libc.math cimport INFINITY
from libc.stdint cimport int8_t, int32_t
from libc.string cimport memcpy

from skopt_est._core.estimates cimport (
    SKOPT_ESTIMATES, SKOPT_SHORT, SKOPT_SHORTf, skopt_adagrad, skopt_adagradf,
)
from skopt_est._core.chances cimport chance_alone
from skopt_est._core.losses cimport AT_ONCE, LOG_LOSS_BINARY, gradient_alone, losses_told
from skopt_est._core.memory cimport skopt_prefetch
from skopt_est._core.rows cimport (
    LOOKED_UP, ROWS_AHEAD, Rows, look_up, prefetch, prefetch_number, wide_apart,
)
from skopt_est._core.solvers cimport ADAGRAD, Hyper, rsqrt_, soft
from skopt_est._core.tiles cimport TILE_WHOLE  # also for its vectors, which are used below
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vheld


ctypedef fused a_loss:      # which one is known when this is compiled, or told by its code
    int8_t                  # the log loss of two classes
    int32_t                 # any


cdef enum:
    PADDED_ROWS = 12
    HALF = 32           # bytes of the vectors that short rows are taken in, or a multiple of these
    # Rows are asked for so far ahead that they are still in the first cache when they are needed.
    NEAREST = 4
    AHEAD_BYTES = 16384
    # Pages of the next window are looked up for one row in so many bytes, and at least one in each
    # block, which has PACE_MOST rows or more (BLOCK in _order.py).
    PACE_MOST = 8
    PACE_BYTES = 1024


cdef struct Padded:
    # Rows of so many whole vectors, zero beyond the d-th element.
    Py_ssize_t vectors
    Py_ssize_t width    # elements of X that are read for a row: in whole halves, if it is short
    bint lasso          # whether l1 has any but zeros
    void* w
    void* G
    void* l1
    void* l2
    void* threshold
    void* factor
    void* shift
    void* inv_scale
    void* a             # the row at hand and the next two
    void* b
    void* c
    void* edge


cdef inline Py_ssize_t elements(Py_ssize_t vectors, real like) noexcept nogil:
    """How many; the compiler sees that they are whole vectors."""
    return TILE_WHOLE // <Py_ssize_t> sizeof(real) * vectors


cdef inline Py_ssize_t width_read(Py_ssize_t d, Py_ssize_t vectors, real like) noexcept nogil:
    """Padded.width."""
    cdef Py_ssize_t width = elements(vectors, <real> 0), size = sizeof(real)
    if real is float:
        if d > SKOPT_SHORTf:
            return width
    elif d > SKOPT_SHORT:
        return width
    return min(width, (d * size + HALF - 1) // HALF * HALF // size)


cdef inline const real* whole(
    const Rows* rows, Py_ssize_t row, const Padded* p, real like
) noexcept nogil:
    """The row, of which `width` numbers are read, beyond its end too: there the next row begins,
    and inv_scale is zero. The last rows of X, which have no such neighbour, are copied."""
    cdef const real* x = <const real*> rows.values + row * rows.d
    if row * rows.d + p.width <= rows.n * rows.d:
        return x
    memcpy(p.edge, x, rows.d * sizeof(real))
    return <const real*> p.edge


cdef extern from *:
    r"""
    /* Short rows are taken in halves of vectors of 64 bytes: it is the wait for the last one that
     * counts, and then for the sum across. */
    #if TILE_BYTES == 64
    typedef float single_halff __attribute__((vector_size(32), aligned(4), may_alias));
    typedef double single_half __attribute__((vector_size(32), aligned(8), may_alias));
    #else
    #define single_halff tile_vectorf
    #define single_half tile_vector
    #endif

    /* a <- (x - shift) inv_scale */
    #if TILE_BYTES == 0
    #define SINGLE_LOAD_IN(V, T) \
        for (ptrdiff_t j = 0; j < width; j++) \
            a[j] = (x[j] - shift[j]) * inv_scale[j];
    #else
    #define SINGLE_AT(V, p) (*(const V *) ((p) + j))
    #define SINGLE_LOAD_IN(V, T) \
        for (ptrdiff_t j = 0; j < width; j += sizeof(V) / sizeof(T)) \
            *(V *) (a + j) = (SINGLE_AT(V, x) - SINGLE_AT(V, shift)) * SINGLE_AT(V, inv_scale);
    #endif
    #define SINGLE_LOAD(T, F) \
    TILE_INLINE void single_load##F( \
            T *a, const T *x, const T *shift, const T *inv_scale, ptrdiff_t width) { \
        if (width <= SKOPT_SHORT##F) { \
            SINGLE_LOAD_IN(single_half##F, T) \
        } else { \
            SINGLE_LOAD_IN(tile_vector##F, T) \
        } \
    }
    SINGLE_LOAD(float, f)
    SINGLE_LOAD(double, )
    """
    void single_loadf(
        float* a, const float* x, const float* shift, const float* inv_scale, Py_ssize_t width
    ) noexcept nogil
    void single_load(
        double* a, const double* x, const double* shift, const double* inv_scale, Py_ssize_t width
    ) noexcept nogil


cdef inline void load(const Rows* rows, Py_ssize_t row, const Padded* p, real* a) noexcept nogil:
    """The row as training sees it."""
    cdef const real* x = whole(rows, row, p, <real> 0)
    cdef const real* shift = <const real*> p.shift
    cdef const real* inv_scale = <const real*> p.inv_scale
    if real is float:
        single_loadf(a, x, shift, inv_scale, p.width)
    else:
        single_load(a, x, shift, inv_scale, p.width)


cdef inline real padded_dot(const real* a, const real* w, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t j
    cdef real total = 0
    for j in range(elements(vectors, <real> 0)):
        total += a[j] * w[j]
    return total


cdef inline real sgd_row(
    real* w, const real* a, real step, const real* threshold, const real* factor,
    const real* following, real start, Py_ssize_t vectors,
) noexcept nogil:
    """w <- prox(w - step a), threshold = D l1 and factor = 1 / (1 + D l2); returns `start` and the
    sum of w times the following row."""
    cdef Py_ssize_t j
    cdef real moved, total = start
    for j in range(elements(vectors, <real> 0)):
        moved = soft(w[j] - step * a[j], threshold[j]) * factor[j]
        w[j] = moved
        total += following[j] * moved
    return total


cdef extern from *:
    r"""
    /* Rows are kept times the factor that a step multiplies weights by: w <- w factor - step a;
     * second <- (x - shift) inv_scale factor, the row after the following one; and of that row
     * what the following step can't change: with steps of the size e, its prediction will be
     * pq[0] - e pq[1], but for the intercept. Meanwhile the lines of two rows are asked for, from
     * `soon` and, unless that is NULL, from `far` on. */
    #define SGD_ASK(T, j) { \
        skopt_prefetch(soon + (j) * (ptrdiff_t) sizeof(T)); \
        if (far) \
            skopt_prefetch(far + (j) * (ptrdiff_t) sizeof(T)); \
    }
    #if TILE_BYTES == 0
    #define SGD_AHEAD(T, F) \
    TILE_INLINE void sgd_ahead##F( \
            T *w, const T *a, const T *following, const T *x, T *second, const T *shift, \
            const T *inv_scale, const T *factor, T step, ptrdiff_t width, const char *soon, \
            const char *far, T *pq) { \
        (void) soon, (void) far; \
        pq[0] = pq[1] = 0; \
        for (ptrdiff_t j = 0; j < width; j++) { \
            const T row = (x[j] - shift[j]) * inv_scale[j]; \
            second[j] = row * factor[j]; \
            w[j] = w[j] * factor[j] - step * a[j]; \
            pq[0] += second[j] * w[j]; \
            pq[1] += row * following[j]; \
        } \
    }
    #else
    #define SGD_AT(V, p) (*(const V *) ((p) + i))
    #define SGD_STEP(V, n, at) { \
        const ptrdiff_t i = at; \
        const V shrink = SGD_AT(V, factor); \
        const V row = (SGD_AT(V, x) - SGD_AT(V, shift)) * SGD_AT(V, inv_scale); \
        const V kept = row * shrink; \
        const V moved = SGD_AT(V, w) * shrink - step * SGD_AT(V, a); \
        *(V *) (second + i) = kept; \
        *(V *) (w + i) = moved; \
        product##n += kept * moved; \
        overlap##n += row * SGD_AT(V, following); \
        TILE_KEEP(product##n); \
        TILE_KEEP(overlap##n); \
    }
    #define SGD_AHEAD_IN(NAME, V, T) \
    TILE_INLINE void NAME( \
            T *w, const T *a, const T *following, const T *x, T *second, const T *shift, \
            const T *inv_scale, const T *factor, T step, ptrdiff_t width, const char *soon, \
            const char *far, T *pq) { \
        enum { LANES = sizeof(V) / sizeof(T), LINE = 64 / sizeof(T) }; \
        V product0 = {0}, overlap0 = {0}, product1 = {0}, overlap1 = {0}; \
        ptrdiff_t j = 0; \
        for (; j + LINE <= width; j += LINE) { \
            SGD_ASK(T, j) \
            SGD_STEP(V, 0, j) \
            if (LANES < LINE) \
                SGD_STEP(V, 1, j + LANES) \
            TILE_UNROLL for (ptrdiff_t k = j + 2 * LANES; k < j + LINE; k += 2 * LANES) { \
                SGD_STEP(V, 0, k) \
                SGD_STEP(V, 1, k + LANES) \
            } \
        } \
        if (j < width) \
            SGD_ASK(T, j) \
        for (; j < width; j += LANES) \
            SGD_STEP(V, 0, j) \
        product0 += product1; \
        overlap0 += overlap1; \
        pq[0] = pq[1] = 0; \
        TILE_UNROLL for (int i = 0; i < LANES; i++) \
            pq[0] += product0[i], pq[1] += overlap0[i]; \
    }
    #if TILE_BYTES == 64
    #define SGD_AHEAD(T, F) \
    SGD_AHEAD_IN(sgd_ahead_long##F, tile_vector##F, T) \
    SGD_AHEAD_IN(sgd_ahead_short##F, single_half##F, T) \
    TILE_INLINE void sgd_ahead##F( \
            T *w, const T *a, const T *following, const T *x, T *second, const T *shift, \
            const T *inv_scale, const T *factor, T step, ptrdiff_t width, const char *soon, \
            const char *far, T *pq) { \
        if (width <= SKOPT_SHORT##F) \
            sgd_ahead_short##F(w, a, following, x, second, shift, inv_scale, factor, step, width, \
                               soon, far, pq); \
        else \
            sgd_ahead_long##F(w, a, following, x, second, shift, inv_scale, factor, step, width, \
                              soon, far, pq); \
    }
    #else
    #define SGD_AHEAD(T, F) SGD_AHEAD_IN(sgd_ahead##F, tile_vector##F, T)
    #endif
    #endif
    SGD_AHEAD(float, f)
    SGD_AHEAD(double, )
    """
    void sgd_aheadf(
        float* w, const float* a, const float* following, const float* x, float* second,
        const float* shift, const float* inv_scale, const float* factor, float step,
        Py_ssize_t width, const char* soon, const char* far, float* pq) noexcept nogil
    void sgd_ahead(
        double* w, const double* a, const double* following, const double* x, double* second,
        const double* shift, const double* inv_scale, const double* factor, double step,
        Py_ssize_t width, const char* soon, const char* far, double* pq) noexcept nogil


cdef inline real adagrad_row(
    real* w, real* G, const real* a, real gradient, real eta, real eps, const real* l1,
    const real* l2, const real* following, real start, Py_ssize_t d, Py_ssize_t vectors,
) noexcept nogil:
    """With q = sqrt(G) + eps and D = eta / q both steps are one division:
    w <- S(w q - eta g, eta l1) / (q + eta l2). l1: NULL without L1. Returns `start` and the sum of
    w times the following row."""
    cdef Py_ssize_t j
    cdef real g, q, size, total = start
    if SKOPT_ESTIMATES:
        if real is float:
            return skopt_adagradf(w, G, a, gradient, eta, eps, l1, l2, following, start, d)
        else:
            return skopt_adagrad(w, G, a, gradient, eta, eps, l1, l2, following, start, d)
    for j in range(elements(vectors, <real> 0)):
        g = gradient * a[j]
        G[j] += g * g
        q = rsqrt_(G[j]) + eps
        size = w[j] * q - eta * g
        if l1 != NULL:
            size = soft(size, eta * l1[j])
        size /= q + eta * l2[j]
        # a sum of zero, or one that overflowed, allows no step
        size = size if G[j] != 0 else w[j]
        size = w[j] if G[j] == <real> INFINITY else size
        w[j] = size
        total += following[j] * size
    return total


cdef inline double rows_ahead(
    a_loss loss, const Rows* rows, const real* targets, const real* weights, real param,
    real scale, const int32_t* order, const int32_t* coming, Py_ssize_t start, Py_ssize_t stop,
    Py_ssize_t n, real* bias, real eta, Padded* padded,
) noexcept nogil:
    """sgd at a constant rate, without L1: a step is linear in the size of the one before, so a
    row's prediction is prepared while the loss of the row before is still being computed. The
    chain from step to step then is the loss alone, without update, product and sum."""
    cdef int code = LOG_LOSS_BINARY if a_loss is int8_t else loss
    cdef Py_ssize_t s = start, j, row, first, last, vectors = padded.vectors
    cdef Py_ssize_t width = padded.width
    cdef double total = 0
    cdef real step, rate, label, move, slope, z, z_before, b = 0, of_ones = 1 if bias != NULL else 0
    cdef real told[AT_ONCE]
    cdef real pq[2]
    cdef real* w = <real*> padded.w
    cdef real* l2 = <real*> padded.l2
    cdef real* factor = <real*> padded.factor
    cdef const real* shift = <const real*> padded.shift
    cdef const real* inv_scale = <const real*> padded.inv_scale
    cdef real* a = <real*> padded.a
    cdef real* following = <real*> padded.b
    cdef real* second = <real*> padded.c
    cdef const real* x
    cdef const char* soon
    cdef const char* far = NULL
    cdef const char* values = <const char*> rows.values
    cdef Py_ssize_t size = rows.d * <Py_ssize_t> sizeof(real)
    cdef Py_ssize_t ahead = max(NEAREST, min(ROWS_AHEAD, AHEAD_BYTES // max(size, 1)))
    cdef bint apart = wide_apart(rows, <real> 0)
    cdef Py_ssize_t pace = (
        1 if coming == NULL else max(1, min(PACE_MOST, PACE_BYTES // max(size, 1))))
    cdef Py_ssize_t last_place = n - 1, last_row = stop - 1
    # the last row beyond whose end so much of X follows that `width` numbers can be read
    cdef Py_ssize_t last_whole = rows.n - (width + rows.d - 1) // rows.d if rows.d else -1
    pq[0] = pq[1] = 0
    for j in range(elements(vectors, <real> 0)):
        factor[j] = 1 / (<real> 1 + eta * l2[j])
    if bias != NULL:
        b = bias[0]
    load(rows, order[start], padded, a)
    z = padded_dot(a, w, vectors) + b
    load(rows, order[min(start + 1, last_row)], padded, following)
    for j in range(elements(vectors, <real> 0)):
        following[j] *= factor[j]
        pq[0] += following[j] * w[j]
        pq[1] += following[j] * a[j]
        a[j] *= factor[j]
    eta *= scale
    while s < stop:
        last = min(s + AT_ONCE, stop)
        first = s
        while s < last:
            row = order[min(s + ahead, last_place)]
            skopt_prefetch(targets + row)
            soon = values + row * size
            skopt_prefetch(soon + size - 1)
            told[s - first] = z
            row = order[s]
            label = targets[row]
            rate = eta
            if weights != NULL:
                rate *= weights[row]
                prefetch_number(weights, order, s, n)
            # the intercept is a column of ones
            move = rate * (pq[1] + of_ones)
            z_before, z = z, pq[0] + b
            if a_loss is int8_t:
                # What the label adds is known before the slope. Held: else the compiler makes
                # (label - slope) * move of it, a difference that waits for the slope.
                slope = chance_alone(z_before)
                z = vheld(z + label * move) - slope * move
                slope -= label
            else:
                slope = gradient_alone(code, label, z_before, param, <real> 1)
                z -= slope * move
            step = rate * slope
            b -= step * of_ones
            # in the last two steps some row, for a product that nothing needs
            row = order[min(s + 2, last_row)]
            x = <const real*> (values + row * size)
            if row > last_whole:
                x = whole(rows, row, padded, <real> 0)
            if apart and s % LOOKED_UP == 0:
                look_up(rows, targets, order if coming == NULL else coming, s + LOOKED_UP,
                        min(s + 2 * LOOKED_UP, n), pace)
            if coming != NULL:
                far = values + coming[s] * size
            if real is float:
                sgd_aheadf(w, a, following, x, second, shift, inv_scale, factor, step, width, soon,
                           far, pq)
            else:
                sgd_ahead(w, a, following, x, second, shift, inv_scale, factor, step, width, soon,
                          far, pq)
            a, following, second = following, second, a
            s += 1
        total += losses_told(
            code, told, targets, weights, order + first, last - first, scale, param)
    if bias != NULL:
        bias[0] = b
    return total


cdef inline double single_rows(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, real* bias,
    real* bias_G, const Hyper* h, const double* coefficients, Py_ssize_t stride, Padded* p,
    real like,
) noexcept nogil:
    """Steps start to stop; returns the sum of weighted losses. bias: NULL without intercept."""
    cdef Py_ssize_t s, row, j, first = start, vectors = p.vectors
    cdef double total = 0, rate = -1
    cdef real gradient, eta, weight, z, b = 0
    cdef real told[AT_ONCE]
    cdef bint apart = wide_apart(rows, <real> 0)
    cdef real* w = <real*> p.w
    cdef real* G = <real*> p.G
    cdef real* l1 = <real*> p.l1
    cdef real* l2 = <real*> p.l2
    cdef real* threshold = <real*> p.threshold
    cdef real* factor = <real*> p.factor
    cdef real* a = <real*> p.a
    cdef real* following = <real*> p.b
    load(rows, order[start], p, a)
    if bias != NULL:
        b = bias[0]
    z = padded_dot(a, w, vectors) + b
    for s in range(start, stop):
        row = order[s]
        if apart and s % LOOKED_UP == 0:
            look_up(rows, targets, order, s + LOOKED_UP, min(s + 2 * LOOKED_UP, n), 1)
        prefetch(rows, order, s, n, p.width, <real> 0)
        prefetch_number(targets, order, s, n)
        prefetch_number(weights, order, s, n)
        if s + 1 < stop:
            load(rows, order[s + 1], p, following)     # needs nothing of this step
        weight = scale * weights[row] if weights != NULL else scale
        told[s - first] = z
        gradient = gradient_alone(loss, targets[row], z, param, weight)
        eta = <real> coefficients[s * stride]
        if h.code == ADAGRAD:
            # the intercept first, as the next prediction begins with it
            if bias != NULL:
                bias_G[0] += gradient * gradient
                if bias_G[0] != 0:
                    b -= eta / (rsqrt_(bias_G[0]) + <real> h.epsilon) * gradient
            if p.lasso:
                z = adagrad_row(w, G, a, gradient, eta, <real> h.epsilon, l1, l2, following, b,
                                rows.d, vectors)
            else:
                z = adagrad_row(w, G, a, gradient, eta, <real> h.epsilon, NULL, l2, following, b,
                                rows.d, vectors)
        else:
            if coefficients[s * stride] != rate:
                rate = coefficients[s * stride]
                for j in range(elements(vectors, <real> 0)):
                    threshold[j] = eta * l1[j]
                    factor[j] = 1 / (<real> 1 + eta * l2[j])
            if bias != NULL:
                b -= eta * gradient
            z = sgd_row(w, a, eta * gradient, threshold, factor, following, b, vectors)
        a, following = following, a
        if s + 1 == min(first + AT_ONCE, stop):
            total += losses_told(
                loss, told, targets, weights, order + first, s + 1 - first, scale, param)
            first = s + 1
    if bias != NULL:
        bias[0] = b
    return total
