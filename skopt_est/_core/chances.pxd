# 1 / (1 + exp(-z)) of one number by itself, which a step of one row waits for, and all that comes
# after it. Exponential and division are a chain of 60 cycles; a short series around the nearest of
# some numbers, whose terms are in a table, is one of 30.
from libc.math cimport fabs, fabsf

from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp  # and VM_HOLD, in C

cdef extern from *:
    r"""
    /* The terms of Taylor's series around k / CHANCE_STEPS, |k| <= CHANCES: four, or eight in
     * double precision, to 2^-27 and 2^-55 of the value, also of small ones, as terms fall with it.
     * Of the 40 KB only those are in cache where a model's predictions are. */
    #define CHANCE_STEPS 16
    #define CHANCE_END 16
    #define CHANCES (CHANCE_STEPS * CHANCE_END)
    #if defined(__GNUC__)
    #define CHANCE_LINES __attribute__((aligned(64)))
    #else
    #define CHANCE_LINES
    #endif
    static float chance_termsf[2 * CHANCES + 1][4] CHANCE_LINES;
    static double chance_terms[2 * CHANCES + 1][8] CHANCE_LINES;

    static void chances_fill(void) {
        const double half_step = 0.5 / CHANCE_STEPS, square = half_step * half_step;
        for (int k = -CHANCES; k <= CHANCES; k++) {
            double e = exp(-abs(k) / (double) CHANCE_STEPS), a[8] = {e / (1 + e)};
            double *terms = chance_terms[CHANCES + k];
            float *termsf = chance_termsf[CHANCES + k];
            /* the derivative of p is p - p^2 */
            for (int n = 0; n < 7; n++) {
                double of_square = 0;
                for (int i = 0; i <= n; i++)
                    of_square += a[i] * a[n - i];
                a[n + 1] = (a[n] - of_square) / (n + 1);
            }
            /* p(z) = 1 - p(-z) */
            for (int n = 0; n < 8; n++)
                terms[n] = k > 0 && n % 2 == 0 ? (n == 0) - a[n] : a[n];
            /* the fifth one's nearest parabola goes to the first and the third */
            termsf[0] = (float) (terms[0] - terms[4] * square * square / 8);
            termsf[1] = (float) terms[1];
            termsf[2] = (float) (terms[2] + terms[4] * square);
            termsf[3] = (float) terms[3];
        }
    }

    /* The nearest k is in the last bits of z * CHANCE_STEPS plus a number whose digits end so. */
    #define CHANCE_ROUNDf 12582912.0f
    #define CHANCE_ROUND 6755399441055744.0
    #ifdef VM_NO_HOLD
    #define CHANCE_OF(F, T, k) (T) ((ptrdiff_t) (vm_bits##F(k) & 1023) - CHANCES)
    #else
    #define CHANCE_OF(F, T, k) k - (CHANCE_ROUND##F + CHANCES)
    #endif
    /* In pairs: one by one each would wait for the one before. */
    #define CHANCE_PAIR(T, i) \
        T pair##i = a[i] + a[i + 1] * t; \
        VM_HOLD(pair##i);
    #define CHANCE_SUMf \
        CHANCE_PAIR(float, 0) CHANCE_PAIR(float, 2) \
        return pair0 + square * pair2;
    #define CHANCE_SUM \
        CHANCE_PAIR(double, 0) CHANCE_PAIR(double, 2) \
        CHANCE_PAIR(double, 4) CHANCE_PAIR(double, 6) \
        pair0 += square * pair2; \
        VM_HOLD(pair0); \
        pair4 += square * pair6; \
        VM_HOLD(pair4); \
        square *= square; \
        return pair0 + square * pair4;
    /* for |z| < CHANCE_END */
    #define CHANCE_NEAR(T, F) \
    VM_INLINE T chance_near##F(T z) { \
        T k = z * CHANCE_STEPS + (CHANCE_ROUND##F + CHANCES), t, square; \
        const T *a; \
        VM_HOLD(k); \
        a = chance_terms##F[vm_bits##F(k) & 1023]; \
        t = CHANCE_OF(F, T, k); \
        VM_HOLD(t); \
        t = z - t / CHANCE_STEPS; \
        square = t * t; \
        VM_HOLD(square); \
        CHANCE_SUM##F \
    }
    CHANCE_NEAR(float, f)
    CHANCE_NEAR(double, )
    """
    enum:
        CHANCE_END
    void chances_fill()         # once, before the first
    float chance_nearf(float z) noexcept nogil
    double chance_near(double z) noexcept nogil


cdef inline real chance_alone(real z) noexcept nogil:
    """1 / (1 + exp(-z))."""
    cdef real e, one = 1
    if real is float:
        if fabsf(z) < <real> CHANCE_END:
            return chance_nearf(z)
        e = vexp(-fabsf(z))
    else:
        if fabs(z) < <real> CHANCE_END:
            return chance_near(z)
        e = vexp(-fabs(z))
    return (one if z >= 0 else e) / (one + e)
