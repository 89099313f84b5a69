# One solver step: over all parameters, or over those of the features that a sparse batch has.
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from skopt_est._core.lazy cimport Steps, catch_up, side_by_side
from skopt_est._core.rows cimport Rows, prefetch_entries
from skopt_est._core.solvers cimport N_SLOTS_MAX, Hyper, data_step, prox, slot_of_D
from skopt_est._core.types cimport real


cdef enum:
    CHUNK = 512                 # parameters between the data step and the proximal step
    N_GATHERED = (N_SLOTS_MAX + 5) * CHUNK
    WIDE = 32                   # parameters of a feature that are stepped where they lie
    SIDE_BY_SIDE = 8            # and from which a vector of them catches up
    VECTOR_STEPS = 32           # missed steps that are sooner made than computed one by one


cdef inline void catch_up_feature(
    real* theta, real* grad, real** slots, Py_ssize_t p, Py_ssize_t k, Py_ssize_t first,
    Py_ssize_t now, const Hyper* h, const Steps* steps, const real* l1, const real* l2,
    double* average,
) noexcept nogil:
    """The k parameters of a feature, from p on, untouched by steps first, ..., now - 1. Their
    gradient is zero."""
    cdef Py_ssize_t c, s, at = 0 if h.uniform else p
    cdef real spare[CHUNK]
    if k >= SIDE_BY_SIDE:
        if average == NULL and side_by_side(
                theta, slots, p, k, first, now, h, steps, l1 + at, l2 + at):
            return
        if now - first <= VECTOR_STEPS or (average != NULL and steps.decay_sum != NULL):
            for s in range(first, now):
                step(theta, grad, slots, p, p + k, spare, h,
                     steps.coefficients + s * steps.stride, l1, l2, steps.penalised,
                     h.weight_decay)
                if average != NULL and s >= steps.average_from:
                    for c in range(p, p + k):
                        average[c] += theta[c]
            return
    for c in range(k):
        catch_up(theta, slots, p + c, first, now, h, steps, l1 + at + c, l2 + at + c, average)


cdef inline void touch(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t n,
    Py_ssize_t now, int32_t* last_seen, int32_t* touched, Py_ssize_t* n_touched, real* theta,
    real* grad, real** slots, Py_ssize_t k, const Hyper* h, const Steps* steps, const real* l1,
    const real* l2, double* average,
) noexcept nogil:
    """List the features of these rows, each once a batch, and bring them up to date.

    last_seen[j] is the number of this epoch's steps that feature j has had; minus that number,
    less one, while it is in the batch at hand. n: the length of order.
    """
    cdef Py_ssize_t i, row
    cdef int64_t p
    cdef int32_t j
    for i in range(start, start + count):
        row = order[i]
        prefetch_entries(rows, order, i, n, theta[0])
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            if last_seen[j] < 0:
                continue
            if last_seen[j] < now and steps.moves_without_gradient:
                catch_up_feature(theta, grad, slots, j * k, k, last_seen[j], now, h, steps, l1, l2,
                                 average)
            last_seen[j] = -1 - <int32_t> now
            touched[n_touched[0]] = j
            n_touched[0] += 1


cdef inline void scale(real* w, real factor, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        w[j] *= factor


cdef inline double square_sum(const real* g, Py_ssize_t n) noexcept nogil:
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(n):
        total += <double> g[j] * g[j]
    return total


cdef inline void clip(real* grad, Py_ssize_t size, double limit) noexcept nogil:
    """Scale the gradient of all parameters to the norm `limit` if it is longer
    (Pascanu, Mikolov & Bengio 2013)."""
    cdef double norm = sqrt(square_sum(grad, size))
    if norm > limit:
        scale(grad, <real> (limit / norm), size)


cdef inline void clip_listed(
    real* grad, const int32_t* touched, Py_ssize_t n_touched, Py_ssize_t k, Py_ssize_t dense_from,
    Py_ssize_t size, double limit,
) noexcept nogil:
    """The same where of the first `dense_from` parameters only those of the listed features
    have a gradient."""
    cdef double norm, total = square_sum(grad + dense_from, size - dense_from)
    cdef Py_ssize_t i
    for i in range(n_touched):
        total += square_sum(grad + touched[i] * k, k)
    norm = sqrt(total)
    if norm > limit:
        scale(grad + dense_from, <real> (limit / norm), size - dense_from)
        for i in range(n_touched):
            scale(grad + touched[i] * k, <real> (limit / norm), k)


cdef inline void step(
    real* theta, real* grad, real** slots, Py_ssize_t lo, Py_ssize_t hi, real* spare,
    const Hyper* h, const double* c, const real* l1, const real* l2, bint penalised,
    double weight_decay,
) noexcept nogil:
    """Parameters lo to hi, in chunks small enough that D is still in cache for the prox."""
    cdef Py_ssize_t n, at
    cdef real kept = <real> (1 - c[0] * weight_decay)
    cdef int slot = slot_of_D(h.code)
    cdef real* D
    while lo < hi:
        n = min(CHUNK, hi - lo)
        D = spare if slot < 0 else slots[slot] + lo
        if weight_decay != 0:
            scale(theta + lo, kept, n)
        data_step(theta + lo, grad + lo, slots, lo, D, n, h, c)
        if penalised:
            at = 0 if h.uniform else lo
            prox(theta + lo, D, l1 + at, l2 + at, n)
        lo += n


cdef inline void step_features(
    real* theta, real* grad, real** slots, const int32_t* touched, Py_ssize_t n_touched,
    Py_ssize_t k, real* gathered, const Hyper* h, const double* c, const real* l1,
    const real* l2, bint penalised,
) noexcept nogil:
    """The parameters of the listed features, brought side by side, stepped, and put back; their
    gradients are zeroed. gathered: (N_SLOTS_MAX + 5, CHUNK); wider features are not moved."""
    cdef Py_ssize_t first = 0, per_chunk, n, i, p, q, m
    cdef real* parts[N_SLOTS_MAX]
    cdef real* w = gathered + N_SLOTS_MAX * CHUNK
    cdef real* g = w + CHUNK
    cdef real* D = w + 2 * CHUNK
    cdef real* part_l1 = w + 3 * CHUNK
    cdef real* part_l2 = w + 4 * CHUNK
    cdef int slot = slot_of_D(h.code)
    if k >= WIDE:
        for i in range(n_touched):
            p = touched[i] * k
            step(theta, grad, slots, p, p + k, D, h, c, l1, l2, penalised, h.weight_decay)
            memset(grad + p, 0, k * sizeof(real))
        return
    for m in range(N_SLOTS_MAX):
        parts[m] = gathered + m * CHUNK if slots[m] != NULL else NULL
    if slot >= 0:
        D = parts[slot]
    per_chunk = CHUNK // k
    while first < n_touched:
        n = min(per_chunk, n_touched - first)
        q = 0
        for i in range(first, first + n):
            for p in range(touched[i] * k, (touched[i] + 1) * k):
                w[q] = theta[p]
                g[q] = grad[p]
                grad[p] = 0
                q += 1
        for m in range(N_SLOTS_MAX):
            if parts[m] != NULL:
                take(parts[m], slots[m], touched + first, n, k)
        if h.weight_decay != 0:
            scale(w, <real> (1 - c[0] * h.weight_decay), q)
        data_step(w, g, parts, 0, D, q, h, c)
        if penalised and h.uniform:
            prox(w, D, l1, l2, q)
        elif penalised:
            take(part_l1, l1, touched + first, n, k)
            take(part_l2, l2, touched + first, n, k)
            prox(w, D, part_l1, part_l2, q)
        for m in range(N_SLOTS_MAX):
            if parts[m] != NULL:
                put(slots[m], parts[m], touched + first, n, k)
        put(theta, w, touched + first, n, k)
        first += n


cdef inline void take(
    real* part, const real* whole, const int32_t* touched, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    cdef Py_ssize_t i, p, q = 0
    if k == 1:
        for i in range(n):
            part[i] = whole[touched[i]]
        return
    for i in range(n):
        for p in range(touched[i] * k, (touched[i] + 1) * k):
            part[q] = whole[p]
            q += 1


cdef inline void put(
    real* whole, const real* part, const int32_t* touched, Py_ssize_t n, Py_ssize_t k
) noexcept nogil:
    cdef Py_ssize_t i, p, q = 0
    if k == 1:
        for i in range(n):
            whole[touched[i]] = part[i]
        return
    for i in range(n):
        for p in range(touched[i] * k, (touched[i] + 1) * k):
            whole[p] = part[q]
            q += 1


cdef inline void flush(
    real* theta, real* grad, real** slots, Py_ssize_t d, Py_ssize_t now, int32_t* last_seen,
    Py_ssize_t k, const Hyper* h, const Steps* steps, const real* l1, const real* l2,
    double* average,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(d):
        if last_seen[j] < now and steps.moves_without_gradient:
            catch_up_feature(theta, grad, slots, j * k, k, last_seen[j], now, h, steps, l1, l2,
                             average)
        last_seen[j] = 0
