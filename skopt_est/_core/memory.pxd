# Asking for memory before it is needed.
from libc.stdint cimport int32_t, uint32_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    /* What later rows of a sparse matrix need: a near one its places in a table, a far one its
     * entries. It is asked for bit by bit, between other work, or while that waits: see
     * PLAIN_ASKS_LATE in plain.pxd. */
    typedef struct {
        const int32_t *feature, *last_feature;
        uint32_t *place;        /* where they are listed: see places.pxd */
        const char *index, *value;      /* of the first entry */
        ptrdiff_t entries;              /* in bytes of indices, and a line for the last ones */
    } skopt_ahead;

    #if defined(__GNUC__)
    /* To gcc, a function that does nothing but prefetch has no effect, and it removes the calls of
     * it; the empty statement counts as one. */
    #define skopt_prefetch(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
    /* Into the second cache: for what would push out of the first what is at hand. */
    #define skopt_prefetch_near(address) \\
        ({ __builtin_prefetch(address, 0, 2); __asm__ volatile (""); })
    #define SKOPT_ASK static inline __attribute__((always_inline, unused))

    /* Sixteen entries with values of so many bytes, if there are some `at` that place. */
    SKOPT_ASK void skopt_ask_entries(const skopt_ahead *ahead, ptrdiff_t at, ptrdiff_t bytes) {
        if (at >= ahead->entries)
            return;
        skopt_prefetch(ahead->index + at);
        for (ptrdiff_t line = 0; line < bytes / 4; line++)
            skopt_prefetch(ahead->value + bytes / 4 * at + 64 * line);
    }
    SKOPT_ASK void skopt_ask_all(
            const skopt_ahead *ahead, const void *table, ptrdiff_t bytes, ptrdiff_t value_bytes) {
        const int32_t *feature = ahead->feature, *last = ahead->last_feature;
        for (ptrdiff_t at = 0; at < ahead->entries; at += 64)
            skopt_ask_entries(ahead, at, value_bytes);
        /* unrolled, as what a processor looks ahead ends with the loop's own instructions else */
    #pragma GCC unroll 8
        for (; feature < last; feature++)
            skopt_prefetch((const char *) table + *feature * bytes);
    }
    #else
    #define skopt_prefetch(address) ((void) 0)
    #define skopt_prefetch_near(address) ((void) 0)
    #define skopt_ask_entries(...) ((void) 0)
    #define skopt_ask_all(...) ((void) 0)
    #endif
    """
    ctypedef struct skopt_ahead:
        const int32_t* feature
        const int32_t* last_feature
        uint32_t* place
        const char* index
        const char* value
        Py_ssize_t entries
    void skopt_prefetch(const void* address) nogil
    void skopt_prefetch_near(const void* address) nogil
    void skopt_ask_all(
        const skopt_ahead* ahead, const void* table, Py_ssize_t bytes,
        Py_ssize_t value_bytes) nogil
