/* An epoch of logistic regression over CSR rows of float with what an exact L2 penalty and units
 * need, and no more; empty where the processor lacks AVX2. Compiled by `bounds_loops.py`. The
 * quickest that we found of some twenty ways to write them; no intercept, weights or value of the
 * loss. A step shrinks w by 1 + D ridge unit^2, D the step size.
 *
 * Eight features at a time; what fills up a row's last eight is the cell `COLUMNS`, whose weight
 * stays zero. Cells of the row after next are asked for between the groups, as are entries of the row
 * ROWS_AHEAD on. */
#if defined __AVX2__ && defined __FMA__
#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#include "bounds_slope.h"

#define ROWS_AHEAD 12
#define CELLS_AHEAD 2
#define LISTS 4
#define MOST 4096 /* entries of a row */
#define ALL(x) _mm256_set1_ps(x)
#define ASK_FOR(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
#define INLINE static inline __attribute__((always_inline))

typedef __m256 vec;
typedef __m256i ids;

static const int32_t LANES[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

INLINE ids mask_of(long left) { return _mm256_loadu_si256((const ids*) (LANES + 8 - left)); }

/* Features i, i + 1, ... of a row of `count`: their places in the table, which are asked for. */
INLINE void list(
    const int32_t* row, long count, long i, const char* table, int shift, uint32_t* to
) {
    ids eight = _mm256_set1_epi32(COLUMNS);
    if (i >= count) return;
    if (i + 8 <= count)
        eight = _mm256_loadu_si256((const ids*) (row + i));
    else
        eight = _mm256_blendv_epi8(
            eight, _mm256_maskload_epi32(row + i, mask_of(count - i)), mask_of(count - i));
    _mm256_storeu_si256((ids*) (to + i), _mm256_slli_epi32(eight, shift));
    for (long k = 0; k < 8; k++) ASK_FOR(table + to[i + k]);
}

INLINE float sum_of(vec x) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* 2^r for |r| <= 1/2: its even powers, and its odd ones over r */
#define EVEN(z) (1 + (z) * (0.24022648f + (z) * (0.009618437f + (z) * 0.00015353362f)))
#define ODD(z) (0.6931472f + (z) * (0.055503324f + (z) * 0.0013398874f))

#define PLACE(type, k) ((type*) (table + (uint64_t) at[k]))

/* What each step begins with: its row, and those that are ahead. */
#define BEGIN \
    const long from = starts[order[s]], count = starts[order[s] + 1] - from; \
    const float* x = values + from; \
    uint32_t *row = lists[s % LISTS], *to = lists[(s + CELLS_AHEAD) % LISTS]; \
    const int32_t *next = indices, *index = indices, *last = indices; \
    const float* value = values; \
    vec sum = ALL(0); \
    long coming = 0, i = 0, groups = 0; \
    if (s + CELLS_AHEAD < n) { \
        next = indices + starts[order[s + CELLS_AHEAD]]; \
        coming = starts[order[s + CELLS_AHEAD] + 1] - starts[order[s + CELLS_AHEAD]]; \
    } \
    if (s + 2 * ROWS_AHEAD < n) ASK_FOR(starts + order[s + 2 * ROWS_AHEAD]); \
    if (s + ROWS_AHEAD < n) { \
        const long later = order[s + ROWS_AHEAD]; \
        ASK_FOR(y + later); \
        index = indices + starts[later], last = indices + starts[later + 1]; \
        value = values + starts[later]; \
    }
#define ASK_ENTRIES \
    if (index < last) { \
        ASK_FOR(index); \
        ASK_FOR(value); \
        index += 16, value += 16; \
    }
#define VALUES(i) (i + 8 <= count ? _mm256_loadu_ps(x + i) \
                                  : _mm256_maskload_ps(x + i, mask_of(count - i)))
#define FIRST_LISTS(shift) \
    for (long s = 0; s < CELLS_AHEAD && s < n; s++) \
        for (long i = 0, j = order[s]; i < starts[j + 1] - starts[j]; i += 8) \
            list(indices + starts[j], starts[j + 1] - starts[j], i, table, shift, lists[s]);

/* What a weight of this unit shrinks to in so many steps, and one over it. */
INLINE void shrinking(float ridge, vec unit, vec steps, vec* less, vec* more) {
    const vec square = ridge * (unit * unit);
    const vec shrinks = square * (1.442695f + square * (square * 0.48089835f - 0.72134752f));
    const vec t = shrinks * steps;
    const vec r = t - _mm256_round_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const vec even = EVEN(r * r), odd = ODD(r * r);
    const ids power = _mm256_slli_epi32(_mm256_cvtps_epi32(t), 23);
    *less = (vec) _mm256_sub_epi32((ids) (even - r * odd), power);
    *more = (vec) _mm256_add_epi32((ids) (even + r * odd), power);
}

/* A cell is a weight over what it has shrunk to by now, and its unit: the former follows from the
 * latter and the step. The epoch ends with weights. */
void sgd_exact(
    const float* values, const int32_t* indices, const int32_t* starts, const float* y,
    const int32_t* order, long n, float rate, float ridge, char* table
) {
    uint32_t lists[LISTS][MOST];
    vec part[MOST / 8][3];
    FIRST_LISTS(3)
    for (long s = 0; s < n; s++) {
        BEGIN
        for (; i < count; i += 8, groups++) {
            const uint32_t* at = row + i;
            ASK_ENTRIES
#define PAIR(k) _mm_castpd_ps(_mm_loadh_pd(_mm_load_sd(PLACE(double, k)), PLACE(double, k + 1)))
            const vec a = _mm256_insertf128_ps(_mm256_castps128_ps256(PAIR(0)), PAIR(4), 1);
            const vec b = _mm256_insertf128_ps(_mm256_castps128_ps256(PAIR(2)), PAIR(6), 1);
            const vec unit = _mm256_shuffle_ps(a, b, 0xdd);
            part[groups][0] = _mm256_shuffle_ps(a, b, 0x88);
            part[groups][1] = VALUES(i) * unit;
            part[groups][2] = unit;
        }
        for (long k = 0; k < groups; k++) {
            vec less, more;
            shrinking(rate * ridge, part[k][2], ALL((float) s), &less, &more);
            sum += part[k][1] * (part[k][0] * less);
            part[k][1] *= more;
            list(next, coming, 8 * k, table, 3, to);
        }
        for (i = 8 * groups; i < coming; i += 8) list(next, coming, i, table, 3, to);
        const vec step = ALL(rate * (sigmoid(sum_of(sum)) - y[order[s]]));
        for (long k = 0; k < groups; k++) {
            const uint32_t* at = row + 8 * k;
            const vec moved = part[k][0] - step * part[k][1];
            const vec low = _mm256_unpacklo_ps(moved, part[k][2]);
            const vec high = _mm256_unpackhi_ps(moved, part[k][2]);
#define PUT(k, four) \
            _mm_storel_pi(PLACE(__m64, k), four), _mm_storeh_pi(PLACE(__m64, k + 1), four)
            PUT(0, _mm256_castps256_ps128(low));
            PUT(2, _mm256_castps256_ps128(high));
            PUT(4, _mm256_extractf128_ps(low, 1));
            PUT(6, _mm256_extractf128_ps(high, 1));
        }
    }
    for (long j = 0; j < COLUMNS; j += 4) { /* the last four may reach into the cells beyond */
        const vec pairs = _mm256_loadu_ps((float*) table + 2 * j);
        vec less, more;
        shrinking(rate * ridge, _mm256_movehdup_ps(pairs), ALL((float) n), &less, &more);
        _mm256_storeu_ps((float*) table + 2 * j, _mm256_blend_ps(pairs, pairs * less, 0x55));
    }
}

INLINE void turn(vec* a, vec* b, vec* c, vec* e) {
    const vec t = _mm256_unpacklo_ps(*a, *b), u = _mm256_unpackhi_ps(*a, *b);
    const vec v = _mm256_unpacklo_ps(*c, *e), x = _mm256_unpackhi_ps(*c, *e);
    *a = _mm256_shuffle_ps(t, v, 0x44), *b = _mm256_shuffle_ps(t, v, 0xee);
    *c = _mm256_shuffle_ps(u, x, 0x44), *e = _mm256_shuffle_ps(u, x, 0xee);
}

/* A cell is a weight, the step it was last seen at, its unit, and the sum of squares, which starts
 * above zero. D ridge unit^2 is below one. Where a feature has not been seen since, its weight is
 * left as it was then. */
void adagrad_exact(
    const float* values, const int32_t* indices, const int32_t* starts, const float* y,
    const int32_t* order, long n, float rate, float ridge, char* table
) {
    uint32_t lists[LISTS][MOST];
    vec part[MOST / 8][5];
    FIRST_LISTS(4)
    for (long s = 0; s < n; s++) {
        BEGIN
        const vec now = ALL((float) s);
        for (; i < count; i += 8, groups++) {
            const uint32_t* at = row + i;
            ASK_ENTRIES
#define QUAD(k) _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_load_ps(PLACE(float, k))), \
                                     _mm_load_ps(PLACE(float, k + 4)), 1)
            vec w = QUAD(0), seen = QUAD(1), unit = QUAD(2), G = QUAD(3);
            turn(&w, &seen, &unit, &G);
            part[groups][0] = w;
            part[groups][1] = VALUES(i) * unit;
            part[groups][2] = unit;
            part[groups][3] = G;
            part[groups][4] = seen - now;
        }
        for (long k = 0; k < groups; k++) {
            const vec size = _mm256_sqrt_ps(part[k][3]);
            const vec above = rate * ridge * (part[k][2] * part[k][2]);
            const vec q = _mm256_div_ps(above, above + (size + size)), z = q * q;
            const vec log = (2.88539008f + z * 0.96179669f)
                + z * z * (0.57707802f + z * 0.41219858f);
            const vec t = _mm256_max_ps(part[k][4] * (q * log), ALL(-125));
            const vec r = t - _mm256_round_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            const ids power = _mm256_slli_epi32(_mm256_cvtps_epi32(t), 23);
            const vec series = EVEN(r * r) + r * ODD(r * r);
            part[k][0] *= (vec) _mm256_add_epi32((ids) series, power);
            sum += part[k][1] * part[k][0];
            list(next, coming, 8 * k, table, 4, to);
        }
        for (i = 8 * groups; i < coming; i += 8) list(next, coming, i, table, 4, to);
        const vec gradient = ALL(sigmoid(sum_of(sum)) - y[order[s]]);
        for (long k = 0; k < groups; k++) {
            const uint32_t* at = row + 8 * k;
            const vec g = gradient * part[k][1];
            vec G = part[k][3] + g * g, unit = part[k][2], seen = now;
            vec w = part[k][0] - rate * g * _mm256_div_ps(ALL(1), _mm256_sqrt_ps(G));
            turn(&w, &seen, &unit, &G);
#define STORE(k, both) _mm_store_ps(PLACE(float, k), _mm256_castps256_ps128(both)), \
                       _mm_store_ps(PLACE(float, k + 4), _mm256_extractf128_ps(both, 1))
            STORE(0, w), STORE(1, seen), STORE(2, unit), STORE(3, G);
        }
    }
    for (long j = 0; j < COLUMNS; j++) ((float*) table)[4 * j + 1] -= n; /* counts from zero again */
}
#endif
