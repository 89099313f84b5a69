# Adagrad's step on one dense row where the processor has estimates of roots and reciprocals
# (AVX-512). Root and division keep a part of the processor that nothing else can use meanwhile, and
# the next row waits for them: 40 cycles for eight doubles, 33 for three half vectors of floats.
# Estimates of 14 bits are made precise by Newton's method, to an ulp or two; that of the reciprocal
# begins with the root's, so both become precise side by side. So that these ulps don't add up in a
# weight that has no gradient for long, it is what the step takes off that estimates are part of:
#     w <- w - eta (g + l2 w + sign(w q - eta g) l1) / (q + eta l2),
# or zero if that changes its sign. Of a short row it is the wait that counts, which is shorter in
# half vectors.


cdef extern from *:
    """
    /* Up to so many columns a row is taken in vectors of 32 bytes, not 64, by the loops of
     * single.pxd, too: what a step stores the next one loads in vectors of the same size, or it
     * would wait until that is out of the processor's hands. Multiples of what such a vector has,
     * as some of these loops know a row's whole width only. */
    #define SKOPT_SHORTf 112
    #define SKOPT_SHORT 36
    #if defined(__GNUC__) && defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
    #include <immintrin.h>
    #include <math.h>
    #define SKOPT_ESTIMATES 1

    /* NAME: w and G after a step; returns `start` and the sum of w times the following row, which
     * its first product needs not wait for all of w for. M, S: what intrinsics of V's kind begin
     * and end with. Rows of d, in whole vectors. Newton's method once, AGAIN for doubles. */
    #define SKOPT_ADAGRAD(NAME, T, V, M, S, AGAIN, TOO_MUCH) \\
    static inline T NAME( \\
            T *w, T *G, const T *a, T gradient, T eta, T eps, const T *l1, const T *l2, \\
            const T *following, T start, Py_ssize_t d) { \\
        enum { LANES = sizeof(V) / sizeof(T) }; \\
        const V zero = M##_setzero_##S(), infinite = M##_set1_##S((T) INFINITY); \\
        const V one = M##_set1_##S(1), half = M##_set1_##S((T) 0.5); \\
        const V sign = M##_set1_##S((T) -0.0), rate = M##_set1_##S(eta); \\
        V old, g, sum, y, root, rest, q, inverse, error, shrink, towards, size, kept; \\
        V product = M##_mask_mov_##S(zero, 1, M##_set1_##S(start)); \\
        for (Py_ssize_t j = 0; j < d; j += LANES) { \\
            old = M##_loadu_##S(w + j); \\
            g = M##_mul_##S(M##_set1_##S(gradient), M##_loadu_##S(a + j)); \\
            sum = M##_fmadd_##S(g, g, M##_loadu_##S(G + j)); \\
            M##_storeu_##S(G + j, sum); \\
            /* a sum of zero, or one that overflowed, allows no step */ \\
            __mmask16 some = M##_cmp_##S##_mask(sum, zero, _CMP_NEQ_UQ); \\
            __mmask16 moves = some & M##_cmp_##S##_mask(sum, infinite, _CMP_NEQ_UQ); \\
            /* a penalty that leaves nothing; it might be infinite */ \\
            shrink = M##_mul_##S(rate, M##_loadu_##S(l2 + j)); \\
            __mmask16 nothing = moves & M##_cmp_##S##_mask( \\
                shrink, M##_set1_##S(TOO_MUCH), _CMP_NLT_UQ); \\
            kept = M##_mask_mov_##S(old, nothing, zero); \\
            moves &= ~nothing; \\
            q = M##_add_##S(shrink, M##_set1_##S(eps)); \\
            y = M##_maskz_rsqrt14_##S(some, sum); \\
            root = M##_mul_##S(sum, y); \\
            inverse = M##_rcp14_##S(M##_add_##S(root, q)); \\
            if (AGAIN) { \\
                rest = M##_fnmadd_##S(M##_mul_##S(half, root), y, half); \\
                y = M##_fmadd_##S(y, rest, y); \\
                root = M##_mul_##S(sum, y); \\
            } \\
            rest = M##_fnmadd_##S(root, root, sum); \\
            root = M##_fmadd_##S(M##_mul_##S(half, y), rest, root); \\
            size = M##_mul_##S(rate, g); \\
            if (l1) { \\
                towards = M##_fmsub_##S(old, M##_add_##S(root, M##_set1_##S(eps)), size); \\
                towards = M##_and_##S(sign, towards); \\
                size = M##_add_##S( \\
                    size, M##_or_##S(M##_mul_##S(rate, M##_loadu_##S(l1 + j)), towards)); \\
            } \\
            size = M##_fmadd_##S(shrink, old, size); \\
            error = M##_fnmadd_##S(M##_add_##S(root, q), inverse, one); \\
            inverse = M##_fmadd_##S(inverse, error, inverse); \\
            if (AGAIN) \\
                inverse = M##_fmadd_##S(inverse, M##_mul_##S(error, error), inverse); \\
            if (l1) { \\
                /* no step of the penalty's crosses zero; max: of NaN the second */ \\
                size = M##_fnmadd_##S(size, inverse, old); \\
                size = M##_max_##S(zero, M##_xor_##S(size, towards)); \\
                size = M##_mask_or_##S(kept, moves, size, towards); \\
            } else \\
                size = M##_mask3_fnmadd_##S(size, inverse, kept, moves); \\
            M##_storeu_##S(w + j, size); \\
            product = M##_fmadd_##S(M##_loadu_##S(following + j), size, product); \\
        } \\
        return skopt_sum##M##_##S(product); \\
    }
    static inline float skopt_sum_mm256_ps(__m256 x) {
        __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
        half = _mm_add_ps(half, _mm_movehl_ps(half, half));
        return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
    }
    static inline double skopt_sum_mm256_pd(__m256d x) {
        __m128d half = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
        return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
    }
    static inline float skopt_sum_mm512_ps(__m512 x) {
        return skopt_sum_mm256_ps(
            _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)));
    }
    static inline double skopt_sum_mm512_pd(__m512d x) {
        return skopt_sum_mm256_pd(
            _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1)));
    }
    SKOPT_ADAGRAD(skopt_adagrad_longf, float, __m512, _mm512, ps, 0, 1e30f)
    SKOPT_ADAGRAD(skopt_adagrad_long, double, __m512d, _mm512, pd, 1, 1e200)
    SKOPT_ADAGRAD(skopt_adagrad_shortf, float, __m256, _mm256, ps, 0, 1e30f)
    SKOPT_ADAGRAD(skopt_adagrad_short, double, __m256d, _mm256, pd, 1, 1e200)
    #define SKOPT_ADAGRAD_OF(T, F) \\
    static inline T skopt_adagrad##F( \\
            T *w, T *G, const T *a, T gradient, T eta, T eps, const T *l1, const T *l2, \\
            const T *following, T start, Py_ssize_t d) { \\
        if (d <= SKOPT_SHORT##F) \\
            return skopt_adagrad_short##F( \\
                w, G, a, gradient, eta, eps, l1, l2, following, start, d); \\
        return skopt_adagrad_long##F(w, G, a, gradient, eta, eps, l1, l2, following, start, d); \\
    }
    SKOPT_ADAGRAD_OF(float, f)
    SKOPT_ADAGRAD_OF(double, )
    #else
    #define SKOPT_ESTIMATES 0
    #define skopt_adagradf(...) 0
    #define skopt_adagrad(...) 0
    #endif
    """
    const bint SKOPT_ESTIMATES
    enum:
        SKOPT_SHORTf
        SKOPT_SHORT
    float skopt_adagradf(
        float* w, float* G, const float* a, float gradient, float eta, float eps, const float* l1,
        const float* l2, const float* following, float start, Py_ssize_t d
    ) noexcept nogil
    double skopt_adagrad(
        double* w, double* G, const double* a, double gradient, double eta, double eps,
        const double* l1, const double* l2, const double* following, double start, Py_ssize_t d
    ) noexcept nogil
