# The layers between the first product, which `rows` makes, and the loss: forward and back.
# A linear model is the case of one layer, which has no activation.
from libc.stdint cimport uint64_t
from libc.string cimport memset

from skopt_est._core.activations cimport LAST_FROM_OUTPUT, activate, times_slope
from skopt_est._core.dropout cimport Drop, drop_from
from skopt_est._core.products cimport add_transposed, multiply, multiply_transposed
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


cdef inline bint slope_needed(int activation, double dropout) noexcept nogil:
    """Whether the derivative can't be told from the output."""
    return activation > LAST_FROM_OUTPUT or dropout != 0


cdef inline void forward_layers(
    Layer* layers, Py_ssize_t n_layers, Py_ssize_t count, uint64_t position, bint training,
    real like,
) noexcept nogil:
    """From the first layer's products to the raw predictions, which are the last layer's out.

    position: the number in the epoch of the block's first row, for dropout, which is for
    training only.
    """
    cdef Py_ssize_t level, i, j
    cdef Layer* layer
    cdef real* out
    cdef real* slope
    cdef const real* b
    for level in range(n_layers - 1):
        layer = layers + level
        out = <real*> layer.out
        slope = <real*> layer.slope if training else NULL
        activate(layer.activation, out, <const real*> layer.b, slope, count, layer.n_out)
        if training and layer.drop.kept:
            drop_from(&layer.drop, position * <uint64_t> layer.n_out, out, slope,
                      count * layer.n_out)
        multiply(out, count, layer.n_out, <const real*> layers[level + 1].W,
                 layers[level + 1].n_out, <real*> layers[level + 1].out)
    layer = layers + n_layers - 1
    if layer.b != NULL:
        out = <real*> layer.out
        b = <const real*> layer.b
        for i in range(count):
            for j in range(layer.n_out):
                out[i * layer.n_out + j] += b[j]


cdef inline real* backward_layers(
    Layer* layers, Py_ssize_t n_layers, Py_ssize_t count, bint fresh, real* spare, real* other,
    real like,
) noexcept nogil:
    """From the loss's gradient, in the last layer's out, to that of the first layer's products,
    which is returned. All gradients but the first layer's weights' are added to, or made if
    `fresh`. spare, other: (block rows, widest layer)."""
    cdef Py_ssize_t level, i, j
    cdef Layer* layer = layers + n_layers - 1
    cdef Layer* below
    cdef real* delta = <real*> layer.out
    cdef real* before
    cdef real* gb
    if layer.b != NULL:
        gb = <real*> layer.gb
        if fresh:
            memset(gb, 0, layer.n_out * sizeof(real))
        for i in range(count):
            for j in range(layer.n_out):
                gb[j] += delta[i * layer.n_out + j]
    for level in range(n_layers - 1, 0, -1):
        layer, below, before = layers + level, layers + level - 1, spare
        add_transposed(<const real*> below.out, count, layer.n_in, delta, layer.n_out, fresh,
                       <real*> layer.gW)
        multiply_transposed(delta, count, layer.n_out, <const real*> layer.W, layer.n_in, before)
        if fresh:
            memset(below.gb, 0, below.n_out * sizeof(real))
        times_slope(below.activation, before, <const real*> below.out, <const real*> below.slope,
                    <real*> below.gb, count, below.n_out)
        spare, other = other, spare
        delta = before
    return delta
