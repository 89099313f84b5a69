# Part of engine.pyx: what training changes.

cdef class Model:
    """What training changes: parameters, solver state, their average; and its scratch.

    Parameters
    ----------
    theta : ndarray (network.size,): the weights of all layers, then their intercepts
    slots : ndarray (n_slots, network.size), the solver's state
    network : Network
    l1, l2 : ndarray (network.n_weights,), the penalty of each weight in the units of theta; or
        both a number, that of all weights, if there are hidden layers; not to be changed, as what
        follows from them is kept
    hyper : dict with the solver's code and hyper-parameters
    average : float64 ndarray like theta, or None, the running sum of theta over steps
    max_grad_norm : float, 0 for no limit
    """
    cdef Hyper hyper
    cdef Network network
    cdef Py_ssize_t n_slots, n_layers, n_weights, size
    cdef bint penalised, lasso, fit_intercept, averaging
    cdef double max_grad_norm
    cdef readonly object theta, slots, l1, l2, average
    cdef object _last_seen, _touched, _powers, _no_tail, _grad
    cdef object _ridge_of       # the data beside which the L2 penalties make `ridge` (cells.pxi)
    cdef double ridge
    # where these lie
    cdef char* p_theta
    cdef char* p_slots
    cdef char* p_l1
    cdef char* p_l2
    cdef char* p_grad
    cdef double* p_average

    def __cinit__(self, theta, slots, Network network, l1, l2, hyper, average=None,
                  double max_grad_norm=0.0):
        cdef Py_ssize_t size = network.size
        _vector(theta, theta.dtype, size, "theta", True)
        if slots.shape[1:] != (size,) or slots.dtype != theta.dtype:
            raise ValueError("slots must have theta's dtype and one row of its size a slot")
        if slots.shape[0] > N_SLOTS_MAX or not slots.flags.c_contiguous:
            raise ValueError("too many slots, or not C-contiguous")
        if not slots.flags.behaved:
            raise ValueError("slots must be aligned and writable")
        self.hyper.uniform = isinstance(l1, float)
        if self.hyper.uniform != isinstance(l2, float):
            raise ValueError("l1 and l2 must be both numbers or both arrays")
        n_penalties = network.n_weights
        if self.hyper.uniform:
            if network.n_layers == 1:
                raise ValueError("without hidden layers l1 and l2 must be arrays")
            # as many as kernels look at in one go: of a chunk, or of a feature
            n_penalties = max(CHUNK, network.units[1])
            l1, l2 = np.full(n_penalties, l1, theta.dtype), np.full(n_penalties, l2, theta.dtype)
        _vector(l1, theta.dtype, n_penalties, "l1")
        _vector(l2, theta.dtype, n_penalties, "l2")
        _vector(average, FLOAT64_TYPE, size, "average", True)
        if hyper["code"] not in SOLVER_CODES.values():
            raise ValueError(f"there is no solver with the code {hyper['code']}")
        self.hyper.code = hyper["code"]
        self.hyper.nesterov = hyper["nesterovs_momentum"]
        self.hyper.momentum = hyper["momentum"]
        self.hyper.beta_1 = hyper["beta_1"]
        self.hyper.beta_2 = hyper["beta_2"]
        self.hyper.rho = hyper["rho"]
        # a number in theta's type, too
        self.hyper.epsilon = min(hyper["epsilon"], np.finfo(theta.dtype).max)
        self.hyper.weight_decay = hyper["weight_decay"]
        need = {GD: 0, SGD: self.hyper.momentum != 0, ADAGRAD: 1, RMSPROP: 2, ADAM: 3,
                NADAM: 3, AMSGRAD: 4}[self.hyper.code]
        if slots.shape[0] < need:
            raise ValueError(f"the solver needs {need} slots, got {slots.shape[0]}")
        self.theta, self.slots, self.l1, self.l2 = theta, slots, l1, l2
        self.average, self._grad = average, zeros(size, theta.dtype)
        self.p_theta, self.p_slots = <char*> _address(theta), <char*> _address(slots)
        self.p_l1, self.p_l2 = <char*> _address(l1), <char*> _address(l2)
        self.p_grad = <char*> _address(self._grad)
        self.p_average = <double*> _address(average) if average is not None else NULL
        self.averaging = average is not None
        self.network = network
        self.n_layers, self.n_weights, self.size = network.n_layers, network.n_weights, size
        self.fit_intercept = network.fit_intercept
        self.n_slots = slots.shape[0]
        self.max_grad_norm = max_grad_norm
        self.lasso = bool(l1.any())
        self.penalised = bool(self.lasso or l2.any())

    cdef no_tail(self, Py_ssize_t n_steps):
        """What momentum's tail is where there is none."""
        if self._no_tail is None or len(self._no_tail) != n_steps + 1:
            self._no_tail = np.zeros(n_steps + 1)
        return self._no_tail


def penalty(theta, Py_ssize_t n, l1, half_l2):
    """The sum of |w| (l1 + half_l2 |w|) over the first n of theta, in double precision.

    Parameters
    ----------
    theta : ndarray of float32 or float64, of n numbers or more
    l1, half_l2 : float64 array (n,), or a number, that of all weights
    """
    cdef Seen w
    cdef const double* linear = NULL
    cdef const double* square = NULL
    cdef double total = 0, each_linear = 0, each_square = 0
    _look(&w, theta)
    if n < 0 or n > w.rows or w.ndim != 1 or w.kind not in (FLOAT, DOUBLE):
        raise ValueError(
            f"theta must hold {n} float32 or float64 weights, contiguous, aligned, in one "
            f"dimension, got {len(theta)} {theta.dtype}")
    if isinstance(l1, np.ndarray):
        linear = <const double*> _vector(l1, FLOAT64_TYPE, n, "l1")
    else:
        each_linear = l1
    if isinstance(half_l2, np.ndarray):
        square = <const double*> _vector(half_l2, FLOAT64_TYPE, n, "half_l2")
    else:
        each_square = half_l2
    with nogil:
        if w.kind == FLOAT:
            total = _penalty(<const float*> w.place, n, linear, square, each_linear, each_square)
        else:
            total = _penalty(<const double*> w.place, n, linear, square, each_linear, each_square)
    return total


def all_finite(numbers):
    """Whether there is neither NaN nor an infinity.

    Parameters
    ----------
    numbers : ndarray of float32 or float64, one-dimensional
    """
    cdef Seen x
    _look(&x, numbers)
    if x.ndim != 1 or x.kind not in (FLOAT, DOUBLE):
        raise ValueError(
            "numbers must be float32 or float64, contiguous, aligned, in one dimension, got "
            f"{numbers.dtype} {numbers.shape}")
    if x.kind == FLOAT:
        return _all_finite(<const float*> x.place, x.rows)
    return _all_finite(<const double*> x.place, x.rows)


cdef bint _all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int32_t odd = 0
    for i in range(n):
        odd |= not magnitude(x[i]) < <real> INFINITY
    return not odd


cdef double _penalty(
    const real* w, Py_ssize_t n, const double* l1, const double* half_l2, double each_l1,
    double each_half_l2,
) noexcept nogil:
    if l1 == NULL and half_l2 == NULL:
        return _terms(w, n, l1, half_l2, each_l1, each_half_l2, True, True)
    if l1 == NULL:
        return _terms(w, n, l1, half_l2, each_l1, each_half_l2, True, False)
    if half_l2 == NULL:
        return _terms(w, n, l1, half_l2, each_l1, each_half_l2, False, True)
    return _terms(w, n, l1, half_l2, each_l1, each_half_l2, False, False)


cdef inline double _terms(
    const real* w, Py_ssize_t n, const double* l1, const double* half_l2, double each_l1,
    double each_half_l2, bint one_l1, bint one_l2,
) noexcept nogil:
    """The last two are constants, for a loop in vectors of each of four kinds."""
    cdef Py_ssize_t i
    cdef double total = 0, size
    for i in range(n):
        size = fabs(<double> w[i])
        total += size * ((each_l1 if one_l1 else l1[i])
                         + (each_half_l2 if one_l2 else half_l2[i]) * size)
    return total
