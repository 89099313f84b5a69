# Asking for memory before it is needed.
from libc.stdint cimport int32_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    /* What later rows of a sparse matrix need: a near one its places in a table, a far one its
     * entries. It is asked for bit by bit, between other work: all at once it would be more than
     * can be on its way, and everything behind it would wait. */
    typedef struct {
        const int32_t *feature, *last_feature;      /* those not yet asked for */
        const char *index, *last_index, *value, *last_value;    /* from the first of a line on */
    } skopt_ahead;

    #if defined(__GNUC__)
    /* To gcc, a function that does nothing but prefetch has no effect, and it removes the calls of
     * it; the empty statement counts as one. */
    #define skopt_prefetch(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
    #define SKOPT_ASK static inline __attribute__((always_inline, unused))

    /* Four places of so many bytes. */
    SKOPT_ASK void skopt_ask_places(skopt_ahead *ahead, const void *table, ptrdiff_t bytes) {
        const int32_t *feature = ahead->feature;
        if (ahead->last_feature - feature < 4)
            return;
    #pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            skopt_prefetch((const char *) table + feature[i] * bytes);
        ahead->feature = feature + 4;
    }
    /* Sixteen entries with values of so many bytes. */
    SKOPT_ASK void skopt_ask_entries(skopt_ahead *ahead, ptrdiff_t bytes) {
        if (ahead->index < ahead->last_index) {
            skopt_prefetch(ahead->index);
            ahead->index += 64;
        }
        for (ptrdiff_t line = 0; line < bytes && ahead->value < ahead->last_value; line += 4) {
            skopt_prefetch(ahead->value);
            ahead->value += 64;
        }
    }
    SKOPT_ASK void skopt_ask_rest(
            skopt_ahead *ahead, const void *table, ptrdiff_t bytes, ptrdiff_t value_bytes) {
        const int32_t *feature = ahead->feature, *last = ahead->last_feature;
        while (ahead->index < ahead->last_index || ahead->value < ahead->last_value)
            skopt_ask_entries(ahead, value_bytes);
        /* unrolled, as what a processor looks ahead ends with the loop's own instructions else */
    #pragma GCC unroll 8
        for (; feature < last; feature++)
            skopt_prefetch((const char *) table + *feature * bytes);
        ahead->feature = feature;
    }
    #else
    #define skopt_prefetch(address) ((void) 0)
    #define skopt_ask_places(...) ((void) 0)
    #define skopt_ask_entries(...) ((void) 0)
    #define skopt_ask_rest(...) ((void) 0)
    #endif
    """
    ctypedef struct skopt_ahead:
        const int32_t* feature
        const int32_t* last_feature
        const char* index
        const char* last_index
        const char* value
        const char* last_value
    void skopt_prefetch(const void* address) nogil
    void skopt_ask_rest(
        skopt_ahead* ahead, const void* table, Py_ssize_t bytes, Py_ssize_t value_bytes) nogil
