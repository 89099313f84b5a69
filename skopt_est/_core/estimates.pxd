# Adagrad's step on one dense row where the processor has estimates of roots and reciprocals
# (AVX-512). Root and division of eight doubles take 40 cycles in which nothing else starts, and
# the next row waits for them. Estimates of 14 bits are made precise by Newton's method, to an ulp
# or two. So that these add up to no drift in a weight that has no gradient for long, it is what
# the step takes off that they are part of:
#     w <- w - eta (g + l2 w + sign(w q - eta g) l1) / (q + eta l2), or zero if that changes its sign.


cdef extern from *:
    """
    #if defined(__GNUC__) && defined(__AVX512F__) && defined(__AVX512DQ__)
    #include <immintrin.h>
    #include <math.h>
    #define SKOPT_ESTIMATES 1

    /* Once for 28 bits, again for 56. */
    #define SKOPT_ROOTS(V, S, AGAIN) \\
    static inline V skopt_root_##S(V x) { \\
        V half = _mm512_set1_##S(0.5), y, r, rest; \\
        y = _mm512_maskz_rsqrt14_##S( \\
            _mm512_cmp_##S##_mask(x, _mm512_setzero_##S(), _CMP_NEQ_UQ), x); \\
        if (AGAIN) { \\
            rest = _mm512_fnmadd_##S(_mm512_mul_##S(half, _mm512_mul_##S(x, y)), y, half); \\
            y = _mm512_fmadd_##S(y, rest, y); \\
        } \\
        r = _mm512_mul_##S(x, y); \\
        rest = _mm512_fnmadd_##S(r, r, x); \\
        return _mm512_fmadd_##S(_mm512_mul_##S(half, y), rest, r); \\
    } \\
    static inline V skopt_reciprocal_##S(V x) { \\
        V one = _mm512_set1_##S(1), estimate = _mm512_rcp14_##S(x), y = estimate; \\
        y = _mm512_fmadd_##S(y, _mm512_fnmadd_##S(x, y, one), y); \\
        if (AGAIN) \\
            y = _mm512_fmadd_##S(y, _mm512_fnmadd_##S(x, y, one), y); \\
        /* of infinity it is zero, times infinity */ \\
        return _mm512_mask_mov_##S( \\
            estimate, _mm512_cmp_##S##_mask(y, y, _CMP_ORD_Q), y); \\
    }
    SKOPT_ROOTS(__m512, ps, 0)
    SKOPT_ROOTS(__m512d, pd, 1)

    #define SKOPT_ADAGRAD(T, F, V, S) \\
    static inline void skopt_adagrad##F( \\
            T *w, T *G, const T *a, T gradient, T eta, T eps, const T *l1, const T *l2, \\
            Py_ssize_t n) { \\
        V zero = _mm512_setzero_##S(), infinite = _mm512_set1_##S((T) INFINITY); \\
        V sign = _mm512_set1_##S((T) -0.0), rate = _mm512_set1_##S(eta); \\
        V old, g, pull, sum, q, towards, size; \\
        for (Py_ssize_t j = 0; j < n; j += sizeof(V) / sizeof(T)) { \\
            old = _mm512_loadu_##S(w + j); \\
            g = _mm512_mul_##S(_mm512_set1_##S(gradient), _mm512_loadu_##S(a + j)); \\
            sum = _mm512_fmadd_##S(g, g, _mm512_loadu_##S(G + j)); \\
            _mm512_storeu_##S(G + j, sum); \\
            q = _mm512_add_##S(skopt_root_##S(sum), _mm512_set1_##S(eps)); \\
            pull = _mm512_fmadd_##S(_mm512_loadu_##S(l2 + j), old, g); \\
            if (l1) { \\
                towards = _mm512_and_##S(sign, _mm512_fmsub_##S(old, q, _mm512_mul_##S(rate, g))); \\
                pull = _mm512_add_##S(pull, _mm512_or_##S(_mm512_loadu_##S(l1 + j), towards)); \\
            } \\
            q = _mm512_fmadd_##S(rate, _mm512_loadu_##S(l2 + j), q); \\
            size = _mm512_mul_##S(rate, pull); \\
            size = _mm512_fnmadd_##S(size, skopt_reciprocal_##S(q), old); \\
            if (l1) { \\
                /* no step of the penalty's crosses zero; max: of NaN the second */ \\
                size = _mm512_max_##S(zero, _mm512_xor_##S(size, towards)); \\
                size = _mm512_or_##S(size, towards); \\
            } \\
            /* a sum of zero, or one that overflowed, allows no step */ \\
            _mm512_storeu_##S(w + j, _mm512_mask_mov_##S( \\
                old, _mm512_cmp_##S##_mask(sum, zero, _CMP_NEQ_UQ) \\
                     & _mm512_cmp_##S##_mask(sum, infinite, _CMP_NEQ_UQ), size)); \\
        } \\
    }
    SKOPT_ADAGRAD(float, f, __m512, ps)
    SKOPT_ADAGRAD(double, , __m512d, pd)
    #else
    #define SKOPT_ESTIMATES 0
    #define skopt_adagradf(w, G, a, gradient, eta, eps, l1, l2, n) ((void) 0)
    #define skopt_adagrad(w, G, a, gradient, eta, eps, l1, l2, n) ((void) 0)
    #endif
    """
    const bint SKOPT_ESTIMATES
    void skopt_adagradf(
        float* w, float* G, const float* a, float gradient, float eta, float eps, const float* l1,
        const float* l2, Py_ssize_t n) noexcept nogil
    void skopt_adagrad(
        double* w, double* G, const double* a, double gradient, double eta, double eps,
        const double* l1, const double* l2, Py_ssize_t n) noexcept nogil
