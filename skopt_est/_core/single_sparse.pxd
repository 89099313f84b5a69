# Batches of one CSR row, one output, a constant rate and a solver without momentum: the numbers of
# the general path (its oracle), with all that belongs to a feature side by side in memory, and a
# row's features brought side by side for the arithmetic.
#
# A feature waits for the penalty's step of its own update as for those of the steps that follow:
# when next seen, k of them are made at once. With D the step size, each takes |w| to
# (|w| - D l1) / (1 + D l2), so k of them to |w| e^-y - D l1 (1 - e^-y) / (D l2), where
# y = k log(1 + D l2), and no less than 0.
from libc.math cimport log1p
from libc.stdint cimport int32_t, int64_t

from skopt_est._core.losses cimport point_alone
from skopt_est._core.rows cimport Rows, skopt_prefetch
from skopt_est._core.solvers cimport ADAGRAD, Hyper, magnitude, rsqrt_
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp, vlog1p


cdef enum:
    # What belongs to a feature: CELL numbers of the type of the data
    WEIGHT
    LAST                # the step of its last update
    RATE                # log(1 + D l2)
    INV_SCALE
    SQUARES             # adagrad's G
    L2
    STEP                # D
    L1
    CELL
    WORK_ROWS = 7
    MOST_STEPS = 1 << 24        # LAST is exact in single precision


cdef struct Work:
    # A row's features side by side
    void* w
    void* y
    void* x
    void* steps
    void* G
    void* D
    void* l1


cdef inline void pass_penalty(
    real* w, const real* y, const real* steps, const real* D, const real* l1, Py_ssize_t n,
    bint lasso,
) noexcept nogil:
    """The penalty's missed steps."""
    cdef Py_ssize_t j
    cdef real size, lost, times, short
    if not lasso:
        for j in range(n):
            w[j] *= vexp(-y[j])
        return
    for j in range(n):
        # (1 - e^-y) / y, by its series where that would cancel
        short = 1 - y[j] / 2 * (1 - y[j] / 3 * (1 - y[j] / 4 * (1 - y[j] / 5)))
        lost = 1 - vexp(-y[j])
        times = short if y[j] < <real> 0.03 else lost / y[j]
        # k (1 - e^-y) / y is (1 - e^-y) / log(1 + D l2); D l2 / log(1 + D l2) was put into D
        size = magnitude(w[j]) * (1 - y[j] * times) - steps[j] * times * D[j] * l1[j]
        size = size if size > 0 else 0 * size
        w[j] = size if w[j] > 0 else -size


cdef inline void settle(const real* D, const real* l2, real* rate, real* spread, Py_ssize_t n,
                        ) noexcept nogil:
    """rate = log(1 + D l2); spread = D rate / (D l2), the threshold of a step for l1 = 1 where k
    steps are made at once."""
    cdef Py_ssize_t j
    cdef real b, top = 0
    for j in range(n):
        b = D[j] * l2[j]
        top = top if top > b else b
        rate[j] = vlog1p(b if b < 1 else 1)
    if not top <= 1:
        for j in range(n):
            b = D[j] * l2[j]
            if not b <= 1:
                rate[j] = <real> log1p(b)
    for j in range(n):
        b = D[j] * l2[j]
        spread[j] = D[j] * rate[j] / b if b > 0 else D[j]


cdef inline double sparse_rows(
    int loss, const Rows* rows, const real* targets, const real* weights, real param, real scale,
    const int32_t* order, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t n_steps, real* bias,
    real* bias_G, const Hyper* h, real eta, bint lasso, real* cells, const Work* work,
) noexcept nogil:
    """Steps start to stop of n_steps; returns the sum of weighted losses."""
    cdef const real* values = <const real*> rows.values
    cdef real* w = <real*> work.w
    cdef real* y = <real*> work.y
    cdef real* x = <real*> work.x
    cdef real* steps = <real*> work.steps
    cdef real* G = <real*> work.G
    cdef real* D = <real*> work.D
    cdef real* l1 = <real*> work.l1
    cdef real* cell
    cdef bint adagrad = h.code == ADAGRAD
    cdef Py_ssize_t s, row, i, n
    cdef int64_t first, p
    cdef double total = 0
    cdef real z, weight, value, gradient, now, g, q, eps = <real> h.epsilon
    for s in range(start, stop):
        row = order[s]
        first = rows.indptr[row]
        n = <Py_ssize_t> (rows.indptr[row + 1] - first)
        now = <real> s
        for i in range(n):
            cell = cells + rows.indices[first + i] * <Py_ssize_t> CELL
            w[i] = cell[WEIGHT]
            steps[i] = now - cell[LAST]
            y[i] = steps[i] * cell[RATE]
            x[i] = values[first + i] * cell[INV_SCALE]
        if adagrad:
            for i in range(n):
                G[i] = cells[rows.indices[first + i] * <Py_ssize_t> CELL + SQUARES]
        if lasso:
            for i in range(n):
                cell = cells + rows.indices[first + i] * <Py_ssize_t> CELL
                D[i] = cell[STEP]
                l1[i] = cell[L1]
        if s + 1 < n_steps:
            for p in range(rows.indptr[order[s + 1]], rows.indptr[order[s + 1] + 1]):
                skopt_prefetch(cells + rows.indices[p] * <Py_ssize_t> CELL)
        if s + 8 < n_steps:
            p = rows.indptr[order[s + 8]]
            skopt_prefetch(values + p)
            skopt_prefetch(rows.indices + p)
        pass_penalty(w, y, steps, D, l1, n, lasso)
        z = 0
        for i in range(n):
            z += x[i] * w[i]
        if bias != NULL:
            z += bias[0]
        weight = scale * weights[row] if weights != NULL else scale
        value = point_alone(loss, targets[row], z, param, &gradient)
        total += weight * value
        gradient *= weight
        if adagrad:
            for i in range(n):
                g = gradient * x[i]
                G[i] += g * g
                q = rsqrt_(G[i]) + eps
                D[i] = eta / q if G[i] != 0 else 0
                w[i] -= D[i] * g
                y[i] = cells[rows.indices[first + i] * <Py_ssize_t> CELL + L2]
            # from here on, steps holds the rates and x the thresholds
            settle(D, y, steps, x, n)
            for i in range(n):
                cell = cells + rows.indices[first + i] * <Py_ssize_t> CELL
                cell[WEIGHT] = w[i]
                cell[LAST] = now
                cell[SQUARES] = G[i]
                cell[RATE] = steps[i]
                cell[STEP] = x[i]
            if bias != NULL:
                bias_G[0] += gradient * gradient
                if bias_G[0] != 0:
                    bias[0] -= eta / (rsqrt_(bias_G[0]) + eps) * gradient
        else:
            gradient *= eta
            for i in range(n):
                cell = cells + rows.indices[first + i] * <Py_ssize_t> CELL
                cell[WEIGHT] = w[i] - gradient * x[i]
                cell[LAST] = now
            if bias != NULL:
                bias[0] -= gradient
    return total
