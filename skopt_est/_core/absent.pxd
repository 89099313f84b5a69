# What lazy.pxd does for one parameter, for many side by side: each was untouched for a number of
# steps of its own. Where no closed form is near enough, the parameter is marked and left to
# lazy.pxd, which is the oracle of these.
#
# A step without a gradient takes w to (w - move) / (1 + D l2), less the L1 threshold, where `move`
# shrinks by r from step to step. So k of them leave e^-y (w - way kappa), y = k log(1 + D l2); way
# is the sum of the moves, and kappa what the geometric sum with ratio r (1 + D l2), which counts
# each move by the shrinking still to come, is to that with ratio r.
from libc.math cimport log

from skopt_est._core.lazy cimport Steps, catch_up, rates_between, square_rates_between
from skopt_est._core.quads cimport QUAD_LANES, whole_lanes
from skopt_est._core.solvers cimport (
    ADAGRAD, AMSGRAD, N_SLOTS_MAX, RMSPROP, SGD, Hyper, magnitude, rsqrt_,
    slot_of_D, soft, tiny,
)
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp, vlog1p


cdef struct Listed:
    # Parameters side by side, QUAD_LANES at a time
    void* w
    void* last          # the number of this epoch's steps that it has had
    void* inv_scale
    void* l2
    void* l1
    void* slots[4]
    void* g
    void* D             # of solvers that keep none
    void* away          # the number of steps missed
    void* size          # the mean size D of these steps where the solver keeps none; given if
    void* variance      # the rate is constant; and their variance, else 0
    void* moment        # the first of their moves is r times this, but for its rate
    void* tail          # steps.tail at the first of them
    void* odd           # not 0: left to lazy.pxd
    void* parts         # of the kernels in plain.pxd and plain_adam.pxd


cdef inline void mean_sizes(
    const Listed* a, Py_ssize_t n, Py_ssize_t now, const Steps* steps, double scale, real like
) noexcept nogil:
    """Mean and variance of the rates of the missed steps, times scale and its square."""
    cdef real* last = <real*> a.last
    cdef real* size = <real*> a.size
    cdef real* variance = <real*> a.variance
    cdef double mean, square
    cdef Py_ssize_t i, first
    for i in range(n):
        first = <Py_ssize_t> last[i]
        mean = square = 0
        if first < now:
            mean = rates_between(first, now, steps) / (now - first)
            square = square_rates_between(first, now, steps) / (now - first)
        size[i] = <real> (scale * mean)
        variance[i] = <real> (scale * scale * max(square - mean * mean, 0.0))


cdef inline void adagrad_sizes(
    const real* G, real* size, real* variance, Py_ssize_t n, real eps, real constant_rate
) noexcept nogil:
    """From the rates, in place, or a constant one."""
    cdef Py_ssize_t j
    cdef real q, one = 1
    if constant_rate >= 0:
        for j in range(QUAD_LANES * (n // QUAD_LANES)):
            size[j] = constant_rate / (rsqrt_(G[j]) + eps) if G[j] != 0 else 0
        return
    for j in range(QUAD_LANES * (n // QUAD_LANES)):
        q = one / (rsqrt_(G[j]) + eps) if G[j] != 0 else 0
        size[j] *= q
        variance[j] *= q * q


cdef inline real threshold(real k, real y, real kept, real b) noexcept nogil:
    """What k thresholds of 1 make, each shrunk by the later steps' 1 + b: (1 - e^-y) / b."""
    cdef real one = 1, lost = one - y * <real> (1.0 / 5)    # by its series where it would cancel
    lost = one - y * <real> (1.0 / 3) * (one - y * <real> 0.25 * lost)
    lost = y * (one - y * <real> 0.5 * lost) if y < <real> 0.03 else one - kept
    return lost / b if b > 0 else k


cdef enum:
    MOST_SHRINKING = 255


cdef inline real log_of_one_and(real b) noexcept nogil:
    """log(1 + b) for 0 <= b <= MOST_SHRINKING: above 1 by the eighth root, which is at most 2."""
    cdef real one = 1, most = MOST_SHRINKING
    cdef real root = rsqrt_(rsqrt_(rsqrt_(one + (b if b < most else most)))) - one
    cdef real told = vlog1p(b if b <= one else (root if root < one else one))
    return told if b <= one else 8 * told


cdef inline real pass_penalty(
    real* w, const real* D, const real* variance, const real* away, const real* l1,
    const real* l2, real* odd, Py_ssize_t n,
) noexcept nogil:
    """Where only the penalty moves w. Returns more than 0 if there are odd ones."""
    cdef Py_ssize_t j
    cdef real b, growth, y, kept, size, is_odd, spread, k, before, total = 0, one = 1
    for j in range(QUAD_LANES * (n // QUAD_LANES)):
        k = away[j]
        before = w[j]
        b = D[j] * l2[j]
        spread = l2[j] * l2[j] * variance[j]
        # less half the spread over (1 + b)^2, but the spread is small
        growth = log_of_one_and(b) - <real> 0.5 * spread * (one - b if b < one else 0)
        is_odd = 0 if b <= <real> MOST_SHRINKING else k
        is_odd = is_odd if spread <= <real> 1e-6 else k
        y = k * growth
        kept = vexp(-y)
        size = soft(before * kept, D[j] * l1[j] * threshold(k, y, kept, b))
        # where nothing was missed, the above may be an infinite penalty times 0
        size = size if k > 0 else before
        w[j] = size if is_odd == 0 else before
        odd[j] = is_odd
        total += is_odd
    return total


cdef inline real pass_momentum(
    real* w, const real* moment, const real* tail, const real* D, const real* variance,
    const real* away, const real* l1, const real* l2, real* odd, Py_ssize_t n, real tail_now,
    real r, real log_r,
) noexcept nogil:
    """Where momentum moves w, too. Returns more than 0 if there are odd ones."""
    cdef Py_ssize_t j
    cdef real b, growth, y, kept, size, is_odd, spread, ratio, gap, decayed, reach, kappa
    cdef real k, before, held, lasso, total = 0, one = 1
    for j in range(QUAD_LANES * (n // QUAD_LANES)):
        k = away[j]
        before = w[j]
        b = D[j] * l2[j]
        spread = l2[j] * l2[j] * variance[j]
        # less half the spread over (1 + b)^2, but the spread is small
        growth = log_of_one_and(b) - <real> 0.5 * spread * (one - b if b < one else 0)
        is_odd = 0 if b <= <real> MOST_SHRINKING else k
        is_odd = is_odd if spread <= <real> 1e-6 else k
        y = k * growth
        kept = vexp(-y)
        decayed = vexp(k * log_r)
        lasso = D[j] * l1[j]
        ratio = r * (one + b)
        gap = one - ratio
        is_odd = is_odd if magnitude(gap) >= <real> 1e-3 else k
        gap = gap if magnitude(gap) >= <real> 1e-3 else <real> 1e-3
        # Where weights shrink faster than moves do, the moves' sum has no bound for L1 to be
        # compared with; and if they last, their rates change too much on the way.
        is_odd = is_odd if gap > 0 or (lasso == 0 and r < <real> 0.95) else k
        kappa = (one - r) / gap
        reach = magnitude(moment[j] * kappa) * tail[j]
        # kept times (1 - ratio^k), so that both may be zero
        kappa *= (kept - decayed) / (one - (decayed if k > 0 else 0))
        size = kept * before - moment[j] * (tail[j] - decayed * tail_now) * kappa
        # With L1, momentum must not take the weight through zero, or out of it.
        spread = lasso * threshold(k, y, kept, b)
        ratio = magnitude(before)
        held = 0 if ratio * kept > reach + spread else lasso
        held = held if reach > <real> 1e-7 * ratio else 0
        held = held if ratio > 0 or reach > lasso else 0
        is_odd = is_odd if held == 0 else k
        spread = spread if ratio > 0 or lasso == 0 else reach
        size = soft(size, spread)
        # where nothing was missed, the above may be an infinite penalty times 0
        size = size if k > 0 else before
        w[j] = size if is_odd == 0 else before
        odd[j] = is_odd
        total += is_odd
    return total


cdef inline void decay(
    real* moment, const real* away, const real* odd, Py_ssize_t n, double factor
) noexcept nogil:
    """A moment in as many steps without a gradient."""
    cdef Py_ssize_t j
    cdef real x, exponent = <real> (log(factor) if factor > 1e-300 else -1e4)
    cdef real low = tiny(exponent), one = 1
    for j in range(QUAD_LANES * (n // QUAD_LANES)):
        x = moment[j] * (vexp(away[j] * exponent) if odd[j] == 0 else one)
        moment[j] = x if magnitude(x) >= low else 0 * x


cdef inline void over_root(
    real* moment, const real* m, const real* v, Py_ssize_t n, real eps
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(QUAD_LANES * (n // QUAD_LANES)):
        moment[j] = m[j] / (rsqrt_(v[j]) + eps) if m[j] != 0 else 0


cdef inline void bring_up(
    const Listed* a, Py_ssize_t count, Py_ssize_t now, const Hyper* h, const Steps* steps, real like
) noexcept nogil:
    """All of them, from the steps that they have had to `now` steps of this epoch."""
    cdef real* w = <real*> a.w
    cdef real* last = <real*> a.last
    cdef real* away = <real*> a.away
    cdef real* moment = <real*> a.moment
    cdef real* tail = <real*> a.tail
    cdef real* l1 = <real*> a.l1
    cdef real* l2 = <real*> a.l2
    cdef real* odd = <real*> a.odd
    cdef real* slots[N_SLOTS_MAX]
    cdef int slot = slot_of_D(h.code)
    cdef const real* D
    cdef real some
    cdef double eps = h.epsilon
    cdef Py_ssize_t i, n = whole_lanes(count)
    cdef bint momentum = steps.ratio > 0
    for i in range(N_SLOTS_MAX):
        slots[i] = <real*> a.slots[i]
    D = slots[slot] if slot >= 0 else <real*> a.size
    for i in range(count, n):
        last[i] = <real> now
    for i in range(n):
        away[i] = <real> now - last[i]
    if slot < 0 and steps.constant_rate < 0:
        mean_sizes(a, n, now, steps, 1 / (1 - h.momentum) if h.code == SGD else 1, w[0])
    if h.code == ADAGRAD:
        adagrad_sizes(slots[0], <real*> a.size, <real*> a.variance, n, <real> eps,
                      <real> steps.constant_rate)
    if momentum:
        for i in range(n):
            tail[i] = <real> steps.tail[<Py_ssize_t> last[i]]
        if slot >= 0:
            eps /= steps.coefficients[max(now - 1, 0) * steps.stride + 2]
            over_root(moment, slots[0], slots[2] if h.code == AMSGRAD else slots[1], n, <real> eps)
        else:
            moment = slots[0]
    if steps.ratio > 0.999:
        # The geometric sum does not converge fast enough for its closed form.
        for i in range(n):
            odd[i] = away[i]
        some = 1
    elif momentum:
        some = pass_momentum(
            w, moment, tail, D, <real*> a.variance, away, l1, l2, odd, n, <real> steps.tail[now],
            <real> steps.ratio, <real> log(steps.ratio))
    else:
        some = pass_penalty(w, D, <real*> a.variance, away, l1, l2, odd, n)
    if h.code == RMSPROP:
        decay(slots[0], away, odd, n, steps.decay_2)
    elif h.code != ADAGRAD and slots[0] != NULL:
        decay(slots[0], away, odd, n, steps.decay_1)
        if slot >= 0:
            decay(slots[1], away, odd, n, steps.decay_2)
    if some != 0:
        for i in range(count):
            if odd[i] != 0:
                catch_up(w, slots, i, <Py_ssize_t> last[i], now, h, steps, l1 + i, l2 + i,
                         <double*> NULL)
