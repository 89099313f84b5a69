# One step of sgd without momentum or of adagrad on a CSR row, at a constant rate and without L1.
#
# A feature is one quad (quads.pxd): its weight, the step at which it was last seen, inv_scale, and
# sgd's log2(1 + rate L2) or the inverse root of adagrad's sum of squares (sums.pxd); then L2 is
# `ridge` times inv_scale squared.
# The penalty's step of a feature's own update waits for the next time that it is seen: k steps
# shrink its weight by (1 + D L2)^-k, D the step size after the last update.
#
# a, b, c, e: the four numbers of a quad, in the order in which they lie there.
from libc.stdint cimport int32_t, uint32_t

# These for their declarations, which the code below needs before it.
from skopt_est._core.memory cimport skopt_ahead
from skopt_est._core.places cimport list_all
from skopt_est._core.sums cimport SUMS_READY
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    #if SUMS_READY
    #define PLAIN_PARTS 5
    #define PLAIN_SHIFTf 4
    #define PLAIN_SHIFT 5
    #if defined(__AVX512VL__)
    #define PLAIN_ASKS_LATE 1
    #else
    #define PLAIN_ASKS_LATE 0
    #endif
    #define PLAIN_ROWS(T, F) \
    /* A group's quads, with its values in the units of training, and the steps that it missed, \
     * less than none, times what they shrink by. */ \
    QUAD_INLINE void plain_bring##F( \
            const T *table, const uint32_t *places, quad_vector##F x, int adagrad, T now, \
            T ridge, T eps, quad_vector##F *part) { \
        quad_vector##F a, b, c, e; \
        places_load##F(table, places, 0, &a, &b, &c, &e); \
        b -= now; \
        b *= adagrad ? sums_shrinking##F(ridge * (c * c), e, eps, b) : e; \
        part[0] = a, part[1] = x * c, part[2] = b; \
        if (adagrad) \
            part[3] = c, part[4] = e; \
    } \
    /* Returns the sum of x w, w the weights after `now` steps; both, and what adagrad needs of \
     * the quads, go to parts (groups, PLAIN_PARTS, features of a group). In two passes, whose \
     * chains are about as long: more groups are under way at a time in each. Of values whole \
     * groups are read: a quad that fills one up has an inv_scale of zero. */ \
    QUAD_INLINE T plain_forward##F( \
            const T *table, const uint32_t *places, const T *values, ptrdiff_t n, int32_t empty, \
            int adagrad, T now, T ridge, T eps, T *parts, const skopt_ahead *ahead) { \
        quad_vector##F sums = {0}, a, *part = (quad_vector##F *) parts; \
        const ptrdiff_t whole = places_whole##F(ahead); \
        ptrdiff_t i = 0, entries = 0; \
        for (; i < n; i += QUADS##F, entries += 64, part += PLAIN_PARTS) { \
            plain_bring##F(table, places + i, *(const quad_vector##F *) (values + i), adagrad, \
                           now, ridge, eps, part); \
            if (!PLAIN_ASKS_LATE) \
                skopt_ask_entries(ahead, entries, sizeof(T)); \
        } \
        part = (quad_vector##F *) parts; \
        for (i = 0; i < n; i += QUADS##F, part += PLAIN_PARTS) { \
            if (!PLAIN_ASKS_LATE) \
                places_list##F(ahead, i, whole, table, PLAIN_SHIFT##F); \
            a = part[0] * plain_exp2##F(part[2]); \
            sums += part[1] * a; \
            part[0] = a; \
        } \
        if (!PLAIN_ASKS_LATE) \
            places_rest##F(ahead, i, entries, table, PLAIN_SHIFT##F, empty); \
        return plain_sum##F(sums); \
    } \
    /* A group's step, with this derivative of the loss. */ \
    QUAD_INLINE void plain_step##F( \
            T *table, const uint32_t *places, int adagrad, quad_vector##F now, T gradient, T eta, \
            T eps, const quad_vector##F *part) { \
        const quad_vector##F full = part[1] * (eta * gradient); \
        quad_vector##F e, length; \
        if (adagrad) { \
            e = sums_grown##F(part[4], part[1], gradient, eps, &length); \
            places_store##F(table, places, 0, part[0] - length * full, now, part[3], e); \
        } else { \
            places_store_two##F(table, places, part[0] - full, now); \
        } \
    } \
    /* The row's, and what is ahead if PLAIN_ASKS_LATE: the later row's entries while the slope is \
     * waited for; cells a group at a time, as so many lines at once would be waited for. */ \
    QUAD_INLINE void plain_backward##F( \
            T *table, const uint32_t *places, ptrdiff_t n, int32_t empty, int adagrad, T now, \
            T gradient, T eta, T eps, const T *parts, const skopt_ahead *ahead) { \
        const quad_vector##F *part = (const quad_vector##F *) parts; \
        const ptrdiff_t whole = PLAIN_ASKS_LATE ? places_whole##F(ahead) : 0; \
        quad_vector##F seen = {0}; \
        ptrdiff_t i = 0; \
        seen += now; \
        for (; PLAIN_ASKS_LATE && i < ahead->entries; i += 64) \
            skopt_ask_entries(ahead, i, sizeof(T)); \
        if (PLAIN_ASKS_LATE) \
            places_last##F(ahead, table, PLAIN_SHIFT##F, empty); \
        for (i = 0; i < n; i += QUADS##F, part += PLAIN_PARTS) { \
            places_list##F(ahead, i, whole, table, PLAIN_SHIFT##F); \
            plain_step##F(table, places + i, adagrad, seen, gradient, eta, eps, part); \
        } \
        for (; i < whole; i += QUADS##F) \
            places_list##F(ahead, i, whole, table, PLAIN_SHIFT##F); \
    } \
    /* Cells of the d features before the first step, in whole groups; fourth: the L2 penalties, \
     * or adagrad's sums of squares. */ \
    static void plain_fill##F( \
            T *table, int32_t d, const T *w, const T *inv_scale, const T *fourth, T rate, \
            int adagrad) { \
        quad_vector##F a, b = {0}, c = {0}, e; \
        c += 1; \
        for (ptrdiff_t first = 0; first < d; first += QUADS##F) { \
            int32_t n = d - first < QUADS##F ? (int32_t) (d - first) : QUADS##F; \
            a = plain_some##F(w + first, n); \
            e = plain_some##F(fourth + first, n); \
            if (inv_scale) \
                c = plain_some##F(inv_scale + first, n); \
            if (adagrad) \
                e = sums_root##F(e); \
            else \
                e = plain_log2p##F(rate * e, rate * e, rate * e + 2); \
            places_fill##F(table + 4 * first, 4, a, b, c, e); \
        } \
    } \
    /* Weights of the d features after `now` steps, and adagrad's sums of squares, as arrays; the \
     * cells are then what plain_fill would make of these. Returns the sum of the weights' squares \
     * in the data's units, in double precision. */ \
    static double plain_arrays##F( \
            T *table, int32_t d, int adagrad, T now, T ridge, T eps, T *w, T *G) { \
        const quad_vector##F none = {0}; \
        quad_vector##F a, b, c, e, growth, root, sum; \
        quad_vector squares = {0}; \
        for (ptrdiff_t first = 0; first < d; first += QUADS##F) { \
            int32_t n = d - first < QUADS##F ? (int32_t) (d - first) : QUADS##F; \
            places_read##F(table + 4 * first, 4, &a, &b, &c, &e); \
            b -= now; \
            growth = e; \
            if (adagrad) { \
                growth = sums_shrinking##F(ridge * (c * c), e, eps, b); \
                root = 1 / e, sum = sums_squared##F(e, root); \
                plain_put##F(G + first, n, sum); \
                e = sums_rounded##F(e, root, sum); \
            } \
            a *= plain_exp2##F(b * growth); \
            plain_put##F(w + first, n, a); \
            places_fill##F(table + 4 * first, 4, a, none, c, e); \
            a = plain_some##F((const T *) &a, n) * c; \
            squares += plain_products##F(a, a); \
        } \
        return plain_sum(squares); \
    }
    PLAIN_ROWS(float, f)
    PLAIN_ROWS(double, )
    #else
    #define PLAIN_ASKS_LATE 0
    #define plain_forwardf(...) 0
    #define plain_forward(...) 0
    #define plain_backwardf(...) ((void) 0)
    #define plain_backward(...) ((void) 0)
    #define plain_arraysf(...) 0
    #define plain_arrays(...) 0
    #define plain_fillf(...) ((void) 0)
    #define plain_fill(...) ((void) 0)
    #endif
    """
    # Whether what is ahead is asked for while a step waits for its slope and between the steps of
    # groups, not on the way to the slope: with AVX-512, which stands for a second cache that has
    # room for all cells.
    const bint PLAIN_ASKS_LATE
    float plain_forwardf(
        const float* table, const uint32_t* places, const float* values, Py_ssize_t n,
        int32_t empty, bint adagrad, float now, float ridge, float eps, float* parts,
        const skopt_ahead* ahead) noexcept nogil
    double plain_forward(
        const double* table, const uint32_t* places, const double* values, Py_ssize_t n,
        int32_t empty, bint adagrad, double now, double ridge, double eps, double* parts,
        const skopt_ahead* ahead) noexcept nogil
    void plain_backwardf(
        float* table, const uint32_t* places, Py_ssize_t n, int32_t empty, bint adagrad, float now,
        float gradient, float eta, float eps, const float* parts,
        const skopt_ahead* ahead) noexcept nogil
    void plain_backward(
        double* table, const uint32_t* places, Py_ssize_t n, int32_t empty, bint adagrad,
        double now, double gradient, double eta, double eps, const double* parts,
        const skopt_ahead* ahead) noexcept nogil
    double plain_arraysf(
        float* table, int32_t d, bint adagrad, float now, float ridge, float eps, float* w,
        float* G) noexcept nogil
    double plain_arrays(
        double* table, int32_t d, bint adagrad, double now, double ridge, double eps,
        double* w, double* G) noexcept nogil
    void plain_fillf(
        float* table, int32_t d, const float* w, const float* inv_scale, const float* fourth,
        float rate, bint adagrad) noexcept nogil
    void plain_fill(
        double* table, int32_t d, const double* w, const double* inv_scale, const double* fourth,
        double rate, bint adagrad) noexcept nogil


cdef inline real forward_plain(
    const real* table, const uint32_t* places, const real* values, Py_ssize_t n, int32_t empty,
    bint adagrad, real now, real ridge, real eps, real* parts, const skopt_ahead* ahead,
) noexcept nogil:
    """The sum of x w, x the values in the units of training, and w the weights after so many
    steps; `ridge` is times the rate. Lists and asks for what is ahead, unless PLAIN_ASKS_LATE."""
    if real is float:
        if adagrad:
            return plain_forwardf(table, places, values, n, empty, True, now, ridge, eps, parts,
                                  ahead)
        return plain_forwardf(table, places, values, n, empty, False, now, ridge, eps, parts,
                              ahead)
    else:
        if adagrad:
            return plain_forward(table, places, values, n, empty, True, now, ridge, eps, parts,
                                 ahead)
        return plain_forward(table, places, values, n, empty, False, now, ridge, eps, parts,
                             ahead)


cdef inline void backward_plain(
    real* table, const uint32_t* places, Py_ssize_t n, int32_t empty, bint adagrad, real now,
    real gradient, real eta, real eps, const real* parts, const skopt_ahead* ahead,
) noexcept nogil:
    """The step from there, with this derivative of the loss. Lists and asks for what is ahead, if
    PLAIN_ASKS_LATE."""
    if real is float:
        if adagrad:
            plain_backwardf(table, places, n, empty, True, now, gradient, eta, eps, parts,
                            ahead)
        else:
            plain_backwardf(table, places, n, empty, False, now, gradient, eta, eps, parts,
                            ahead)
    else:
        if adagrad:
            plain_backward(table, places, n, empty, True, now, gradient, eta, eps, parts,
                           ahead)
        else:
            plain_backward(table, places, n, empty, False, now, gradient, eta, eps, parts,
                           ahead)


cdef inline double arrays_plain(
    real* table, int32_t d, bint adagrad, real now, real ridge, real eps, real* w, real* G,
) noexcept nogil:
    """Weights of the d features after so many steps, and adagrad's sums of squares, as arrays; the
    cells are then what fill_plain would make of these. Returns the sum of (w inv_scale)^2."""
    if real is float:
        return plain_arraysf(table, d, adagrad, now, ridge, eps, w, G)
    else:
        return plain_arrays(table, d, adagrad, now, ridge, eps, w, G)


cdef inline void fill_plain(
    real* table, int32_t d, const real* w, const real* inv_scale, const real* fourth, real rate,
    bint adagrad,
) noexcept nogil:
    """Cells of the d features before the first step, and what fills up their last group. fourth:
    the L2 penalties, or adagrad's sums of squares; inv_scale: NULL stands for ones."""
    if real is float:
        plain_fillf(table, d, w, inv_scale, fourth, rate, adagrad)
    else:
        plain_fill(table, d, w, inv_scale, fourth, rate, adagrad)
