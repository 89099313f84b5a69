# The update kernels: one short function a solver, over a contiguous run of n parameters.
#
# Each makes the data step on w in place, updates its state slots and writes D, the step size
# that the penalty's proximal step uses (its own function, `prox`, so that it exists once).
# `c` holds this step's numbers, made in skopt_est/solvers.py: c[0] is the learning rate.
# Solvers with moving averages keep D between steps: a step whose gradient is exactly zero
# leaves the D of the last step in which it was not.
from libc.math cimport fabs, fabsf, sqrt, sqrtf

from skopt_est._core.types cimport real


cdef enum Solver:
    GD
    SGD
    ADAGRAD
    RMSPROP
    ADAM
    NADAM
    AMSGRAD


cdef enum:
    N_COEFFICIENTS = 4
    N_SLOTS_MAX = 4


cdef struct Hyper:
    int code
    bint nesterov
    double momentum, beta_1, beta_2, rho, epsilon
    double weight_decay         # adamw: weights shrink by rate * weight_decay before each step
    bint uniform                # one penalty for all weights: l1 and l2 hold a chunk of it


cdef inline real rsqrt_(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline real magnitude(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real soft(real w, real threshold) noexcept nogil:
    """S(w, threshold) = sign(w) max(|w| - threshold, 0); the threshold may be infinite."""
    cdef real size = magnitude(w) - threshold
    size = 0 if size <= 0 else size
    return size if w > 0 else -size


cdef inline real tiny(real like) noexcept nogil:
    """Moments below this are set to zero: subnormal arithmetic is up to a hundred times
    slower, and a moment decays into it in a few hundred steps without a gradient."""
    if real is float:
        return <real> 1e-36
    else:
        return <real> 1e-300


cdef inline void sgd(
    real* w, const real* g, real* b, real* D, Py_ssize_t n, const Hyper* h, const double* c
) noexcept nogil:
    """b <- mu b + g;  w <- w - eta b,  Nesterov: w - eta (g + mu b)  (Sutskever et al. 2013).

    D = eta / (1 - mu), the whole displacement that one gradient causes: with it the fixed
    point is the minimiser of the objective whatever mu.
    """
    cdef real eta = <real> c[0], mu = <real> h.momentum, low = tiny(eta)
    cdef real step = <real> (c[0] / (1 - h.momentum))
    cdef real now, later
    cdef Py_ssize_t j
    if h.code == GD or h.momentum == 0:
        eta = step = <real> c[0]
        for j in range(n):
            w[j] -= eta * g[j]
            D[j] = step
        return
    now = 1 if h.nesterov else 0
    later = mu if h.nesterov else 1
    for j in range(n):
        b[j] = mu * b[j] + g[j]
        b[j] = b[j] if magnitude(b[j]) >= low else 0 * b[j]
        w[j] -= eta * (now * g[j] + later * b[j])
        D[j] = step


cdef inline void adagrad(
    real* w, const real* g, real* G, real* D, Py_ssize_t n, const Hyper* h, const double* c
) noexcept nogil:
    """G <- G + g^2;  w <- w - eta g / (sqrt(G) + eps)  (Duchi, Hazan & Singer 2011)."""
    cdef real eta = <real> c[0], eps = <real> h.epsilon
    cdef Py_ssize_t j
    for j in range(n):
        G[j] += g[j] * g[j]
        D[j] = eta / (rsqrt_(G[j]) + eps) if G[j] != 0 else 0
        w[j] -= D[j] * g[j]


cdef inline void rmsprop(
    real* w, const real* g, real* v, real* D, Py_ssize_t n, const Hyper* h, const double* c
) noexcept nogil:
    """v <- rho v + (1 - rho) g^2;  w <- w - eta g / (sqrt(v) + eps)  (Tieleman & Hinton 2012)."""
    cdef real eta = <real> c[0], eps = <real> h.epsilon, low = tiny(eta)
    cdef real rho = <real> h.rho, fresh = <real> (1 - h.rho), step
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = rho * v[j] + fresh * g[j] * g[j]
        v[j] = v[j] if magnitude(v[j]) >= low else 0 * v[j]
        step = eta / (rsqrt_(v[j]) + eps)
        w[j] -= step * g[j]
        D[j] = step if g[j] != 0 else D[j]


cdef inline void adam(
    real* w, const real* g, real* m, real* v, real* D, Py_ssize_t n, const Hyper* h,
    const double* c,
) noexcept nogil:
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - eta mhat / (sqrt(vhat) + eps)  (Kingma & Ba 2015).

    c[1] = eta / (1 - b1^t) and c[2] = 1 / sqrt(1 - b2^t) correct the bias.
    """
    cdef real eta = <real> c[0], eta_m = <real> c[1], root = <real> c[2]
    cdef real b1 = <real> h.beta_1, fresh1 = <real> (1 - h.beta_1), low = tiny(eta)
    cdef real b2 = <real> h.beta_2, fresh2 = <real> (1 - h.beta_2), eps = <real> h.epsilon
    cdef real q
    cdef Py_ssize_t j
    for j in range(n):
        m[j] = b1 * m[j] + fresh1 * g[j]
        m[j] = m[j] if magnitude(m[j]) >= low else 0 * m[j]
        v[j] = b2 * v[j] + fresh2 * g[j] * g[j]
        v[j] = v[j] if magnitude(v[j]) >= low else 0 * v[j]
        q = 1 / (rsqrt_(v[j]) * root + eps)
        w[j] -= eta_m * m[j] * q
        D[j] = eta * q if g[j] != 0 else D[j]


cdef inline void nadam(
    real* w, const real* g, real* m, real* v, real* D, Py_ssize_t n, const Hyper* h,
    const double* c,
) noexcept nogil:
    """Adam with Nesterov's look-ahead (Dozat 2016), mu_t = b1 (1 - 0.96^(t / 250) / 2).

    c[1] = eta mu_{t+1} / (1 - prod mu_{1..t+1}) weighs m,
    c[3] = eta (1 - mu_t) / (1 - prod mu_{1..t}) weighs g.
    """
    cdef real eta = <real> c[0], eta_m = <real> c[1], root = <real> c[2], eta_g = <real> c[3]
    cdef real b1 = <real> h.beta_1, fresh1 = <real> (1 - h.beta_1), low = tiny(eta)
    cdef real b2 = <real> h.beta_2, fresh2 = <real> (1 - h.beta_2), eps = <real> h.epsilon
    cdef real q
    cdef Py_ssize_t j
    for j in range(n):
        m[j] = b1 * m[j] + fresh1 * g[j]
        m[j] = m[j] if magnitude(m[j]) >= low else 0 * m[j]
        v[j] = b2 * v[j] + fresh2 * g[j] * g[j]
        v[j] = v[j] if magnitude(v[j]) >= low else 0 * v[j]
        q = 1 / (rsqrt_(v[j]) * root + eps)
        w[j] -= (eta_m * m[j] + eta_g * g[j]) * q
        D[j] = eta * q if g[j] != 0 else D[j]


cdef inline void amsgrad(
    real* w, const real* g, real* m, real* v, real* top, real* D, Py_ssize_t n,
    const Hyper* h, const double* c,
) noexcept nogil:
    """Adam whose second moment never falls: top <- max(top, v)  (Reddi, Kale & Kumar 2018)."""
    cdef real eta = <real> c[0], eta_m = <real> c[1], root = <real> c[2]
    cdef real b1 = <real> h.beta_1, fresh1 = <real> (1 - h.beta_1), low = tiny(eta)
    cdef real b2 = <real> h.beta_2, fresh2 = <real> (1 - h.beta_2), eps = <real> h.epsilon
    cdef real q
    cdef Py_ssize_t j
    for j in range(n):
        m[j] = b1 * m[j] + fresh1 * g[j]
        m[j] = m[j] if magnitude(m[j]) >= low else 0 * m[j]
        v[j] = b2 * v[j] + fresh2 * g[j] * g[j]
        v[j] = v[j] if magnitude(v[j]) >= low else 0 * v[j]
        top[j] = top[j] if top[j] > v[j] else v[j]
        q = 1 / (rsqrt_(top[j]) * root + eps)
        w[j] -= eta_m * m[j] * q
        D[j] = eta * q if g[j] != 0 else D[j]


cdef inline void data_step(
    real* w, const real* g, real** s, Py_ssize_t j, real* D, Py_ssize_t n, const Hyper* h,
    const double* c,
) noexcept nogil:
    """Dispatch, once a run of parameters. s: the slots; j: where in them the run starts. D is
    used by the solvers that have no slot for it; the others return theirs through s."""
    if h.code == ADAM:
        adam(w, g, s[0] + j, s[1] + j, D, n, h, c)
    elif h.code == SGD or h.code == GD:
        sgd(w, g, s[0] + j if s[0] != NULL else NULL, D, n, h, c)
    elif h.code == ADAGRAD:
        adagrad(w, g, s[0] + j, D, n, h, c)
    elif h.code == RMSPROP:
        rmsprop(w, g, s[0] + j, D, n, h, c)
    elif h.code == NADAM:
        nadam(w, g, s[0] + j, s[1] + j, D, n, h, c)
    else:
        amsgrad(w, g, s[0] + j, s[1] + j, s[2] + j, D, n, h, c)


cdef inline int slot_of_D(int code) noexcept nogil:
    """The slot in which a solver keeps D between steps; -1: it does not."""
    if code == RMSPROP:
        return 1
    if code == ADAM or code == NADAM:
        return 2
    if code == AMSGRAD:
        return 3
    return -1


cdef inline void prox(
    real* w, const real* D, const real* l1, const real* l2, Py_ssize_t n
) noexcept nogil:
    """w <- S(w, D l1) / (1 + D l2): the elastic net's proximal step in the solver's metric."""
    cdef Py_ssize_t j
    cdef real one = 1       # a literal would make it double precision
    for j in range(n):
        w[j] = soft(w[j], D[j] * l1[j]) / (one + D[j] * l2[j])
