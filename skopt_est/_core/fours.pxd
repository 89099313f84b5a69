# Four rows at once, forward and backward: what belongs to a column is loaded once for all of them.
# Meanwhile rows that come later are asked for, a few of their lines at a time: all at once would be
# more than a processor can have on its way, and everything else would wait until they come.
from skopt_est._core.memory cimport skopt_prefetch  # noqa: F401 (the macros below call it)
from skopt_est._core.tiles cimport tiled  # noqa: F401 (its vectors are used below)
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    /* four_dots: the products of four rows, shifted if `centred`, with w. Vectors are summed two by
     * two: interleaving the first halves of two and their second halves, and adding both, leaves
     * half as many.
     * four_back: sum += the rows, so shifted, times z.
     * `width` elements are whole cache lines. shift: NULL without one. later: addresses from which
     * on a line is asked for every `pace` bytes, for each line of a row.
     *
     * Whether there is something to ask for must not decide which instructions run: another loop,
     * whose sums the compiler orders in another way, would have other bits. */
    #define FOUR_LATER 2
    #if defined(__AVX512F__)
    #define FOUR_ASKED 0 /* there nothing is asked for in this way: see rows.pxd */
    #else
    #define FOUR_ASKED FOUR_LATER
    #endif
    #define FOUR_LINE(T) (64 / (ptrdiff_t) sizeof(T))
    #define FOUR_ASK(T) \
        TILE_UNROLL for (int k = 0; k < FOUR_ASKED; k++) \
            skopt_prefetch(later[k] + j / FOUR_LINE(T) * pace);
    #if TILE_BYTES == 0
    #define FOUR_FUNCTIONS(T, F) \
    TILE_INLINE void fours_dots##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *w, const char **later, \
            ptrdiff_t pace, T *sums) { \
        (void) later, (void) pace; \
        for (int i = 0; i < 4; i++) { \
            T sum = 0; \
            for (ptrdiff_t j = 0; j < width; j++) \
                sum += (x[i][j] - (shift != NULL ? shift[j] : 0)) * w[j]; \
            sums[i] = sum; \
        } \
    } \
    TILE_INLINE void fours_back##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *z, const char **later, \
            ptrdiff_t pace, T *sum) { \
        (void) later, (void) pace; \
        for (ptrdiff_t j = 0; j < width; j++) { \
            T mean = shift != NULL ? shift[j] : 0; \
            sum[j] += (z[0] * (x[0][j] - mean) + z[1] * (x[1][j] - mean)) + \
                (z[2] * (x[2][j] - mean) + z[3] * (x[3][j] - mean)); \
        } \
    }
    #else
    #define TILE_HALVE(F, x, y) \
        (TILE_SHUFFLE(F, x, y, TILE_LOW##F) + TILE_SHUFFLE(F, x, y, TILE_HIGH##F))
    #define FOUR_FUNCTIONS(T, F) \
    TILE_INLINE void fours_dots_as##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *w, const char **later, \
            ptrdiff_t pace, T *sums, int centred) { \
        (void) later, (void) pace; \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T), PART = LANES / 4 }; \
        const T *a = x[0], *b = x[1], *c = x[2], *e = x[3]; \
        tile_vector##F p = {0}, q = {0}, r = {0}, s = {0}, mean = {0}; \
        for (ptrdiff_t j = 0; j < width; j += FOUR_LINE(T)) { \
            FOUR_ASK(T) \
            TILE_UNROLL for (ptrdiff_t i = j; i < j + FOUR_LINE(T); i += LANES) { \
                tile_vector##F v = *(const tile_vector##F *) (w + i); \
                if (centred) \
                    mean = *(const tile_vector##F *) (shift + i); \
                p += (*(const tile_vector##F *) (a + i) - mean) * v; \
                q += (*(const tile_vector##F *) (b + i) - mean) * v; \
                r += (*(const tile_vector##F *) (c + i) - mean) * v; \
                s += (*(const tile_vector##F *) (e + i) - mean) * v; \
            } \
        } \
        p = TILE_HALVE(F, p, q); \
        r = TILE_HALVE(F, r, s); \
        if (LANES == 2) { \
            sums[0] = p[0], sums[1] = p[1], sums[2] = r[0], sums[3] = r[1]; \
            return; \
        } \
        p = TILE_HALVE(F, p, r); \
        TILE_UNROLL for (int n = 4; n < LANES; n *= 2) \
            p = TILE_HALVE(F, p, p); \
        sums[0] = p[0], sums[2] = p[PART], sums[1] = p[2 * PART], sums[3] = p[3 * PART]; \
    } \
    TILE_INLINE void fours_back_as##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *z, const char **later, \
            ptrdiff_t pace, T *sum, int centred) { \
        (void) later, (void) pace; \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        const T *a = x[0], *b = x[1], *c = x[2], *e = x[3]; \
        const T z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3]; \
        tile_vector##F mean = {0}; \
        for (ptrdiff_t j = 0; j < width; j += FOUR_LINE(T)) { \
            FOUR_ASK(T) \
            TILE_UNROLL for (ptrdiff_t i = j; i < j + FOUR_LINE(T); i += LANES) { \
                if (centred) \
                    mean = *(const tile_vector##F *) (shift + i); \
                *(tile_vector##F *) (sum + i) += \
                    (z0 * (*(const tile_vector##F *) (a + i) - mean) + \
                     z1 * (*(const tile_vector##F *) (b + i) - mean)) + \
                    (z2 * (*(const tile_vector##F *) (c + i) - mean) + \
                     z3 * (*(const tile_vector##F *) (e + i) - mean)); \
            } \
        } \
    } \
    TILE_INLINE void fours_dots##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *w, const char **later, \
            ptrdiff_t pace, T *sums) { \
        if (shift != NULL) \
            fours_dots_as##F(x, width, shift, w, later, pace, sums, 1); \
        else \
            fours_dots_as##F(x, width, shift, w, later, pace, sums, 0); \
    } \
    TILE_INLINE void fours_back##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *z, const char **later, \
            ptrdiff_t pace, T *sum) { \
        if (shift != NULL) \
            fours_back_as##F(x, width, shift, z, later, pace, sum, 1); \
        else \
            fours_back_as##F(x, width, shift, z, later, pace, sum, 0); \
    }
    #endif
    FOUR_FUNCTIONS(float, f)
    FOUR_FUNCTIONS(double, )
    """
    enum:
        FOUR_LATER
    void fours_dotsf(
        const float** x, Py_ssize_t width, const float* shift, const float* w,
        const char** later, Py_ssize_t pace, float* sums) noexcept nogil
    void fours_dots(
        const double** x, Py_ssize_t width, const double* shift, const double* w,
        const char** later, Py_ssize_t pace, double* sums) noexcept nogil
    void fours_backf(
        const float** x, Py_ssize_t width, const float* shift, const float* z,
        const char** later, Py_ssize_t pace, float* sum) noexcept nogil
    void fours_back(
        const double** x, Py_ssize_t width, const double* shift, const double* z,
        const char** later, Py_ssize_t pace, double* sum) noexcept nogil


cdef inline void four_dots(
    const real** x, Py_ssize_t width, const real* shift, const real* w, const char** later,
    Py_ssize_t pace, real* sums
) noexcept nogil:
    if real is float:
        fours_dotsf(x, width, shift, w, later, pace, sums)
    else:
        fours_dots(x, width, shift, w, later, pace, sums)


cdef inline void four_back(
    const real** x, Py_ssize_t width, const real* shift, const real* z, const char** later,
    Py_ssize_t pace, real* sum
) noexcept nogil:
    if real is float:
        fours_backf(x, width, shift, z, later, pace, sum)
    else:
        fours_back(x, width, shift, z, later, pace, sum)
