/* The log loss and its slope, for bounds.c and bounds_exact.c, which include math.h and stdint.h
 * before it and get REAL from their compilation. VECTOR: the bytes of a vector, if not as many as
 * the processor has.
 *
 * sigmoid: 1 / (1 + exp(-z)) to the last digits or so, with as few waits as we found: Taylor's
 * series around the nearest of some numbers, whose terms are in a table; beyond it, which these
 * loops hardly come to, as it is written. */
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

/* Of the processor's own size: gcc keeps sums of larger ones in memory. */
#ifdef VECTOR
#elif defined __AVX512F__
#define VECTOR 64
#elif defined __AVX__
#define VECTOR 32
#else
#define VECTOR 16
#endif
typedef REAL own __attribute__((vector_size(VECTOR), aligned(sizeof(REAL)), may_alias));
typedef typeof(_Generic((REAL) 0, float: (int32_t) 0, double: (int64_t) 0)) whole;
#define AT(p) (*(own*) (p))
#define OWN ((long) (VECTOR / sizeof(REAL)))

/* 2^f for |f| <= 1/2, numbers or vectors: Taylor's series in pairs. */
#define TWO_TO(f, f2) \
    (((1 + f * (REAL) 0.6931471805599453) \
      + f2 * ((REAL) 0.2402265069591007 + f * (REAL) 0.05550410866482158)) \
     + f2 * f2 \
         * (((REAL) 0.009618129107628477 + f * (REAL) 0.0013333558146428443) \
            + f2 * ((REAL) 1.5403530393381608e-4 + f * (REAL) 1.525273380405984e-5)) \
     + (REAL) (sizeof(REAL) == 8) * (f2 * f2) * (f2 * f2) \
         * (((REAL) 1.321548679014431e-6 + f * (REAL) 1.01780860092397e-7) \
            + f2 * ((REAL) 7.054911620801123e-9 + f * (REAL) 4.4455382718708e-10) \
            + f2 * f2 * (REAL) 2.5678435993488e-11))

typedef whole own_wholes __attribute__((vector_size(VECTOR)));

/* exp(x) for x <= 0, but not far below. */
static inline own exp_of(own x) {
    const int bits = sizeof(REAL) == 4 ? 23 : 52, bias = sizeof(REAL) == 4 ? 127 : 1023;
    const REAL shift = sizeof(REAL) == 4 ? (REAL) 12582912.0 : (REAL) 6755399441055744.0;
    const own t = x * (REAL) 1.4426950408889634;
    own k;
    for (long l = 0; l < OWN; l++) k[l] = __builtin_rint(t[l]);
    const own f = t - k, low = k + (shift + bias); /* its last bits are k + bias */
    return TWO_TO(f, (f * f)) * (own) ((own_wholes) low << bits);
}

/* z <- the slopes of the log loss at z; returns the sum of the losses. One logarithm does for the
 * product of many 1 + exp(-|z|). */
static inline double log_losses(REAL* z, const REAL* y, long count) {
    const own one = (own) {0} + 1;
    double total = 0;
    long i = 0;
    while (i + OWN <= count) {
        own product = one, linear = {0};
        for (long most = i + 64 * OWN; i < most && i + OWN <= count; i += OWN) {
            const own x = AT(z + i), label = AT(y + i);
            const own_wholes positive = x > 0;
            const own size = (own) (((own_wholes) x & positive) | ((own_wholes) -x & ~positive));
            const own e = exp_of(-size);
            product *= 1 + e;
            linear += (own) (positive & (own_wholes) x) - label * x;
            AT(z + i) = (own) ((positive & (own_wholes) one) | (~positive & (own_wholes) e))
                / (1 + e) - label;
        }
        for (long l = 0; l < OWN; l++) total += linear[l] + log(product[l]);
    }
    for (; i < count; i++) {
        total += log1p(exp(-fabs(z[i]))) + (z[i] > 0 ? z[i] : 0) - y[i] * z[i];
        z[i] = sigmoid(z[i]) - y[i];
    }
    return total;
}
