# Sparse training touches only the features that a batch has. A feature that was absent for
# some steps is brought up to date here, when next seen or at the end of the epoch, to where
# the dense solver would have taken it: moments decay by a power, the weight moves by the
# geometric sum of the momentum's steps, and the penalty's thresholds and factors compound.
from libc.math cimport exp, expm1, fabs, log1p, pow, sqrt

from skopt_est._core.solvers cimport (
    ADAGRAD, ADAM, AMSGRAD, GD, N_COEFFICIENTS, NADAM, RMSPROP, SGD, Hyper, data_step, prox,
    slot_of_D,
)
from skopt_est._core.types cimport real


cdef enum:
    N_POWERS = 1024


cdef struct Steps:
    # Tables over the steps of one epoch; entry s of a sum stands before step s.
    const double* coefficients       # (n_steps, N_COEFFICIENTS)
    const double* rate_sum           # (n_steps + 1,): sum of the rates of steps < s
    const double* rate_square_sum
    const double* tail               # (n_steps + 1,): sum over steps i >= s of r^(i - s + 1) c_i
    double ratio                     # r: by it one momentum step is smaller than the last
    const double* powers             # (3, N_POWERS): of r, of the first moment's decay, of the
    double decay_1, decay_2          # second's
    Py_ssize_t average_from          # steps from here on count in the average


cdef inline double power(double base, Py_ssize_t k, const double* table) noexcept nogil:
    return table[k] if k < N_POWERS else pow(base, <double> k)


cdef inline double small_log1p(double x) noexcept nogil:
    return x * (1 - x * (0.5 - x * (1.0 / 3))) if x < 1e-4 else log1p(x)


cdef inline double shrunk(
    double w, double l1, double l2, Py_ssize_t k, double mean, double variance
) noexcept nogil:
    """w after k proximal steps of sizes with this mean and variance (of which it depends on
    the order not at all: with q = |w| + l1 / l2, a step of size D takes q to q / (1 + D l2)).
    """
    cdef double size = fabs(w), x = mean * l2, growth, loss
    if l2 == 0:
        size -= l1 * mean * k
    else:
        growth = small_log1p(x)
        if variance > 0:
            growth -= 0.5 * l2 * l2 * variance / ((1 + x) * (1 + x))
        growth *= k
        loss = growth * (1 - growth * (0.5 - growth * (1.0 / 6))) if growth < 1e-3 else (
            -expm1(-growth))
        size -= (size + l1 / l2) * loss
    if size <= 0:
        return 0
    return size if w > 0 else -size


cdef inline void catch_up(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, const real* l1, const real* l2, double* average,
) noexcept nogil:
    """Parameter p, untouched by steps first, ..., now - 1 of this epoch."""
    cdef Py_ssize_t k = now - first, s
    cdef int slot
    cdef double before = w[p], after = before, moment, root, square, mean = 0, variance = 0
    cdef double scale = 1
    cdef real zero = 0, spare = 0
    cdef bint step_by_step = False
    if h.code == SGD and h.momentum != 0:
        step_by_step = slots[0][p] != 0 and steps.ratio > 0.999
    elif h.code == ADAM or h.code == NADAM or h.code == AMSGRAD:
        step_by_step = slots[0][p] != 0 and steps.ratio > 0.999
    slot = slot_of_D(h.code)
    if l2[p] != 0 or l1[p] != 0:
        if slot >= 0:
            mean = slots[slot][p]
        else:
            mean = (steps.rate_sum[now] - steps.rate_sum[first]) / k
            square = (steps.rate_square_sum[now] - steps.rate_square_sum[first]) / k
            variance = square - mean * mean
            if variance < 1e-12 * square:
                variance = 0
            if h.code == SGD:
                scale = 1 / (1 - h.momentum)
            elif h.code == ADAGRAD:
                scale = 1 / (sqrt(<double> slots[0][p]) + h.epsilon) if slots[0][p] != 0 else 0
            # Steps that are large and differ: two moments of them don't tell enough.
            if variance > 0 and scale * mean * l2[p] > 1e-2 and before != 0:
                step_by_step = True
    if step_by_step:
        for s in range(first, now):
            data_step(
                w + p, &zero, slots, p, &spare if slot < 0 else slots[slot] + p, 1, h,
                steps.coefficients + s * N_COEFFICIENTS)
            prox(w + p, &spare if slot < 0 else slots[slot] + p, l1 + p, l2 + p, 1)
            if average != NULL and s >= steps.average_from:
                average[p] += w[p]
        return
    if h.code == SGD:
        if h.momentum != 0 and slots[0][p] != 0:
            moment = slots[0][p]
            after -= moment * (
                steps.tail[first] - power(steps.ratio, k, steps.powers) * steps.tail[now])
            slots[0][p] = <real> (moment * power(steps.decay_1, k, steps.powers + N_POWERS))
    elif h.code == RMSPROP:
        slots[0][p] = <real> (
            slots[0][p] * power(steps.decay_2, k, steps.powers + 2 * N_POWERS))
    elif h.code != ADAGRAD and h.code != GD and slots[1][p] != 0:
        moment = slots[0][p]
        root = sqrt(<double> (slots[2][p] if h.code == AMSGRAD else slots[1][p]))
        root += h.epsilon / steps.coefficients[first * N_COEFFICIENTS + 2]
        after -= moment / root * (
            steps.tail[first] - power(steps.ratio, k, steps.powers) * steps.tail[now])
        slots[0][p] = <real> (moment * power(steps.decay_1, k, steps.powers + N_POWERS))
        slots[1][p] = <real> (
            slots[1][p] * power(steps.decay_2, k, steps.powers + 2 * N_POWERS))
    if mean != 0 and after != 0:
        after = shrunk(after, l1[p] * scale, l2[p] * scale, k, mean, variance)
    w[p] = <real> after
    if average != NULL and now > steps.average_from:
        # The weight's path over the absent steps, taken as a straight line.
        s = k if first >= steps.average_from else now - steps.average_from
        average[p] += s * after - (after - before) / k * (0.5 * s * (s - 1))
