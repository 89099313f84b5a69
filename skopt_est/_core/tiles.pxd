# Matrix products in registers: a tile of the result, so many rows by one or two vectors of
# columns, is summed over the whole depth before it is stored.
#
# An element of the result is one chain of multiply-adds in the order of the depth, whatever the
# tile it falls into: a row's bits do not depend on how many rows come with it.
from skopt_est._core.types cimport real

cdef extern from *:
    r"""
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>

    /* TILE_DEEP: steps of the depth in one turn of the loop. 12 multiply-adds take 6 cycles and,
     * without moves and counting, 20 instructions: where another process runs on the core's other
     * thread, which leaves half of the places for instructions, what is beside them is time. The
     * barrier keeps gcc from loading for later steps, for which there are no registers.
     * With AVX-512, where 44 instructions hold 28 multiply-adds, it wasn't measured. */
    /* Rows of a tile: with two vectors of columns its sums, the two vectors they are made from and
     * the number at hand fill 32 registers (AVX-512) or 16. Without vectors of gcc's and clang's
     * kind all this is the same code on vectors of one element, whose sums the compiler may
     * reorder. */
    #if defined(__GNUC__) && !defined(TILE_PLAIN)
    #define TILE_INLINE static inline __attribute__((always_inline, unused))
    #define TILE_FUNCTION static __attribute__((noinline, unused))
    #define TILE_UNROLL _Pragma("GCC unroll 16")
    #if defined(__AVX512F__)
    #define TILE_BYTES 64
    #define TILE_ROWS 14
    #define TILE_DEEP
    #define TILE_BARRIER
    #elif defined(__AVX__)
    #define TILE_BYTES 32
    #define TILE_ROWS 6
    #define TILE_DEEP _Pragma("GCC unroll 4")
    #define TILE_BARRIER __asm__ volatile("" ::: "memory")
    #else
    #define TILE_BYTES 16
    #define TILE_ROWS 4
    #define TILE_DEEP _Pragma("GCC unroll 4")
    #define TILE_BARRIER __asm__ volatile("" ::: "memory")
    #endif
    typedef float tile_vectorf __attribute__((vector_size(TILE_BYTES), aligned(4), may_alias));
    typedef double tile_vector __attribute__((vector_size(TILE_BYTES), aligned(8), may_alias));
    #else
    #define TILE_INLINE static inline
    #define TILE_FUNCTION static
    #define TILE_UNROLL
    #define TILE_DEEP
    #define TILE_BARRIER
    #define TILE_BYTES 0
    #define TILE_ROWS 4
    typedef float tile_vectorf;
    typedef double tile_vector;
    #endif

    /* What rows are padded to, so that loops over them have no rest. */
    #define TILE_WHOLE (TILE_BYTES ? TILE_BYTES : 64)

    /* Ends what the compiler may reorder: sums of products stay chains of multiply-adds as they are
     * written. Reordered, two of them are two products and two sums, in three instructions. Code
     * that would be wrong, not only slow, if reordered needs TILE_KEEPS. */
    #if !defined(__GNUC__) || TILE_BYTES == 0
    #define TILE_KEEP(v)
    #elif defined(__AVX512F__)
    #define TILE_KEEPS
    #define TILE_KEEP(v) __asm__("" : "+v"(v))
    #elif defined(__SSE2__)
    #define TILE_KEEPS
    #define TILE_KEEP(v) __asm__("" : "+x"(v))
    #elif defined(__aarch64__)
    #define TILE_KEEPS
    #define TILE_KEEP(v) __asm__("" : "+w"(v))
    #else
    #define TILE_KEEP(v)
    #endif

    /* A square of as many rows as a vector has elements is transposed by interleaving the first
     * half of the rows with the second, log2 times. TILE_LOW: that of the vectors' first halves. */
    #if TILE_BYTES == 64
    #define TILE_LOWf 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
    #define TILE_HIGHf 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
    #define TILE_LOW 0, 8, 1, 9, 2, 10, 3, 11
    #define TILE_HIGH 4, 12, 5, 13, 6, 14, 7, 15
    #elif TILE_BYTES == 32
    #define TILE_LOWf 0, 8, 1, 9, 2, 10, 3, 11
    #define TILE_HIGHf 4, 12, 5, 13, 6, 14, 7, 15
    #define TILE_LOW 0, 4, 1, 5
    #define TILE_HIGH 2, 6, 3, 7
    #elif TILE_BYTES == 16
    #define TILE_LOWf 0, 4, 1, 5
    #define TILE_HIGHf 2, 6, 3, 7
    #define TILE_LOW 0, 2
    #define TILE_HIGH 1, 3
    #endif

    #if TILE_BYTES == 0
    #define TILE_TRANSPOSE(T, INT, F) \
    TILE_INLINE void tile_transpose##F(const T *a, ptrdiff_t row, T *to, ptrdiff_t to_row) { \
        (void) row; \
        (void) to_row; \
        *to = *a; \
    }
    #else
    #if defined(__clang__) || __GNUC__ >= 12
    #define TILE_SHUFFLE(F, x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
    #else
    #define TILE_SHUFFLE(F, x, y, ...) __builtin_shuffle(x, y, (tile_order##F) {__VA_ARGS__})
    #endif
    #define TILE_TRANSPOSE(T, INT, F) \
    typedef INT tile_order##F __attribute__((vector_size(TILE_BYTES))); \
    TILE_INLINE void tile_transpose##F(const T *a, ptrdiff_t row, T *to, ptrdiff_t to_row) { \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        tile_vector##F x[LANES], y[LANES]; \
        TILE_UNROLL for (int i = 0; i < LANES; i++) \
            x[i] = *(const tile_vector##F *) (a + i * row); \
        TILE_UNROLL for (int n = 1; n < LANES; n *= 2) { \
            TILE_UNROLL for (int i = 0; i < LANES / 2; i++) { \
                y[2 * i] = TILE_SHUFFLE(F, x[i], x[i + LANES / 2], TILE_LOW##F); \
                y[2 * i + 1] = TILE_SHUFFLE(F, x[i], x[i + LANES / 2], TILE_HIGH##F); \
            } \
            TILE_UNROLL for (int i = 0; i < LANES; i++) \
                x[i] = y[i]; \
        } \
        TILE_UNROLL for (int i = 0; i < LANES; i++) \
            *(tile_vector##F *) (to + i * to_row) = x[i]; \
    }
    #endif

    /* tile_sum: c (rows, width vectors) <- start + a (rows, depth) b. The start may be c itself,
     *     or one row for all (start_row = 0). rows and width are constants wherever it is called.
     * tile_copy: so few numbers that a loop over vectors would cost more.
     * tile_pack: columns of b to a panel (depth, width vectors), zero beyond the last column.
     * tile_product: c (m, n) <- start + a (m, depth) b (depth, n), where start is bias, c if
     *     `add`, or zero; a's element (i, p) is at i a_row + p a_step, and b's likewise. Columns
     *     of b are read where they are if they lie side by side, unless many tiles pass over them
     *     and b is large, or its rows, longer than a line, begin anywhere in one, and vectors would
     *     lie in two lines each. A vector that goes on behind the last column has what follows
     *     there, or overlaps those before.
     * tile_turn: a (a_row = 1) as its tiles read it, the rows of a tile side by side at each step
     *     of the depth, in `room` (m, depth) if there is one. That is worth it where many columns'
     *     tiles pass over a, and its steps are so many whole lines apart that they share few places
     *     of the first cache. m >= TILE_ROWS, so that no tile has less than half as many rows. */
    #define TILE_FUNCTIONS(T, F) \
    TILE_INLINE void tile_sum##F( \
            int rows, int width, ptrdiff_t depth, const T *a, ptrdiff_t a_row, ptrdiff_t a_step, \
            const T *b, ptrdiff_t b_row, const T *start, ptrdiff_t start_row, T *c, \
            ptrdiff_t c_row) { \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        tile_vector##F sum[TILE_ROWS][2], v[2]; \
        TILE_UNROLL for (int i = 0; i < rows; i++) \
            TILE_UNROLL for (int j = 0; j < width; j++) \
                sum[i][j] = *(const tile_vector##F *) (start + i * start_row + j * LANES); \
        TILE_DEEP for (ptrdiff_t p = 0; p < depth; p++) { \
            TILE_UNROLL for (int j = 0; j < width; j++) \
                v[j] = *(const tile_vector##F *) (b + p * b_row + j * LANES); \
            TILE_UNROLL for (int i = 0; i < rows; i++) { \
                T x = a[i * a_row + p * a_step]; \
                TILE_UNROLL for (int j = 0; j < width; j++) \
                    sum[i][j] += x * v[j]; \
            } \
            TILE_BARRIER; \
        } \
        TILE_UNROLL for (int i = 0; i < rows; i++) \
            TILE_UNROLL for (int j = 0; j < width; j++) \
                *(tile_vector##F *) (c + i * c_row + j * LANES) = sum[i][j]; \
    } \
    TILE_FUNCTION void tile_rows##F( \
            int rows, int width, ptrdiff_t depth, const T *a, ptrdiff_t a_row, ptrdiff_t a_step, \
            const T *b, ptrdiff_t b_row, const T *start, ptrdiff_t start_row, T *c, \
            ptrdiff_t c_row) { \
        switch (2 * rows + width - 1) { \
            TILE_CASES(F) \
        } \
    } \
    TILE_INLINE void tile_copy##F(const T *from, ptrdiff_t n, T *to) { \
        ptrdiff_t j = 0; \
        for (; j + 4 <= n; j += 4) \
            memcpy(to + j, from + j, 4 * sizeof(T)); \
        if (n & 2) { \
            memcpy(to + j, from + j, 2 * sizeof(T)); \
            j += 2; \
        } \
        if (n & 1) \
            to[j] = from[j]; \
    } \
    TILE_FUNCTION void tile_pack##F( \
            const T *b, ptrdiff_t b_row, ptrdiff_t b_step, ptrdiff_t depth, ptrdiff_t columns, \
            ptrdiff_t width, T *panel) { \
        enum { LANES = sizeof(tile_vector##F) / sizeof(T) }; \
        ptrdiff_t j = 0, p; \
        if (b_step != 1) \
            for (; j + LANES <= columns; j += LANES) { \
                for (p = 0; p + LANES <= depth; p += LANES) \
                    tile_transpose##F( \
                        b + p * b_row + j * b_step, b_step, panel + p * width + j, width); \
                for (; p < depth; p++) \
                    for (int i = 0; i < LANES; i++) \
                        panel[p * width + j + i] = b[p * b_row + (j + i) * b_step]; \
            } \
        if (b_step == 1 && columns == width) { \
            for (p = 0; p < depth; p++) \
                for (j = 0; j < width; j += LANES) \
                    *(tile_vector##F *) (panel + p * width + j) = \
                        *(const tile_vector##F *) (b + p * b_row + j); \
            return; \
        } \
        for (p = 0; p < depth; p++) { \
            ptrdiff_t i = j; \
            for (; i < columns; i++) \
                panel[p * width + i] = b[p * b_row + i * b_step]; \
            for (; i < width; i++) \
                panel[p * width + i] = 0; \
        } \
    } \
    TILE_FUNCTION void tile_turn##F( \
            ptrdiff_t depth, ptrdiff_t tiles, ptrdiff_t low, ptrdiff_t higher, const T *a, \
            ptrdiff_t a_step, T *room) { \
        for (ptrdiff_t p = 0; p < depth; p++, a += a_step) { \
            const T *from = a; \
            T *tile = room; \
            for (ptrdiff_t t = tiles; t > 0; t--) { \
                const ptrdiff_t rows = low + (t <= higher); \
                T *to = tile + p * rows; \
                if (p < depth - 1)      /* the next step overwrites what is too much */ \
                    memcpy(to, from, TILE_ROWS * sizeof(T)); \
                else \
                    for (ptrdiff_t i = 0; i < rows; i++) \
                        to[i] = from[i]; \
                tile += rows * depth; \
                from += rows; \
            } \
        } \
    } \
    TILE_FUNCTION void tile_product##F( \
            ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, const T *a, ptrdiff_t a_row, \
            ptrdiff_t a_step, const T *b, ptrdiff_t b_row, ptrdiff_t b_step, const T *bias, \
            int add, T *room, T *c) { \
        enum { \
            LANES = sizeof(tile_vector##F) / sizeof(T), \
            WIDE = 2 * LANES, \
            PIECE = TILE_PANEL / (WIDE * sizeof(T)) \
        }; \
        T panel[PIECE * WIDE], row[WIDE], spare[TILE_ROWS * WIDE]; \
        ptrdiff_t pieces = depth > PIECE ? (depth + PIECE - 1) / PIECE : 1, at, q, i, j, r; \
        ptrdiff_t tiles = (m + TILE_ROWS - 1) / TILE_ROWS, low, higher; \
        if (m < 1) \
            return; \
        low = m / tiles, higher = m % tiles;    /* rows of a tile, and tiles of one more */ \
        if (a_row != 1 || m < TILE_ROWS || n <= 4 * WIDE || \
            a_step * sizeof(T) % (8 * TILE_LINE) != 0 || \
            m * depth < TILE_CACHE / 2 / (ptrdiff_t) sizeof(T)) \
            room = NULL; \
        ptrdiff_t u_row = a_row; \
        if (room != NULL) { \
            tile_turn##F(depth, tiles, low, higher, a, a_step, room); \
            a = room, u_row = depth; \
        } \
        for (at = 0; at < n; at += WIDE) { \
            int width = n - at > LANES ? 2 : 1, packed; \
            ptrdiff_t full = width * LANES, columns = n - at < full ? n - at : full; \
            /* The last columns with some of those before, which are made again. */ \
            if (columns < full && full <= n && !add && pieces == 1) \
                at = n - full, columns = full; \
            packed = b_step != 1 || \
                (tiles > 2 && depth > 64 && b_row * sizeof(T) > TILE_LINE && \
                 b_row * sizeof(T) % TILE_LINE != 0) || \
                (tiles > 32 && depth * b_row > TILE_CACHE / (ptrdiff_t) sizeof(T)); \
            /* Rows of b whose vectors end behind b, so that they can't be read where they are. */ \
            ptrdiff_t last = packed ? 0 : (full - columns + b_row - 1) / b_row; \
            if (last * 2 > depth) \
                packed = 1, last = 0; \
            for (j = 0; j < full; j++) \
                row[j] = bias != NULL && j < columns ? bias[at + j] : 0; \
            for (q = 0; q < pieces + (last > 0); q++) { \
                ptrdiff_t whole = depth - last, t = tiles, rows; \
                ptrdiff_t from = q < pieces ? whole * q / pieces : whole; \
                ptrdiff_t length = (q < pieces ? whole * (q + 1) / pieces : depth) - from; \
                int pack = packed || q == pieces, onto = add || q; \
                ptrdiff_t v_row = pack ? full : b_row; \
                const T *v = b + from * b_row + at * b_step; \
                if (pack) { \
                    tile_pack##F(v, b_row, b_step, length, columns, full, panel); \
                    v = panel; \
                } \
                for (i = 0; i < m; i += rows, t--) { \
                    rows = low + (t <= higher); \
                    ptrdiff_t u_step = room ? rows : a_step; \
                    const T *u = a + i * u_row + from * u_step; \
                    T *out = c + i * n + at; \
                    if (columns == full) { \
                        tile_rows##F( \
                            (int) rows, width, length, u, a_row, u_step, v, v_row, \
                            onto ? out : row, onto ? n : 0, out, n); \
                        continue; \
                    } \
                    /* The end of a row's vectors is in the next row: read, and not written. */ \
                    int within = (i + rows - 1) * n + at + full <= m * n; \
                    for (r = 0; onto && !within && r < rows; r++) \
                        for (j = 0; j < full; j++) \
                            spare[r * full + j] = j < columns ? out[r * n + j] : 0; \
                    tile_rows##F( \
                        (int) rows, width, length, u, a_row, u_step, v, v_row, \
                        !onto ? row : within ? out : spare, !onto ? 0 : within ? n : full, \
                        spare, full); \
                    for (r = 0; r < rows; r++) \
                        tile_copy##F(spare + r * full, columns, out + r * n); \
                } \
            } \
        } \
    }

    /* Bytes of b up to which this is faster than BLAS, which rearranges a, too, for the cache. */
    #define TILE_LIMIT (TILE_BYTES ? 1 << 20 : 1 << 13)
    #define TILE_CACHE 32768    /* bytes of the innermost cache */
    #define TILE_LINE 64
    #define TILE_PANEL 24576    /* of a panel of b, which leaves room for rows of a */
    #define TILE_CASE(F, R) \
        case 2 * R: \
            tile_sum##F(R, 1, depth, a, a_row, a_step, b, b_row, start, start_row, c, c_row); \
            break; \
        case 2 * R + 1: \
            tile_sum##F(R, 2, depth, a, a_row, a_step, b, b_row, start, start_row, c, c_row); \
            break;
    #define TILE_CASES4(F) TILE_CASE(F, 1) TILE_CASE(F, 2) TILE_CASE(F, 3) TILE_CASE(F, 4)
    #define TILE_CASES6(F) TILE_CASES4(F) TILE_CASE(F, 5) TILE_CASE(F, 6)
    #if TILE_ROWS == 14
    #define TILE_CASES(F) \
        TILE_CASES6(F) TILE_CASE(F, 7) TILE_CASE(F, 8) TILE_CASE(F, 9) TILE_CASE(F, 10) \
        TILE_CASE(F, 11) TILE_CASE(F, 12) TILE_CASE(F, 13) TILE_CASE(F, 14)
    #elif TILE_ROWS == 6
    #define TILE_CASES(F) TILE_CASES6(F)
    #else
    #define TILE_CASES(F) TILE_CASES4(F)
    #endif
    TILE_TRANSPOSE(float, int32_t, f)
    TILE_TRANSPOSE(double, int64_t, )
    TILE_FUNCTIONS(float, f)
    TILE_FUNCTIONS(double, )
    """
    const Py_ssize_t TILE_LIMIT, TILE_WHOLE
    void tile_productf(
        Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const float* a, Py_ssize_t a_row,
        Py_ssize_t a_step, const float* b, Py_ssize_t b_row, Py_ssize_t b_step,
        const float* bias, int add, float* room, float* c) noexcept nogil
    void tile_product(
        Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const double* a, Py_ssize_t a_row,
        Py_ssize_t a_step, const double* b, Py_ssize_t b_row, Py_ssize_t b_step,
        const double* bias, int add, double* room, double* c) noexcept nogil


cdef inline Py_ssize_t whole_vectors(Py_ssize_t n, Py_ssize_t itemsize) noexcept nogil:
    """The elements of as many whole vectors as n elements need."""
    cdef Py_ssize_t lanes = TILE_WHOLE // itemsize
    return (n + lanes - 1) // lanes * lanes


cdef inline void tiled(
    Py_ssize_t m, Py_ssize_t n, Py_ssize_t depth, const real* a, Py_ssize_t a_row,
    Py_ssize_t a_step, const real* b, Py_ssize_t b_row, Py_ssize_t b_step, const real* bias,
    bint add, real* room, real* c,
) noexcept nogil:
    """c (m, n) <- a (m, depth) b (depth, n), plus c if `add`, else plus bias (n,) unless NULL.

    Element (i, p) of a is at i a_row + p a_step, that of b likewise; c is row-major. room:
    (m, depth), to work in, or NULL.
    """
    if real is float:
        tile_productf(m, n, depth, a, a_row, a_step, b, b_row, b_step, bias, add, room, c)
    else:
        tile_product(m, n, depth, a, a_row, a_step, b, b_row, b_step, bias, add, room, c)
