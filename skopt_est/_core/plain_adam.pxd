# One step of Adam on a CSR row, without L1, in the vectors of powers.pxd. A feature is the cell of
# cells.pxd, two quads: weight, the number of steps that it has had, inv_scale and L2; the moments m
# and v, the step size D, and the table `tail` of lazy.pxd at that number. What it missed is made up
# for as in absent.pxd, its step is that of solvers.pxd; `row_step`, which calls those, is the
# oracle.
from libc.stdint cimport int32_t, uint32_t

# These for their declarations, which the code below needs before it.
from skopt_est._core.memory cimport skopt_ahead
from skopt_est._core.places cimport list_all
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    /* The steps that a feature missed, and one step, of Adam. */
    typedef struct {
        double now, eps, ratio, log_ratio, log_decay_1, log_decay_2, tail_now, tiny;
        double move, final, turn, log_turn, even;   /* see missed in cells.pxd */
        int ratio_is_decays;    /* see Cells */
    } plain_absent;
    typedef struct { double beta_1, beta_2, eta, eta_m, root, eps, tiny, tail; } plain_adam;

    #if PLAIN
    /* Of a group of features in parts: weight, value, inv_scale, L2, m, v, D, tail, and the steps
     * that were missed. */
    #define PLAIN_ADAM_PARTS 9
    #define PLAIN_ADAM_SHIFTf 5
    #define PLAIN_ADAM_SHIFT 6
    /* all bits but the sign */
    #define PLAIN_UNSIGNEDf 0x7FFFFFFF
    #define PLAIN_UNSIGNED 0x7FFFFFFFFFFFFFFF
    #define PLAIN_TURNS 1.005   /* nearer to 1, moves count whose rates are another's */
    #define PLAIN_ADAM(T, F) \
    /* plain_absent in the type of the table */ \
    typedef struct { \
        T now, eps, ratio, other, log_ratio, log_decay_1, log_root, tail_now, tiny, final, turn; \
        T log_turn, even; \
        int ratio_is_decays; \
    } plain_missed##F; \
    QUAD_INLINE plain_missed##F plain_missing##F(const plain_absent *a) { \
        plain_missed##F b = { \
            (T) a->now, (T) a->eps, (T) a->ratio, (T) (1 - a->ratio), (T) a->log_ratio, \
            (T) a->log_decay_1, (T) (0.5 * a->log_decay_2), (T) a->tail_now, (T) a->tiny, \
            (T) a->final, (T) a->turn, (T) a->log_turn, (T) a->even, a->ratio_is_decays}; \
        return b; \
    } \
    /* Without what is nearer to zero than `tiny`; NaN stays. */ \
    QUAD_INLINE quad_vector##F plain_without##F(quad_vector##F moment, T tiny) { \
        quad_vector##F size = (quad_vector##F) ((quad_bits##F) moment & PLAIN_UNSIGNED##F); \
        return PLAIN_KEEP(F, moment, ~(quad_bits##F) (size < tiny)); \
    } \
    QUAD_INLINE void plain_adam_take##F( \
            const T *table, const uint32_t *places, T now, quad_vector##F *part) { \
        quad_vector##F last; \
        places_load##F(table, places, 0, part, &last, part + 2, part + 3); \
        places_load##F(table, places, 4, part + 4, part + 5, part + 6, part + 7); \
        part[8] = now - last; \
    } \
    /* The steps that a group missed. Where their moves shrink faster than the penalty makes \
     * weights shrink, as absent.pxd has it, but that kappa is times what the penalty left, which \
     * may be nothing. Else the last moves count most, and those before are larger by 1 / turn \
     * each, if they came since the rates' last jump. Moments may be left next to zero: the step \
     * that follows looks at them again. Returns where neither is near enough. */ \
    QUAD_INLINE quad_bits##F plain_adam_up##F( \
            quad_vector##F *part, const plain_missed##F *steps) { \
        quad_vector##F m = part[4], v = part[5], away = part[8], y = part[6] * part[3]; \
        quad_vector##F ratio = steps->ratio * (1 + y), turns, trailing; \
        quad_vector##F growth = plain_slight##F(y); \
        quad_vector##F kept = plain_exp2##F(-away * growth); \
        quad_vector##F decayed = plain_exp2##F(away * steps->log_ratio); \
        quad_vector##F root = plain_exp2##F(away * steps->log_root); \
        quad_vector##F decay = decayed * root; \
        quad_vector##F way = (part[7] - decayed * steps->tail_now) \
            * (steps->other * (kept - decayed)); \
        quad_vector##F below = (1 - ratio) * (1 - decayed); \
        quad_bits##F missed = (quad_bits##F) (away > 0); \
        quad_bits##F outrun = (quad_bits##F) (ratio > (T) 0.999); \
        quad_bits##F odd = (quad_bits##F) (kept != kept); \
        if (!steps->ratio_is_decays) \
            decay = plain_exp2##F(away * steps->log_decay_1); \
        if (PLAIN_LANES_OF##F(outrun)) { \
            turns = steps->turn * (1 + y); \
            trailing = decayed * steps->final \
                * (1 - plain_exp2##F(-away * (growth + steps->log_turn))); \
            way = PLAIN_KEEP(F, trailing, outrun) + PLAIN_KEEP(F, way, ~outrun); \
            below = PLAIN_KEEP(F, turns - 1, outrun) + PLAIN_KEEP(F, below, ~outrun); \
            odd |= outrun & missed & ~((quad_bits##F) (turns > (T) PLAIN_TURNS) \
                                       & (quad_bits##F) (away <= steps->even)); \
        } \
        way *= m / (below * (plain_root##F(v) + steps->eps)); \
        part[0] = kept * part[0] - PLAIN_KEEP(F, way, missed & (quad_bits##F) (m != 0)); \
        part[4] = m * decay; \
        part[5] = v * (root * root); \
        return odd; \
    } \
    /* First all that belongs to the features, then the arithmetic, a pass of its own so that more \
     * groups are under way at a time. Returns 0 if a feature has no closed form. */ \
    QUAD_INLINE int plain_adam_forward##F( \
            const T *table, const uint32_t *places, const T *values, ptrdiff_t n, int32_t empty, \
            const plain_absent *absent, T *parts, T *z, const skopt_ahead *ahead) { \
        quad_vector##F sums = {0}, *part = (quad_vector##F *) parts; \
        quad_bits##F odd = {0}; \
        const plain_missed##F steps = plain_missing##F(absent); \
        const ptrdiff_t whole = places_whole##F(ahead); \
        ptrdiff_t i = 0, entries = 0; \
        for (; i < n; i += QUADS##F, entries += 64, part += PLAIN_ADAM_PARTS) { \
            plain_adam_take##F(table, places + i, steps.now, part); \
            part[1] = *(const quad_vector##F *) (values + i) * part[2]; \
            skopt_ask_entries(ahead, entries, sizeof(T)); \
        } \
        part = (quad_vector##F *) parts; \
        for (i = 0; i < n; i += QUADS##F, part += PLAIN_ADAM_PARTS) { \
            places_list##F(ahead, i, whole, table, PLAIN_ADAM_SHIFT##F); \
            odd |= plain_adam_up##F(part, &steps); \
            sums += part[0] * part[1]; \
        } \
        places_rest##F(ahead, i, entries, table, PLAIN_ADAM_SHIFT##F, empty); \
        *z = plain_sum##F(sums); \
        return !PLAIN_LANES_OF##F(odd); \
    } \
    /* Groups of features from `first` on after absent->now steps, as arrays; the cells are then \
     * those of the next epoch, whose table begins with `tail`. Returns the first feature of a \
     * group that is not whole or has no closed form, or d. The L2 penalty of those before is \
     * added. */ \
    static int32_t plain_adam_arrays##F( \
            T *table, int32_t first, int32_t d, const plain_absent *absent, T tail, T *w, T *m, \
            T *v, T *D, double *penalty) { \
        const quad_vector##F none = {0}; \
        quad_vector##F part[PLAIN_ADAM_PARTS]; \
        quad_vector squares = {0}; \
        const plain_missed##F steps = plain_missing##F(absent); \
        for (; d - first >= QUADS##F; first += QUADS##F) { \
            T *cells = table + 8 * (ptrdiff_t) first; \
            places_read##F(cells, 8, part, part + 8, part + 2, part + 3); \
            places_read##F(cells + 4, 8, part + 4, part + 5, part + 6, part + 7); \
            part[8] = steps.now - part[8]; \
            if (PLAIN_LANES_OF##F(plain_adam_up##F(part, &steps))) \
                break; \
            part[4] = plain_without##F(part[4], steps.tiny); \
            part[5] = plain_without##F(part[5], steps.tiny); \
            places_fill##F(cells, 8, part[0], none, part[2], part[3]); \
            places_fill##F(cells + 4, 8, part[4], part[5], part[6], none + tail); \
            *(quad_vector##F *) (w + first) = part[0]; \
            *(quad_vector##F *) (m + first) = part[4]; \
            *(quad_vector##F *) (v + first) = part[5]; \
            *(quad_vector##F *) (D + first) = part[6]; \
            squares += plain_products##F(part[0], part[0] * part[3]); \
        } \
        *penalty += 0.5 * plain_sum(squares); \
        return first; \
    } \
    QUAD_INLINE void plain_adam_backward##F( \
            T *table, const uint32_t *places, ptrdiff_t n, T now, T gradient, \
            const plain_adam *h, const T *parts) { \
        quad_vector##F a, b = {0}, e, m, v, D, tail = {0}, g, q, moved = {0}; \
        const quad_vector##F *part = (const quad_vector##F *) parts; \
        T low = (T) h->tiny; \
        b += now; \
        tail += (T) h->tail; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F, part += PLAIN_ADAM_PARTS) { \
            a = part[0], g = part[1] * gradient, e = part[3]; \
            m = part[4], v = part[5], D = part[6]; \
            m = (T) h->beta_1 * m + (T) (1 - h->beta_1) * g; \
            m = plain_without##F(m, low); \
            v = (T) h->beta_2 * v + (T) (1 - h->beta_2) * g * g; \
            v = plain_without##F(v, low); \
            q = 1 / (plain_root##F(v) * (T) h->root + (T) h->eps); \
            moved = (quad_vector##F) (g != 0); \
            D = PLAIN_KEEP(F, (T) h->eta * q, (quad_bits##F) moved) \
                + PLAIN_KEEP(F, D, ~(quad_bits##F) moved); \
            a = (a - (T) h->eta_m * m * q) / (1 + D * e); \
            places_store_two##F(table, places + i, a, b); \
            places_store##F(table, places + i, 4, m, v, D, tail); \
        } \
    }
    PLAIN_ADAM(float, f)
    PLAIN_ADAM(double, )
    #else
    #define plain_adam_forwardf(...) 0
    #define plain_adam_forward(...) 0
    #define plain_adam_arraysf(...) 0
    #define plain_adam_arrays(...) 0
    #define plain_adam_backwardf(...) ((void) 0)
    #define plain_adam_backward(...) ((void) 0)
    #endif
    """
    ctypedef struct plain_absent:
        double now, eps, ratio, log_ratio, log_decay_1, log_decay_2, tail_now, tiny
        double move, final, turn, log_turn, even
        int ratio_is_decays
    ctypedef struct plain_adam:
        double beta_1, beta_2, eta, eta_m, root, eps, tiny, tail
    bint plain_adam_forwardf(
        const float* table, const uint32_t* places, const float* values, Py_ssize_t n,
        int32_t empty, const plain_absent* absent, float* parts, float* z,
        const skopt_ahead* ahead) noexcept nogil
    bint plain_adam_forward(
        const double* table, const uint32_t* places, const double* values, Py_ssize_t n,
        int32_t empty, const plain_absent* absent, double* parts, double* z,
        const skopt_ahead* ahead) noexcept nogil
    int32_t plain_adam_arraysf(
        float* table, int32_t first, int32_t d, const plain_absent* absent, float tail, float* w,
        float* m, float* v, float* D, double* penalty) noexcept nogil
    int32_t plain_adam_arrays(
        double* table, int32_t first, int32_t d, const plain_absent* absent, double tail,
        double* w, double* m, double* v, double* D, double* penalty) noexcept nogil
    void plain_adam_backwardf(
        float* table, const uint32_t* places, Py_ssize_t n, float now, float gradient,
        const plain_adam* h, const float* parts) noexcept nogil
    void plain_adam_backward(
        double* table, const uint32_t* places, Py_ssize_t n, double now, double gradient,
        const plain_adam* h, const double* parts) noexcept nogil


cdef inline bint forward_adam(
    const real* table, const uint32_t* places, const real* values, Py_ssize_t n, int32_t empty,
    const plain_absent* absent, real* parts, real* z, const skopt_ahead* ahead,
) noexcept nogil:
    """z <- the sum of x w, x the values in the units of training, and w the weights after
    absent.now steps; with all that belongs to the features they go to parts. Lists and asks for
    what is ahead. False, and parts are of no use, if a feature has no closed form."""
    if real is float:
        return plain_adam_forwardf(table, places, values, n, empty, absent, parts, z, ahead)
    else:
        return plain_adam_forward(table, places, values, n, empty, absent, parts, z, ahead)


cdef inline void backward_adam(
    real* table, const uint32_t* places, Py_ssize_t n, real now, real gradient,
    const plain_adam* h, const real* parts,
) noexcept nogil:
    if real is float:
        plain_adam_backwardf(table, places, n, now, gradient, h, parts)
    else:
        plain_adam_backward(table, places, n, now, gradient, h, parts)


cdef inline int32_t arrays_adam(
    real* table, int32_t first, int32_t d, const plain_absent* absent, real tail, real* w,
    real** slots, double* penalty,
) noexcept nogil:
    """Features from `first` on after absent.now steps, as arrays, and in their cells as the next
    epoch begins, whose table begins with `tail`; their penalty is added to that of others. Returns
    the first that is left, as it has no closed form or its group is not whole: d at last."""
    if real is float:
        return plain_adam_arraysf(table, first, d, absent, tail, w, slots[0], slots[1], slots[2],
                                  penalty)
    else:
        return plain_adam_arrays(table, first, d, absent, tail, w, slots[0], slots[1], slots[2],
                                 penalty)
