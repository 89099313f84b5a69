# Asking for memory before it is needed.
from libc.stdint cimport int32_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    #if defined(__GNUC__)
    /* To gcc, a function that does nothing but prefetch has no effect, and it removes the calls of
     * it; the empty statement counts as one. */
    #define skopt_prefetch(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })

    /* Of places of so many bytes. Unrolled, as what a processor looks ahead ends with the loop's
     * own instructions otherwise. */
    static inline void skopt_prefetch_all(
            const void *table, const int32_t *places, ptrdiff_t n, ptrdiff_t bytes) {
    #pragma GCC unroll 8
        for (ptrdiff_t i = 0; i < n; i++)
            skopt_prefetch((const char *) table + places[i] * bytes);
    }
    #else
    #define skopt_prefetch(address) ((void) 0)
    #define skopt_prefetch_all(...) ((void) 0)
    #endif
    """
    void skopt_prefetch(const void* address) nogil
    void skopt_prefetch_all(
        const void* table, const int32_t* places, Py_ssize_t n, Py_ssize_t bytes) nogil
