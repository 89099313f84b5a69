/* For bounds.c and bounds_exact.c, which include math.h and stdint.h before it and get REAL from
 * their compilation.
 *
 * 1 / (1 + exp(-z)) to the last digits or so, with as few waits as we found: Taylor's series around
 * the nearest of some numbers, whose terms are in a table; beyond it, which these loops hardly come
 * to, as it is written. */
#define NEAREST 16 /* to one */
#define END 16
static REAL terms[2 * NEAREST * END + 1][8];
static __attribute__((constructor)) void fill_terms(void) {
    for (long k = -NEAREST * END; k <= NEAREST * END; k++) {
        long double e = expl(-(long double) k / NEAREST), a[9] = {1 / (1 + e)};
        for (long n = 0; n < 8; n++) {
            long double of_square = 0;
            for (long i = 0; i <= n; i++) of_square += a[i] * a[n - i];
            terms[k + NEAREST * END][n] = (REAL) a[n];
            a[n + 1] = (a[n] - of_square) / (n + 1);
        }
        if (sizeof(REAL) == 4) { /* the fifth term, as a parabola */
            const long double square = 0.25L / NEAREST / NEAREST;
            terms[k + NEAREST * END][0] = (REAL) (a[0] - a[4] * square * square / 8);
            terms[k + NEAREST * END][2] = (REAL) (a[2] + a[4] * square);
        }
    }
}
#ifdef __x86_64__
#define AS_IT_IS(x) __asm__ ("" : "+x" (x))
#elif defined __aarch64__
#define AS_IT_IS(x) __asm__ ("" : "+w" (x))
#else
#define AS_IT_IS(x) { volatile REAL as_it_is = x; x = as_it_is; }
#endif
static inline REAL sigmoid(REAL z) {
    const REAL digits = sizeof(REAL) == 4 ? (REAL) 12582912.0 : (REAL) 6755399441055744.0;
    if (!(-END < z && z < END)) return 1 / (1 + (REAL) exp(-z));
    union { REAL number; uint32_t bits; } k = {z * NEAREST + (digits + NEAREST * END)};
    AS_IT_IS(k.number);
    const REAL *a = terms[k.bits & 1023];
    REAL t = k.number - (digits + NEAREST * END);
    AS_IT_IS(t);
    t = z - t / NEAREST;
    REAL square = t * t, low = a[0] + a[1] * t, high = a[2] + a[3] * t;
    AS_IT_IS(low);
    AS_IT_IS(high);
    low += square * high;
    if (sizeof(REAL) == 4) return low;
    AS_IT_IS(low);
    high = a[4] + a[5] * t;
    REAL last = a[6] + a[7] * t;
    AS_IT_IS(high);
    AS_IT_IS(last);
    high += square * last;
    AS_IT_IS(high);
    return low + square * square * high;
}
