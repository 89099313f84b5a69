# The layers between the first product, which `rows` makes, and the loss: forward and back.
# A linear model is the case of one layer, which has no activation.
from cpython.pyport cimport PY_SSIZE_T_MAX
from libc.stdint cimport uint64_t
from libc.string cimport memset

from skopt_est._core.activations cimport LAST_FROM_OUTPUT, RELU, activate, times_slope
from skopt_est._core.dropout cimport Drop, drop_from
from skopt_est._core.products cimport add_rows, add_transposed, multiply, multiply_transposed
from skopt_est._core.types cimport real


cdef struct Layer:
    Py_ssize_t n_in, n_out
    int activation
    Drop drop               # of its outputs
    const void* W           # (n_in, n_out)
    const void* b           # (n_out,), NULL without intercept
    void* gW                # gradients; NULL where none are asked for
    void* gb
    void* out               # (block rows, n_out)
    void* slope             # derivative of the outputs, or NULL


cdef enum:
    STRIP = 4096            # elements that stay in the innermost cache


cdef inline bint slope_needed(int activation, double dropout) noexcept nogil:
    """Whether the derivative can't be told from the output."""
    return activation > LAST_FROM_OUTPUT or dropout != 0


cdef inline Py_ssize_t strip(Py_ssize_t n_in, Py_ssize_t n_out) noexcept nogil:
    """Rows that are taken at a time between a layer of n_in units and the next one of n_out. A
    product with a single column is a pass over memory like all the others, which follow while
    the rows are in the innermost cache; others want many rows."""
    return max(4, STRIP // n_in & ~3) if n_out == 1 else PY_SSIZE_T_MAX


cdef inline void forward_layers(
    Layer* layers, Py_ssize_t n_layers, Py_ssize_t count, uint64_t position, bint training,
    real like,
) noexcept nogil:
    """From the first layer's products and intercepts to the raw predictions, which are the last
    layer's out.

    position: the number in the epoch of the block's first row, for dropout, which is for
    training only.
    """
    cdef Py_ssize_t level, at, n
    cdef Layer* layer
    cdef Layer* above
    cdef real* out
    cdef real* slope
    for level in range(n_layers - 1):
        layer, above, at = layers + level, layers + level + 1, 0
        while at < count:
            n = min(strip(layer.n_out, above.n_out), count - at)
            out = <real*> layer.out + at * layer.n_out
            slope = NULL
            if training and layer.slope != NULL:
                slope = <real*> layer.slope + at * layer.n_out
            activate(layer.activation, out, slope, n * layer.n_out)
            if training and layer.drop.kept:
                drop_from(&layer.drop, (position + <uint64_t> at) * <uint64_t> layer.n_out, out,
                          slope, n * layer.n_out)
            multiply(out, n, layer.n_out, <const real*> above.W, above.n_out,
                     <const real*> above.b, <real*> above.out + at * above.n_out)
            at += n


cdef extern from *:
    """
    #define SKOPT_RELU_BEFORE_ONE(T, F) \
    static inline void skopt_relu_before_one##F( \
            const T *restrict out, Py_ssize_t m, Py_ssize_t d, const T *restrict z, \
            const T *restrict w, T *restrict a, T *restrict gW, T *restrict gb) { \
        Py_ssize_t i = 0, j; \
        for (; i + 4 <= m; i += 4, out += 4 * d, a += 4 * d, z += 4) { \
            const T *out1 = out + d, *out2 = out1 + d, *out3 = out2 + d; \
            T *a1 = a + d, *a2 = a1 + d, *a3 = a2 + d; \
            T z0 = z[0], z1 = z[1], z2 = z[2], z3 = z[3]; \
            for (j = 0; j < d; j++) { \
                T p = out[j], q = out1[j], r = out2[j], s = out3[j], v = w[j]; \
                gW[j] += (z0 * p + z1 * q) + (z2 * r + z3 * s); \
                p = p > 0 ? z0 * v : 0; \
                q = q > 0 ? z1 * v : 0; \
                r = r > 0 ? z2 * v : 0; \
                s = s > 0 ? z3 * v : 0; \
                gb[j] += (p + q) + (r + s); \
                a[j] = p, a1[j] = q, a2[j] = r, a3[j] = s; \
            } \
        } \
        for (; i < m; i++, out += d, a += d, z++) \
            for (j = 0; j < d; j++) { \
                T p = out[j]; \
                gW[j] += z[0] * p; \
                p = p > 0 ? z[0] * w[j] : 0; \
                gb[j] += p; \
                a[j] = p; \
            } \
    }
    SKOPT_RELU_BEFORE_ONE(float, f)
    SKOPT_RELU_BEFORE_ONE(double, )
    """
    void skopt_relu_before_onef(
        const float* out, Py_ssize_t m, Py_ssize_t d, const float* z, const float* w, float* a,
        float* gW, float* gb) noexcept nogil
    void skopt_relu_before_one(
        const double* out, Py_ssize_t m, Py_ssize_t d, const double* z, const double* w,
        double* a, double* gW, double* gb) noexcept nogil


cdef inline void relu_before_one(
    const real* out, Py_ssize_t m, Py_ssize_t d, const real* z, const real* w, bint fresh,
    real* a, real* gW, real* gb,
) noexcept nogil:
    """Back from a single output, z its gradients (m,), to the products a (m, d) of a layer of
    relu: what `add_transposed`, `multiply_transposed`, `times_slope` and `add_rows` do, in one
    pass. gW (d,) is made if `fresh`, else added to."""
    if fresh:
        memset(gW, 0, d * sizeof(real))
    if real is float:
        skopt_relu_before_onef(out, m, d, z, w, a, gW, gb)
    else:
        skopt_relu_before_one(out, m, d, z, w, a, gW, gb)


cdef inline real* backward_layers(
    Layer* layers, Py_ssize_t n_layers, Py_ssize_t count, bint fresh, real* spare, real* other,
    real like,
) noexcept nogil:
    """From the loss's gradient, in the last layer's out, to that of the first layer's products,
    which is returned. All gradients but the first layer's weights' are added to, or made if
    `fresh`. spare, other: (block rows, widest layer)."""
    cdef Py_ssize_t level, at, n, width
    cdef Layer* layer = layers + n_layers - 1
    cdef Layer* below
    cdef real* delta = <real*> layer.out
    cdef real* before
    cdef const real* out
    cdef const real* slope
    if layer.b != NULL:
        if fresh:
            memset(layer.gb, 0, layer.n_out * sizeof(real))
        add_rows(delta, count, layer.n_out, <real*> layer.gb)
    for level in range(n_layers - 1, 0, -1):
        layer, below, before, at = layers + level, layers + level - 1, spare, 0
        width = layer.n_in
        if fresh:
            memset(below.gb, 0, width * sizeof(real))
        while at < count:
            n = min(strip(width, layer.n_out), count - at)
            out = <const real*> below.out + at * width
            slope = NULL
            if below.slope != NULL:
                slope = <const real*> below.slope + at * width
            if layer.n_out == 1 and below.activation == RELU and slope == NULL:
                relu_before_one(out, n, width, delta + at, <const real*> layer.W,
                                fresh and at == 0, before + at * width, <real*> layer.gW,
                                <real*> below.gb)
                at += n
                continue
            # which has room until it is filled
            add_transposed(out, n, width, delta + at * layer.n_out, layer.n_out,
                           fresh and at == 0, before + at * width, <real*> layer.gW)
            multiply_transposed(delta + at * layer.n_out, n, layer.n_out, <const real*> layer.W,
                                width, before + at * width)
            times_slope(below.activation, before + at * width, out, slope, n * width)
            add_rows(before + at * width, n, width, <real*> below.gb)
            at += n
        spare, other = other, spare
        delta = before
    return delta
