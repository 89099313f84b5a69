/* The least that one epoch of logistic regression has to do, whoever implements it: compiled by
 * `bounds_loops.py` for each type of number (REAL) and number of columns (COLUMNS).
 *
 * No penalty, intercept, weights or value of the loss. Rows of the one-row steps are padded to
 * whole vectors and lie in the first cache, so that their time is that of arithmetic alone. */
#include <math.h>
#include <stdint.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES ((long) (64 / sizeof(REAL)))
#define WIDTH ((COLUMNS + LANES - 1) / LANES * LANES)
#define LINE 64
/* Sums side by side in a sparse row's product: more than one where it is not made in vectors, or
 * each addition waits for the one before. */
#ifndef SUMS
#define SUMS 1
#endif
#define ROWS_AHEAD 12
#define ASKED_FOR 512 /* bytes: the hardware follows longer rows by itself */
/* To gcc a function that only prefetches has no effect, so it removes the calls of it; the empty
 * statement counts as one. */
#define ASK_FOR(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
#define IN_ANY_ORDER _Pragma("GCC ivdep")

typedef REAL vec __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));
typedef REAL quad __attribute__((vector_size(16)));
typedef typeof(_Generic((REAL) 0, float: (int32_t) 0, double: (int64_t) 0)) whole;
typedef whole wholes __attribute__((vector_size(16)));

/* 1 / (1 + exp(-z)) to the last digits or so, with as few waits as there can be: exp(-z) is
 * 2^k 2^f, with 2^f by Taylor's series in pairs, and 2^k put together in vector registers
 * meanwhile. */
static inline REAL sigmoid(REAL z) {
    const int bits = sizeof(REAL) == 4 ? 23 : 52, bias = sizeof(REAL) == 4 ? 127 : 1023;
    const REAL t = z * (REAL) -1.4426950408889634, f = t - __builtin_rint(t);
    const REAL f2 = f * f, f4 = f2 * f2;
    REAL series = ((1 + f * (REAL) 0.6931471805599453)
                   + f2 * ((REAL) 0.2402265069591007 + f * (REAL) 0.05550410866482158))
        + f4 * (((REAL) 0.009618129107628477 + f * (REAL) 0.0013333558146428443)
                + f2 * ((REAL) 1.5403530393381608e-4 + f * (REAL) 1.525273380405984e-5));
    if (sizeof(REAL) == 8)
        series += f4 * f4 * (((REAL) 1.321548679014431e-6 + f * (REAL) 1.01780860092397e-7)
                + f2 * ((REAL) 7.054911620801123e-9 + f * (REAL) 4.4455382718708e-10)
                + f4 * (REAL) 2.5678435993488e-11);
    quad k = {0};
    k[0] = __builtin_rint(t);
    wholes power = (__builtin_convertvector(k, wholes) + bias) << bits;
    return 1 / (1 + series * ((quad) power)[0]);
}

static inline REAL root(REAL x) {
    return sizeof(REAL) == 4 ? (REAL) sqrtf((float) x) : (REAL) sqrt((double) x);
}

/* Reads the rows once, in this order, or (NULL) as they lie. A row's last vector ends with the row,
 * so it may read some of the one before again. */
REAL read_rows(const REAL* x, const int32_t* order, long n) {
    const long bytes = COLUMNS * sizeof(REAL), asked_for = bytes < ASKED_FOR ? bytes : ASKED_FOR;
    vec sums[4] = {0};
    REAL total = 0;
    for (long i = 0; i < n; i++) {
        const REAL* row = x + (order ? order[i] : i) * COLUMNS;
        if (order && i + ROWS_AHEAD < n) {
            const char* ahead = (const char*) (x + (long) order[i + ROWS_AHEAD] * COLUMNS);
            for (long at = 0; at < asked_for; at += LINE) ASK_FOR(ahead + at);
            ASK_FOR(ahead + asked_for - 1);
        }
        for (long j = 0; j < COLUMNS; j += LANES) {
            const long at = j + LANES <= COLUMNS ? j : COLUMNS - LANES;
            sums[j / LANES % 4] += *(const vec*) (row + at);
        }
    }
    for (long j = 0; j < 4 * LANES; j++) total += sums[j / LANES][j % LANES];
    return total;
}

/* sgd, `steps` of them over `rows` rows (a power of two) again and again. What doesn't wait for the
 * step at hand is prepared: the next row's z is p - (step) q. */
void sgd_steps(
    const REAL* restrict a, const REAL* restrict y, long rows, long steps, REAL rate,
    REAL* restrict w
) {
    REAL z = 0, p = 0, q = 0;
    for (long j = 0; j < WIDTH; j++) {
        z += a[j] * w[j];
        p += a[(1 % rows) * WIDTH + j] * w[j];
        q += a[(1 % rows) * WIDTH + j] * a[j];
    }
    for (long s = 0; s < steps; s++) {
        const REAL* row = a + (s & (rows - 1)) * WIDTH;
        const REAL* next = a + ((s + 1) & (rows - 1)) * WIDTH;
        const REAL* second = a + ((s + 2) & (rows - 1)) * WIDTH;
        const REAL step = rate * (sigmoid(z) - y[s & (rows - 1)]);
        z = p - step * q;
        p = q = 0;
        for (long j = 0; j < WIDTH; j++) {
            const REAL moved = w[j] - step * row[j];
            w[j] = moved;
            p += second[j] * moved;
            q += second[j] * next[j];
        }
    }
}

#ifdef __AVX512F__
/* 1 / sqrt(x): the processor's estimate and Newton's method are faster than root and division. */
static inline vec inverse_root(vec x) {
    vec r = _Generic((REAL) 0, float: (vec) _mm512_rsqrt14_ps((__m512) x),
                     double: (vec) _mm512_rsqrt14_pd((__m512d) x));
    for (int turn = 0; turn < (int) sizeof(REAL) / 4; turn++)
        r += r * ((REAL) 0.5 - (REAL) 0.5 * x * r * r);
    return r;
}
#endif

/* The same for adagrad; G starts above zero. */
void adagrad_steps(
    const REAL* restrict a, const REAL* restrict y, long rows, long steps, REAL rate,
    REAL* restrict w, REAL* restrict G
) {
    REAL z = 0;
    for (long j = 0; j < WIDTH; j++) z += a[j] * w[j];
    for (long s = 0; s < steps; s++) {
        const REAL* row = a + (s & (rows - 1)) * WIDTH;
        const REAL* next = a + ((s + 1) & (rows - 1)) * WIDTH;
        const REAL gradient = sigmoid(z) - y[s & (rows - 1)];
        z = 0;
#ifdef __AVX512F__
        vec sum = {0};
        for (long j = 0; j < WIDTH; j += LANES) {
            const vec g = gradient * *(const vec*) (row + j);
            const vec squares = *(vec*) (G + j) + g * g;
            const vec moved = *(vec*) (w + j) - rate * g * inverse_root(squares);
            *(vec*) (G + j) = squares;
            *(vec*) (w + j) = moved;
            sum += *(const vec*) (next + j) * moved;
        }
        for (long j = 0; j < LANES; j++) z += sum[j];
#else /* gcc makes vectors as the processor has them, roots and divisions in them */
        for (long j = 0; j < WIDTH; j++) {
            const REAL g = gradient * row[j], squares = G[j] + g * g;
            const REAL moved = w[j] - rate * g / root(squares);
            G[j] = squares;
            w[j] = moved;
            z += next[j] * moved;
        }
#endif
    }
}

/* Asks for the entries of the row that many places ahead. */
static inline void ask_for(
    const REAL* values, const int32_t* indices, const int32_t* starts, const int32_t* order, long s,
    long n
) {
    if (s + ROWS_AHEAD >= n) return;
    const long row = order[s + ROWS_AHEAD];
    for (long p = starts[row]; p < starts[row + 1]; p += LINE / 4) {
        ASK_FOR(indices + p);
        ASK_FOR(values + p);
        if (sizeof(REAL) == 8) ASK_FOR(values + p + LINE / 8);
    }
}

/* An epoch of sgd over CSR rows. No column comes twice in a row. */
void sgd_sparse(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, REAL* restrict w
) {
    for (long s = 0; s < n; s++) {
        const long row = order[s], from = starts[row], to = starts[row + 1];
        ask_for(values, indices, starts, order, s, n);
        REAL sums[SUMS] = {0}, z = 0;
        long at = from;
        for (; at <= to - SUMS; at += SUMS)
            for (long k = 0; k < SUMS; k++) sums[k] += values[at + k] * w[indices[at + k]];
        for (; at < to; at++) z += values[at] * w[indices[at]];
        for (long k = 0; k < SUMS; k++) z += sums[k];
        const REAL step = rate * (sigmoid(z) - y[row]);
        IN_ANY_ORDER
        for (long p = from; p < to; p++) w[indices[p]] -= step * values[p];
    }
}

/* The same for adagrad: a weight and its G in one place, side by side for the arithmetic. */
struct cell { REAL w, G; };

void adagrad_sparse(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate,
    struct cell* restrict cells
) {
    for (long s = 0; s < n; s++) {
        const long row = order[s], from = starts[row], count = starts[row + 1] - from;
        const int32_t* at = indices + from;
        const REAL* x = values + from;
        REAL w[count + 1], G[count + 1], sums[SUMS] = {0}, z = 0;
        long done = 0;
        ask_for(values, indices, starts, order, s, n);
        for (long i = 0; i < count; i++) {
            w[i] = cells[at[i]].w;
            G[i] = cells[at[i]].G;
        }
        for (; done <= count - SUMS; done += SUMS)
            for (long k = 0; k < SUMS; k++) sums[k] += x[done + k] * w[done + k];
        for (; done < count; done++) z += x[done] * w[done];
        for (long k = 0; k < SUMS; k++) z += sums[k];
        const REAL gradient = sigmoid(z) - y[row];
        for (long i = 0; i < count; i++) {
            const REAL g = gradient * x[i];
            G[i] += g * g;
            w[i] -= rate * g / root(G[i]);
        }
        for (long i = 0; i < count; i++) {
            cells[at[i]].w = w[i];
            cells[at[i]].G = G[i];
        }
    }
}

/* The same two with four numbers a feature: its weight; adagrad's sum, or the rate of its penalty; its
 * unit; and when the penalty was last applied, which an exact one that waits until the feature comes
 * again can't do without. (The penalty itself is left out.) Four features at a time, whose numbers
 * are brought side by side and back by interleaving; the cells of the row CELLS_AHEAD places ahead
 * are asked for, unless that is 0. */
#ifndef CELLS_AHEAD
#define CELLS_AHEAD 0
#endif
typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), may_alias));
typedef REAL loose __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

static inline void turn(four* a) {
    const four t = __builtin_shufflevector(a[0], a[1], 0, 4, 1, 5);
    const four u = __builtin_shufflevector(a[0], a[1], 2, 6, 3, 7);
    const four v = __builtin_shufflevector(a[2], a[3], 0, 4, 1, 5);
    const four x = __builtin_shufflevector(a[2], a[3], 2, 6, 3, 7);
    a[0] = __builtin_shufflevector(t, v, 0, 1, 4, 5);
    a[1] = __builtin_shufflevector(t, v, 2, 3, 6, 7);
    a[2] = __builtin_shufflevector(u, x, 0, 1, 4, 5);
    a[3] = __builtin_shufflevector(u, x, 2, 3, 6, 7);
}

static inline __attribute__((always_inline)) void sparse_cells(
    int adagrad, const REAL* restrict values, const int32_t* restrict indices,
    const int32_t* restrict starts, const REAL* restrict y, const int32_t* restrict order, long n,
    REAL rate, four* restrict cells
) {
    for (long s = 0; s < n; s++) {
        const long row = order[s], from = starts[row], count = starts[row + 1] - from;
        const long groups = count / 4, rest = count % 4;
        const int32_t* at = indices + from;
        four part[groups + 1][4], x[groups + 1], sum = {0};
        ask_for(values, indices, starts, order, s, n);
        if (CELLS_AHEAD && s + CELLS_AHEAD < n) {
            const long later = order[s + CELLS_AHEAD];
            for (long p = starts[later]; p < starts[later + 1]; p++) ASK_FOR(cells + indices[p]);
        }
        for (long i = 0; i < groups + (rest > 0); i++) {
            const int some = i == groups;
            four value = {0};
            if (some)
                for (long k = 0; k < rest; k++) value[k] = values[from + 4 * i + k];
            else
                value = *(const loose*) (values + from + 4 * i);
            for (long k = 0; k < 4; k++)
                part[i][k] = some && k >= rest ? (four) {0} : cells[at[4 * i + k]];
            turn(part[i]);
            x[i] = value * part[i][2];
            sum += x[i] * part[i][0];
        }
        const REAL gradient = sigmoid((sum[0] + sum[1]) + (sum[2] + sum[3])) - y[row];
        for (long i = 0; i < groups + (rest > 0); i++) {
            const four g = gradient * x[i];
            if (adagrad) {
                part[i][1] += g * g;
                four roots;
                for (long k = 0; k < 4; k++) roots[k] = root(part[i][1][k]);
                part[i][0] -= rate * g / roots;
            } else
                part[i][0] -= rate * g;
            part[i][3] = (four) {0} + (REAL) s;
            turn(part[i]);
            for (long k = 0; k < (i == groups ? rest : 4); k++) cells[at[4 * i + k]] = part[i][k];
        }
    }
}

void sgd_cells(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, four* restrict cells
) {
    sparse_cells(0, values, indices, starts, y, order, n, rate, cells);
}

void adagrad_cells(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, four* restrict cells
) {
    sparse_cells(1, values, indices, starts, y, order, n, rate, cells);
}
