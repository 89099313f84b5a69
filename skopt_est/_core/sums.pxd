# Sums of squares as adagrad's cells hold them: by the inverse root r = 1 / sqrt(G), 0 where nothing
# was summed, -0 where more than there are numbers for. G + g^2 is r / sqrt(1 + (r g)^2), and a step
# is long 1 / (1 / r + eps) = r / (1 + eps r). So a row's forward pass, which wants the length for
# the penalty, has no root and, in single precision as a rule, no quotient; its backward pass has
# one inverse root.

# This for its declarations, which the code below needs before it.
from skopt_est._core.powers cimport PLAIN

cdef extern from *:
    r"""
    #if PLAIN
    /* Below it r (1 - eps r) is the step's length to rounding, eps r given. */
    #define SUMS_SLIGHTf 1.5e-4f
    #define SUMS_SLIGHT 5e-9
    /* Above it 1 / r^2 is a number. */
    #define SUMS_LEASTf 5.5e-20f
    #define SUMS_LEAST 7.6e-155
    /* After so many steps plain_exp2 has nothing left of what each shrinks by 1 + 1/17 or more. */
    #define SUMS_GONEf -680
    #define SUMS_GONE -6100
    /* Above it numbers are normal. */
    #define SUMS_NORMALf 1.2e-38f
    #define SUMS_NORMAL 2.3e-308

    /* sums_estimate: 1 / sqrt(x), x >= 1, to 11 bits or more. */
    #if defined(__AVX512VL__)
    #define sums_estimatef(x) (quad_vectorf) _mm256_rsqrt14_ps((__m256) (x))
    #elif defined(__AVX__)
    #define sums_estimatef(x) (quad_vectorf) _mm256_rsqrt_ps((__m256) (x))
    #else
    #define sums_estimatef(x) (1 / plain_rootf(x))
    #endif
    #define sums_estimate(x) (1 / plain_root(x))

    #define SUMS(T, F) \
    /* G of r and its inverse, and r of G. */ \
    QUAD_INLINE quad_vector##F sums_squared##F(quad_vector##F r, quad_vector##F root) { \
        return PLAIN_KEEP(F, root * root, (quad_bits##F) ((quad_bits##F) r != 0)); \
    } \
    QUAD_INLINE quad_vector##F sums_of##F(quad_vector##F r) { \
        return sums_squared##F(r, 1 / r); \
    } \
    QUAD_INLINE quad_vector##F sums_root##F(quad_vector##F G) { \
        const quad_vector##F r = 1 / plain_root##F(G); \
        const quad_words##F summed = (quad_words##F) (G != 0), full = (quad_words##F) (r == 0); \
        /* the sign as a bit: signs of zeros are of no account to the compiler */ \
        return (quad_vector##F) (summed & ( \
            (quad_words##F) r | (full & ~(~(quad_words##F) {0} >> 1)))); \
    } \
    /* sums_root of that G. The root of a square is exact where this is a normal number. */ \
    QUAD_INLINE quad_vector##F sums_rounded##F( \
            quad_vector##F r, quad_vector##F root, quad_vector##F G) { \
        const quad_bits##F some = (quad_bits##F) (r != 0); \
        if (PLAIN_LANES_OF##F(some & (quad_bits##F) (G < SUMS_NORMAL##F))) \
            return sums_root##F(G); \
        return (quad_vector##F) (((quad_bits##F) (1 / root) & some) | ((quad_bits##F) r & ~some)); \
    } \
    /* r / sqrt(x), x >= 1; NaN of infinite x. A step of third order takes the estimate to \
     * rounding: one of second order would leave r too small, and a root alone, which near 1 has \
     * half the digits of its inverse, would lose small gradients; both add up. */ \
    QUAD_INLINE quad_vector##F sums_over_root##F(quad_vector##F r, quad_vector##F x) { \
        const quad_vector##F y = sums_estimate##F(x), h = 1 - x * y * y; \
        return r * (y + y * h * ((T) 0.5 + (T) 0.375 * h)); \
    } \
    /* r with this gradient g = x slope, too, and the length of the step. */ \
    QUAD_INLINE quad_vector##F sums_grown##F( \
            quad_vector##F r, quad_vector##F x, T slope, T eps, quad_vector##F *length) { \
        const quad_vector##F none = {0}, g = x * slope, t = r * x * slope; \
        const quad_vector##F grown = sums_over_root##F(r, 1 + t * t), z = eps * grown; \
        quad_vector##F G; \
        *length = grown - z * grown; \
        if (__builtin_expect(PLAIN_BELOW##F( \
                none + SUMS_LEAST##F, grown, z, none + SUMS_SLIGHT##F), 1)) \
            return grown; \
        G = sums_of##F(r) + g * g; \
        *length = PLAIN_KEEP(F, 1 / (plain_root##F(G) + eps), (quad_bits##F) (G != 0)); \
        return sums_root##F(G); \
    } \
    /* log2(1 + k / (1 / r + eps)), what a penalty k times the step's length takes in a step; none \
     * before the first gradient, nor where it is an overflow times none or over another. missed: \
     * the steps that it was not taken in, negated. Where they leave nothing of a weight anyway, \
     * the result may be too small. */ \
    QUAD_INLINE quad_vector##F sums_shrinking##F( \
            quad_vector##F k, quad_vector##F r, T eps, quad_vector##F missed) { \
        const quad_vector##F none = {0}, z = eps * r; \
        quad_vector##F x = k * (r - z * r), q; \
        quad_bits##F large; \
        if (__builtin_expect(PLAIN_BELOW##F( \
                x, none + (T) (1.0 / 16), z, none + SUMS_SLIGHT##F), 1)) \
            return PLAIN_SHORT##F(x); \
        large = (quad_bits##F) (x >= (T) (1.0 / 16)) & (quad_bits##F) (missed < SUMS_GONE##F); \
        x = PLAIN_KEEP(F, x, ~large) + PLAIN_KEEP(F, none + (T) (1.0 / 17), large); \
        if (PLAIN_BELOW##F(x, none + (T) (1.0 / 16), z, none + SUMS_SLIGHT##F)) \
            return PLAIN_SHORT##F(x); \
        x = k * (r - z * r); \
        if (PLAIN_BELOW##F(x, none + (T) 1e30, z, none + SUMS_SLIGHT##F)) \
            return plain_log2p##F(x, x, x + 2); \
        q = 1 / r + eps, x = k / q; \
        return PLAIN_KEEP(F, plain_log2p##F(x, k, k + (q + q)), \
                          (quad_bits##F) (r != 0) & (quad_bits##F) (x == x)); \
    }
    SUMS(float, f)
    SUMS(double, )
    #define SUMS_READY 1
    #else
    #define SUMS_READY 0
    #endif
    """
    const bint SUMS_READY
