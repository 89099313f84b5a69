# Batches of one dense row, one output, and a solver without momentum: the same numbers as the
# general path (its oracle), fused. A step is a chain of waits (dot product, exponential, update,
# dot product), so what counts is its latency: everything is kept in rows padded to whole vectors,
# since a load that spans two smaller stores, of a loop's vector part and its rest, stalls.
from libc.stdint cimport int32_t

from skopt_est._core.losses cimport point
from skopt_est._core.rows cimport Rows, prefetch
from skopt_est._core.solvers cimport ADAGRAD, N_COEFFICIENTS, Hyper, magnitude, rsqrt_
from skopt_est._core.types cimport real


cdef enum:
    LANES = 16          # elements to pad to: a vector of AVX-512, in single precision
    PADDED_ROWS = 8


cdef struct Padded:
    # Rows of 16 * blocks elements, zero beyond the d-th.
    Py_ssize_t blocks
    void* w
    void* G
    void* l1
    void* l2
    void* threshold
    void* factor
    void* a             # the row at hand and the next one
    void* b


cdef inline void load(const Rows* rows, Py_ssize_t row, real* a) noexcept nogil:
    """The row as training sees it."""
    cdef const real* x = <const real*> rows.values + row * rows.d
    cdef const real* shift = <const real*> rows.shift
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t j
    if shift != NULL:
        for j in range(rows.d):
            a[j] = (x[j] - shift[j]) * inv_scale[j]
    elif inv_scale != NULL:
        for j in range(rows.d):
            a[j] = x[j] * inv_scale[j]
    else:
        for j in range(rows.d):
            a[j] = x[j]


cdef inline real padded_dot(const real* a, const real* w, Py_ssize_t blocks) noexcept nogil:
    cdef Py_ssize_t j
    cdef real total = 0
    for j in range(LANES * blocks):
        total += a[j] * w[j]
    return total


cdef inline void sgd_row(
    real* w, const real* a, real step, const real* threshold, const real* factor,
    Py_ssize_t blocks,
) noexcept nogil:
    """w <- prox(w - step a), threshold = D l1 and factor = 1 / (1 + D l2)."""
    cdef Py_ssize_t j
    cdef real moved, size
    for j in range(LANES * blocks):
        moved = w[j] - step * a[j]
        size = magnitude(moved) - threshold[j]
        size = size if size > 0 else 0 * size
        w[j] = (size if moved > 0 else -size) * factor[j]


cdef inline void adagrad_row(
    real* w, real* G, const real* a, real gradient, real eta, real eps, const real* l1,
    const real* l2, Py_ssize_t blocks,
) noexcept nogil:
    """With q = sqrt(G) + eps and D = eta / q both steps are one division:
    w <- S(w q - eta g, eta l1) / (q + eta l2)."""
    cdef Py_ssize_t j
    cdef real g, q, moved, size
    for j in range(LANES * blocks):
        g = gradient * a[j]
        G[j] += g * g
        q = rsqrt_(G[j]) + eps
        moved = w[j] * q - eta * g
        size = magnitude(moved) - eta * l1[j]
        size = size if size > 0 else 0 * size
        size = (size if moved > 0 else -size) / (q + eta * l2[j])
        w[j] = size if G[j] != 0 else w[j]


cdef inline double single_rows(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n, real* bias,
    real* bias_G, const Hyper* h, const double* coefficients, Padded* p, real like,
) noexcept nogil:
    """Steps start to stop; returns the sum of weighted losses. bias: NULL without intercept;
    `loss` is a constant wherever speed counts."""
    cdef Py_ssize_t s, row, j, blocks = p.blocks
    cdef double total = 0, rate = -1
    cdef real gradient, value, eta, weight, z
    cdef real* w = <real*> p.w
    cdef real* G = <real*> p.G
    cdef real* l1 = <real*> p.l1
    cdef real* l2 = <real*> p.l2
    cdef real* threshold = <real*> p.threshold
    cdef real* factor = <real*> p.factor
    cdef real* a = <real*> p.a
    cdef real* following = <real*> p.b
    load(rows, order[start], a)
    for s in range(start, stop):
        row = order[s]
        z = padded_dot(a, w, blocks)
        if bias != NULL:
            z += bias[0]
        prefetch(rows, order, s, n, <real> 0)
        if s + 1 < stop:
            load(rows, order[s + 1], following)     # needs nothing of this step
        weight = scale * weights[row] if weights != NULL else scale
        value = point(loss, targets[row], z, param, &gradient)
        total += weight * value
        gradient *= weight
        eta = <real> coefficients[s * N_COEFFICIENTS]
        if h.code == ADAGRAD:
            adagrad_row(w, G, a, gradient, eta, <real> h.epsilon, l1, l2, blocks)
            if bias != NULL:
                bias_G[0] += gradient * gradient
                if bias_G[0] != 0:
                    bias[0] -= eta / (rsqrt_(bias_G[0]) + <real> h.epsilon) * gradient
        else:
            if coefficients[s * N_COEFFICIENTS] != rate:
                rate = coefficients[s * N_COEFFICIENTS]
                for j in range(LANES * blocks):
                    threshold[j] = eta * l1[j]
                    factor[j] = 1 / (1 + eta * l2[j])
            sgd_row(w, a, eta * gradient, threshold, factor, blocks)
            if bias != NULL:
                bias[0] -= eta * gradient
        a, following = following, a
    return total
