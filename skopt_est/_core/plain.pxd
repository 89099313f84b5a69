# One step of sgd, adagrad or Adam on a CSR row, without L1.
#
# sgd without momentum and adagrad, at a constant rate: a feature is one quad (quads.pxd): its
# weight, the step at which it was last seen, inv_scale, and sgd's log(1 + rate L2) or adagrad's sum
# of squares; then L2 is `ridge` times inv_scale squared. The penalty's step of a feature's own
# update waits for the next time that it is seen: k steps shrink its weight by (1 + D L2)^-k, D the
# step size after the last update.
#
# Adam: the cell of cells.pxd. What it missed is made up for as in absent.pxd, its step is that of
# solvers.pxd; `row_step`, which calls those, is the oracle.
#
# a, b, c, e: the four numbers of a quad, in the order in which they lie there.
#
# In vectors of gcc's and clang's kind: a loop over the few features of a row pays more for looking
# whether its arrays overlap than for the arithmetic, and one over eight of them is unrolled before
# it is vectorised. Elsewhere PLAIN is 0 and cells.pxd does without.
from libc.stdint cimport int32_t

# For its declarations, which the code below needs before it.
from skopt_est._core.quads cimport whole_lanes
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp

cdef extern from *:
    r"""
    /* The steps that a feature missed, and one step, of Adam. */
    typedef struct {
        double now, eps, ratio, log_ratio, log_decay_1, log_decay_2, tail_now;
        const double *tail;
    } plain_absent;
    typedef struct { double beta_1, beta_2, eta, eta_m, root, eps, tiny; } plain_adam;

    #if defined(QUAD_AT)
    #define PLAIN 1
    #define PLAIN_UNROLL _Pragma("GCC unroll 8")
    #if defined(__AVX__)
    #include <immintrin.h>
    #endif

    typedef int32_t quad_bitsf __attribute__((vector_size(32)));
    typedef int64_t quad_bits __attribute__((vector_size(32)));
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

    /* plain_exp: exp(x) for x <= 0, to the rounding of x; 0 where it is not normal; NaN of a NaN.
     * plain_log1p: for x >= 0; finite for infinity, so that no steps of it are none. Above 1,
     *     log(2^k m) = k log(2) + log(m) with 1 <= m < 2; 2^23 (2^52) and k in the bits below make
     *     a number. */
    #define PLAIN_KEEP(F, x, mask) ((quad_vector##F) ((quad_bits##F) (x) & (mask)))
    #define PLAIN_DIGITSf 0x4B000000
    #define PLAIN_DIGITS 0x4330000000000000
    #define PLAIN_OFFSETf 8388735.0f            /* 2^23 + 127 */
    #define PLAIN_OFFSET 4503599627371519.0     /* 2^52 + 1023 */
    #define PLAIN_ONEf 0x3F800000
    #define PLAIN_ONE 0x3FF0000000000000
    #define PLAIN_LN2f 0.693147182f
    #define PLAIN_LN2 0.6931471805599453
    #define PLAIN_FUNCTIONS(T, F) \
    QUAD_INLINE quad_vector##F plain_exp##F(quad_vector##F x) { \
        quad_bits##F normal = ~(quad_bits##F) (x < VM_EXP_MIN##F + 1), power; \
        x = PLAIN_KEEP(F, x, normal); \
        quad_whole##F n = __builtin_convertvector(x * VM_LOG2E##F - (T) 0.5, quad_whole##F); \
        quad_vector##F r = x - __builtin_convertvector(n, quad_vector##F) * PLAIN_LN2##F; \
        quad_vector##F square = r * r; \
        r += square * plain_exp_tail##F(r, square); \
        power = (__builtin_convertvector(n, quad_bits##F) + VM_BIAS##F) << VM_DIGITS##F; \
        r = (quad_vector##F) power * r + (quad_vector##F) power; \
        return PLAIN_KEEP(F, r, normal); \
    } \
    QUAD_INLINE quad_vector##F plain_log1p##F(quad_vector##F x) { \
        quad_bits##F big = (quad_bits##F) (x > 1), bits = (quad_bits##F) (x + 1); \
        quad_vector##F k = (quad_vector##F) ((bits >> VM_DIGITS##F) | PLAIN_DIGITS##F); \
        quad_vector##F m, s, z; \
        bits = (bits & ((((quad_bits##F) {0} + 1) << VM_DIGITS##F) - 1)) | PLAIN_ONE##F; \
        m = (quad_vector##F) bits - 1; \
        x = (quad_vector##F) (((quad_bits##F) m & big) | ((quad_bits##F) x & ~big)); \
        s = x / (2 + x); \
        z = s * s; \
        k = PLAIN_KEEP(F, k - PLAIN_OFFSET##F, big); \
        return x - s * (x - z * plain_atanh_tail##F(z)) + k * PLAIN_LN2##F; \
    } \
    /* Of whole vectors, in place. */ \
    QUAD_INLINE void plain_log1p_all##F(T *x, ptrdiff_t n) { \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F) \
            *(quad_vector##F *) (x + i) = plain_log1p##F(*(quad_vector##F *) (x + i)); \
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
    /* Returns the sum of x w, x the values in the units of training and w the weights after `now` \
     * steps; both, and the rest of the quads, go to the arrays, up to whole vectors. */ \
    QUAD_INLINE T plain_forward##F( \
            const T *table, const int32_t *features, const T *values, ptrdiff_t n, \
            int32_t empty, int adagrad, T now, T ridge, T eps, T *w, T *inv_scale, T *fourth, \
            T *x) { \
        quad_vector##F sums = {0}, a, b, c, e, v, away; \
        int32_t rest[QUADS##F]; \
        T sum = 0; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F) { \
            const int32_t *at = plain_group##F( \
                features + i, values + i, n - i, empty, rest, &v); \
            quads_load##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
            away = e; \
            if (adagrad) { \
                /* no penalty where it is 0 times an overflow: of inv_scale^2, or of the size */ \
                away = ridge * (c * c * plain_size##F(e, eps)); \
                away = plain_log1p##F(PLAIN_KEEP(F, away, (quad_bits##F) (away == away))); \
            } \
            a *= plain_exp##F((b - now) * away); \
            v *= c; \
            sums += v * a; \
            *(quad_vector##F *) (w + i) = a; \
            *(quad_vector##F *) (inv_scale + i) = c; \
            *(quad_vector##F *) (fourth + i) = e; \
            *(quad_vector##F *) (x + i) = v; \
        } \
        for (int j = 0; j < QUADS##F; j++) \
            sum += sums[j]; \
        return sum; \
    } \
    /* The step, with this derivative of the loss. What fills up the last group goes to `spare`,
     * which nothing reads: to load it next would be to wait for this. */ \
    QUAD_INLINE void plain_backward##F( \
            T *table, const int32_t *features, ptrdiff_t n, int32_t spare, int adagrad, T now, \
            T gradient, T eta, T eps, const T *w, const T *inv_scale, const T *fourth, \
            const T *x) { \
        quad_vector##F a, b = {0}, c, e, g; \
        const int32_t *at; \
        int32_t rest[QUADS##F]; \
        b += now; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F) { \
            a = *(const quad_vector##F *) (w + i); \
            c = *(const quad_vector##F *) (inv_scale + i); \
            e = *(const quad_vector##F *) (fourth + i); \
            g = *(const quad_vector##F *) (x + i); \
            if (adagrad) { \
                g *= gradient; \
                e += g * g; \
                a -= eta * plain_size##F(e, eps) * g; \
            } else { \
                a -= gradient * eta * g; \
            } \
            at = features + i; \
            if (n - i < QUADS##F) { \
                plain_rest##F(at, PLAIN_LANES##F < (int32_t) (n - i), spare, rest); \
                at = rest; \
            } \
            quads_store##F(table, 4, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
        } \
    }
    PLAIN_FUNCTIONS(float, f)
    PLAIN_FUNCTIONS(double, )

    /* Adam: two quads, the second of the moments m, v, of D and a number that stays. */

    /* As absent.pxd has it, but that kappa is times what the penalty left, which may be nothing;
     * returns 0 if a feature has no closed form. */
    #define PLAIN_ADAM(T, F) \
    QUAD_INLINE quad_vector##F plain_decay##F( \
            quad_vector##F moment, quad_vector##F away, T exponent, T tiny) { \
        moment *= plain_exp##F(away * exponent); \
        return PLAIN_KEEP(F, moment, (quad_bits##F) ((moment >= tiny) | (moment <= -tiny) \
                                                     | (moment != moment))); \
    } \
    QUAD_INLINE int plain_adam_forward##F( \
            const T *table, const int32_t *features, const T *values, ptrdiff_t n, \
            int32_t empty, const plain_absent *absent, T tiny, T *parts, T *z) { \
        quad_vector##F sums = {0}, a, b, c, e, m, v, D, l1, x, away, tail = {0}, y, kept, decayed; \
        quad_vector##F ratio, kappa, way; \
        quad_bits##F odd = {0}; \
        T r = (T) absent->ratio; \
        int32_t rest[QUADS##F]; \
        T sum = 0; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F, parts += 8 * QUADS##F) { \
            const int32_t *at = plain_group##F( \
                features + i, values + i, n - i, empty, rest, &x); \
            PLAIN_UNROLL for (int j = 0; j < QUADS##F; j++) \
                tail[j] = (T) absent->tail[(ptrdiff_t) table[at[j] * (ptrdiff_t) 8 + 1]]; \
            quads_load##F(table, 8, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
            quads_load##F(table + 4, 8, at, (T *) &m, (T *) &v, (T *) &D, (T *) &l1); \
            away = (T) absent->now - b; \
            y = D * e; \
            ratio = r * (1 + y); \
            odd |= (quad_bits##F) (ratio > (T) 0.999) & (quad_bits##F) (away > 0); \
            kept = plain_exp##F(-away * plain_log1p##F(y)); \
            decayed = plain_exp##F(away * (T) absent->log_ratio); \
            odd |= (quad_bits##F) (kept != kept); \
            kappa = (1 - r) * (kept - decayed) / ((1 - ratio) * (1 - decayed)); \
            kappa = PLAIN_KEEP(F, kappa, (quad_bits##F) (away > 0)); \
            way = m * (tail - decayed * (T) absent->tail_now) * kappa \
                / (plain_root##F(v) + (T) absent->eps); \
            way = PLAIN_KEEP(F, way, (quad_bits##F) (m != 0)); \
            a = kept * a - way; \
            m = plain_decay##F(m, away, (T) absent->log_decay_1, tiny); \
            v = plain_decay##F(v, away, (T) absent->log_decay_2, tiny); \
            x *= c; \
            sums += x * a; \
            *(quad_vector##F *) parts = a; \
            *(quad_vector##F *) (parts + QUADS##F) = x; \
            *(quad_vector##F *) (parts + 2 * QUADS##F) = c; \
            *(quad_vector##F *) (parts + 3 * QUADS##F) = e; \
            *(quad_vector##F *) (parts + 4 * QUADS##F) = m; \
            *(quad_vector##F *) (parts + 5 * QUADS##F) = v; \
            *(quad_vector##F *) (parts + 6 * QUADS##F) = D; \
            *(quad_vector##F *) (parts + 7 * QUADS##F) = l1; \
        } \
        for (int j = 0; j < QUADS##F; j++) { \
            sum += sums[j]; \
            if (odd[j]) \
                return 0; \
        } \
        *z = sum; \
        return 1; \
    } \
    QUAD_INLINE void plain_adam_backward##F( \
            T *table, const int32_t *features, ptrdiff_t n, int32_t spare, T now, T gradient, \
            const plain_adam *h, const T *parts) { \
        quad_vector##F a, b = {0}, c, e, m, v, D, l1, g, q, moved = {0}; \
        const int32_t *at; \
        int32_t rest[QUADS##F]; \
        T low = (T) h->tiny; \
        b += now; \
        for (ptrdiff_t i = 0; i < n; i += QUADS##F, parts += 8 * QUADS##F) { \
            a = *(const quad_vector##F *) parts; \
            g = *(const quad_vector##F *) (parts + QUADS##F) * gradient; \
            c = *(const quad_vector##F *) (parts + 2 * QUADS##F); \
            e = *(const quad_vector##F *) (parts + 3 * QUADS##F); \
            m = *(const quad_vector##F *) (parts + 4 * QUADS##F); \
            v = *(const quad_vector##F *) (parts + 5 * QUADS##F); \
            D = *(const quad_vector##F *) (parts + 6 * QUADS##F); \
            l1 = *(const quad_vector##F *) (parts + 7 * QUADS##F); \
            m = (T) h->beta_1 * m + (T) (1 - h->beta_1) * g; \
            m = PLAIN_KEEP(F, m, (quad_bits##F) ((m >= low) | (m <= -low) | (m != m))); \
            v = (T) h->beta_2 * v + (T) (1 - h->beta_2) * g * g; \
            v = PLAIN_KEEP(F, v, (quad_bits##F) ((v >= low) | (v != v))); \
            q = 1 / (plain_root##F(v) * (T) h->root + (T) h->eps); \
            moved = (quad_vector##F) (g != 0); \
            D = PLAIN_KEEP(F, (T) h->eta * q, (quad_bits##F) moved) \
                + PLAIN_KEEP(F, D, ~(quad_bits##F) moved); \
            a = (a - (T) h->eta_m * m * q) / (1 + D * e); \
            at = features + i; \
            if (n - i < QUADS##F) { \
                plain_rest##F(at, PLAIN_LANES##F < (int32_t) (n - i), spare, rest); \
                at = rest; \
            } \
            quads_store##F(table, 8, at, (T *) &a, (T *) &b, (T *) &c, (T *) &e); \
            quads_store##F(table + 4, 8, at, (T *) &m, (T *) &v, (T *) &D, (T *) &l1); \
        } \
    }
    PLAIN_ADAM(float, f)
    PLAIN_ADAM(double, )
    #else
    #define plain_adam_forwardf(...) 0
    #define plain_adam_forward(...) 0
    #define plain_adam_backwardf(...) ((void) 0)
    #define plain_adam_backward(...) ((void) 0)
    #define PLAIN 0
    #define plain_forwardf(...) 0
    #define plain_forward(...) 0
    #define plain_backwardf(...) ((void) 0)
    #define plain_backward(...) ((void) 0)
    #define plain_log1p_allf(...) ((void) 0)
    #define plain_log1p_all(...) ((void) 0)
    #endif
    """
    const bint PLAIN
    ctypedef struct plain_absent:
        double now, eps, ratio, log_ratio, log_decay_1, log_decay_2, tail_now
        const double* tail
    ctypedef struct plain_adam:
        double beta_1, beta_2, eta, eta_m, root, eps, tiny
    bint plain_adam_forwardf(
        const float* table, const int32_t* features, const float* values, Py_ssize_t n,
        int32_t empty, const plain_absent* absent, float tiny, float* parts, float* z,
    ) noexcept nogil
    bint plain_adam_forward(
        const double* table, const int32_t* features, const double* values, Py_ssize_t n,
        int32_t empty, const plain_absent* absent, double tiny, double* parts, double* z,
    ) noexcept nogil
    void plain_adam_backwardf(
        float* table, const int32_t* features, Py_ssize_t n, int32_t spare, float now,
        float gradient, const plain_adam* h, const float* parts) noexcept nogil
    void plain_adam_backward(
        double* table, const int32_t* features, Py_ssize_t n, int32_t spare, double now,
        double gradient, const plain_adam* h, const double* parts) noexcept nogil
    float plain_forwardf(
        const float* table, const int32_t* features, const float* values, Py_ssize_t n,
        int32_t empty, bint adagrad, float now, float ridge, float eps, float* w,
        float* inv_scale, float* fourth, float* x) noexcept nogil
    double plain_forward(
        const double* table, const int32_t* features, const double* values, Py_ssize_t n,
        int32_t empty, bint adagrad, double now, double ridge, double eps, double* w,
        double* inv_scale, double* fourth, double* x) noexcept nogil
    void plain_backwardf(
        float* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad,
        float now, float gradient, float eta, float eps, const float* w, const float* inv_scale,
        const float* fourth, const float* x) noexcept nogil
    void plain_backward(
        double* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad,
        double now, double gradient, double eta, double eps, const double* w,
        const double* inv_scale, const double* fourth, const double* x) noexcept nogil
    void plain_log1p_allf(float* x, Py_ssize_t n) noexcept nogil
    void plain_log1p_all(double* x, Py_ssize_t n) noexcept nogil


cdef inline void log1p_plain(real* x, Py_ssize_t n) noexcept nogil:
    """x <- log(1 + x) for x >= 0; takes and leaves whole vectors, also beyond n."""
    if real is float:
        plain_log1p_allf(x, n)
    else:
        plain_log1p_all(x, n)


cdef inline real forward_plain(
    const real* table, const int32_t* features, const real* values, Py_ssize_t n, int32_t empty,
    bint adagrad, real now, real ridge, real eps, void** columns, real* x,
) noexcept nogil:
    """The sum of x w, x the values in the units of training, and w the weights after so many
    steps; `ridge` is times the rate. The quads go to columns[0], [2] and [3]."""
    cdef real* w = <real*> columns[0]
    cdef real* inv_scale = <real*> columns[2]
    cdef real* fourth = <real*> columns[3]
    if real is float:
        if adagrad:
            return plain_forwardf(table, features, values, n, empty, True, now, ridge, eps, w,
                                  inv_scale, fourth, x)
        return plain_forwardf(table, features, values, n, empty, False, now, ridge, eps, w,
                              inv_scale, fourth, x)
    else:
        if adagrad:
            return plain_forward(table, features, values, n, empty, True, now, ridge, eps, w,
                                 inv_scale, fourth, x)
        return plain_forward(table, features, values, n, empty, False, now, ridge, eps, w,
                             inv_scale, fourth, x)


cdef inline void backward_plain(
    real* table, const int32_t* features, Py_ssize_t n, int32_t spare, bint adagrad, real now,
    real gradient, real eta, real eps, void** columns, const real* x,
) noexcept nogil:
    """The step from there, with this derivative of the loss."""
    cdef real* w = <real*> columns[0]
    cdef const real* inv_scale = <const real*> columns[2]
    cdef real* fourth = <real*> columns[3]
    if real is float:
        if adagrad:
            plain_backwardf(table, features, n, spare, True, now, gradient, eta, eps, w, inv_scale,
                            fourth, x)
        else:
            plain_backwardf(table, features, n, spare, False, now, gradient, eta, eps, w,
                            inv_scale, fourth, x)
    else:
        if adagrad:
            plain_backward(table, features, n, spare, True, now, gradient, eta, eps, w, inv_scale,
                           fourth, x)
        else:
            plain_backward(table, features, n, spare, False, now, gradient, eta, eps, w, inv_scale,
                           fourth, x)


cdef inline bint forward_adam(
    const real* table, const int32_t* features, const real* values, Py_ssize_t n, int32_t empty,
    const plain_absent* absent, real tiny, real* parts, real* z,
) noexcept nogil:
    """The same for Adam, to parts (groups, 8, features of a group); False, and nothing is done, if
    a feature has no closed form."""
    if real is float:
        return plain_adam_forwardf(table, features, values, n, empty, absent, tiny, parts, z)
    else:
        return plain_adam_forward(table, features, values, n, empty, absent, tiny, parts, z)


cdef inline void backward_adam(
    real* table, const int32_t* features, Py_ssize_t n, int32_t spare, real now, real gradient,
    const plain_adam* h, const real* parts,
) noexcept nogil:
    if real is float:
        plain_adam_backwardf(table, features, n, spare, now, gradient, h, parts)
    else:
        plain_adam_backward(table, features, n, spare, now, gradient, h, parts)
