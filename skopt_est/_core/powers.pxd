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

    /* Whether a < b and c < d in all lanes. */
    #if defined(__AVX512VL__)
    #define PLAIN_BELOWf(a, b, c, d) (_mm256_mask_cmp_ps_mask( \
        _mm256_cmp_ps_mask((__m256) (a), (__m256) (b), _CMP_LT_OQ), \
        (__m256) (c), (__m256) (d), _CMP_LT_OQ) == (1 << QUADSf) - 1)
    #else
    #define PLAIN_BELOWf(a, b, c, d) (PLAIN_LANES_OFf( \
        (quad_bitsf) ((a) < (b)) & (quad_bitsf) ((c) < (d))) == (1 << QUADSf) - 1)
    #endif
    #define PLAIN_BELOW(a, b, c, d) (PLAIN_LANES_OF( \
        (quad_bits) ((a) < (b)) & (quad_bits) ((c) < (d))) == (1 << QUADS) - 1)

    /* plain_exp2: 2^x for x <= 0, to the rounding of x; NaN of a NaN; something for x > 0. It is 0
     *     below -56 (-500), after which next to nothing is left of a weight: so that few products
     *     of weights and two such powers, at an epoch's end and at the next sight of a feature,
     *     are below normal numbers, which take a hundred times as long to multiply.
     * plain_log2p: log2(1 + x) for x >= 0, where x is 2 above / (below - above); finite for
     *     infinity, so that no steps of it are none. By the series of the inverse hyperbolic
     *     tangent of above / below; where x > 1, log2(2^k m) = k + log2(m) with 1 <= m < 2: 2^23
     *     (2^52) and k in the bits below make a number.
     * plain_slight: log2(1 + x) for x >= 0 that is small as a rule.
     * plain_series: that series of above / below. */
    #define PLAIN_KEEP(F, x, mask) ((quad_vector##F) ((quad_bits##F) (x) & (mask)))
    #define PLAIN_DIGITSf 0x4B000000
    #define PLAIN_DIGITS 0x4330000000000000
    #define PLAIN_OFFSETf 8388735.0f            /* 2^23 + 127 */
    #define PLAIN_OFFSET 4503599627371519.0     /* 2^52 + 1023 */
    #define PLAIN_ONEf 0x3F800000
    #define PLAIN_ONE 0x3FF0000000000000
    #define PLAIN_EXP2_MINf -56.0f
    #define PLAIN_EXP2_MIN -500.0
    #if defined(__AVX__)
    #define PLAIN_NEARESTf(x) (quad_wholef) _mm256_cvtps_epi32((__m256) (x))
    #define PLAIN_NEAREST(x) (quad_whole) _mm256_cvtpd_epi32((__m256d) (x))
    #else
    #define PLAIN_NEARESTf(x) __builtin_convertvector( \
        PLAIN_KEEP(f, x, (quad_bitsf) ((x > -200) & (x < 200))) + 200.5f, quad_wholef) - 200
    #define PLAIN_NEAREST(x) __builtin_convertvector( \
        PLAIN_KEEP(, x, (quad_bits) ((x > -2000) & (x < 2000))) + 2000.5, quad_whole) - 2000
    #endif
    /* a b + c by the processor's own instruction: plain sums of products are regrouped, to fewer
     * operations in a longer chain. */
    #if defined(__FMA__)
    #define PLAIN_FMAf(a, b, c) (quad_vectorf) _mm256_fmadd_ps( \
        (__m256) (a), (__m256) ((quad_vectorf) {0} + (b)), (__m256) ((quad_vectorf) {0} + (c)))
    #define PLAIN_FMA(a, b, c) (quad_vector) _mm256_fmadd_pd( \
        (__m256d) (a), (__m256d) ((quad_vector) {0} + (b)), (__m256d) ((quad_vector) {0} + (c)))
    #else
    #define PLAIN_FMAf(a, b, c) ((a) * (b) + (c))
    #define PLAIN_FMA(a, b, c) ((a) * (b) + (c))
    #endif
    /* 2^r for |r| <= 1/2, its even powers and its odd ones over r, by a minimax fit of our own: to
     * 2^-25.9 and 2^-58. */
    #define PLAIN_EVENf(z) PLAIN_FMAf(z, PLAIN_FMAf(z, PLAIN_FMAf(z, \
        0.00015353362f, 0.009618437f), 0.24022648f), 1.0f)
    #define PLAIN_ODDf(z) PLAIN_FMAf(z, PLAIN_FMAf(z, \
        0.0013398874f, 0.055503324f), 0.6931472f)
    #define PLAIN_EVEN(z) \
        PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, 7.07378189480654e-09, \
        1.3215435290244217e-06), 0.00015403530457096324), 0.009618129107594133), \
        0.2402265069591013), 1.0)
    #define PLAIN_ODD(z) \
        PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, PLAIN_FMA(z, 4.4347872839053243e-10, \
        1.0178199464180507e-07), 1.5252733493394533e-05), 0.0013333558146774323), \
        0.055504108664820084), 0.6931471805599453)
    /* The tails of vector_math.pxd in base two. */
    #define PLAIN_TAILf(z) (0.961793026f + (z) * (0.577391807f + (z) * (0.403928859f \
        + (z) * 0.404378809f)))
    #define PLAIN_TAIL(z) (plain_atanh_tail(z) * VM_LOG2E)
    /* log2(1 + x) for 0 <= x < 1/16; in single precision by a minimax fit of our own: to 2^-25. */
    #define PLAIN_SHORTf(x) ((x) * ((1.44269502f - 0.72133166f * (x)) \
        + (x) * (x) * (0.479616523f - 0.32707422f * (x))))
    #define PLAIN_SHORT(x) plain_series((x) / ((x) + 2))
    /* PLAIN_REST: x less the nearest whole number. PLAIN_POWER: series 2^(x - r), r that rest; 0
     * where x is too small. vscalef floors, which leaves x - r as it is. */
    #if defined(__AVX512DQ__) && defined(__AVX512VL__)
    #define PLAIN_REST_OF(x, S) _mm256_reduce_##S(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
    #define PLAIN_RESTf(x) (quad_vectorf) PLAIN_REST_OF((__m256) (x), ps)
    #define PLAIN_REST(x) (quad_vector) PLAIN_REST_OF((__m256d) (x), pd)
    #define PLAIN_POWERf(series, x, r) (quad_vectorf) _mm256_maskz_scalef_ps( \
        _mm256_cmp_ps_mask((__m256) (x), _mm256_set1_ps(PLAIN_EXP2_MINf), _CMP_NLT_UQ), \
        (__m256) (series), (__m256) ((x) - (r)))
    #define PLAIN_POWER(series, x, r) (quad_vector) _mm256_maskz_scalef_pd( \
        _mm256_cmp_pd_mask((__m256d) (x), _mm256_set1_pd(PLAIN_EXP2_MIN), _CMP_NLT_UQ), \
        (__m256d) (series), (__m256d) ((x) - (r)))
    #else
    #define PLAIN_RESTf(x) ((x) - __builtin_convertvector(PLAIN_NEARESTf(x), quad_vectorf))
    #define PLAIN_REST(x) ((x) - __builtin_convertvector(PLAIN_NEAREST(x), quad_vector))
    #define PLAIN_POWER_OF(F, series, x) PLAIN_KEEP(F, \
        (quad_words##F) (series) \
        + ((quad_words##F) __builtin_convertvector(PLAIN_NEAREST##F(x), quad_bits##F) \
           << VM_DIGITS##F), ~(quad_bits##F) ((x) < PLAIN_EXP2_MIN##F))
    #define PLAIN_POWERf(series, x, r) PLAIN_POWER_OF(f, series, x)
    #define PLAIN_POWER(series, x, r) PLAIN_POWER_OF(, series, x)
    #endif
    #define PLAIN_FUNCTIONS(T, F) \
    QUAD_INLINE quad_vector##F plain_exp2##F(quad_vector##F x) { \
        quad_vector##F r = PLAIN_REST##F(x), z = r * r; \
        return PLAIN_POWER##F(PLAIN_FMA##F(r, PLAIN_ODD##F(z), PLAIN_EVEN##F(z)), x, r); \
    } \
    QUAD_INLINE quad_vector##F plain_series##F(quad_vector##F s) { \
        quad_vector##F z = s * s; \
        return s * (2 * VM_LOG2E##F + z * PLAIN_TAIL##F(z)); \
    } \
    QUAD_INLINE quad_vector##F plain_log2p##F( \
            quad_vector##F x, quad_vector##F above, quad_vector##F below) { \
        quad_bits##F big = (quad_bits##F) (x > 1), bits = (quad_bits##F) (x + 1); \
        quad_vector##F k = (quad_vector##F) ((bits >> VM_DIGITS##F) | PLAIN_DIGITS##F), m; \
        if (!PLAIN_LANES_OF##F(big)) \
            return plain_series##F(above / below); \
        bits = (bits & ((((quad_bits##F) {0} + 1) << VM_DIGITS##F) - 1)) | PLAIN_ONE##F; \
        m = (quad_vector##F) bits; \
        above = (quad_vector##F) (((quad_bits##F) (m - 1) & big) | ((quad_bits##F) above & ~big)); \
        below = (quad_vector##F) (((quad_bits##F) (m + 1) & big) | ((quad_bits##F) below & ~big)); \
        return plain_series##F(above / below) \
            + PLAIN_KEEP(F, k - PLAIN_OFFSET##F, big); \
    } \
    QUAD_INLINE quad_vector##F plain_slight##F(quad_vector##F x) { \
        if (__builtin_expect(!PLAIN_LANES_OF##F(~(quad_bits##F) (x < (T) (1.0 / 16))), 1)) \
            return PLAIN_SHORT##F(x); \
        return plain_log2p##F(x, x, x + 2); \
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
    /* Products in double precision; of eight lanes four sums of two. */
    #define PLAIN_LOW(x) \
        __builtin_convertvector(__builtin_shufflevector(x, x, 0, 1, 2, 3), quad_vector)
    #define PLAIN_HIGH(x) __builtin_convertvector(QUAD_HALF(x), quad_vector)
    QUAD_INLINE quad_vector plain_products(quad_vector x, quad_vector y) {
        return x * y;
    }
    QUAD_INLINE quad_vector plain_productsf(quad_vectorf x, quad_vectorf y) {
        return PLAIN_LOW(x) * PLAIN_LOW(y) + PLAIN_HIGH(x) * PLAIN_HIGH(y);
    }
    PLAIN_FUNCTIONS(float, f)
    PLAIN_FUNCTIONS(double, )
    #else
    #define PLAIN 0
    #endif
    """
    const bint PLAIN
