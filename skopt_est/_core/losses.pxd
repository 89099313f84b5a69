# Value and gradient of every loss, for a block of raw predictions.
#
# `f` holds the raw predictions, row-major (rows, outputs), and is overwritten by
# row_weight * d loss / d f. What is returned (or added to `sums`, one number an output) is
# the sum of row_weight * loss, in double precision whatever the type of the data.
from libc.math cimport fabs, fabsf, log, logf
from libc.stdint cimport int32_t

from skopt_est._core.chances cimport chance_alone
from skopt_est._core.log_loss cimport log_loss_sum
from skopt_est._core.types cimport real
from skopt_est._core.vector_math cimport vexp, vheld, vlog1p


cdef enum Loss:
    SQUARED_ERROR
    ABSOLUTE_ERROR
    HUBER
    QUANTILE
    POISSON
    GAMMA
    LOG_LOSS_BINARY
    LOG_LOSS_MULTINOMIAL


cdef enum:
    AT_ONCE = 256


cdef inline real rlog(real x) noexcept nogil:
    if real is float:
        return logf(x)
    else:
        return log(x)


cdef inline real rabs(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real point(int code, real y, real f, real p, real* gradient) noexcept nogil:
    """One loss at one raw prediction. `code` is a constant wherever speed counts, so the compiler
    keeps one branch of it in each loop."""
    cdef real r, e, one = 1     # a literal would make it double precision
    if code == SQUARED_ERROR:
        r = f - y
        gradient[0] = r
        return <real> 0.5 * r * r
    if code == ABSOLUTE_ERROR:
        r = f - y
        gradient[0] = (r > 0) - (r < 0)
        return rabs(r)
    if code == HUBER:
        r = f - y
        if rabs(r) <= p:
            gradient[0] = r
            return <real> 0.5 * r * r
        gradient[0] = p if r > 0 else (-p if r < 0 else r)   # r: a NaN stays one
        return p * (rabs(r) - <real> 0.5 * p)
    if code == QUANTILE:
        r = y - f
        if r > 0:
            gradient[0] = -p
            return p * r
        gradient[0] = (one - p) if r < 0 else 0
        return (p - one) * r
    if code == POISSON:
        e = vexp(f)
        gradient[0] = e - y
        return e - y * f
    if code == GAMMA:
        e = y * vexp(-f)
        gradient[0] = one - e
        return f + e
    # LOG_LOSS_BINARY: softplus(f) - y f, from exp(-|f|) so that nothing overflows
    e = vexp(-rabs(f))
    gradient[0] = (one if f >= 0 else e) / (one + e) - y
    return vlog1p(e) + (f if f > 0 else 0) - y * f


cdef inline real gradient_alone(int code, real y, real f, real p, real weight) noexcept nogil:
    """The weighted gradient at one number by itself, which is waited for: without the loss, for
    which `losses_told` has time."""
    cdef real gradient
    if code == LOG_LOSS_BINARY:
        # What the label adds is known before the chance: held, or the compiler may add it first.
        return weight * chance_alone(f) - vheld(weight * y)
    point(code, y, f, p, &gradient)
    return weight * gradient


cdef inline double values(
    int code, const real* f, const real* y, const real* weight, Py_ssize_t count, real p
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real gradient
    cdef double total = 0
    for i in range(count):
        total += weight[i] * point(code, y[i], f[i], p, &gradient)
    return total


cdef inline double losses_told(
    int code, const real* f, const real* targets, const real* weights, const int32_t* order,
    Py_ssize_t count, real scale, real p,
) noexcept nogil:
    """The sum of weighted losses at what was predicted for rows one by one, at most AT_ONCE of
    them; f (count,), the others of all rows."""
    cdef Py_ssize_t i
    cdef real y[AT_ONCE]
    cdef real weight[AT_ONCE]
    for i in range(count):
        y[i] = targets[order[i]]
    if code == LOG_LOSS_BINARY and weights == NULL:
        return log_loss_sum(f, y, count, scale, <real*> NULL)
    for i in range(count):
        weight[i] = scale * weights[order[i]] if weights != NULL else scale
    if code == LOG_LOSS_BINARY:
        return values(LOG_LOSS_BINARY, f, y, weight, count, p)
    if code == SQUARED_ERROR:
        return values(SQUARED_ERROR, f, y, weight, count, p)
    return values(code, f, y, weight, count, p)


cdef inline void pointwise(
    int code, real* f, const real* y, const real* row_weight, Py_ssize_t rows,
    Py_ssize_t outputs, const double* params, const double* scales, double* sums,
) noexcept nogil:
    """Output by output, whose numbers are brought side by side if they are not: then the loop
    over rows, of which there is one, takes whole vectors of them."""
    cdef Py_ssize_t i, c, at, count
    cdef real gradient, value, w, p, scale
    cdef real aside[AT_ONCE]
    cdef real targets[AT_ONCE]
    cdef real* g = f
    cdef const real* t = y
    cdef double total
    for c in range(outputs):
        p = <real> params[c]
        scale = <real> scales[c]
        total = 0
        at = 0
        while at < rows:
            count = rows
            if outputs > 1:
                count = min(rows - at, AT_ONCE)
                for i in range(count):
                    aside[i] = f[(at + i) * outputs + c]
                    targets[i] = y[(at + i) * outputs + c]
                g, t = aside, targets
            for i in range(count):
                w = row_weight[at + i] * scale
                value = point(code, t[i], g[i], p, &gradient)
                g[i] = w * gradient
                total += w * value
            if outputs > 1:
                for i in range(count):
                    f[(at + i) * outputs + c] = aside[i]
            at += count
        sums[c] += total


cdef inline void multinomial(
    real* f, const real* y, const real* row_weight, Py_ssize_t rows, Py_ssize_t outputs,
    double smoothing, double* sums,
) noexcept nogil:
    """Softmax cross-entropy; y holds class indices as numbers. Smoothing puts that share of the
    target's weight on all classes alike (Szegedy et al. 2016)."""
    cdef Py_ssize_t i, c, target
    cdef real top, total, w, even = <real> (smoothing / outputs), apart
    cdef real* row
    for i in range(rows):
        row = f + i * outputs
        target = <Py_ssize_t> y[i]
        w = row_weight[i]
        top = row[0]
        for c in range(1, outputs):
            top = row[c] if row[c] > top else top
        apart = top - row[target]
        if smoothing != 0:
            total = 0
            for c in range(outputs):
                total += top - row[c]
            apart = <real> (1 - smoothing) * apart + even * total
        sums[0] += w * apart
        total = 0
        for c in range(outputs):
            row[c] = vexp(row[c] - top)
            total += row[c]
        sums[0] += w * rlog(total)
        for c in range(outputs):
            row[c] = row[c] * (w / total)
        row[target] -= w * <real> (1 - smoothing)
        if smoothing != 0:
            for c in range(outputs):
                row[c] -= w * even


cdef inline void loss_block(
    int code, real* f, const real* y, const real* row_weight, Py_ssize_t rows,
    Py_ssize_t outputs, const double* params, const double* scales, double* sums,
) noexcept nogil:
    if code == SQUARED_ERROR:
        pointwise(SQUARED_ERROR, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == ABSOLUTE_ERROR:
        pointwise(ABSOLUTE_ERROR, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == HUBER:
        pointwise(HUBER, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == QUANTILE:
        pointwise(QUANTILE, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == POISSON:
        pointwise(POISSON, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == GAMMA:
        pointwise(GAMMA, f, y, row_weight, rows, outputs, params, scales, sums)
    elif code == LOG_LOSS_BINARY:
        pointwise(LOG_LOSS_BINARY, f, y, row_weight, rows, outputs, params, scales, sums)
    else:
        multinomial(f, y, row_weight, rows, outputs, params[0], sums)
