"""Which of the engine's builds this processor can run."""

cdef extern from *:
    """
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
    static int skopt_has_avx2(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    static int skopt_has_avx512(void) {
        __builtin_cpu_init();
        return skopt_has_avx2() && __builtin_cpu_supports("avx512f")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int skopt_has_avx2(void) { return 0; }
    static int skopt_has_avx512(void) { return 0; }
    #endif
    """
    bint skopt_has_avx2() nogil
    bint skopt_has_avx512() nogil


def supported():
    """Names of the vector units present, best first; "baseline" is always last."""
    names = []
    if skopt_has_avx512():
        names.append("avx512")
    if skopt_has_avx2():
        names.append("avx2")
    return [*names, "baseline"]
