# The binary log loss of rows without weights, as in most fits, in vectors. It agrees with `point`
# in losses.pxd, which is for all others.
from skopt_est._core.tiles cimport tiled  # noqa: F401 (its macros are used below)
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp  # noqa: F401 (its polynomials, in C)

cdef extern from *:
    r"""
    /* log_losses: the sum of log(1 + exp(f)) - y f over n rows, n <= LOG_LOSSES; gradient <- scale
     * times its derivatives, unless NULL; it may be f. With e = exp(-|f|), which can't overflow,
     * log(1 + exp(f)) is log(1 + e) + max(f, 0), and one logarithm does for all rows: that of the
     * product of their 1 + e. Of the product what is above 1 is kept, so that a small e isn't
     * rounded away. It and the rest are in double precision, where 2^LOG_LOSSES is a number. */
    #define LOG_LOSSES 256
    #if defined(TILE_KEEPS) && (defined(__clang__) || __GNUC__ >= 9) /* __builtin_convertvector */
    #define LOG_LOSS_VECTORS
    #endif
    #ifndef LOG_LOSS_VECTORS
    #define LOG_LOSS_FUNCTION(T, F) \
    TILE_INLINE double log_losses##F(const T *f, const T *y, ptrdiff_t n, T scale, T *gradient) { \
        double above = 0, linear = 0; \
        for (ptrdiff_t i = 0; i < n; i++) { \
            T x = f[i], label = y[i], e = vm_exp##F(-fabs##F(x)); \
            above += e + above * e; \
            linear += (x > 0 ? x : 0) - label * x; \
            if (gradient != NULL) \
                gradient[i] = scale * ((x >= 0 ? 1 : e) / (1 + e) - label); \
        } \
        return linear + log1p(above); \
    }
    #else
    /* Not 64: a few products of that size every 256 rows lower some processors' clock for all that
     * is between them, which steps on short and on sparse rows do in 32. */
    #define LOG_LOSS_BYTES (TILE_BYTES < 32 ? TILE_BYTES : 32)
    typedef float log_loss_vectorf
        __attribute__((vector_size(LOG_LOSS_BYTES), aligned(4), may_alias));
    typedef double log_loss_vector
        __attribute__((vector_size(LOG_LOSS_BYTES), aligned(8), may_alias));
    typedef int32_t log_loss_bitsf __attribute__((vector_size(LOG_LOSS_BYTES)));
    typedef int64_t log_loss_bits __attribute__((vector_size(LOG_LOSS_BYTES)));
    typedef float log_loss_half __attribute__((vector_size(LOG_LOSS_BYTES / 2)));
    VM_EXP_TAILf(log_loss_vectorf, log_loss_exp_tailf)
    VM_EXP_TAIL(log_loss_vector, log_loss_exp_tail)
    /* `step` for the one vector of double precision that v is, or the two made from it. */
    #define LOG_LOSS_WIDEN(v, step) { \
        enum { half = 0 }; \
        log_loss_vector wide = v; \
        step \
    }
    #define LOG_LOSS_WIDENf(v, step) \
        TILE_UNROLL for (int half = 0; half < 2; half++) { \
            log_loss_half part; \
            memcpy(&part, (const char *) &v + half * sizeof part, sizeof part); \
            log_loss_vector wide = __builtin_convertvector(part, log_loss_vector); \
            step \
        }
    /* LOG_LOSS_LEAST: exp is taken as zero below it; not much further down it is subnormal. */
    #define LOG_LOSS_LEASTf -87.0f
    #define LOG_LOSS_LEAST -708.0
    #define LOG_LOSS_SIGNf INT32_MIN
    #define LOG_LOSS_SIGN INT64_MIN
    #define LOG_LOSS_WHERE(F, mask, v, other) ((log_loss_vector##F) ( \
        ((mask) & (log_loss_bits##F) (v)) | (~(mask) & (log_loss_bits##F) (other))))
    #define LOG_LOSS_FUNCTION(T, F) \
    TILE_INLINE log_loss_vector##F log_loss_exp##F(log_loss_vector##F x) { /* of x <= 0 */ \
        log_loss_vector##F t, n, r, square; \
        const log_loss_bits##F low = x < LOG_LOSS_LEAST##F; \
        t = (log_loss_vector##F) {0} + LOG_LOSS_LEAST##F; \
        x = LOG_LOSS_WHERE(F, low, t, x); \
        t = x * VM_LOG2E##F + VM_ROUND##F; \
        TILE_KEEP(t); \
        n = t - VM_ROUND##F; \
        TILE_KEEP(n); \
        r = x - n * VM_LN2_HI##F; \
        TILE_KEEP(r); \
        r -= n * VM_LN2_LO##F; \
        TILE_KEEP(r); \
        square = r * r; \
        t = (log_loss_vector##F) (((log_loss_bits##F) t + VM_BIAS##F) << VM_DIGITS##F); \
        r += square * log_loss_exp_tail##F(r, square); \
        TILE_KEEP(r); \
        r = r * t + t; \
        return (log_loss_vector##F) (~low & (log_loss_bits##F) r); \
    } \
    TILE_INLINE void log_losses_step##F( \
            const T *f, const T *y, T scale, T *gradient, log_loss_vector *above, \
            log_loss_vector *linear) { \
        const log_loss_vector##F x = *(const log_loss_vector##F *) f, zero = {0}; \
        const log_loss_vector##F label = *(const log_loss_vector##F *) y; \
        const log_loss_vector##F e = log_loss_exp##F( \
            (log_loss_vector##F) ((log_loss_bits##F) x | LOG_LOSS_SIGN##F)); \
        const log_loss_bits##F positive = x > 0; \
        const log_loss_vector##F rest = LOG_LOSS_WHERE(F, positive, x, zero) - label * x; \
        LOG_LOSS_WIDEN##F(rest, linear[half] += wide;) \
        LOG_LOSS_WIDEN##F(e, above[half] += wide + above[half] * wide;) \
        if (gradient != NULL) \
            *(log_loss_vector##F *) gradient = scale * ( \
                LOG_LOSS_WHERE(F, positive, zero + 1, e) / (1 + e) - label); \
    } \
    TILE_INLINE double log_losses##F(const T *f, const T *y, ptrdiff_t n, T scale, T *gradient) { \
        enum { LANES = sizeof(log_loss_vector##F) / sizeof(T), WIDE = LOG_LOSS_BYTES / 8 }; \
        log_loss_vector above[2] = {{0}}, linear[2] = {{0}}; \
        double product = 0, sum = 0; \
        ptrdiff_t i = 0; \
        for (; i + LANES <= n; i += LANES) \
            log_losses_step##F( \
                f + i, y + i, scale, gradient == NULL ? NULL : gradient + i, above, linear); \
        if (i < n) { /* filled up with what has no loss */ \
            T last[3][LANES]; \
            for (int k = 0; k < LANES; k++) { \
                last[0][k] = k < n - i ? f[i + k] : 2 * LOG_LOSS_LEAST##F; \
                last[1][k] = k < n - i ? y[i + k] : 0; \
            } \
            log_losses_step##F(last[0], last[1], scale, last[2], above, linear); \
            for (int k = 0; gradient != NULL && k < n - i; k++) \
                gradient[i + k] = last[2][k]; \
        } \
        for (int half = 0; half < 2; half++) \
            for (int k = 0; k < WIDE; k++) { \
                product += above[half][k] + product * above[half][k]; \
                sum += linear[half][k]; \
            } \
        return sum + log1p(product); \
    }
    #endif
    LOG_LOSS_FUNCTION(float, f)
    LOG_LOSS_FUNCTION(double, )
    """
    enum:
        LOG_LOSSES
    double log_lossesf(
        const float* f, const float* y, Py_ssize_t n, float scale, float* gradient) noexcept nogil
    double log_losses(
        const double* f, const double* y, Py_ssize_t n, double scale, double* gradient
    ) noexcept nogil


cdef inline double log_loss_sum(
    const real* f, const real* y, Py_ssize_t n, real scale, real* gradient
) noexcept nogil:
    """The sum of scale times the losses of n rows; gradient (n,) <- its derivatives, unless NULL.
    It may be f."""
    cdef Py_ssize_t at = 0, count
    cdef double total = 0
    cdef real* to = NULL
    while at < n:
        count = min(n - at, <Py_ssize_t> LOG_LOSSES)
        if gradient != NULL:
            to = gradient + at
        if real is float:
            total += log_lossesf(f + at, y + at, count, scale, to)
        else:
            total += log_losses(f + at, y + at, count, scale, to)
        at += count
    return scale * total
