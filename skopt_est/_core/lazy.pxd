# Sparse training touches only the features that a batch has. A feature that was absent for
# some steps is brought up to date here, when next seen or at the end of the epoch, to where
# the dense solver would have taken it: moments decay by a power, the weight moves by the
# geometric sum of the momentum's steps, and the penalty's thresholds and factors compound.
from libc.math cimport exp, expm1, fabs, log1p, pow, sqrt

from skopt_est._core.solvers cimport (
    ADAGRAD, ADAM, AMSGRAD, NADAM, RMSPROP, SGD, Hyper, data_step, prox,
    rsqrt_, slot_of_D,
)
from skopt_est._core.types cimport real


cdef enum:
    N_POWERS = 1024
    MOMENTUM_STEPS = 64


cdef struct Steps:
    # Tables over the steps of one epoch; entry s of a sum stands before step s.
    const double* coefficients       # of step s from s * stride on
    Py_ssize_t stride                # 0 where all steps are alike
    double constant_rate             # the rate of all steps, or -1 where it changes
    # (n_steps + 1,): sum of the rates of steps < s; NULL where the rate is constant
    const double* rate_sum
    const double* rate_square_sum
    # (n_steps + 1,): sum over steps i >= s of r^(i - s + 1) c_i, over what weight decay leaves of
    # a weight by then
    const double* tail
    const double* tail_sum           # the same of tail[1:]
    double ratio                     # r: by it one momentum step is smaller than the last
    const double* powers             # (3, N_POWERS): of r, of the first moment's decay, of the
    double decay_1, decay_2          # second's
    const double* decay_sum          # (n_steps + 1,) or NULL: log of what weight decay leaves
    bint penalised
    bint moves_without_gradient      # else there is nothing to catch up
    Py_ssize_t average_from          # steps from here on count in the average


cdef inline double rates_between(
    Py_ssize_t first, Py_ssize_t now, const Steps* steps
) noexcept nogil:
    """The sum of the rates of steps first, ..., now - 1."""
    if steps.constant_rate >= 0:
        return (now - first) * steps.constant_rate
    return steps.rate_sum[now] - steps.rate_sum[first]


cdef inline double square_rates_between(
    Py_ssize_t first, Py_ssize_t now, const Steps* steps
) noexcept nogil:
    if steps.constant_rate >= 0:
        return (now - first) * steps.constant_rate * steps.constant_rate
    return steps.rate_square_sum[now] - steps.rate_square_sum[first]


cdef inline double power(double base, Py_ssize_t k, const double* table) noexcept nogil:
    return table[k] if k < N_POWERS else pow(base, <double> k)


# Series where they are good to 1e-10, relative: a call of libm costs as much as all the rest.
cdef inline double small_log1p(double x) noexcept nogil:
    if x < 0.01:
        return x * (1 - x * (1.0 / 2 - x * (1.0 / 3 - x * (1.0 / 4 - x * (1.0 / 5)))))
    return log1p(x)


cdef inline double small_expm1(double x) noexcept nogil:
    """exp(x) - 1 for x <= 0"""
    if x > -0.05:
        return x * (1 + x * (1.0 / 2 + x * (1.0 / 6 + x * (1.0 / 24 + x * (1.0 / 120 + x / 720)))))
    return expm1(x)


cdef inline double shrink(
    double size, double l1, double l2, Py_ssize_t k, double mean, double variance,
    Py_ssize_t counted, double* total,
) noexcept nogil:
    """The magnitude after k proximal steps of sizes with this mean and variance.

    A step of size D takes q = |w| + l1 / l2 to q / (1 + D l2) until |w| is zero, so the order
    of the sizes is of no account. The sum of the last `counted` magnitudes is added to total
    (unless that is NULL), taken along the path of k equal steps.
    """
    cdef double growth, q, step = l1 * mean, after, alive, first, last
    if l2 == 0:
        after = size - step * k
        if total != NULL:
            first = k - counted + 1
            last = (<Py_ssize_t> (size / step)) if after < 0 else k     # k: of a NaN, too
            if last >= first:
                total[0] += (last - first + 1) * (size - step * 0.5 * (first + last))
        return after if after > 0 else 0
    growth = small_log1p(mean * l2)
    if variance > 0:
        growth -= 0.5 * l2 * l2 * variance / ((1 + mean * l2) * (1 + mean * l2))
    q = size + l1 / l2 if l1 != 0 else size
    after = size + q * small_expm1(-growth * k)
    if total != NULL and growth > 0:
        first = k - counted + 1
        alive = k if l1 == 0 else log1p(size * l2 / l1) / growth
        last = (<Py_ssize_t> min(alive, <double> k)) if after < 0 else k
        if last >= first:
            total[0] -= q * exp(-growth * (first - 1)) * small_expm1(
                -growth * (last - first + 1)) / expm1(growth)
            total[0] -= (last - first + 1) * (l1 / l2)
    elif total != NULL:
        total[0] += counted * size      # steps of size zero
    return after if after > 0 else 0


cdef inline double shrink_over(
    double size, double l1, double l2, Py_ssize_t first, Py_ssize_t now, const Steps* steps,
    double* total,
) noexcept nogil:
    """The magnitude after the proximal steps first, ..., now - 1 of this epoch's rates.

    Two moments of the rates tell enough where l2 times their spread is small; else the steps
    are taken in parts.
    """
    cdef Py_ssize_t stop, k, counted
    cdef double mean, variance
    while first < now and size > 0:
        stop = now
        while True:
            k = stop - first
            mean = steps.constant_rate
            variance = 0
            if mean < 0:
                mean = rates_between(first, stop, steps) / k
                variance = square_rates_between(first, stop, steps) / k - mean * mean
            if k == 1 or variance <= 1e-3 * mean * mean:
                break
            if mean * l2 <= 1e-2 and variance * l2 * l2 <= 1e-6:
                break
            stop = first + k // 2
        counted = 0 if total == NULL else max(0, stop - max(first, steps.average_from))
        size = shrink(
            size, l1, l2, k, mean, variance if k > 1 else 0, counted, total if counted else NULL)
        first = stop
    return size


cdef inline bint side_by_side(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t k, Py_ssize_t first, Py_ssize_t now,
    const Hyper* h, const Steps* steps, const real* l1, const real* l2,
) noexcept nogil:
    """What `catch_up` does, for k parameters at once (l1 and l2 are theirs), where it is simple: no
    L1 term, and an L2 term that shrinks little on the way, so that powers are short series. False:
    nothing is done."""
    cdef int slot = slot_of_D(h.code)
    cdef bint momentum = h.code == ADAM or h.code == NADAM or h.code == AMSGRAD
    cdef double decayed, first_decay, second_decay, scale = 1
    cdef Py_ssize_t length = now - first, c
    cdef real largest = 0, any_l1 = 0, way = 0, eps = <real> h.epsilon, kept = 1
    cdef real once, twice, n = <real> length, x, y
    cdef const real* D = slots[slot] + p if slot >= 0 else NULL
    cdef real* u = w + p
    cdef real* m = slots[0] + p
    cdef real* v
    cdef const real* root
    cdef const real* ridge = l2
    if (momentum or (h.code == SGD and h.momentum != 0)) and steps.ratio > 0.999:
        return False
    # the sum of the step sizes on the way, over D (slot >= 0) or over what stands for it
    once = <real> rates_between(first, now, steps)
    twice = <real> square_rates_between(first, now, steps)
    if h.code == SGD:
        scale = 1 / (1 - h.momentum)
    for c in range(k):
        any_l1 = any_l1 if any_l1 > l1[c] else l1[c]
    if slot >= 0:
        for c in range(k):
            x = D[c] * ridge[c]
            largest = largest if largest > x else x
        largest *= n
    elif h.code == ADAGRAD:
        for c in range(k):
            x = ridge[c] / (rsqrt_(m[c]) + eps)
            largest = largest if largest > x else x
        largest *= once
    else:
        for c in range(k):
            largest = largest if largest > ridge[c] else ridge[c]
        largest *= once * <real> scale
    if any_l1 != 0 or not largest <= <real> 1e-3:
        return False
    if steps.decay_sum != NULL:
        kept = <real> exp(steps.decay_sum[now] - steps.decay_sum[first])
    first_decay = power(steps.decay_1, length, steps.powers + N_POWERS)
    second_decay = power(steps.decay_2, length, steps.powers + 2 * N_POWERS)
    if momentum or (h.code == SGD and h.momentum != 0):
        decayed = power(steps.ratio, length, steps.powers)
        way = <real> tail_between(first, now, decayed, steps)
    if momentum:
        v = slots[1] + p
        root = slots[2] + p if h.code == AMSGRAD else v
        eps = <real> (h.epsilon / steps.coefficients[first * steps.stride + 2])
        for c in range(k):
            x = D[c] * ridge[c]
            y = n * x * (1 - <real> 0.5 * x)
            u[c] = (kept * u[c] - way * m[c] / (rsqrt_(root[c]) + eps)) * shrunk(y)
            m[c] *= <real> first_decay
            v[c] *= <real> second_decay
    elif h.code == RMSPROP:
        for c in range(k):
            x = D[c] * ridge[c]
            y = n * x * (1 - <real> 0.5 * x)
            u[c] *= shrunk(y)
            m[c] *= <real> second_decay
    elif h.code == ADAGRAD:
        for c in range(k):
            x = ridge[c] / (rsqrt_(m[c]) + eps)
            y = once * x - <real> 0.5 * twice * x * x
            u[c] *= shrunk(y) if m[c] != 0 else 1
    elif h.code == SGD and h.momentum != 0:
        for c in range(k):
            x = <real> scale * ridge[c]
            y = once * x - <real> 0.5 * twice * x * x
            u[c] = (u[c] - way * m[c]) * shrunk(y)
            m[c] *= <real> first_decay
    else:
        for c in range(k):
            y = once * ridge[c] - <real> 0.5 * twice * ridge[c] * ridge[c]
            u[c] *= shrunk(y)
    return True


cdef inline real shrunk(real y) noexcept nogil:
    """exp(-y) for y <= 1e-3, to 1e-13"""
    return 1 - y * (1 - <real> 0.5 * y * (1 - <real> (1.0 / 3) * y))


cdef inline void catch_up(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, const real* l1, const real* l2, double* average,
) noexcept nogil:
    """Parameter p, whose penalty is l1[0] and l2[0], untouched by steps first, ..., now - 1 of
    this epoch.

    Momentum and penalty are applied one after the other, which is as good as in turns unless
    the weight meets zero on the way or shrinks much: then they take turns, over 1, 1, 2, 4, ...
    steps, or step by step where a single one shrinks it much.
    """
    cdef Py_ssize_t begin = first, stop, length = now - first
    cdef int slot = slot_of_D(h.code)
    cdef double reach, scale
    if h.code == ADAGRAD or (h.code == SGD and h.momentum == 0):
        if average == NULL and steps.constant_rate >= 0:
            # The common case, short: only the penalty moves it, by equal steps.
            if w[p] != 0:
                scale = 1
                if h.code == ADAGRAD:
                    scale = 1 / (sqrt(<double> slots[0][p]) + h.epsilon) if slots[0][p] != 0 else 0
                reach = shrink(fabs(w[p]), l1[0] * scale, l2[0] * scale, length,
                               steps.constant_rate, 0, 0, NULL)
                w[p] = <real> (reach if w[p] > 0 else -reach)
            return
    if average != NULL and steps.decay_sum != NULL:
        # The path of a decaying weight has no short sum beside momentum and penalty.
        step_by_step(w, slots, p, first, now, h, steps, l1, l2, average)
        return
    if has_momentum(slots, p, h):
        if steps.ratio > 0.999:
            # The geometric sum does not converge fast enough for its closed form.
            step_by_step(w, slots, p, first, now, h, steps, l1, l2, average)
            return
        if l1[0] != 0 or l2[0] != 0:
            reach = slots[slot][p] * length if slot >= 0 else (
                rates_between(first, now, steps) / (1 - h.momentum))
            if (slot >= 0 and l1[0] == 0 and reach * l2[0] > 1e-3 and average == NULL
                    and steps.decay_sum == NULL):
                stop = min(now, first + MOMENTUM_STEPS)
                in_turns(w, slots, p, first, stop, h, steps, slots[slot][p] * l2[0])
                begin = first = stop
                length = max(now - first, 1)
            elif reach * l2[0] > 1e-3 * length:
                # Each step shrinks much: exactly, until the momentum is spent.
                stop = min(now, first + MOMENTUM_STEPS)
                step_by_step(w, slots, p, first, stop, h, steps, l1, l2, average)
                begin = first = stop
                length = max(now - first, 1)
            elif reach * l2[0] > 1e-3:
                length = 1
            elif l1[0] != 0 and fabs(w[p]) <= reach * l1[0] + fabs(
                    coast(slots, p, first, now, h, steps, 0, NULL)):
                length = 1
    while first < now:
        stop = min(now, first + length)
        skip(w, slots, p, first, stop, h, steps, l1, l2, average)
        first = stop
        length = first - begin


cdef inline void in_turns(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, double b,
) noexcept nogil:
    """Momentum and an L2 term step by step, each shrinking the weight by 1 + b, without a root and
    a division in each, as moments fall by what they fell before."""
    cdef double after = w[p], move = steps.ratio * first_move(slots, p, first, h, steps)
    cdef double left = 1 / (1 + b)
    cdef Py_ssize_t s
    for s in range(first, now):
        after = (after - move * (steps.tail[s] / steps.ratio - steps.tail[s + 1])) * left
        move *= steps.ratio
    w[p] = <real> after
    decay(slots, p, now - first, h, steps)


cdef inline void skip(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, const real* l1, const real* l2, double* average,
) noexcept nogil:
    """The same in one go: all of the momentum, then all of the penalty."""
    cdef Py_ssize_t k = now - first, counted = 0
    cdef int slot = slot_of_D(h.code)
    cdef double after, root, way, kept, D, scale = 1, total = 0, ahead = 0
    cdef double lasso = l1[0], ridge = l2[0]
    cdef double* sum = NULL
    if average != NULL:
        counted = max(0, now - max(first, steps.average_from))
        sum = &total if counted else NULL
    after = w[p]
    way = coast(slots, p, first, now, h, steps, counted, &ahead)
    decay(slots, p, k, h, steps)
    D = slots[slot][p] if slot >= 0 else 0
    if steps.decay_sum != NULL and D == 0:
        after *= exp(steps.decay_sum[now] - steps.decay_sum[first])
    elif steps.decay_sum != NULL:
        # A step takes w to S(f w, D l1) / (1 + D l2), f what weight decay leaves: the proximal
        # step with l1 / f and (1 + D l2) / f.
        kept = exp((steps.decay_sum[now] - steps.decay_sum[first]) / k)
        way /= exp(steps.decay_sum[now] - steps.decay_sum[first])
        lasso /= kept
        ridge = ((1 + D * ridge) / kept - 1) / D
    after -= way
    if after != 0 and (lasso != 0 or ridge != 0):
        if slot >= 0:
            root = shrink(fabs(after), lasso, ridge, k, D, 0, counted, sum)
        else:
            if h.code == SGD:
                scale = 1 / (1 - h.momentum)
            elif h.code == ADAGRAD:
                scale = 1 / (sqrt(<double> slots[0][p]) + h.epsilon) if slots[0][p] != 0 else 0
            root = shrink_over(fabs(after), lasso * scale, ridge * scale, first, now, steps, sum)
        total = total if after > 0 else -total
        after = root if after > 0 else -root
    else:
        total = after * counted
    w[p] = <real> after
    if sum != NULL:
        average[p] += total + ahead


cdef inline bint has_momentum(real** slots, Py_ssize_t p, const Hyper* h) noexcept nogil:
    if h.code == SGD:
        return h.momentum != 0 and slots[0][p] != 0
    return (h.code == ADAM or h.code == NADAM or h.code == AMSGRAD) and slots[0][p] != 0


cdef inline double first_move(
    real** slots, Py_ssize_t p, Py_ssize_t first, const Hyper* h, const Steps* steps
) noexcept nogil:
    """That of momentum, but for r and the rate."""
    cdef double moment = slots[0][p]
    if h.code != SGD:
        moment /= sqrt(<double> (slots[2][p] if h.code == AMSGRAD else slots[1][p])) + (
            h.epsilon / steps.coefficients[first * steps.stride + 2])
    return moment


cdef inline double coast(
    real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, Py_ssize_t counted, double* ahead,
) noexcept nogil:
    """The way that momentum goes in the steps without a gradient.

    ahead: the sum, over the last `counted` of these steps, of the way still to go.
    """
    cdef Py_ssize_t k = now - first
    cdef double moment, decayed
    if not has_momentum(slots, p, h):
        return 0
    moment = first_move(slots, p, first, h, steps)
    decayed = power(steps.ratio, k, steps.powers)
    if counted:
        ahead[0] = moment * (
            power(steps.ratio, k - counted, steps.powers) * steps.tail_sum[now - counted]
            - decayed * (steps.tail_sum[now] + counted * steps.tail[now]))
    return moment * tail_between(first, now, decayed, steps)


cdef inline double tail_between(
    Py_ssize_t first, Py_ssize_t now, double decayed, const Steps* steps
) noexcept nogil:
    """The way of a unit moment in steps first, ..., now - 1, at the end of which it is `decayed`;
    what each step adds shrinks by the weight decay of the later ones."""
    cdef double kept = 1
    if steps.decay_sum != NULL:
        kept = exp(steps.decay_sum[now] - steps.decay_sum[first])
    return kept * steps.tail[first] - decayed * steps.tail[now]


cdef inline void decay(
    real** slots, Py_ssize_t p, Py_ssize_t k, const Hyper* h, const Steps* steps
) noexcept nogil:
    """The moments after k steps without a gradient."""
    cdef double first = power(steps.decay_1, k, steps.powers + N_POWERS)
    cdef double second = power(steps.decay_2, k, steps.powers + 2 * N_POWERS)
    if h.code == RMSPROP:
        slots[0][p] = <real> (slots[0][p] * second)
    elif h.code == SGD:
        if h.momentum != 0:
            slots[0][p] = <real> (slots[0][p] * first)
    elif h.code != ADAGRAD:
        slots[0][p] = <real> (slots[0][p] * first)
        slots[1][p] = <real> (slots[1][p] * second)


cdef inline void step_by_step(
    real* w, real** slots, Py_ssize_t p, Py_ssize_t first, Py_ssize_t now, const Hyper* h,
    const Steps* steps, const real* l1, const real* l2, double* average,
) noexcept nogil:
    """What the dense solver does with a gradient of zero."""
    cdef int slot = slot_of_D(h.code)
    cdef real zero = 0, spare = 0
    cdef real* D = &spare if slot < 0 else slots[slot] + p
    cdef Py_ssize_t s
    for s in range(first, now):
        if h.weight_decay != 0:
            w[p] = <real> (w[p] * (1 - steps.coefficients[s * steps.stride] * h.weight_decay))
        data_step(w + p, &zero, slots, p, D, 1, h, steps.coefficients + s * steps.stride)
        prox(w + p, D, l1, l2, 1)
        if average != NULL and s >= steps.average_from:
            average[p] += w[p]
