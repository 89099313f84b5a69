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
     * fours_column: z (m,) <- rows a (m, d) w + start, four at a time. A last vector of each row
     * overlaps the one before, where w counts as zero, so that no row reads another one. d: a
     * vector, at least.
     * `width` elements are whole vectors. shift: NULL without one. later: addresses from which on a
     * line is asked for every `pace` bytes, for each line of a row.
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
        { TILE_UNROLL for (int k = 0; k < FOUR_ASKED; k++) \
            skopt_prefetch(later[k] + j / FOUR_LINE(T) * pace); }
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
    } \
    TILE_INLINE void fours_column##F( \
            const T *rows, ptrdiff_t m, ptrdiff_t d, const T *w, T start, T *z) { \
        for (ptrdiff_t i = 0; i < m; i++) { \
            T sum = 0; \
            for (ptrdiff_t j = 0; j < d; j++) \
                sum += rows[i * d + j] * w[j]; \
            z[i] = sum + start; \
        } \
    }
    #else
    /* `step` for the vectors from j on: those of a whole line, or of what is left of a row. */
    #define FOUR_WALK(T, F, step) \
        ptrdiff_t j = 0; \
        for (; j + FOUR_LINE(T) <= width; j += FOUR_LINE(T)) { \
            FOUR_ASK(T) \
            TILE_UNROLL for (ptrdiff_t i = j; i < j + FOUR_LINE(T); i += LANES) \
                step(F) \
        } \
        if (j < width) \
            FOUR_ASK(T) \
        for (; j < width; j += LANES) { \
            const ptrdiff_t i = j; \
            step(F) \
        }
    #define FOUR_AT(F, x) (*(const tile_vector##F *) (x + i))
    #define FOUR_DOTS(F) { \
        tile_vector##F v = FOUR_AT(F, w); \
        if (centred) \
            mean = FOUR_AT(F, shift); \
        p += (FOUR_AT(F, a) - mean) * v; \
        q += (FOUR_AT(F, b) - mean) * v; \
        r += (FOUR_AT(F, c) - mean) * v; \
        s += (FOUR_AT(F, e) - mean) * v; \
    }
    #define FOUR_SUMS(F) \
        p = TILE_HALVE(F, p, q); \
        r = TILE_HALVE(F, r, s); \
        if (LANES == 2) { \
            sums[0] = p[0], sums[1] = p[1], sums[2] = r[0], sums[3] = r[1]; \
        } else { \
            p = TILE_HALVE(F, p, r); \
            TILE_UNROLL for (int n = 4; n < LANES; n *= 2) \
                p = TILE_HALVE(F, p, p); \
            sums[0] = p[0], sums[2] = p[PART], sums[1] = p[2 * PART], sums[3] = p[3 * PART]; \
        }
    #define FOUR_BACK(F) { \
        if (centred) \
            mean = FOUR_AT(F, shift); \
        *(tile_vector##F *) (sum + i) += \
            (z0 * (FOUR_AT(F, a) - mean) + z1 * (FOUR_AT(F, b) - mean)) + \
            (z2 * (FOUR_AT(F, c) - mean) + z3 * (FOUR_AT(F, e) - mean)); \
    }
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
        FOUR_WALK(T, F, FOUR_DOTS) \
        FOUR_SUMS(F) \
    } \
    TILE_INLINE void fours_back_as##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *z, const char **later, \
            ptrdiff_t pace, T *sum, int centred) { \
        (void) later, (void) pace; \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        const T *a = x[0], *b = x[1], *c = x[2], *e = x[3]; \
        const T z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3]; \
        tile_vector##F mean = {0}; \
        FOUR_WALK(T, F, FOUR_BACK) \
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
    } \
    TILE_INLINE void fours_column##F( \
            const T *rows, ptrdiff_t m, ptrdiff_t d, const T *w, T start, T *z) { \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T), PART = LANES / 4, centred = 0 }; \
        const ptrdiff_t whole = d / LANES * LANES, end = d - LANES; \
        const T *const shift = NULL; \
        T sums[4], w_of_rest[LANES]; \
        for (int k = 0; k < LANES; k++) \
            w_of_rest[k] = end + k < whole ? 0 : w[end + k]; \
        const tile_vector##F rest = *(const tile_vector##F *) w_of_rest; \
        for (ptrdiff_t row = 0; row < m; row += 4) { \
            const ptrdiff_t left = m - row; \
            const T *a = rows + row * d, *b = left > 1 ? a + d : a; \
            const T *c = left > 2 ? b + d : a, *e = left > 3 ? c + d : a; \
            tile_vector##F p = {0}, q = {0}, r = {0}, s = {0}, mean = {0}; \
            for (ptrdiff_t i = 0; i < whole; i += LANES) \
                FOUR_DOTS(F) \
            if (whole < d) { \
                p += *(const tile_vector##F *) (a + end) * rest; \
                q += *(const tile_vector##F *) (b + end) * rest; \
                r += *(const tile_vector##F *) (c + end) * rest; \
                s += *(const tile_vector##F *) (e + end) * rest; \
            } \
            FOUR_SUMS(F) \
            if (left > 3) { \
                TILE_UNROLL for (int k = 0; k < 4; k++) \
                    z[row + k] = sums[k] + start; \
            } else \
                for (int k = 0; k < left; k++) \
                    z[row + k] = sums[k] + start; \
        } \
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
    void fours_columnf(
        const float* rows, Py_ssize_t m, Py_ssize_t d, const float* w, float start,
        float* z) noexcept nogil
    void fours_column(
        const double* rows, Py_ssize_t m, Py_ssize_t d, const double* w, double start,
        double* z) noexcept nogil


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


cdef inline void column(
    const real* rows, Py_ssize_t m, Py_ssize_t d, const real* w, real start, real* z
) noexcept nogil:
    if real is float:
        fours_columnf(rows, m, d, w, start, z)
    else:
        fours_column(rows, m, d, w, start, z)
