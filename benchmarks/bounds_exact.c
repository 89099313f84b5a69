/* An epoch of logistic regression over CSR rows of float with what an exact L2 penalty and units
 * need, and no more; empty where the processor lacks AVX2. Compiled by `bounds_loops.py`. The
 * quickest that we found of some thirty ways to write them. A step shrinks w by 1 + D ridge unit^2,
 * D the step size.
 *
 * The cells of a table are four numbers: the weight, the step at which it was last seen, its unit,
 * and sgd's log2(1 + rate ridge unit^2) or the inverse root of adagrad's sum of squares, with
 * D ridge unit^2 cut off at 1/16. What is left of a weight since it was last seen is a power of two, or
 * nothing if that is below 2^-56: products of two such powers are no normal numbers, and take a
 * hundred times as long.
 *
 * `*_exact` are the steps alone, on cells; what a feature has not had since it was last seen is
 * left to the next epoch. `*_epoch` draw the order of the rows, have an intercept, and return the
 * sum of the losses and the penalty; at their end weights and sums are in arrays, too, and no
 * feature has a step to come.
 *
 * Eight features at a time; what fills up a row's last eight are the cells COLUMNS to COLUMNS + 3,
 * one for each of four rows in turns, whose unit is zero. Cells of the next row (adagrad) or of that
 * after next are asked for between the steps of groups, entries of the row ROWS_AHEAD on between
 * their loads. (Adagrad is quicker by 4 % on words, and slower by 2 % on columns alike, where all
 * cells are asked for before the first step.) */
#if defined __AVX2__ && defined __FMA__
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#define VECTOR 32 /* some products of 64 bytes now and then lower the clock */
#include "bounds_loss.h"

#define ROWS_AHEAD 4
#define LISTS 4
#define MOST 4096 /* entries of a row */
#define WINDOW 512 /* rows */
#define AT_ONCE 256 /* rows, whose losses are computed together */
#define CELL 4 /* a cell takes 1 << CELL bytes */
#define ALL(x) _mm256_set1_ps(x)
#define ASK_FOR(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
#define INLINE static inline __attribute__((always_inline))

typedef __m256 vec;
typedef __m256i ids;
typedef uint64_t pairs __attribute__((vector_size(32)));

static const int32_t LANES[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

INLINE ids mask_of(long left) { return _mm256_loadu_si256((const ids*) (LANES + 8 - left)); }

/* Features i, i + 1, ... of a row of `count`: their places in the table, which are asked for. */
INLINE void list(
    const int32_t* row, long count, long i, const char* table, int32_t empty, uint32_t* to
) {
    ids eight;
    if (i + 8 <= count)
        eight = _mm256_loadu_si256((const ids*) (row + i));
    else
        eight = _mm256_blendv_epi8(
            _mm256_set1_epi32(empty), _mm256_maskload_epi32(row + i, mask_of(count - i)),
            mask_of(count - i));
    eight = _mm256_slli_epi32(eight, CELL);
    _mm256_storeu_si256((ids*) (to + i), eight);
    for (long k = 0; k < 4; k++) {
        const uint64_t two = ((pairs) eight)[k];
        ASK_FOR(table + (uint32_t) two);
        ASK_FOR(table + (two >> 32));
    }
}

INLINE float sum_of(vec x) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* 2^r for |r| <= 1/2: its even powers, and its odd ones over r */
#define EVEN(z) (1 + (z) * (0.24022648f + (z) * (0.009618437f + (z) * 0.00015353362f)))
#define ODD(z) (0.6931472f + (z) * (0.055503324f + (z) * 0.0013398874f))
#define NEAREST_WHOLE (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)

/* 2^t, t <= 0 */
INLINE vec power_of_two(vec t) {
#ifdef __AVX512VL__
    const vec r = _mm256_reduce_ps(t, NEAREST_WHOLE);
    return _mm256_maskz_scalef_ps(
        _mm256_cmp_ps_mask(t, ALL(-56), _CMP_NLT_UQ), EVEN(r * r) + r * ODD(r * r), t - r);
#else
    const vec whole = _mm256_round_ps(t, NEAREST_WHOLE), r = t - whole;
    const ids power = _mm256_slli_epi32(_mm256_cvtps_epi32(whole), 23);
    const vec series = EVEN(r * r) + r * ODD(r * r);
    return _mm256_and_ps(
        (vec) _mm256_add_epi32((ids) series, power), _mm256_cmp_ps(t, ALL(-56), _CMP_NLT_UQ));
#endif
}

/* The inverse root r of adagrad's sum with g^2, too, t = r g: by the processor's estimate, where it
 * has one, and a step of third order. */
INLINE vec grown(vec r, vec t) {
    const vec x = 1 + t * t;
#ifdef __AVX512VL__
    const vec y = _mm256_rsqrt14_ps(x), h = 1 - x * y * y;
    return r * (y + y * h * (0.5f + 0.375f * h));
#else
    return r / _mm256_sqrt_ps(x);
#endif
}

/* adagrad's log2(1 + D ridge unit^2) */
INLINE vec shrinking(vec unit, vec r, float ridge) {
    const vec x = _mm256_min_ps(ridge * (unit * unit) * r, ALL(0.0625f));
    return x * ((1.44269502f - 0.72133166f * x) + x * x * (0.479616523f - 0.32707422f * x));
}

INLINE void turn(vec* a, vec* b, vec* c, vec* e) {
    const vec t = _mm256_unpacklo_ps(*a, *b), u = _mm256_unpackhi_ps(*a, *b);
    const vec v = _mm256_unpacklo_ps(*c, *e), x = _mm256_unpackhi_ps(*c, *e);
    *a = _mm256_shuffle_ps(t, v, 0x44), *b = _mm256_shuffle_ps(t, v, 0xee);
    *c = _mm256_shuffle_ps(u, x, 0x44), *e = _mm256_shuffle_ps(u, x, 0xee);
}

#define QUAD(p, k) _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(p(k))), \
                                        _mm_load_ps(p(k + 4)), 1)
#define STORE(p, k, both) _mm_store_ps(p(k), _mm256_castps256_ps128(both)), \
                          _mm_store_ps(p(k + 4), _mm256_extractf128_ps(both, 1))
#define STORE_TWO(k, half) \
    _mm_storel_pi((__m64*) PLACE(k), half), _mm_storeh_pi((__m64*) PLACE(k + 1), half)
#define PLACE(k) ((float*) (table + at[k]))
#define IN_TURN(k) (cells + 4 * (k))

/* One epoch; told: not NULL, if there are an intercept and a value of the loss. */
INLINE double steps(
    const float* values, const int32_t* indices, const int32_t* starts, const float* y,
    const int32_t* order, long n, float rate, float ridge, char* table, int adagrad, float* told,
    float* intercept
) {
    const long ahead = adagrad ? 1 : 2;
    uint32_t lists[LISTS][MOST];
    vec part[MOST / 8][5];
    float labels[AT_ONCE];
    double total = 0;
    for (long k = 0; k < LISTS; k++) {
        float* cell = (float*) table + 4 * (COLUMNS + k);
        cell[0] = cell[1] = cell[2] = 0, cell[3] = adagrad;
    }
    for (long s = 0; s < ahead && s < n; s++) {
        const long j = order[s], count = starts[j + 1] - starts[j];
        for (long i = 0; i < count; i += 8)
            list(indices + starts[j], count, i, table, COLUMNS + s, lists[s]);
    }
    for (long s = 0; s < n; s++) {
        const long from = starts[order[s]], count = starts[order[s] + 1] - from;
        const float* x = values + from;
        uint32_t *row = lists[s % LISTS], *to = lists[(s + ahead) % LISTS];
        const int32_t empty = COLUMNS + (s + ahead) % LISTS;
        const int32_t *next = indices, *index = indices, *last = indices;
        const float* value = values;
        vec sum = ALL(0), now = ALL((float) s);
        long coming = 0, i = 0, groups = 0;
        if (s + ahead < n) {
            next = indices + starts[order[s + ahead]];
            coming = starts[order[s + ahead] + 1] - starts[order[s + ahead]];
        }
        if (s + 2 * ROWS_AHEAD < n) ASK_FOR(starts + order[s + 2 * ROWS_AHEAD]);
        if (s + ROWS_AHEAD < n) {
            const long later = order[s + ROWS_AHEAD];
            ASK_FOR(y + later);
            index = indices + starts[later], last = indices + starts[later + 1];
            value = values + starts[later];
        }
        for (; i < count; i += 8, groups++) {
            const uint32_t* at = row + i;
            if (index < last) {
                ASK_FOR(index);
                ASK_FOR(value);
                index += 16, value += 16;
            }
            vec w = QUAD(PLACE, 0), seen = QUAD(PLACE, 1), unit = QUAD(PLACE, 2);
            vec fourth = QUAD(PLACE, 3);
            turn(&w, &seen, &unit, &fourth);
            part[groups][0] = w;
            part[groups][1] = unit * (i + 8 <= count ? _mm256_loadu_ps(x + i)
                                      : _mm256_maskload_ps(x + i, mask_of(count - i)));
            part[groups][2] = (seen - now)
                * (adagrad ? shrinking(unit, fourth, rate * ridge) : fourth);
            if (adagrad) part[groups][3] = unit, part[groups][4] = fourth;
        }
        for (long k = 0; k < groups; k++) {
            part[k][0] *= power_of_two(part[k][2]);
            sum += part[k][1] * part[k][0];
        }
        const float label = y[order[s]], z = sum_of(sum) + (told ? intercept[0] : 0);
        const float gradient = sigmoid(z) - label;
        const vec all = ALL(adagrad ? gradient : rate * gradient);
        for (long k = 0; k < groups; k++) {
            const uint32_t* at = row + 8 * k;
            if (8 * k < coming) list(next, coming, 8 * k, table, empty, to);
            const vec g = all * part[k][1];
            if (adagrad) {
                vec r = grown(part[k][4], part[k][4] * part[k][1] * all);
                vec w = part[k][0] - rate * g * r, unit = part[k][3], seen = now;
                turn(&w, &seen, &unit, &r);
                STORE(PLACE, 0, w), STORE(PLACE, 1, seen);
                STORE(PLACE, 2, unit), STORE(PLACE, 3, r);
            } else {
                const vec w = part[k][0] - g;
                const vec low = _mm256_unpacklo_ps(w, now), high = _mm256_unpackhi_ps(w, now);
                STORE_TWO(0, _mm256_castps256_ps128(low));
                STORE_TWO(2, _mm256_castps256_ps128(high));
                STORE_TWO(4, _mm256_extractf128_ps(low, 1));
                STORE_TWO(6, _mm256_extractf128_ps(high, 1));
            }
        }
        for (i = 8 * groups; i < coming; i += 8) list(next, coming, i, table, empty, to);
        if (!told) continue;
        told[s % AT_ONCE] = z, labels[s % AT_ONCE] = label;
        if (adagrad) intercept[1] += gradient * gradient;
        intercept[0] -= rate * gradient / (adagrad ? sqrtf(intercept[1]) : 1);
        if (s % AT_ONCE == AT_ONCE - 1 || s == n - 1)
            total += log_losses(told, labels, s % AT_ONCE + 1);
    }
    return total;
}

/* The rows of each window in a random order, by SplitMix64's words; blocks stay in theirs. */
static void draw(int32_t* order, long n, uint64_t* state) {
    for (long at = 0; at < n; at += WINDOW)
        for (long i = (n - at < WINDOW ? n - at : WINDOW) - 1; i > 0; i--) {
            uint64_t z = *state += 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            const long j = ((z ^ (z >> 31)) >> 32) * (i + 1) >> 32;
            const int32_t swap = order[at + i];
            order[at + i] = order[at + j], order[at + j] = swap;
        }
}

/* The same in another order, and to arrays, whose rest of fewer than eight is written, too. */
INLINE double epoch(
    const float* values, const int32_t* indices, const int32_t* starts, const float* y,
    int32_t* order, long n, float rate, float ridge, char* table, int adagrad, float* w,
    float* G, float* intercept, uint64_t* state
) {
    float told[AT_ONCE];
    __m256d squares = _mm256_setzero_pd();
    draw(order, n, state);
    const double total = steps(
        values, indices, starts, y, order, n, rate, ridge, table, adagrad, told, intercept);
    for (long j = 0; j < COLUMNS; j += 8) {
        float* cells = (float*) table + 4 * j;
        vec a = QUAD(IN_TURN, 0), b = QUAD(IN_TURN, 1), c = QUAD(IN_TURN, 2), e = QUAD(IN_TURN, 3);
        turn(&a, &b, &c, &e);
        if (adagrad) _mm256_storeu_ps(G + j, 1 / (e * e));
        a *= power_of_two((b - (float) n) * (adagrad ? shrinking(c, e, rate * ridge) : e));
        _mm256_storeu_ps(w + j, a);
        const vec some = j + 8 <= COLUMNS ? c : _mm256_and_ps(c, (vec) mask_of(COLUMNS - j));
        const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a * some));
        const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a * some, 1));
        squares += low * low + high * high;
        b = ALL(0);
        turn(&a, &b, &c, &e);
        STORE(IN_TURN, 0, a), STORE(IN_TURN, 1, b), STORE(IN_TURN, 2, c), STORE(IN_TURN, 3, e);
    }
    return total + 0.5 * ridge * (squares[0] + squares[1] + squares[2] + squares[3]);
}

#define FOR(rule, adagrad) \
void rule##_exact( \
    const float* values, const int32_t* indices, const int32_t* starts, const float* y, \
    const int32_t* order, long n, float rate, float ridge, char* table \
) { \
    steps(values, indices, starts, y, order, n, rate, ridge, table, adagrad, 0, 0); \
    /* counts from zero again */ \
    for (long j = 0; j < COLUMNS; j++) ((float*) table)[4 * j + 1] -= n; \
} \
double rule##_epoch( \
    const float* values, const int32_t* indices, const int32_t* starts, const float* y, \
    int32_t* order, long n, float rate, float ridge, char* table, float* w, float* G, \
    float* intercept, uint64_t* state \
) { \
    return epoch(values, indices, starts, y, order, n, rate, ridge, table, adagrad, w, G, \
                 intercept, state); \
}
FOR(sgd, 0)
FOR(adagrad, 1)
#endif
