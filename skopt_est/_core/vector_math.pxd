# Elementary functions that vectorise: in `for j in range(n): y[j] = vexp(x[j])`, and where the
# results are also added up, the compiler replaces the loop by vector instructions; libm's
# functions are called one by one. An element's result depends on nothing but the element, not
# on where it lies, but the last bit may differ between builds with and without FMA.
#
# Largest errors measured, in units in the last place, all builds by gcc (float: every 331st of
# all numbers and millions more where it matters, against long double; double: millions, some
# against mpmath):
#
#              float  double
#   vexp        1.1    1.1    0 below 1.7e-38 (3.2e-308), infinity where exp overflows
#   vtanh       2.5    2.6    (glibc: 2.1, 2.1); not monotone in the last two places
#   vlogistic   2.5    2.5    2.0 but for x around -17 (-37); 0 from x = -88.8 (-709.8) down
#   verf        3.1    3.0
#   vlog1p      1.4    1.7    only for 0 <= x <= 1, as in softplus
#
# |vtanh|, |verf| and vlogistic never exceed 1. A NaN gives a NaN.
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    #include <math.h>
    #include <stdint.h>
    #include <string.h>

    /* No tables, no branches but those that become a blend, no type of another width than
     * the argument's: this is what lets every loop vectorise, in SSE2 too.
     *
     * -fassociative-math would undo the usual reductions: (t + C) - C is t to it, and
     * x - n hi - n lo is x - n (hi + lo). VM_KEEP hides from the compiler that its result is
     * its argument: it flips the bits set in `zero`, of which there are none, but this follows
     * from the range of x and nothing else. (gcc 12 forgets __builtin_assoc_barrier when it
     * vectorises, and inlining forgets a function's own optimisation flags.) */
    #define VM_KEEP(F, x, zero) vm_from_bits##F(vm_bits##F(x) ^ (zero))

    #if defined(__GNUC__)
    #define VM_INLINE static inline __attribute__((always_inline, unused))
    #else
    #define VM_INLINE static inline
    #endif

    /* The polynomials are minimax fits of our own (Remez exchange in 60 digits, the leading
     * coefficients of those of erf and log1p rounded first and the others fitted again). The
     * errors given are those of the rounded coefficients in exact arithmetic. The long ones
     * are evaluated in two halves, even and odd, for a shorter chain of dependencies. */

    /* (exp(r) - 1 - r) / r^2 for |r| <= log(2) / 2. exp(r) - 1 gets a relative error of
     * 2^-28.8 by degree 5 and 2^-59.9 by degree 10. */
    #define VM_EXP_TAILf(T, NAME) \
    VM_INLINE T NAME(T r, T square) { \
        T even = square * 0.00139406172f + 0.0416663624f; \
        T odd = square * 0.000198458773f + 0.00833338965f; \
        even = even * square + 0.5f; \
        odd = odd * square + 0.166666657f; \
        return odd * r + even; \
    }
    #define VM_EXP_TAIL(T, NAME) \
    VM_INLINE T NAME(T r, T square) { \
        T even = square * 2.0875339561130014e-09 + 2.7557402584575913e-07; \
        T odd = square * 2.5108969003583955e-08 + 2.7557244400156979e-06; \
        even = even * square + 2.4801587172635463e-05; \
        odd = odd * square + 0.00019841269885942622; \
        even = even * square + 0.0013888888888962309; \
        odd = odd * square + 0.0083333333333217002; \
        even = even * square + 0.041666666666666512; \
        odd = odd * square + 0.16666666666666677; \
        even = even * square + 0.5; \
        return odd * r + even; \
    }
    VM_EXP_TAILf(float, vm_exp_tailf)
    VM_EXP_TAIL(double, vm_exp_tail)

    /* -log(erfc(x)) / x for 0 <= x <= 3.93 (float) and 5.93 (double), beyond which erf rounds
     * to 1. Smooth throughout, unlike erf it needs no second interval; and the more x grows,
     * the less its error matters. erf gets a relative error of 2^-24.2 by degree 8 (most of it
     * from rounding 2 / sqrt(pi)) and 2^-53.6 by degree 22. */
    VM_INLINE float vm_erfc_ratef(float x) {
        float p = 4.53245639e-06f;
        p = p * x + 2.65582617e-06f;
        p = p * x - 0.000255154999f;
        p = p * x + 0.00104204414f;
        p = p * x + 0.000392563699f;
        p = p * x - 0.019408714f;
        p = p * x + 0.10283348f;
        p = p * x + 0.636614978f;
        return p * x + 1.12837923f;
    }
    VM_INLINE double vm_erfc_rate(double x) {
        double z = x * x, even = 1.1971618459317085e-14, odd = -4.8248159921463966e-13;
        even = even * z + 8.8528217821972824e-12;
        odd = odd * z - 9.700514740289687e-11;
        even = even * z + 6.9318977127590228e-10;
        odd = odd * z - 3.2231933497058043e-09;
        even = even * z + 8.0892197748366159e-09;
        odd = odd * z + 7.333686960859079e-09;
        even = even * z - 1.7134488809664161e-07;
        odd = odd * z + 8.4796678507754552e-07;
        even = even * z - 2.4202799744903685e-06;
        odd = odd * z + 3.5522198232348425e-06;
        even = even * z + 2.8087200315233802e-06;
        odd = odd * z - 2.9333892992373296e-05;
        even = even * z + 6.429644115465409e-05;
        odd = odd * z + 2.5952182043543863e-05;
        even = even * z - 0.00059014576114859482;
        odd = odd * z + 0.001696210268539452;
        even = even * z - 0.00020919518605555371;
        odd = odd * z - 0.019128446967815071;
        even = even * z + 0.10277260330034887;
        odd = odd * z + 0.63661977236760348;
        even = even * z + 1.1283791670955126;
        return odd * x + even;
    }

    /* (2 atanh(s) - 2 s) / s^3 as a polynomial in z = s^2 <= 1/9, where 1 + x is
     * (1 + s) / (1 - s). log1p(x) gets a relative error of 2^-27.7 by degree 3 and
     * 2^-54.2 by degree 8. */
    #define VM_ATANH_TAILf(T, NAME) \
    VM_INLINE T NAME(T z) { \
        T p = z * 0.280294031f + 0.27998215f; \
        p = p * z + 0.400217503f; \
        return p * z + 0.666664124f; \
    }
    #define VM_ATANH_TAIL(T, NAME) \
    VM_INLINE T NAME(T z) { \
        T p = z * 0.17749203356083681 + 0.098981463591278879; \
        p = p * z + 0.13587276357757; \
        p = p * z + 0.15364189058432512; \
        p = p * z + 0.18182820907289199; \
        p = p * z + 0.22222192648919922; \
        p = p * z + 0.28571429063292569; \
        p = p * z + 0.39999999995996649; \
        return p * z + 0.66666666666677876; \
    }
    VM_ATANH_TAILf(float, vm_atanh_tailf)
    VM_ATANH_TAIL(double, vm_atanh_tail)

    /* Adding 1.5 2^52 (float: 2^23) rounds to an integer n and leaves it in the low bits,
     * below a known first byte. The high part of log(2) is short enough for its product with n
     * to be exact. */
    #define VM_ROUNDf 12582912.0f
    #define VM_ROUND 6755399441055744.0
    #define VM_BYTEf 0x4Bu
    #define VM_BYTE 0x43u
    #define VM_LOG2Ef 1.44269502f
    #define VM_LOG2E 1.4426950408889634
    #define VM_LN2_HIf 0.693145751953125f
    #define VM_LN2_HI 0.6931471805598903
    #define VM_LN2_LOf 1.4286068e-06f
    #define VM_LN2_LO 5.497923018708371e-14
    #define VM_DIGITSf 23
    #define VM_DIGITS 52
    #define VM_BIASf 127
    #define VM_BIAS 1023
    /* exp is the same beyond these: infinity, and 0 as n is -126 (-1022) */
    #define VM_EXP_MAXf 89
    #define VM_EXP_MAX 710
    #define VM_EXP_MINf -87.5f
    #define VM_EXP_MIN -708.5
    /* tanh and erf round to 1 from here on */
    #define VM_TANH_ENDf 10
    #define VM_TANH_END 20
    #define VM_ERF_ENDf 3.93f
    #define VM_ERF_END 5.93

    /* vm_reduce: exp(x) - 1 = 2^n m + (2^n - 1), where m = exp(r) - 1 is returned, the low bits
     *     of *bits are those of n and r = x - n log(2), |r| <= log(2) / 2.
     * vm_exp: 2 (1 + m) 2^(n-1), as there is no 2^128 (2^1024) and, when the exponent comes
     *     out as 0, 2^-127 (2^-1023) is 0. The limits to x take their sign from x so as not to be
     *     constants: the compiler would evaluate the rest for each, move a sum of results into
     *     the branches and then fail to vectorise it.
     * vm_expm1: 2^n must be normal. 2^n - 1 is exact, or its error negligible.
     * vm_tanh: u / (u + 2) with u = exp(2 |x|) - 1: no cancellation, and never above 1.
     * vm_erf: 1 - exp(-x rate).
     * vm_log1p: 0 <= x <= 1 only. x is exact, hence x - s (x - ...), not 2 s + .... */
    #define VM_FUNCTIONS(T, UINT, F) \
    VM_INLINE UINT vm_bits##F(T x) { \
        UINT bits; \
        memcpy(&bits, &x, sizeof x); \
        return bits; \
    } \
    VM_INLINE T vm_from_bits##F(UINT bits) { \
        T x; \
        memcpy(&x, &bits, sizeof x); \
        return x; \
    } \
    VM_INLINE T vm_reduce##F(T x, UINT *bits, UINT *zero) { \
        T n, r, square; \
        *bits = vm_bits##F(x * VM_LOG2E##F + VM_ROUND##F); \
        *zero = (*bits >> (8 * sizeof x - 8)) ^ VM_BYTE##F; \
        n = VM_KEEP(F, vm_from_bits##F(*bits), *zero) - VM_ROUND##F; \
        r = VM_KEEP(F, x - n * VM_LN2_HI##F, *zero) - n * VM_LN2_LO##F; \
        square = VM_KEEP(F, r * r, *zero); \
        return VM_KEEP(F, square * vm_exp_tail##F(r, square) + r, *zero); \
    } \
    VM_INLINE T vm_exp##F(T x) { \
        UINT n, zero, sign = vm_bits##F(x) & (UINT) 1 << (8 * sizeof x - 1); \
        T m, s; \
        T most = vm_from_bits##F(vm_bits##F(VM_EXP_MAX##F) | sign); \
        T least = vm_from_bits##F(vm_bits##F(-VM_EXP_MIN##F) | sign); \
        x = x > VM_EXP_MAX##F ? most : x; \
        x = x < VM_EXP_MIN##F ? least : x; \
        m = vm_reduce##F(x, &n, &zero); \
        s = vm_from_bits##F((n + (VM_BIAS##F - 1)) << VM_DIGITS##F); \
        return VM_KEEP(F, 2 * m + 2, zero) * s; \
    } \
    VM_INLINE T vm_expm1##F(T x) { \
        UINT n, zero; \
        T m = vm_reduce##F(x, &n, &zero); \
        T s = vm_from_bits##F((n + VM_BIAS##F) << VM_DIGITS##F); \
        return s * m + VM_KEEP(F, s - 1, zero); \
    } \
    VM_INLINE T vm_logistic##F(T x) { \
        return 1 / (1 + vm_exp##F(-x)); \
    } \
    VM_INLINE T vm_tanh##F(T x) { \
        T a = fabs##F(x); \
        T u = vm_expm1##F(2 * (a > VM_TANH_END##F ? VM_TANH_END##F : a)); \
        return copysign##F(u / (u + 2), x); \
    } \
    VM_INLINE T vm_erf##F(T x) { \
        T a = fabs##F(x); \
        a = a > VM_ERF_END##F ? VM_ERF_END##F : a; \
        return copysign##F(vm_expm1##F(-a * vm_erfc_rate##F(a)), x); \
    } \
    VM_INLINE T vm_log1p##F(T x) { \
        T s = x / (2 + x), z = s * s; \
        return x - s * (x - z * vm_atanh_tail##F(z)); \
    }

    VM_FUNCTIONS(float, uint32_t, f)
    VM_FUNCTIONS(double, uint64_t, )

    /* One number by itself, where what counts is how long it takes: VM_HOLD keeps the compiler
     * from reordering too, takes no time, and would keep a loop from vectorising. */
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__) && defined(__SSE2__))
    #define VM_HOLD(x) __asm__ ("" : "+x" (x))
    #elif defined(__GNUC__) && defined(__aarch64__)
    #define VM_HOLD(x) __asm__ ("" : "+w" (x))
    #else
    #define VM_HOLD(x) ((void) 0)
    #define VM_NO_HOLD
    #endif

    VM_INLINE float vm_heldf(float x) { VM_HOLD(x); return x; }
    VM_INLINE double vm_held(double x) { VM_HOLD(x); return x; }
    """
    float vm_expf(float x) noexcept nogil
    float vm_tanhf(float x) noexcept nogil
    float vm_logisticf(float x) noexcept nogil
    float vm_erff(float x) noexcept nogil
    float vm_log1pf(float x) noexcept nogil
    double vm_exp(double x) noexcept nogil
    double vm_tanh(double x) noexcept nogil
    double vm_logistic(double x) noexcept nogil
    double vm_erf(double x) noexcept nogil
    double vm_log1p(double x) noexcept nogil
    float vm_heldf(float x) noexcept nogil
    double vm_held(double x) noexcept nogil


cdef inline real vexp(real x) noexcept nogil:
    if real is float:
        return vm_expf(x)
    else:
        return vm_exp(x)


cdef inline real vtanh(real x) noexcept nogil:
    if real is float:
        return vm_tanhf(x)
    else:
        return vm_tanh(x)


cdef inline real vlogistic(real x) noexcept nogil:
    """1 / (1 + exp(-x))."""
    if real is float:
        return vm_logisticf(x)
    else:
        return vm_logistic(x)


cdef inline real verf(real x) noexcept nogil:
    if real is float:
        return vm_erff(x)
    else:
        return vm_erf(x)


cdef inline real vlog1p(real x) noexcept nogil:
    """For 0 <= x <= 1 only."""
    if real is float:
        return vm_log1pf(x)
    else:
        return vm_log1p(x)


cdef inline real vheld(real x) noexcept nogil:
    """x, which the compiler takes as it is: what it was made of isn't regrouped with what uses it
    (nothing of the kind where there is no VM_HOLD)."""
    if real is float:
        return vm_heldf(x)
    else:
        return vm_held(x)
