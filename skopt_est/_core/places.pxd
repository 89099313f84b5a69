# Where the cells of a row's features lie in their table, in bytes from its start: listed when these
# are asked for, one or two rows ahead, since loading and storing need the same places. In groups
# of quads.pxd; what fills up the last one lies at the feature `empty`, a cell whose inv_scale is
# zero. The next row has another such feature: to load what this one stores would be to wait for it.

from libc.stdint cimport int32_t

# These for their declarations, which the code below needs before it.
from skopt_est._core.memory cimport skopt_ahead
from skopt_est._core.powers cimport PLAIN
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    #if PLAIN
    typedef int32_t quad_idsf __attribute__((vector_size(32), aligned(4), may_alias));
    typedef int32_t quad_ids __attribute__((vector_size(16), aligned(4), may_alias));

    /* places_some: the first n of the features there, then the feature `empty`. */
    #if defined(__AVX512VL__)
    QUAD_INLINE quad_idsf places_somef(const int32_t *p, int32_t n, int32_t empty) {
        return (quad_idsf) _mm256_mask_loadu_epi32(
            _mm256_set1_epi32(empty), (__mmask8) ((1 << n) - 1), p);
    }
    QUAD_INLINE quad_ids places_some(const int32_t *p, int32_t n, int32_t empty) {
        return (quad_ids) _mm_mask_loadu_epi32(
            _mm_set1_epi32(empty), (__mmask8) ((1 << n) - 1), p);
    }
    #elif defined(__AVX2__)
    QUAD_INLINE quad_idsf places_somef(const int32_t *p, int32_t n, int32_t empty) {
        const quad_idsf lanes = (quad_idsf) {0, 1, 2, 3, 4, 5, 6, 7} < n;
        const quad_idsf ids = (quad_idsf) _mm256_maskload_epi32(p, (__m256i) lanes);
        return (ids & lanes) | (empty & ~lanes);
    }
    QUAD_INLINE quad_ids places_some(const int32_t *p, int32_t n, int32_t empty) {
        const quad_ids lanes = (quad_ids) {0, 1, 2, 3} < n;
        const quad_ids ids = (quad_ids) _mm_maskload_epi32(p, (__m128i) lanes);
        return (ids & lanes) | (empty & ~lanes);
    }
    #else
    #define PLACES_SOME(F) \
    QUAD_INLINE quad_ids##F places_some##F(const int32_t *p, int32_t n, int32_t empty) { \
        quad_ids##F ids; \
        for (int j = 0; j < QUADS##F; j++) \
            ids[j] = j < n ? p[j] : empty; \
        return ids; \
    }
    PLACES_SOME(f)
    PLACES_SOME()
    #endif

    /* Asks for the cells of a group, from where they are listed: with AVX-512 two at a time. */
    #if defined(__AVX512VL__)
    #define PLACES_ASK(F, table, listed) \
        for (int k = 0; k < QUADS##F; k += 2) { \
            uint64_t two; \
            memcpy(&two, (listed) + k, sizeof(two)); \
            skopt_prefetch((const char *) table + (uint32_t) two); \
            skopt_prefetch((const char *) table + (two >> 32)); \
        }
    #else
    #define PLACES_ASK(F, table, listed) \
        __asm__ ("" : "+m" (*(quad_ids##F *) (listed))); \
        for (int k = 0; k < QUADS##F; k++) \
            skopt_prefetch((const char *) table + (listed)[k]);
    #endif

    /* Where these quads lie. With AVX-512 two places are loaded at a time, as above. */
    #if defined(__AVX512VL__)
    #define PLACES_AT(F, at, T, table, places, offset) \
        for (int i = 0; i < QUADS##F; i += 2) { \
            uint64_t two; \
            memcpy(&two, (places) + i, sizeof(two)); \
            at[i] = (T *) ((char *) (table) + (uint32_t) two) + (offset); \
            at[i + 1] = (T *) ((char *) (table) + (two >> 32)) + (offset); \
        }
    #else
    #define PLACES_AT(F, at, T, table, places, offset) \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = (T *) ((char *) (table) + (places)[i]) + (offset);
    #endif

    #define PLACES(T, F) \
    /* Lists and asks for the group of features i, i + 1, ... of the row that is ahead, which are \
     * these; a cell takes 1 << shift bytes. */ \
    QUAD_INLINE void places_ask##F( \
            const skopt_ahead *ahead, ptrdiff_t i, const void *table, int shift, \
            quad_ids##F ids) { \
        uint32_t *listed = ahead->place + i; \
        *(quad_ids##F *) listed = ids << shift; \
        PLACES_ASK(F, table, listed) \
    } \
    /* The same if all of the group's features are among the first `whole`. */ \
    QUAD_INLINE void places_list##F( \
            const skopt_ahead *ahead, ptrdiff_t i, ptrdiff_t whole, const void *table, \
            int shift) { \
        if (i < whole) \
            places_ask##F(ahead, i, table, shift, *(const quad_ids##F *) (ahead->feature + i)); \
    } \
    /* How many features of that row are in whole groups. */ \
    QUAD_INLINE ptrdiff_t places_whole##F(const skopt_ahead *ahead) { \
        return (ahead->last_feature - ahead->feature) / QUADS##F * QUADS##F; \
    } \
    /* What of the row is in no whole group. */ \
    QUAD_INLINE void places_last##F( \
            const skopt_ahead *ahead, const void *table, int shift, int32_t empty) { \
        const ptrdiff_t whole = places_whole##F(ahead); \
        if (ahead->last_feature - ahead->feature != whole) \
            places_ask##F(ahead, whole, table, shift, places_some##F( \
                ahead->feature + whole, \
                (int32_t) (ahead->last_feature - ahead->feature - whole), empty)); \
    } \
    /* What groups before the i-th feature have not listed, and entries from a place on. */ \
    QUAD_INLINE void places_rest##F( \
            const skopt_ahead *ahead, ptrdiff_t i, ptrdiff_t entries, const void *table, \
            int shift, int32_t empty) { \
        const ptrdiff_t whole = places_whole##F(ahead); \
        for (; entries < ahead->entries; entries += 64) \
            skopt_ask_entries(ahead, entries, sizeof(T)); \
        for (; i < whole; i += QUADS##F) \
            places_list##F(ahead, i, whole, table, shift); \
        places_last##F(ahead, table, shift, empty); \
    } \
    /* Quads there; offset: of the quad in its cell, in numbers. */ \
    QUAD_INLINE void places_load##F( \
            const T *table, const uint32_t *places, int offset, quad_vector##F *a, \
            quad_vector##F *b, quad_vector##F *c, quad_vector##F *e) { \
        const T *at[QUADS##F]; \
        PLACES_AT(F, at, const T, table, places, offset) \
        quads_bring##F(at, (T *) a, (T *) b, (T *) c, (T *) e); \
    } \
    QUAD_INLINE void places_store##F( \
            T *table, const uint32_t *places, int offset, quad_vector##F a, quad_vector##F b, \
            quad_vector##F c, quad_vector##F e) { \
        T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = (T *) ((char *) table + places[i]) + offset; \
        quads_leave##F(at, (const T *) &a, (const T *) &b, (const T *) &c, (const T *) &e); \
    } \
    /* The first two numbers of the cells alone. */ \
    QUAD_INLINE void places_store_two##F( \
            T *table, const uint32_t *places, quad_vector##F a, quad_vector##F b) { \
        T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = (T *) ((char *) table + places[i]); \
        quads_leave_two##F(at, a, b); \
    } \
    /* The same where cells of a group lie one after the other, so many numbers wide. */ \
    QUAD_INLINE void places_read##F( \
            const T *cells, int width, quad_vector##F *a, quad_vector##F *b, quad_vector##F *c, \
            quad_vector##F *e) { \
        const T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = cells + width * i; \
        quads_bring##F(at, (T *) a, (T *) b, (T *) c, (T *) e); \
    } \
    QUAD_INLINE void places_fill##F( \
            T *cells, int width, quad_vector##F a, quad_vector##F b, quad_vector##F c, \
            quad_vector##F e) { \
        T *at[QUADS##F]; \
        for (int i = 0; i < QUADS##F; i++) \
            at[i] = cells + width * i; \
        quads_leave##F(at, (const T *) &a, (const T *) &b, (const T *) &c, (const T *) &e); \
    }
    PLACES(float, f)
    PLACES(double, )
    #else
    #define places_restf(...) ((void) 0)
    #define places_rest(...) ((void) 0)
    #endif
    """
    void places_restf(
        const skopt_ahead* ahead, Py_ssize_t i, Py_ssize_t entries, const void* table, int shift,
        int32_t empty) noexcept nogil
    void places_rest(
        const skopt_ahead* ahead, Py_ssize_t i, Py_ssize_t entries, const void* table, int shift,
        int32_t empty) noexcept nogil


cdef inline void list_all(
    const skopt_ahead* ahead, const real* table, int shift, int32_t empty
) noexcept nogil:
    """Lists and asks for all of the row that is ahead; asks for the later row's entries."""
    if real is float:
        places_restf(ahead, 0, 0, table, shift, empty)
    else:
        places_rest(ahead, 0, 0, table, shift, empty)
