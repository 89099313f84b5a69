# Roots, powers of two and logarithms of a group of quads.pxd, in vectors of gcc's and clang's kind:
# a loop over the few features of a row pays more for looking whether its arrays overlap than for
# the arithmetic, and one over eight of them is unrolled before it is vectorised. Elsewhere PLAIN is
# 0, and cells.pxd does without.

# These for their declarations, which the code below needs before it.
from skopt_est._core.quads cimport whole_lanes
from skopt_est._core.vector_math cimport vexp

cdef extern from *:
    r"""
    #if defined(QUAD_AT)
    #define PLAIN 1
    #if defined(__AVX__)
    #include <immintrin.h>
    #endif

    typedef int32_t quad_bitsf __attribute__((vector_size(32)));
    typedef int64_t quad_bits __attribute__((vector_size(32)));
    typedef uint32_t quad_wordsf __attribute__((vector_size(32)));
    typedef uint64_t quad_words __attribute__((vector_size(32)));
    typedef int32_t quad_wholef __attribute__((vector_size(32)));
    typedef int32_t quad_whole __attribute__((vector_size(16)));
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

    /* The lanes that are set, as bits: what only few groups need is left out in others. */
    #if defined(__AVX__)
    #define PLAIN_LANES_OFf(lanes) _mm256_movemask_ps((__m256) (lanes))
    #define PLAIN_LANES_OF(lanes) _mm256_movemask_pd((__m256d) (lanes))
    #else
    QUAD_INLINE int PLAIN_LANES_OFf(quad_bitsf lanes) {
        int set = 0;
        for (int j = 0; j < QUADSf; j++)
            set |= (lanes[j] < 0) << j;
        return set;
    }
    QUAD_INLINE int PLAIN_LANES_OF(quad_bits lanes) {
        int set = 0;
        for (int j = 0; j < QUADS; j++)
            set |= (lanes[j] < 0) << j;
        return set;
    }
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
        PLAIN_KEEP(f, x, (quad_bitsf) ((x > -200) & (x < 200))) + 200.5f, quad_wholef) - 200
    #define PLAIN_NEAREST(x) __builtin_convertvector( \
        PLAIN_KEEP(, x, (quad_bits) ((x > -2000) & (x < 2000))) + 2000.5, quad_whole) - 2000
    #endif
    /* 2^r for |r| <= 1/2, its even powers and its odd ones over r, by a minimax fit of our own: to
     * 2^-25.9 and 2^-58. */
    #define PLAIN_EVENf(z) (1 + (z) * (0.24022648f + (z) * (0.009618437f + (z) * 0.00015353362f)))
    #define PLAIN_ODDf(z) (0.6931472f + (z) * (0.055503324f + (z) * 0.0013398874f))
    #define PLAIN_EVEN(z) (1 + (z) * (0.2402265069591013 + (z) * (0.009618129107594133 \
        + (z) * (0.00015403530457096324 + (z) * (1.3215435290244217e-06 \
        + (z) * 7.07378189480654e-09)))))
    #define PLAIN_ODD(z) (0.6931471805599453 + (z) * (0.055504108664820084 \
        + (z) * (0.0013333558146774323 + (z) * (1.5252733493394533e-05 \
        + (z) * (1.0178199464180507e-07 + (z) * 4.4347872839053243e-10)))))
    #define PLAIN_FUNCTIONS(T, F) \
    QUAD_INLINE quad_vector##F plain_exp2##F(quad_vector##F x) { \
        quad_bits##F normal = ~(quad_bits##F) (x < PLAIN_EXP2_MIN##F); \
        quad_whole##F n = PLAIN_NEAREST##F(x); \
        quad_vector##F r = x - __builtin_convertvector(n, quad_vector##F), z = r * r; \
        x = (quad_vector##F) ( \
            (quad_words##F) (PLAIN_EVEN##F(z) + r * PLAIN_ODD##F(z)) \
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
        if (!PLAIN_LANES_OF##F(big)) \
            return plain_series##F(above, below); \
        bits = (bits & ((((quad_bits##F) {0} + 1) << VM_DIGITS##F) - 1)) | PLAIN_ONE##F; \
        m = (quad_vector##F) bits; \
        above = (quad_vector##F) (((quad_bits##F) (m - 1) & big) | ((quad_bits##F) above & ~big)); \
        below = (quad_vector##F) (((quad_bits##F) (m + 1) & big) | ((quad_bits##F) below & ~big)); \
        return plain_series##F(above, below) \
            + PLAIN_KEEP(F, k - PLAIN_OFFSET##F, big); \
    } \
    /* 1 / (sqrt(G) + eps), or 0 if nothing was summed */ \
    QUAD_INLINE quad_vector##F plain_size##F(quad_vector##F G, T eps) { \
        return PLAIN_KEEP(F, 1 / (plain_root##F(G) + eps), (quad_bits##F) (G != 0)); \
    } \
    /* The sum over a vector, by halves: a shorter chain of additions. */ \
    QUAD_INLINE T plain_sum##F(quad_vector##F x) { \
        for (int half = QUADS##F / 2; half > 0; half /= 2) \
            for (int j = 0; j < half; j++) \
                x[j] += x[j + half]; \
        return x[0]; \
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
    QUAD_INLINE void plain_put##F(T *x, int32_t n, quad_vector##F some) { \
        if (n == QUADS##F) \
            *(quad_vector##F *) x = some; \
        for (int32_t j = 0; j < n && n < QUADS##F; j++) \
            x[j] = some[j]; \
    }
    PLAIN_FUNCTIONS(float, f)
    PLAIN_FUNCTIONS(double, )
    #else
    #define PLAIN 0
    #endif
    """
    const bint PLAIN
