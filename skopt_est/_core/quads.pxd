# Four numbers of a feature lie side by side in memory, a quad: one load brings them. Arithmetic
# wants each of the four in an array of its own, for many features; between the two stands a
# transposition in registers, of a vector's worth of features at a time. Gathering number by number
# takes four times the loads, and its short stores delay the vector loads that follow them.
from libc.stdint cimport int32_t

from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    /* QUADS: how many at a time. QUAD_LANES: what arrays of arithmetic are filled up to. */
    #if defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 12) && !defined(TILE_PLAIN)
    #define QUAD_INLINE static inline __attribute__((always_inline, unused))
    #define QUADSf 8
    #define QUADS 4
    typedef float quadf __attribute__((vector_size(16), aligned(4), may_alias));
    typedef double quad __attribute__((vector_size(32), aligned(8), may_alias));
    typedef float quad_vectorf __attribute__((vector_size(32), aligned(4), may_alias));
    typedef double quad_vector __attribute__((vector_size(32), aligned(8), may_alias));

    /* The rows of a square of four are interleaved; in single precision those of two squares. By
     * intrinsics where there are some, as gcc's own way takes an instruction more each. */
    #if defined(__AVX__)
    #include <immintrin.h>
    #define QUAD_JOIN(x, y) \
        (quad_vectorf) _mm256_insertf128_ps(_mm256_castps128_ps256((__m128) (x)), (__m128) (y), 1)
    #define QUAD_HALF(x) (quadf) _mm256_extractf128_ps((__m256) (x), 1)
    #else
    #define QUAD_JOIN(x, y) __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7)
    #define QUAD_HALF(x) __builtin_shufflevector(x, x, 4, 5, 6, 7)
    #endif
    #define QUAD_ROWf(p, i) QUAD_JOIN(*(const quadf *) p(i), *(const quadf *) p(i + 4))
    #define QUAD_ROW(p, i) *(const quad *) p(i)
    #define QUAD_STORE_ROWf(p, i, x) \
        *(quadf *) p(i) = __builtin_shufflevector(x, x, 0, 1, 2, 3); \
        *(quadf *) p(i + 4) = QUAD_HALF(x)
    #define QUAD_STORE_ROW(p, i, x) *(quad *) p(i) = x
    typedef double quad_twof __attribute__((aligned(4), may_alias));
    typedef double quad_two __attribute__((vector_size(16), aligned(8), may_alias));
    #define QUAD_STORE_TWOf(i, x) \
        *(quad_twof *) at[i] = x[0], *(quad_twof *) at[i + 1] = x[1], \
        *(quad_twof *) at[i + 4] = x[2], *(quad_twof *) at[i + 5] = x[3]
    #define QUAD_STORE_TWO(i, x) \
        *(quad_two *) at[i] = QUAD_SHUFFLE(x, x, 0, 1), \
        *(quad_two *) at[i + 1] = QUAD_SHUFFLE(x, x, 2, 3)
    #define QUAD_LOWf 0, 8, 1, 9, 4, 12, 5, 13
    #define QUAD_HIGHf 2, 10, 3, 11, 6, 14, 7, 15
    #define QUAD_FIRSTf 0, 1, 8, 9, 4, 5, 12, 13
    #define QUAD_LASTf 2, 3, 10, 11, 6, 7, 14, 15
    #define QUAD_LOW 0, 4, 1, 5
    #define QUAD_HIGH 2, 6, 3, 7
    #define QUAD_FIRST 0, 1, 4, 5
    #define QUAD_LAST 2, 3, 6, 7
    #define QUAD_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
    /* QUAD_TRANSPOSE is its own inverse. */
    #define QUAD_TRANSPOSE(F, x0, x1, x2, x3) { \
        quad_vector##F low0 = QUAD_SHUFFLE(x0, x1, QUAD_LOW##F); \
        quad_vector##F high0 = QUAD_SHUFFLE(x0, x1, QUAD_HIGH##F); \
        quad_vector##F low1 = QUAD_SHUFFLE(x2, x3, QUAD_LOW##F); \
        quad_vector##F high1 = QUAD_SHUFFLE(x2, x3, QUAD_HIGH##F); \
        x0 = QUAD_SHUFFLE(low0, low1, QUAD_FIRST##F); \
        x1 = QUAD_SHUFFLE(low0, low1, QUAD_LAST##F); \
        x2 = QUAD_SHUFFLE(high0, high1, QUAD_FIRST##F); \
        x3 = QUAD_SHUFFLE(high0, high1, QUAD_LAST##F); \
    }
    #define QUAD_MOVES(T, F) \
    QUAD_INLINE void quads_bring##F(const T *const *at, T *a, T *b, T *c, T *e) { \
        quad_vector##F x0 = QUAD_ROW##F(QUAD_AT, 0), x1 = QUAD_ROW##F(QUAD_AT, 1); \
        quad_vector##F x2 = QUAD_ROW##F(QUAD_AT, 2), x3 = QUAD_ROW##F(QUAD_AT, 3); \
        QUAD_TRANSPOSE(F, x0, x1, x2, x3) \
        *(quad_vector##F *) a = x0; \
        *(quad_vector##F *) b = x1; \
        *(quad_vector##F *) c = x2; \
        *(quad_vector##F *) e = x3; \
    } \
    QUAD_INLINE void quads_leave##F( \
            T *const *at, const T *a, const T *b, const T *c, const T *e) { \
        quad_vector##F x0 = *(const quad_vector##F *) a, x1 = *(const quad_vector##F *) b; \
        quad_vector##F x2 = *(const quad_vector##F *) c, x3 = *(const quad_vector##F *) e; \
        QUAD_TRANSPOSE(F, x0, x1, x2, x3) \
        QUAD_STORE_ROW##F(QUAD_AT, 0, x0); \
        QUAD_STORE_ROW##F(QUAD_AT, 1, x1); \
        QUAD_STORE_ROW##F(QUAD_AT, 2, x2); \
        QUAD_STORE_ROW##F(QUAD_AT, 3, x3); \
    } \
    /* The first two of each quad alone. */ \
    QUAD_INLINE void quads_leave_two##F(T *const *at, quad_vector##F a, quad_vector##F b) { \
        quad_vector low = (quad_vector) QUAD_SHUFFLE(a, b, QUAD_LOW##F); \
        quad_vector high = (quad_vector) QUAD_SHUFFLE(a, b, QUAD_HIGH##F); \
        QUAD_STORE_TWO##F(0, low); \
        QUAD_STORE_TWO##F(2, high); \
    } \
    QUAD_INLINE void quads_load##F( \
            const T *table, ptrdiff_t width, const int32_t *features, T *a, T *b, T *c, T *e) { \
        const T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = table + features[i] * width; \
        quads_bring##F(at, a, b, c, e); \
    } \
    QUAD_INLINE void quads_store##F( \
            T *table, ptrdiff_t width, const int32_t *features, const T *a, const T *b, \
            const T *c, const T *e) { \
        T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = table + features[i] * width; \
        quads_leave##F(at, a, b, c, e); \
    }
    #define QUAD_AT(i) at[i]
    #else
    #define QUAD_INLINE static inline
    #define QUADSf 1
    #define QUADS 1
    #define QUAD_MOVES(T, F) \
    QUAD_INLINE void quads_load##F( \
            const T *table, ptrdiff_t width, const int32_t *features, T *a, T *b, T *c, T *e) { \
        const T *at = table + features[0] * width; \
        *a = at[0], *b = at[1], *c = at[2], *e = at[3]; \
    } \
    QUAD_INLINE void quads_store##F( \
            T *table, ptrdiff_t width, const int32_t *features, const T *a, const T *b, \
            const T *c, const T *e) { \
        T *at = table + features[0] * width; \
        at[0] = *a, at[1] = *b, at[2] = *c, at[3] = *e; \
    }
    #endif
    #if defined(__AVX512F__)
    #define QUAD_LANES 16
    #else
    #define QUAD_LANES 8
    #endif

    #define QUAD_LISTS(T, F) \
    QUAD_MOVES(T, F) \
    QUAD_INLINE void quads_take##F( \
            const T *table, ptrdiff_t width, const int32_t *features, ptrdiff_t n, \
            int32_t empty, T *a, T *b, T *c, T *e) { \
        int32_t rest[QUAD_LANES]; \
        ptrdiff_t i = 0; \
        for (; i + QUADS##F <= n; i += QUADS##F) \
            quads_load##F(table, width, features + i, a + i, b + i, c + i, e + i); \
        if (i % QUAD_LANES == 0 && i == n) \
            return; \
        for (ptrdiff_t j = 0; j < QUAD_LANES; j++) \
            rest[j] = j < n - i ? features[i + j] : empty; \
        for (ptrdiff_t j = 0; i % QUAD_LANES != 0 || j == 0; i += QUADS##F, j += QUADS##F) \
            quads_load##F(table, width, rest + j, a + i, b + i, c + i, e + i); \
    } \
    QUAD_INLINE void quads_put##F( \
            T *table, ptrdiff_t width, const int32_t *features, ptrdiff_t n, const T *a, \
            const T *b, const T *c, const T *e) { \
        ptrdiff_t i = 0; \
        for (; i + QUADS##F <= n; i += QUADS##F) \
            quads_store##F(table, width, features + i, a + i, b + i, c + i, e + i); \
        for (; i < n; i++) { \
            T *at = table + features[i] * width; \
            at[0] = a[i], at[1] = b[i], at[2] = c[i], at[3] = e[i]; \
        } \
    }
    QUAD_LISTS(float, f)
    QUAD_LISTS(double, )
    """
    const int QUAD_LANES
    void quads_takef(
        const float* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n, int32_t empty,
        float* a, float* b, float* c, float* e) noexcept nogil
    void quads_take(
        const double* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n,
        int32_t empty, double* a, double* b, double* c, double* e) noexcept nogil
    void quads_putf(
        float* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n, const float* a,
        const float* b, const float* c, const float* e) noexcept nogil
    void quads_put(
        double* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n, const double* a,
        const double* b, const double* c, const double* e) noexcept nogil


cdef inline Py_ssize_t whole_lanes(Py_ssize_t n) noexcept nogil:
    return (n + QUAD_LANES - 1) // QUAD_LANES * QUAD_LANES


cdef inline void take_quads(
    const real* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n, int32_t empty,
    void** to,
) noexcept nogil:
    """The four numbers at table + features[i] * width, i < n, to to[0][i], ..., to[3][i]; those of
    the feature `empty` fill these up to whole_lanes(n)."""
    if real is float:
        quads_takef(table, width, features, n, empty, <float*> to[0], <float*> to[1],
                    <float*> to[2], <float*> to[3])
    else:
        quads_take(table, width, features, n, empty, <double*> to[0], <double*> to[1],
                   <double*> to[2], <double*> to[3])


cdef inline void put_quads(
    real* table, Py_ssize_t width, const int32_t* features, Py_ssize_t n, void** source
) noexcept nogil:
    """Back to where take_quads took them from."""
    if real is float:
        quads_putf(table, width, features, n, <float*> source[0], <float*> source[1],
                   <float*> source[2], <float*> source[3])
    else:
        quads_put(table, width, features, n, <double*> source[0], <double*> source[1],
                  <double*> source[2], <double*> source[3])
