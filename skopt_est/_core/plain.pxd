# One step of sgd without momentum or of adagrad on a CSR row, at a constant rate and without L1.
#
# A feature is one quad (quads.pxd): its weight, the step at which it was last seen, inv_scale, and
# sgd's log2(1 + rate L2) or adagrad's sum of squares; then L2 is `ridge` times inv_scale squared.
# The penalty's step of a feature's own update waits for the next time that it is seen: k steps
# shrink its weight by (1 + D L2)^-k, D the step size after the last update. Between the groups of
# features it is asked for what later rows need (memory.pxd).
#
# a, b, c, e: the four numbers of a quad, in the order in which they lie there.
#
# In vectors of gcc's and clang's kind: a loop over the few features of a row pays more for looking
# whether its arrays overlap than for the arithmetic, and one over eight of them is unrolled before
# it is vectorised. Elsewhere PLAIN is 0 and cells.pxd does without.
from libc.stdint cimport int32_t

# The next and quads.pxd for their declarations, which the code below needs before it.
from skopt_est._core.memory cimport skopt_ahead
from skopt_est._core.quads cimport whole_lanes
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp

cdef extern from *:
    r"""
    #if defined(QUAD_AT)
    #define PLAIN 1
    #define PLAIN_PARTS 5
    #if defined(__AVX__)
    #include <immintrin.h>
    #endif

    typedef int32_t quad_bitsf __attribute__((vector_size(32)));
    typedef int64_t quad_bits __attribute__((vector_size(32)));
    typedef uint32_t quad_wordsf __attribute__((vector_size(32)));
    typedef uint64_t quad_words __attribute__((vector_size(32)));
    typedef int32_t quad_wholef __attribute__((vector_size(32)));
    typedef int32_t quad_whole __attribute__((vector_size(16)));
    typedef int32_t quad_idsf __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int32_t quad_ids __attribute__((vector_size(16), aligned(4), may_alias));
    VM_EXP_TAILf(quad_vectorf, plain_exp_tailf)
    VM_EXP_TAIL(quad_vector, plain_exp_tail)
    VM_ATANH_TAILf(quad_vectorf, plain_atanh_tailf)
    VM_ATANH_TAIL(quad_vector, plain_atanh_tail)

    QUAD_INLINE quad_vectorf plain_rootf(quad_vectorf x) {
    #if defined(__AVX__)
        return (quad_vectorf) _mm256_sqrt_ps((__m256) x);
    #else
        for (int i = 0; i < QUADSf; i++)
            x[i] = sqrtf(x[i]);
        return x;
    #endif
    }
    QUAD_INLINE quad_vector plain_root(quad_vector x) {
    #if defined(__AVX__)
        return (quad_vector) _mm256_sqrt_pd((__m256d) x);
    #else
        for (int i = 0; i < QUADS; i++)
            x[i] = sqrt(x[i]);
        return x;
    #endif
    }

    /* PLAIN_IDS, PLAIN_VALUES: the entries where `lanes` is set, as it is at the first of them;
     * elsewhere anything but what lies there. */
    #define PLAIN_LANESf ((quad_bitsf) {0, 1, 2, 3, 4, 5, 6, 7})
    #define PLAIN_LANES ((quad_bits) {0, 1, 2, 3})
    #define PLAIN_WHOLEf(lanes) (lanes)
    #define PLAIN_WHOLE(lanes) __builtin_convertvector(lanes, quad_whole)
    #if defined(__AVX2__)
    #define PLAIN_IDSf(p, lanes) (quad_idsf) _mm256_maskload_epi32(p, (__m256i) (lanes))
    #define PLAIN_IDS(p, lanes) (quad_ids) _mm_maskload_epi32(p, (__m128i) PLAIN_WHOLE(lanes))
    #define PLAIN_VALUESf(p, lanes) _mm256_maskload_ps(p, (__m256i) (lanes))
    #define PLAIN_VALUES(p, lanes) _mm256_maskload_pd(p, (__m256i) (lanes))
    #else
    #define PLAIN_PICK(NAME, VECTOR, T, LANES, COUNT) \
    QUAD_INLINE VECTOR NAME(const T *p, LANES lanes) { \
        VECTOR x = {0}; \
        for (int j = 0; j < COUNT; j++) \
            x[j] = p[j & lanes[j]]; \
        return x; \
    }
    PLAIN_PICK(PLAIN_IDSf, quad_idsf, int32_t, quad_bitsf, QUADSf)
    PLAIN_PICK(PLAIN_IDS, quad_ids, int32_t, quad_bits, QUADS)
    PLAIN_PICK(PLAIN_VALUESf, quad_vectorf, float, quad_bitsf, QUADSf)
    PLAIN_PICK(PLAIN_VALUES, quad_vector, double, quad_bits, QUADS)
    #endif

    /* Whether a lane is set, so that what only few groups need is left out in others. */
    #if defined(__AVX__)
    #define PLAIN_ANYf(lanes) _mm256_movemask_ps((__m256) (lanes))
    #define PLAIN_ANY(lanes) _mm256_movemask_pd((__m256d) (lanes))
    #else
    #define PLAIN_ANYf(lanes) 1
    #define PLAIN_ANY(lanes) 1
    #endif

    /* plain_exp2: 2^x for x <= 0, to the rounding of x; 0 where it is not normal; NaN of a NaN;
     *     something for x > 0.
     * plain_log2p: log2(1 + x) for x >= 0, where x is 2 above / (below - above); finite for
     *     infinity, so that no steps of it are none. By the series of the inverse hyperbolic
     *     tangent of above / below; where x > 1, log2(2^k m) = k + log2(m) with 1 <= m < 2: 2^23
     *     (2^52) and k in the bits below make a number.
     * plain_series: that series. */
    #define PLAIN_KEEP(F, x, mask) ((quad_vector##F) ((quad_bits##F) (x) & (mask)))
    #define PLAIN_DIGITSf 0x4B000000
    #define PLAIN_DIGITS 0x4330000000000000
    #define PLAIN_OFFSETf 8388735.0f            /* 2^23 + 127 */
    #define PLAIN_OFFSET 4503599627371519.0     /* 2^52 + 1023 */
    #define PLAIN_ONEf 0x3F800000
    #define PLAIN_ONE 0x3FF0000000000000
    #define PLAIN_EXP2_MINf -125.0f
    #define PLAIN_EXP2_MIN -1021.0
    #if defined(__AVX__)
    #define PLAIN_NEARESTf(x) (quad_wholef) _mm256_cvtps_epi32((__m256) (x))
    #define PLAIN_NEAREST(x) (quad_whole) _mm256_cvtpd_epi32((__m256d) (x))
    #else
    #define PLAIN_NEARESTf(x) __builtin_convertvector( \
        PLAIN_KEEP(f, x, (quad_bitsf) ((x > -200) & (x < 200))) - 0.5f, quad_wholef)
    #define PLAIN_NEAREST(x) __builtin_convertvector( \
        PLAIN_KEEP(, x, (quad_bits) ((x > -2000) & (x < 2000))) - 0.5, quad_whole)
    #endif
    #define PLAIN_LN2f 0.693147182f
    #define PLAIN_LN2 0.6931471805599453
    #define PLAIN_FUNCTIONS(T, F) \
    QUAD_INLINE quad_vector##F plain_exp2##F(quad_vector##F x) { \
        quad_bits##F normal = ~(quad_bits##F) (x < PLAIN_EXP2_MIN##F); \
        quad_whole##F n = PLAIN_NEAREST##F(x); \
        quad_vector##F r = (x - __builtin_convertvector(n, quad_vector##F)) * PLAIN_LN2##F; \
        quad_vector##F square = r * r; \
        r = 1 + (r + square * plain_exp_tail##F(r, square)); \
        x = (quad_vector##F) ( \
            (quad_words##F) r \
            + ((quad_words##F) __builtin_convertvector(n, quad_bits##F) << VM_DIGITS##F)); \
        return PLAIN_KEEP(F, x, normal); \
    } \
    QUAD_INLINE quad_vector##F plain_series##F(quad_vector##F above, quad_vector##F below) { \
        quad_vector##F s = above / below, z = s * s; \
        return (s + s + s * z * plain_atanh_tail##F(z)) * VM_LOG2E##F; \
    } \
    QUAD_INLINE quad_vector##F plain_log2p##F( \
            quad_vector##F x, quad_vector##F above, quad_vector##F below) { \
        quad_bits##F big = (quad_bits##F) (x > 1), bits = (quad_bits##F) (x + 1); \
        quad_vector##F k = (quad_vector##F) ((bits >> VM_DIGITS##F) | PLAIN_DIGITS##F), m; \
        if (!PLAIN_ANY##F(big)) \
            return plain_series##F(above, below); \
        bits = (bits & ((((quad_bits##F) {0} + 1) << VM_DIGITS##F) - 1)) | PLAIN_ONE##F; \
        m = (quad_vector##F) bits; \
        above = (quad_vector##F) (((quad_bits##F) (m - 1) & big) | ((quad_bits##F) above & ~big)); \
        below = (quad_vector##F) (((quad_bits##F) (m + 1) & big) | ((quad_bits##F) below & ~big)); \
        return plain_series##F(above, below) \
            + PLAIN_KEEP(F, k - PLAIN_OFFSET##F, big); \
    } \
    /* The first n of a vector, which may be all that is there. */ \
    QUAD_INLINE quad_vector##F plain_some##F(const T *x, int32_t n) { \
        quad_vector##F some = {0}; \
        if (n == QUADS##F) \
            return *(const quad_vector##F *) x; \
        for (int32_t j = 0; j < n; j++) \
            some[j] = x[j]; \
        return some; \
    } \
    /* 1 / (sqrt(G) + eps), or 0 if nothing was summed */ \
    QUAD_INLINE quad_vector##F plain_size##F(quad_vector##F G, T eps) { \
        return PLAIN_KEEP(F, 1 / (plain_root##F(G) + eps), (quad_bits##F) (G != 0)); \
    } \
    /* The features of a row's last group, where `lanes` is set, else `empty`. Without branches: \
     * rows end anywhere. */ \
    QUAD_INLINE void plain_rest##F( \
            const int32_t *features, quad_bits##F lanes, int32_t empty, int32_t *rest) { \
        quad_ids##F ids = PLAIN_IDS##F(features, lanes) & PLAIN_WHOLE##F(lanes); \
        *(quad_ids##F *) rest = ids | (empty & ~PLAIN_WHOLE##F(lanes)); \
    } \
    /* The next QUADS features of a row and their values; where fewer are left, `empty` and 0 fill \
     * them up. */ \
    QUAD_INLINE const int32_t *plain_group##F( \
            const int32_t *features, const T *values, ptrdiff_t left, int32_t empty, \
            int32_t *rest, quad_vector##F *x) { \
        if (left >= QUADS##F) { \
            *x = *(const quad_vector##F *) values; \
            return features; \
        } \
        quad_bits##F lanes = PLAIN_LANES##F < (int32_t) left; \
        plain_rest##F(features, lanes, empty, rest); \
        *x = PLAIN_KEEP(F, PLAIN_VALUES##F(values, lanes), lanes); \
        return rest; \
    } \
    /* log2(1 + D L2) of adagrad: 1 + k / q, where q divides the step. No penalty before the first \
     * gradient, nor where it is an overflow of inv_scale^2 times none or over another. */ \
    QUAD_INLINE quad_vector##F plain_shrinking##F( \
            quad_vector##F inv_scale, quad_vector##F G, T ridge, T eps) { \
        quad_vector##F q = plain_root##F(G) + eps, k = ridge * (inv_scale * inv_scale), x; \
        quad_bits##F summed = (quad_bits##F) (G != 0); \
        if (!PLAIN_ANY##F(~(quad_bits##F) (k < q))) \
            return PLAIN_KEEP(F, plain_series##F(k, k + (q + q)), summed); \
        x = k / q; \
        return PLAIN_KEEP(F, plain_log2p##F(x, k, k + (q + q)), summed & (quad_bits##F) (x == x)); \
    } \
    /* Returns the sum of x w, x the values in the units of training and w the weights after `now` \
     * steps; both, and the rest of the quads, go to parts (groups, PLAIN_PARTS, features of a \
     * group). adagrad's arithmetic is long enough for a pass of its own: more groups are under \
     * way at a time. */ \
    QUAD_INLINE T plain_forward##F( \
            const T *table, const int32_t *features, const T *values, ptrdiff_t n, \
            int32_t empty, int adagrad, T now, T ridge, T eps, T *parts, skopt_ahead *ahead) { \
        quad_vector##F sums = {0}, a, b, c, e, x; \
        quad_vector##F *part = (quad_vector##F *) parts; \
        int32_t rest[QUADS##F]; \
        T sum = 0; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F, part += PLAIN_PARTS) { \
            const int32_t *at = plain_group##F( \
                features + i, values + i, n - i, empty, rest, &x); \
            quads_load##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
            skopt_ask_entries(ahead, sizeof(T)); \
            skopt_ask_places(ahead, table, 4 * sizeof(T)); \
            x *= c; \
            if (!adagrad) { \
                a *= plain_exp2##F((b - now) * e); \
                sums += x * a; \
            } \
            part[0] = a, part[1] = x, part[2] = c, part[3] = e; \
            if (adagrad) \
                part[4] = b - now; \
        } \
        part = (quad_vector##F *) parts; \
        for (ptrdiff_t i = 0; adagrad && i < n; i += QUADS##F, part += PLAIN_PARTS) { \
            a = part[0]; \
            a *= plain_exp2##F(part[4] * plain_shrinking##F(part[2], part[3], ridge, eps)); \
            sums += part[1] * a; \
            part[0] = a; \
        } \
        for (int j = 0; j < QUADS##F; j++) \
            sum += sums[j]; \
        return sum; \
    } \
    /* The step, with this derivative of the loss. What fills up the last group goes to `spare`, \
     * which nothing reads: to load it next would be to wait for this. */ \
    QUAD_INLINE void plain_backward##F( \
            T *table, const int32_t *features, ptrdiff_t n, int32_t spare, int adagrad, T now, \
            T gradient, T eta, T eps, const T *parts, skopt_ahead *ahead) { \
        quad_vector##F a, b = {0}, c, e, g; \
        const quad_vector##F *part = (const quad_vector##F *) parts; \
        const int32_t *at; \
        int32_t rest[QUADS##F]; \
        T step = gradient * eta; \
        b += now; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F, part += PLAIN_PARTS) { \
            a = part[0], g = part[1], c = part[2], e = part[3]; \
            skopt_ask_places(ahead, table, 4 * sizeof(T)); \
            if (adagrad) { \
                g *= gradient; \
                e += g * g; \
                a -= eta * plain_size##F(e, eps) * g; \
            } else { \
                a -= step * g; \
            } \
            at = features + i; \
            if (n - i < QUADS##F) { \
                plain_rest##F(at, PLAIN_LANES##F < (int32_t) (n - i), spare, rest); \
                at = rest; \
            } \
            quads_store##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
        } \
    } \
    /* Cells of the d features before the first step; fourth: the L2 penalties, or adagrad's sums \
     * of squares. */ \
    static void plain_fill##F( \
            T *table, int32_t d, const T *w, const T *inv_scale, const T *fourth, T rate, \
            int adagrad) { \
        quad_vector##F a, b = {0}, c = {0}, e; \
        int32_t at[QUADS##F]; \
        c += 1; \
        for (ptrdiff_t first = 0; first < d; first += QUADS##F) { \
            int32_t n = d - first < QUADS##F ? (int32_t) (d - first) : QUADS##F; \
            for (int32_t j = 0; j < QUADS##F; j++) \
                at[j] = j < n ? (int32_t) first + j : d + 1; \
            a = plain_some##F(w + first, n); \
            e = plain_some##F(fourth + first, n); \
            if (inv_scale) \
                c = plain_some##F(inv_scale + first, n); \
            if (!adagrad) \
                e = plain_log2p##F(rate * e, rate * e, rate * e + 2); \
            quads_store##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
        } \
    } \
    /* Weights of the d features after `now` steps, and adagrad's sums of squares, as arrays. */ \
    static void plain_arrays##F( \
            const T *table, int32_t d, int adagrad, T now, T ridge, T eps, T *w, T *G) { \
        quad_vector##F a, b, c, e; \
        int32_t at[QUADS##F]; \
        for (ptrdiff_t first = 0; first < d; first += QUADS##F) { \
            int32_t n = d - first < QUADS##F ? (int32_t) (d - first) : QUADS##F; \
            for (int32_t j = 0; j < QUADS##F; j++) \
                at[j] = (int32_t) first + (j < n ? j : 0); \
            quads_load##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
            a *= plain_exp2##F( \
                (b - now) * (adagrad ? plain_shrinking##F(c, e, ridge, eps) : e)); \
            if (n == QUADS##F) { \
                *(quad_vector##F *) (w + first) = a; \
                if (adagrad) \
                    *(quad_vector##F *) (G + first) = e; \
            } \
            for (int32_t j = 0; j < n && n < QUADS##F; j++) { \
                w[first + j] = a[j]; \
                if (adagrad) \
                    G[first + j] = e[j]; \
            } \
        } \
    }
    PLAIN_FUNCTIONS(float, f)
    PLAIN_FUNCTIONS(double, )

    #else
    #define PLAIN 0
    #define plain_forwardf(...) 0
    #define plain_forward(...) 0
    #define plain_backwardf(...) ((void) 0)
    #define plain_backward(...) ((void) 0)
    #define plain_arraysf(...) ((void) 0)
    #define plain_arrays(...) ((void) 0)
    #define plain_fillf(...) ((void) 0)
    #define plain_fill(...) ((void) 0)
    #endif
    """
    const bint PLAIN
    float plain_forwardf(
        const float* table, const int32_t* features, const float* values, Py_ssize_t n,
        int32_t empty, bint adagrad, float now, float ridge, float eps, float* parts,
        skopt_ahead* ahead) noexcept nogil
    double plain_forward(
        const double* table, const int32_t* features, const double* values, Py_ssize_t n,
        int32_t empty, bint adagrad, double now, double ridge, double eps, double* parts,
        skopt_ahead* ahead) noexcept nogil
    void plain_backwardf(
        float* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad,
        float now, float gradient, float eta, float eps, const float* parts,
        skopt_ahead* ahead) noexcept nogil
    void plain_backward(
        double* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad,
        double now, double gradient, double eta, double eps, const double* parts,
        skopt_ahead* ahead) noexcept nogil
    void plain_arraysf(
        const float* table, int32_t d, bint adagrad, float now, float ridge, float eps, float* w,
        float* G) noexcept nogil
    void plain_arrays(
        const double* table, int32_t d, bint adagrad, double now, double ridge, double eps,
        double* w, double* G) noexcept nogil
    void plain_fillf(
        float* table, int32_t d, const float* w, const float* inv_scale, const float* fourth,
        float rate, bint adagrad) noexcept nogil
    void plain_fill(
        double* table, int32_t d, const double* w, const double* inv_scale, const double* fourth,
        double rate, bint adagrad) noexcept nogil


cdef inline real forward_plain(
    const real* table, const int32_t* features, const real* values, Py_ssize_t n, int32_t empty,
    bint adagrad, real now, real ridge, real eps, real* parts, skopt_ahead* ahead,
) noexcept nogil:
    """The sum of x w, x the values in the units of training, and w the weights after so many
    steps; `ridge` is times the rate."""
    if real is float:
        if adagrad:
            return plain_forwardf(table, features, values, n, empty, True, now, ridge, eps, parts,
                                  ahead)
        return plain_forwardf(table, features, values, n, empty, False, now, ridge, eps, parts,
                              ahead)
    else:
        if adagrad:
            return plain_forward(table, features, values, n, empty, True, now, ridge, eps, parts,
                                 ahead)
        return plain_forward(table, features, values, n, empty, False, now, ridge, eps, parts,
                             ahead)


cdef inline void backward_plain(
    real* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad, real now,
    real gradient, real eta, real eps, const real* parts, skopt_ahead* ahead,
) noexcept nogil:
    """The step from there, with this derivative of the loss."""
    if real is float:
        if adagrad:
            plain_backwardf(table, features, n, spare, True, now, gradient, eta, eps, parts, ahead)
        else:
            plain_backwardf(table, features, n, spare, False, now, gradient, eta, eps, parts, ahead)
    else:
        if adagrad:
            plain_backward(table, features, n, spare, True, now, gradient, eta, eps, parts, ahead)
        else:
            plain_backward(table, features, n, spare, False, now, gradient, eta, eps, parts, ahead)


cdef inline void arrays_plain(
    const real* table, int32_t d, bint adagrad, real now, real ridge, real eps, real* w, real* G,
) noexcept nogil:
    """Weights of the d features after so many steps, and adagrad's sums of squares, as arrays."""
    if real is float:
        plain_arraysf(table, d, adagrad, now, ridge, eps, w, G)
    else:
        plain_arrays(table, d, adagrad, now, ridge, eps, w, G)


cdef inline void fill_plain(
    real* table, int32_t d, const real* w, const real* inv_scale, const real* fourth, real rate,
    bint adagrad,
) noexcept nogil:
    """Cells of the d features before the first step. fourth: the L2 penalties, or adagrad's sums of
    squares; inv_scale: NULL stands for ones."""
    if real is float:
        plain_fillf(table, d, w, inv_scale, fourth, rate, adagrad)
    else:
        plain_fill(table, d, w, inv_scale, fourth, rate, adagrad)
