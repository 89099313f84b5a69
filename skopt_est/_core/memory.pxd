# Asking for memory before it is needed.

cdef extern from *:
    """
    #if defined(__GNUC__)
    /* To gcc, a function that does nothing but prefetch has no effect, and it removes the calls of
     * it; the empty statement counts as one. */
    #define skopt_prefetch(address) ({ __builtin_prefetch(address); __asm__ volatile (""); })
    #else
    #define skopt_prefetch(address) ((void) 0)
    #endif
    """
    void skopt_prefetch(const void* address) nogil
