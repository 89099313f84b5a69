/* Parts of one epoch of logistic regression that can't be left out: compiled by `bounds_loops.py`
 * for each type of number (REAL) and number of columns (COLUMNS).
 *
 * No penalty, intercept, weights or, but for whole_gradient, value of the loss. Rows of the one-row
 * steps are padded to whole vectors and lie in the first cache, so that their time is that of
 * arithmetic alone. All but whole_gradient and the loops named `cells` are the least, whoever
 * implements it; `cells` are what tables laid out as ours take. */
#include <math.h>
#include <stdint.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#include "bounds_loss.h"

#define LANES ((long) (64 / sizeof(REAL)))
#define WIDTH ((COLUMNS + LANES - 1) / LANES * LANES)
#define LINE 64
/* Sums side by side in a sparse row's product: more than one where it is not made in vectors, or
 * each addition waits for the one before. */
#ifndef SUMS
#define SUMS 1
#endif
#define ROWS_AHEAD 12
#define LOOKED_UP 128
/* To gcc a function that only prefetches has no effect, so it removes the calls of it; the empty
 * statement counts as one. */
#define ASK_FOR(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
#define IN_ANY_ORDER _Pragma("GCC ivdep")

typedef REAL vec __attribute__((vector_size(64), aligned(sizeof(REAL)), may_alias));
static inline REAL root(REAL x) {
    return sizeof(REAL) == 4 ? (REAL) sqrtf((float) x) : (REAL) sqrt((double) x);
}

/* Reads the rows once, as they lie: one stream, asked for so many bytes ahead (0: not at all). */
REAL read_through(const REAL* x, long n, long ahead) {
    const long count = n * COLUMNS, lanes = VECTOR / sizeof(REAL);
    own sums[8] = {0};
    REAL total = 0;
    long i = 0;
    for (; i + 8 * lanes <= count; i += 8 * lanes) {
        const char* later = (const char*) (x + i) + ahead;
        if (ahead)
            for (long at = 0; at < 8 * VECTOR; at += LINE) ASK_FOR(later + at);
        for (long k = 0; k < 8; k++) sums[k] += *(const own*) (x + i + k * lanes);
    }
    for (; i < count; i++) total += x[i];
    for (long k = 1; k < 8; k++) sums[0] += sums[k];
    for (long j = 0; j < lanes; j++) total += sums[0][j];
    return total;
}

/* Brings the rows once, in this order: of each line that a row lies in, one number is read. Rows
 * are asked for so many places ahead (0: not at all), so many bytes of each at most. */
REAL touch_rows(const REAL* x, const int32_t* order, long n, long ahead, long most) {
    const long bytes = COLUMNS * sizeof(REAL), asked_for = bytes < most ? bytes : most;
    REAL sums[4] = {0};
    for (long i = 0; i < n; i++) {
        const REAL* row = x + (long) order[i] * COLUMNS;
        if (ahead && i + ahead < n) {
            const char* later = (const char*) (x + (long) order[i + ahead] * COLUMNS);
            for (long at = 0; at < asked_for; at += LINE) ASK_FOR(later + at);
            ASK_FOR(later + asked_for - 1);
        }
        long j = 0;
        for (; j + 4 * LANES <= COLUMNS; j += 4 * LANES)
            for (long k = 0; k < 4; k++) sums[k] += row[j + k * LANES];
        for (; j < COLUMNS; j += LANES) sums[j / LANES % 4] += row[j];
        sums[3] += row[COLUMNS - 1];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
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

#define SGD_OWN(n, j) { \
    const own moved = AT(w + (j)) - step * AT(row + (j)), second_own = AT(second + (j)); \
    AT(w + (j)) = moved; \
    p_own[n] += second_own * moved; \
    q_own[n] += second_own * AT(next + (j)); \
}

/* The same for n rows where they lie, in this order: reading and arithmetic in one. Meanwhile the
 * lines of two rows are asked for: of that so many places ahead, and of `coming`, unless NULL; of
 * which, in one go, the pages of LOOKED_UP rows are looked up before. */
void sgd_rows(
    const REAL* x, const REAL* y, const int32_t* order, const int32_t* coming, long n, long ahead,
    REAL rate, REAL* w
) {
    const long last = n - 1;
    REAL z = 0, p = 0, q = 0;
    for (long j = 0; j < COLUMNS; j++) {
        const REAL second = x[order[last < 1 ? last : 1] * (long) COLUMNS + j];
        z += x[order[0] * (long) COLUMNS + j] * w[j];
        p += second * w[j];
        q += second * x[order[0] * (long) COLUMNS + j];
    }
    for (long s = 0; s < n; s++) {
        const REAL* row = x + order[s] * (long) COLUMNS;
        const REAL* next = x + order[s + 1 < last ? s + 1 : last] * (long) COLUMNS;
        const REAL* second = x + order[s + 2 < last ? s + 2 : last] * (long) COLUMNS;
        const long early = order[s + ahead < last ? s + ahead : last];
        const REAL* soon = x + early * COLUMNS;
        const REAL* later = coming ? x + coming[s] * (long) COLUMNS : soon;
        const REAL step = rate * (sigmoid(z) - y[order[s]]);
        if (coming && s % LOOKED_UP == 0)
            for (long i = s + LOOKED_UP; i < s + 2 * LOOKED_UP && i < n; i += 4) {
                ASK_FOR(x + coming[i] * (long) COLUMNS);
                ASK_FOR(y + coming[i]);
            }
        own p_own[2] = {0}, q_own[2] = {0};
        long j = 0;
        z = p - step * q;
        ASK_FOR(y + early);
        ASK_FOR(soon + COLUMNS - 1);
        for (; j + LANES <= COLUMNS; j += LANES) {
            ASK_FOR(soon + j);
            if (coming) ASK_FOR(later + j);
            for (long k = 0; k < LANES; k += OWN) SGD_OWN(k / OWN % 2, j + k)
        }
        if (j < COLUMNS) {
            ASK_FOR(soon + j);
            if (coming) ASK_FOR(later + j);
        }
        for (; j + OWN <= COLUMNS; j += OWN) SGD_OWN(0, j)
        p_own[0] += p_own[1];
        q_own[0] += q_own[1];
        p = q = 0;
        for (; j < COLUMNS; j++) {
            w[j] -= step * row[j];
            p += second[j] * w[j];
            q += second[j] * next[j];
        }
        for (long k = 0; k < OWN; k++) p += p_own[0][k], q += q_own[0][k];
    }
}

/* Two lines from twice as far as element j. */
#define ASK_TWICE(later, j) { \
    ASK_FOR((later) + 2 * (j) * (long) sizeof(REAL)); \
    ASK_FOR((later) + 2 * (j) * (long) sizeof(REAL) + LINE); \
}

static inline own less_mean(const REAL* row, const REAL* mean) {
    own x = AT(row);
    if (mean) x -= AT(mean);
    return x;
}

/* gradient <- X'(X w), blocks of so many rows forward and then, from cache, back: reading and
 * arithmetic of gd in one, without a loss. With labels y and means, of rows less their means, the
 * gradient of the log loss but for units and intercept; returns the sum of the losses.
 * Meanwhile, if `ask`, the next block is asked for, half of it each way, two lines a line. */
static inline __attribute__((always_inline)) double back_of(
    const REAL* x, long n, long block, long ask, const REAL* w, REAL* gradient, const REAL* y,
    const REAL* means
) {
    double total = 0;
    for (long j = 0; j < COLUMNS; j++) gradient[j] = 0;
    for (long start = 0; start < n; start += block) {
        const long count = n - start < block ? n - start : block;
        const REAL* rows = x + start * COLUMNS;
        REAL z[count + 4];
        for (long i = 0; i < count + 4; i++) z[i] = 0;
        for (long i = 0; i < count; i += 4) {
            own sums[4] = {0};
            REAL rest[4] = {0};
            long j = 0, at[4];
            for (long k = 0; k < 4; k++) at[k] = (i + k < count ? i + k : i) * COLUMNS;
            const char* later = (const char*) (rows + (count + i / 2) * COLUMNS);
            for (; j + OWN <= COLUMNS; j += OWN) {
                if (ask && j * sizeof(REAL) % LINE == 0) ASK_TWICE(later, j);
                const REAL* mean = means ? means + j : means;
                for (long k = 0; k < 4; k++)
                    sums[k] += less_mean(rows + at[k] + j, mean) * AT(w + j);
            }
            for (; j < COLUMNS; j++)
                for (long k = 0; k < 4; k++)
                    rest[k] += (rows[at[k] + j] - (means ? means[j] : 0)) * w[j];
            for (long k = 0; k < 4 && i + k < count; k++) {
                for (long l = 0; l < OWN; l++) rest[k] += sums[k][l];
                z[i + k] = rest[k];
            }
        }
        if (y) total += log_losses(z, y + start, count);
        for (long i = 0; i < count; i += 4) {
            long j = 0, at[4];
            for (long k = 0; k < 4; k++) at[k] = (i + k < count ? i + k : i) * COLUMNS;
            const char* later = (const char*) (rows + (count + (count + i) / 2) * COLUMNS);
            for (; j + OWN <= COLUMNS; j += OWN) {
                if (ask && j * sizeof(REAL) % LINE == 0) ASK_TWICE(later, j);
                own sum = AT(gradient + j);
                const REAL* mean = means ? means + j : means;
                for (long k = 0; k < 4; k++)
                    sum += less_mean(rows + at[k] + j, mean) * z[i + k];
                AT(gradient + j) = sum;
            }
            for (; j < COLUMNS; j++)
                for (long k = 0; k < 4; k++)
                    gradient[j] += (rows[at[k] + j] - (means ? means[j] : 0)) * z[i + k];
        }
    }
    return total;
}

void there_and_back(
    const REAL* x, long n, long block, long ask, const REAL* w, REAL* gradient
) {
    back_of(x, n, block, ask, w, gradient, (const REAL*) 0, (const REAL*) 0);
}

double whole_gradient(
    const REAL* x, long n, long block, long ask, const REAL* w, REAL* gradient, const REAL* y,
    const REAL* means
) {
    return back_of(x, n, block, ask, w, gradient, y, means);
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
        /* of short rows root and division are sooner at hand */
        if (WIDTH * sizeof(REAL) > 128) {
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
            continue;
        }
#endif
        /* gcc makes vectors as the processor has them, roots and divisions in them */
        for (long j = 0; j < WIDTH; j++) {
            const REAL g = gradient * row[j], squares = G[j] + g * g;
            const REAL moved = w[j] - rate * g / root(squares);
            G[j] = squares;
            w[j] = moved;
            z += next[j] * moved;
        }
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

/* The same for adam, as if features that a row lacks stood still while it is visited: what they
 * miss, by whatever way they catch up, comes on top. v starts above zero; no correction of the
 * moments' start. */
#define BETA_1 ((REAL) 0.9)
#define BETA_2 ((REAL) 0.999)
#define ROOT_BETA_2 ((REAL) 0.999499874937461)
#define LOG_ROOT_BETA_2 ((REAL) -7.217084348342974e-4) /* to base 2, as the next */
#define LOG_RATIO ((REAL) -0.15128138501021565)
#define RATIO (BETA_1 / ROOT_BETA_2)

struct moments { REAL w, m, v, none; };

void adam_sparse(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate,
    struct moments* restrict cells
) {
    for (long s = 0; s < n; s++) {
        const long row = order[s], from = starts[row], count = starts[row + 1] - from;
        const int32_t* at = indices + from;
        const REAL* x = values + from;
        REAL w[count + 1], m[count + 1], v[count + 1], sums[SUMS] = {0}, z = 0;
        long done = 0;
        ask_for(values, indices, starts, order, s, n);
        for (long i = 0; i < count; i++) {
            w[i] = cells[at[i]].w;
            m[i] = cells[at[i]].m;
            v[i] = cells[at[i]].v;
        }
        for (; done <= count - SUMS; done += SUMS)
            for (long k = 0; k < SUMS; k++) sums[k] += x[done + k] * w[done + k];
        for (; done < count; done++) z += x[done] * w[done];
        for (long k = 0; k < SUMS; k++) z += sums[k];
        const REAL gradient = sigmoid(z) - y[row];
        for (long i = 0; i < count; i++) {
            const REAL g = gradient * x[i];
            m[i] = BETA_1 * m[i] + (1 - BETA_1) * g;
            v[i] = BETA_2 * v[i] + (1 - BETA_2) * g * g;
            w[i] -= rate * m[i] / root(v[i]);
        }
        for (long i = 0; i < count; i++) {
            cells[at[i]].w = w[i];
            cells[at[i]].m = m[i];
            cells[at[i]].v = v[i];
        }
    }
}

/* The same three with the numbers that our tables have: the weight; adagrad's sum, or the rate of
 * its penalty; its unit; and the step up to which the feature has caught up, for an exact penalty or
 * a moment that waits until the feature comes again. adam has four more, of
 * which the moments are used here. (Penalties themselves are left out.) Four features at a time,
 * whose numbers are brought side by side and back by interleaving; the cells of the row CELLS_AHEAD
 * places ahead are asked for, unless that is 0. */
#ifndef CELLS_AHEAD
#define CELLS_AHEAD 0
#endif
typedef REAL four __attribute__((vector_size(4 * sizeof(REAL)), may_alias));
typedef REAL loose __attribute__((vector_size(4 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias));

typedef whole four_wholes __attribute__((vector_size(4 * sizeof(REAL))));

enum rule { SGD, ADAGRAD, ADAM };

/* 2^t for t <= 0, but at least 2^-60: nothing shrinks until arithmetic is slow. */
static inline four power(four t) {
    for (long j = 0; j < 4; j++) t[j] = t[j] > -60 ? t[j] : -60;
    const four_wholes k = __builtin_convertvector(t - (REAL) 0.5, four_wholes);
    const four f = t - __builtin_convertvector(k, four), f2 = f * f;
    const int bits = sizeof(REAL) == 4 ? 23 : 52, bias = sizeof(REAL) == 4 ? 127 : 1023;
    return TWO_TO(f, f2) * (four) ((k + bias) << bits);
}

static inline four four_roots(four a) {
    four roots;
    for (long k = 0; k < 4; k++) roots[k] = root(a[k]);
    return roots;
}

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

/* The steps of adam that a group missed: w, and m and v, of each quad after the other. The moves
 * are a geometric sequence. */
static inline void catch_up(four* part, REAL now, REAL rate) {
    const four away = now - part[3];
    const four ratio = power(away * LOG_RATIO), half = power(away * LOG_ROOT_BETA_2);
    part[0] -= rate * RATIO / (1 - RATIO) * (1 - ratio) * part[4] / four_roots(part[5]);
    part[4] *= ratio * half;
    part[5] *= half * half;
}

static inline __attribute__((always_inline)) void sparse_cells(
    enum rule rule, const REAL* restrict values, const int32_t* restrict indices,
    const int32_t* restrict starts, const REAL* restrict y, const int32_t* restrict order, long n,
    REAL rate, four* restrict cells
) {
    const long size = rule == ADAM ? 2 : 1;
    for (long s = 0; s < n; s++) {
        const long row = order[s], from = starts[row], count = starts[row + 1] - from;
        const long groups = count / 4, rest = count % 4;
        const int32_t* at = indices + from;
        four part[groups + 1][4 * size], x[groups + 1], sum = {0};
        ask_for(values, indices, starts, order, s, n);
        if (CELLS_AHEAD && s + CELLS_AHEAD < n) {
            const long later = order[s + CELLS_AHEAD];
            for (long p = starts[later]; p < starts[later + 1]; p++)
                ASK_FOR(cells + size * indices[p]);
        }
        for (long i = 0; i < groups + (rest > 0); i++) {
            const int some = i == groups;
            four value = {0};
            if (some)
                for (long k = 0; k < rest; k++) value[k] = values[from + 4 * i + k];
            else
                value = *(const loose*) (values + from + 4 * i);
            for (long k = 0; k < 4; k++) {
                const int none = some && k >= rest;
                part[i][k] = none ? (four) {0} : cells[size * at[4 * i + k]];
                if (rule == ADAM)
                    part[i][4 + k] = none ? (four) {0, 1} : cells[size * at[4 * i + k] + 1];
            }
            turn(part[i]);
            if (rule == ADAM) {
                turn(part[i] + 4);
                catch_up(part[i], (REAL) s, rate);
            }
            x[i] = value * part[i][2];
            sum += x[i] * part[i][0];
        }
        const REAL gradient = sigmoid((sum[0] + sum[1]) + (sum[2] + sum[3])) - y[row];
        for (long i = 0; i < groups + (rest > 0); i++) {
            const four g = gradient * x[i];
            if (rule == ADAM) {
                part[i][4] = BETA_1 * part[i][4] + (1 - BETA_1) * g;
                part[i][5] = BETA_2 * part[i][5] + (1 - BETA_2) * g * g;
                part[i][0] -= rate * part[i][4] / four_roots(part[i][5]);
                turn(part[i] + 4);
            } else if (rule == ADAGRAD) {
                part[i][1] += g * g;
                part[i][0] -= rate * g / four_roots(part[i][1]);
            } else
                part[i][0] -= rate * g;
            part[i][3] = (four) {0} + (REAL) (s + 1);
            turn(part[i]);
            for (long k = 0; k < (i == groups ? rest : 4); k++) {
                cells[size * at[4 * i + k]] = part[i][k];
                if (rule == ADAM) cells[size * at[4 * i + k] + 1] = part[i][4 + k];
            }
        }
    }
    /* the next epoch counts from zero again */
    if (rule == ADAM)
        for (long j = 0; j < COLUMNS; j++) cells[size * j][3] -= n;
}

void sgd_cells(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, four* restrict cells
) {
    sparse_cells(SGD, values, indices, starts, y, order, n, rate, cells);
}

void adagrad_cells(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, four* restrict cells
) {
    sparse_cells(ADAGRAD, values, indices, starts, y, order, n, rate, cells);
}

void adam_cells(
    const REAL* restrict values, const int32_t* restrict indices, const int32_t* restrict starts,
    const REAL* restrict y, const int32_t* restrict order, long n, REAL rate, four* restrict cells
) {
    sparse_cells(ADAM, values, indices, starts, y, order, n, rate, cells);
}
