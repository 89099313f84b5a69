# Four rows at once, forward and backward: what belongs to a column is loaded once for all of them.
# Meanwhile rows that come later are asked for, a few of their lines at a time: all at once would be
# more than a processor can have on its way, and everything else would wait until they come.
from skopt_est._core.memory cimport skopt_prefetch_near  # noqa: F401 (the macros below call it)
from skopt_est._core.tiles cimport tiled  # noqa: F401 (its vectors are used below)
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    /* four_dots: sums <- the products of four rows, shifted if `centred`, with w, plus start.
     * four_back: sum += the rows, so shifted, times z.
     * fours_dots_run, fours_back_run: the same for `count` fours of rows that lie one after the
     * other from x on, each of `step` elements. `later`, and the line after it, goes on by
     * `goes_on` bytes from four to four.
     * fours_column: z (m,) <- rows a (m, d) w + start, four at a time. A last vector of each row
     * overlaps the one before, where w counts as zero, so that no row reads another one; an
     * infinity there makes NaN. d: a vector, at least.
     * `width` elements are whole vectors. shift: NULL without one. later: addresses from which on a
     * line is asked for every `pace` bytes, for each line of a row.
     *
     * What is asked for, and whether rows are taken in a run, must not decide about bits: TILE_KEEP
     * holds the order of all sums, so that it is one in each of these loops. */
    #define FOUR_LATER 2
    #define FOUR_LINE(T) (64 / (ptrdiff_t) sizeof(T))
    #define FOUR_ASK \
        { TILE_UNROLL for (int k = 0; k < FOUR_LATER; k++) \
            skopt_prefetch_near(later[k] + asked); \
          asked += pace; }
    #define FOUR_RUN(T, function) \
        for (ptrdiff_t i = 0; i < count; i++) { \
            const T *rows[4] = {x, x + step, x + 2 * step, x + 3 * step}; \
            const char *lines[FOUR_LATER] = {later, later + 64}; \
            function; \
            x += 4 * step; \
            later += goes_on; \
        }
    #if TILE_BYTES == 0
    #define FOUR_FUNCTIONS(T, F) \
    TILE_INLINE void fours_dots##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *w, T start, \
            const char **later, ptrdiff_t pace, T *sums) { \
        (void) later, (void) pace; \
        for (int i = 0; i < 4; i++) { \
            T sum = start; \
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
    TILE_INLINE void fours_dots_run##F( \
            const T *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t width, const T *shift, \
            const T *w, T start, const char *later, ptrdiff_t goes_on, ptrdiff_t pace, T *sums) { \
        FOUR_RUN(T, fours_dots##F( \
            rows, width, shift, w, start, lines, pace, sums + 4 * i)) \
    } \
    TILE_INLINE void fours_back_run##F( \
            const T *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t width, const T *shift, \
            const T *z, const char *later, ptrdiff_t goes_on, ptrdiff_t pace, T *sum) { \
        FOUR_RUN(T, fours_back##F( \
            rows, width, shift, z + 4 * i, lines, pace, sum)) \
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
    /* `step` for each vector of a row, whose place is i: two by two, if a line has more than one,
     * so that sums can come in two chains, as one is waited for in long rows. */
    #define FOUR_WALK(T, F, step) \
        const ptrdiff_t whole = width / FOUR_LINE(T) * FOUR_LINE(T); \
        ptrdiff_t j = 0, asked = 0; \
        for (; j < whole; j += FOUR_LINE(T)) { \
            FOUR_ASK \
            step(F, 0, j) \
            if (LANES < FOUR_LINE(T)) \
                step(F, 1, j + LANES) \
            TILE_UNROLL for (ptrdiff_t k = j + 2 * LANES; k < j + FOUR_LINE(T); k += 2 * LANES) { \
                step(F, 0, k) \
                step(F, 1, k + LANES) \
            } \
        } \
        if (j < width) \
            FOUR_ASK \
        for (; j < width; j += LANES) \
            step(F, 0, j)
    #define FOUR_AT(F, x) (*(const tile_vector##F *) ((x) + i))
    /* sum += row y; or, if centred, sum -= (row - mean) y, where the row is an operand of the
     * subtraction. FOUR_SUM: x plus what such a sum stands for. */
    #define FOUR_ADD(F, sum, row, y) { \
        if (centred) { \
            tile_vector##F less = mean - FOUR_AT(F, row); \
            TILE_KEEP(less); \
            sum += less * y; \
        } else \
            sum += FOUR_AT(F, row) * y; \
        TILE_KEEP(sum); \
    }
    #define FOUR_SUM(x, sum) (centred ? (x) - (sum) : (x) + (sum))
    #define FOUR_DOTS(F, n, at) { \
        const ptrdiff_t i = at; \
        tile_vector##F v = FOUR_AT(F, w); \
        if (centred) \
            mean = FOUR_AT(F, shift); \
        FOUR_ADD(F, p##n, a, v) \
        FOUR_ADD(F, q##n, b, v) \
        FOUR_ADD(F, r##n, c, v) \
        FOUR_ADD(F, s##n, e, v) \
    }
    /* to <- start and what the sums across p, q, r and s add to it. Interleaving the first elements
     * of each 16 bytes of two vectors and the last ones, and adding both, leaves half as many. */
    #if TILE_BYTES == 64
    #define FOUR_FIRSTf 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29
    #define FOUR_LASTf 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31
    #define FOUR_FIRST 0, 8, 2, 10, 4, 12, 6, 14
    #define FOUR_LAST 1, 9, 3, 11, 5, 13, 7, 15
    #define FOUR_FOLDf(p) \
        p += TILE_SHUFFLE(f, p, p, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15); \
        p += TILE_SHUFFLE(f, p, p, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    #define FOUR_JOIN(p, r) \
        p = TILE_SHUFFLE(, p, r, 0, 1, 8, 9, 2, 3, 10, 11) + \
            TILE_SHUFFLE(, p, r, 4, 5, 12, 13, 6, 7, 14, 15); \
        p += TILE_SHUFFLE(, p, p, 4, 5, 6, 7, 4, 5, 6, 7);
    #elif TILE_BYTES == 32
    #define FOUR_FIRSTf 0, 8, 1, 9, 4, 12, 5, 13
    #define FOUR_LASTf 2, 10, 3, 11, 6, 14, 7, 15
    #define FOUR_FIRST 0, 4, 2, 6
    #define FOUR_LAST 1, 5, 3, 7
    #define FOUR_FOLDf(p) p += TILE_SHUFFLE(f, p, p, 4, 5, 6, 7, 4, 5, 6, 7);
    #define FOUR_JOIN(p, r) \
        p = TILE_SHUFFLE(, p, r, 0, 1, 4, 5) + TILE_SHUFFLE(, p, r, 2, 3, 6, 7);
    #else
    #define FOUR_FIRSTf 0, 4, 1, 5
    #define FOUR_LASTf 2, 6, 3, 7
    #define FOUR_FIRST 0, 2
    #define FOUR_LAST 1, 3
    #define FOUR_FOLDf(p)
    #define FOUR_JOIN(p, r)
    #endif
    #define FOUR_HALVE(F, x, y) \
        (TILE_SHUFFLE(F, x, y, FOUR_FIRST##F) + TILE_SHUFFLE(F, x, y, FOUR_LAST##F))
    /* memcpy of a whole vector is compiled to copies of its halves. */
    #define FOUR_STORE(T, F, to, v) \
        if (TILE_BYTES == 4 * sizeof(T)) \
            *(tile_vector##F *) (to) = v; \
        else \
            memcpy(to, &v, TILE_BYTES < 4 * sizeof(T) ? TILE_BYTES : 4 * sizeof(T));
    #define FOUR_SUMSf(to, start) \
        p = FOUR_HALVE(f, p, r); \
        q = FOUR_HALVE(f, q, s); \
        p = FOUR_HALVE(f, p, q); \
        FOUR_FOLDf(p) \
        TILE_KEEP(p); \
        p = FOUR_SUM(start, p); \
        FOUR_STORE(float, f, to, p)
    #define FOUR_SUMS(to, start) \
        p = FOUR_HALVE(, p, q); \
        r = FOUR_HALVE(, r, s); \
        if (TILE_BYTES == 16) { \
            TILE_KEEP(r); \
            r = FOUR_SUM(start, r); \
            memcpy((to) + 2, &r, 2 * sizeof(double)); \
        } \
        FOUR_JOIN(p, r) \
        TILE_KEEP(p); \
        p = FOUR_SUM(start, p); \
        FOUR_STORE(double, , to, p)
    /* Of the sum in memory the next rows wait for one addition only. */
    #define FOUR_BACK(F, n, at) { \
        const ptrdiff_t i = at; \
        tile_vector##F all = {0}; \
        if (centred) \
            mean = FOUR_AT(F, shift); \
        FOUR_ADD(F, all, a, z0) \
        FOUR_ADD(F, all, b, z1) \
        FOUR_ADD(F, all, c, z2) \
        FOUR_ADD(F, all, e, z3) \
        all = FOUR_SUM(FOUR_AT(F, sum), all); \
        *(tile_vector##F *) (sum + i) = all; \
    }
    #define FOUR_FUNCTIONS(T, F) \
    TILE_INLINE void fours_dots_as##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *w, T start, \
            const char **later, ptrdiff_t pace, T *sums, int centred) { \
        (void) later, (void) pace; \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        const T *a = x[0], *b = x[1], *c = x[2], *e = x[3]; \
        tile_vector##F p0 = {0}, q0 = {0}, r0 = {0}, s0 = {0}, mean = {0}; \
        tile_vector##F p1 = {0}, q1 = {0}, r1 = {0}, s1 = {0}; \
        FOUR_WALK(T, F, FOUR_DOTS) \
        tile_vector##F p = p0 + p1, q = q0 + q1, r = r0 + r1, s = s0 + s1; \
        FOUR_SUMS##F(sums, start) \
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
            const T **x, ptrdiff_t width, const T *shift, const T *w, T start, \
            const char **later, ptrdiff_t pace, T *sums) { \
        if (shift != NULL) \
            fours_dots_as##F(x, width, shift, w, start, later, pace, sums, 1); \
        else \
            fours_dots_as##F(x, width, shift, w, start, later, pace, sums, 0); \
    } \
    TILE_INLINE void fours_back##F( \
            const T **x, ptrdiff_t width, const T *shift, const T *z, const char **later, \
            ptrdiff_t pace, T *sum) { \
        if (shift != NULL) \
            fours_back_as##F(x, width, shift, z, later, pace, sum, 1); \
        else \
            fours_back_as##F(x, width, shift, z, later, pace, sum, 0); \
    } \
    TILE_INLINE void fours_dots_run##F( \
            const T *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t width, const T *shift, \
            const T *w, T start, const char *later, ptrdiff_t goes_on, ptrdiff_t pace, T *sums) { \
        if (shift != NULL) { \
            FOUR_RUN(T, fours_dots_as##F( \
                rows, width, shift, w, start, lines, pace, sums + 4 * i, 1)) \
        } else { \
            FOUR_RUN(T, fours_dots_as##F( \
                rows, width, shift, w, start, lines, pace, sums + 4 * i, 0)) \
        } \
    } \
    TILE_INLINE void fours_back_run##F( \
            const T *x, ptrdiff_t step, ptrdiff_t count, ptrdiff_t width, const T *shift, \
            const T *z, const char *later, ptrdiff_t goes_on, ptrdiff_t pace, T *sum) { \
        if (shift != NULL) { \
            FOUR_RUN(T, fours_back_as##F( \
                rows, width, shift, z + 4 * i, lines, pace, sum, 1)) \
        } else { \
            FOUR_RUN(T, fours_back_as##F( \
                rows, width, shift, z + 4 * i, lines, pace, sum, 0)) \
        } \
    } \
    TILE_INLINE void fours_column##F( \
            const T *rows, ptrdiff_t m, ptrdiff_t d, const T *w, T start, T *z) { \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T), centred = 0 }; \
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
            tile_vector##F p0 = {0}, q0 = {0}, r0 = {0}, s0 = {0}, mean = {0}; \
            for (ptrdiff_t j = 0; j < whole; j += LANES) \
                FOUR_DOTS(F, 0, j) \
            if (whole < d) { \
                const ptrdiff_t i = end; \
                FOUR_ADD(F, p0, a, rest) \
                FOUR_ADD(F, q0, b, rest) \
                FOUR_ADD(F, r0, c, rest) \
                FOUR_ADD(F, s0, e, rest) \
            } \
            tile_vector##F p = p0, q = q0, r = r0, s = s0; \
            FOUR_SUMS##F(left > 3 ? z + row : sums, start) \
            for (int k = 0; left < 4 && k < left; k++) \
                z[row + k] = sums[k]; \
        } \
    }
    #endif
    FOUR_FUNCTIONS(float, f)
    FOUR_FUNCTIONS(double, )
    """
    enum:
        FOUR_LATER
    void fours_dotsf(
        const float** x, Py_ssize_t width, const float* shift, const float* w, float start,
        const char** later, Py_ssize_t pace, float* sums) noexcept nogil
    void fours_dots(
        const double** x, Py_ssize_t width, const double* shift, const double* w, double start,
        const char** later, Py_ssize_t pace, double* sums) noexcept nogil
    void fours_backf(
        const float** x, Py_ssize_t width, const float* shift, const float* z,
        const char** later, Py_ssize_t pace, float* sum) noexcept nogil
    void fours_back(
        const double** x, Py_ssize_t width, const double* shift, const double* z,
        const char** later, Py_ssize_t pace, double* sum) noexcept nogil
    void fours_dots_runf(
        const float* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const float* shift,
        const float* w, float start, const char* later, Py_ssize_t goes_on, Py_ssize_t pace,
        float* sums) noexcept nogil
    void fours_dots_run(
        const double* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const double* shift,
        const double* w, double start, const char* later, Py_ssize_t goes_on, Py_ssize_t pace,
        double* sums) noexcept nogil
    void fours_back_runf(
        const float* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const float* shift,
        const float* z, const char* later, Py_ssize_t goes_on, Py_ssize_t pace,
        float* sum) noexcept nogil
    void fours_back_run(
        const double* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const double* shift,
        const double* z, const char* later, Py_ssize_t goes_on, Py_ssize_t pace,
        double* sum) noexcept nogil
    void fours_columnf(
        const float* rows, Py_ssize_t m, Py_ssize_t d, const float* w, float start,
        float* z) noexcept nogil
    void fours_column(
        const double* rows, Py_ssize_t m, Py_ssize_t d, const double* w, double start,
        double* z) noexcept nogil


cdef inline void four_dots(
    const real** x, Py_ssize_t width, const real* shift, const real* w, real start,
    const char** later, Py_ssize_t pace, real* sums
) noexcept nogil:
    if real is float:
        fours_dotsf(x, width, shift, w, start, later, pace, sums)
    else:
        fours_dots(x, width, shift, w, start, later, pace, sums)


cdef inline void four_back(
    const real** x, Py_ssize_t width, const real* shift, const real* z, const char** later,
    Py_ssize_t pace, real* sum
) noexcept nogil:
    if real is float:
        fours_backf(x, width, shift, z, later, pace, sum)
    else:
        fours_back(x, width, shift, z, later, pace, sum)


cdef inline void dots_run(
    const real* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const real* shift,
    const real* w, real start, const char* later, Py_ssize_t goes_on, Py_ssize_t pace, real* sums
) noexcept nogil:
    if real is float:
        fours_dots_runf(x, step, count, width, shift, w, start, later, goes_on, pace, sums)
    else:
        fours_dots_run(x, step, count, width, shift, w, start, later, goes_on, pace, sums)


cdef inline void back_run(
    const real* x, Py_ssize_t step, Py_ssize_t count, Py_ssize_t width, const real* shift,
    const real* z, const char* later, Py_ssize_t goes_on, Py_ssize_t pace, real* sum
) noexcept nogil:
    if real is float:
        fours_back_runf(x, step, count, width, shift, z, later, goes_on, pace, sum)
    else:
        fours_back_run(x, step, count, width, shift, z, later, goes_on, pace, sum)


cdef inline void column(
    const real* rows, Py_ssize_t m, Py_ssize_t d, const real* w, real start, real* z
) noexcept nogil:
    if real is float:
        fours_columnf(rows, m, d, w, start, z)
    else:
        fours_column(rows, m, d, w, start, z)
