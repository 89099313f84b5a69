"""The compiled engine: data, model, one epoch, one gradient.

It is built several times, for different vector units; `skopt_est._core` picks one at import.
`Data` (rows, targets, weights, loss) and `Model` (parameters, solver state, penalty) are two
objects, so that several models can be trained on one `Data`.
"""
import numpy as np

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from skopt_est._core.lazy cimport N_POWERS, Steps, catch_up
from skopt_est._core.losses cimport (
    ABSOLUTE_ERROR, GAMMA, HUBER, LOG_LOSS_BINARY, LOG_LOSS_MULTINOMIAL, POISSON, QUANTILE,
    SQUARED_ERROR, loss_block,
)
from skopt_est._core.random cimport shuffle as shuffle_order
from skopt_est._core.rows cimport (
    Rows, dense_backward, dense_forward, gather, sparse_backward, sparse_forward,
)
from skopt_est._core.solvers cimport (
    ADAGRAD, ADAM, AMSGRAD, GD, N_COEFFICIENTS, N_SLOTS_MAX, NADAM, RMSPROP, SGD, Hyper,
    data_step, prox, slot_of_D,
)
from skopt_est._core.types cimport real

# The integer codes exist once, in the enums of losses.pxd and solvers.pxd.
LOSS_CODES = {
    "squared_error": SQUARED_ERROR,
    "absolute_error": ABSOLUTE_ERROR,
    "huber": HUBER,
    "quantile": QUANTILE,
    "poisson": POISSON,
    "gamma": GAMMA,
    "log_loss_binary": LOG_LOSS_BINARY,
    "log_loss_multinomial": LOG_LOSS_MULTINOMIAL,
}
SOLVER_CODES = {
    "gd": GD,
    "sgd": SGD,
    "adagrad": ADAGRAD,
    "rmsprop": RMSPROP,
    "adam": ADAM,
    "nadam": NADAM,
    "amsgrad": AMSGRAD,
}

cdef enum:
    BLOCK_ELEMENTS = 16384      # of X in one block: stays in L2 beside the weights
    BLOCK_ROWS = 256
    CHUNK = 512                 # parameters between the data step and the proximal step
    SIGNAL_WORK = 1 << 26       # elements of X between two looks for signals


cdef const void* _vector(object array, object dtype, Py_ssize_t n, str name) except? NULL:
    """Address of a one-dimensional, contiguous array; NULL stands for None."""
    if array is None:
        return NULL
    if array.dtype != dtype or array.shape != (n,) or not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be a contiguous {dtype} array of shape ({n},), got {array.dtype} "
            f"{array.shape}")
    return <const void*> <size_t> array.ctypes.data


cdef class Data:
    """What is given: rows, targets, row weights, loss. Nothing in it is written to.

    Parameters
    ----------
    X : ndarray (n, d), C order, or canonical csr_matrix with int32 indices
    Y : ndarray (n, ky) of X's dtype; for the multinomial loss (n, 1), class indices
    loss_code : int
    loss_param : float or array (k,)
        delta or quantile, else unused.
    row_weight : ndarray (n,) or None
        Times n / sum: its mean over the rows that count is one.
    shift, inv_scale : ndarray (d,) or None
        Rows are seen as (x - shift) * inv_scale; CSR takes no shift.
    output_scale : array (k,) or None
        Multiplies the loss of each output.
    """
    cdef Rows rows
    cdef const void* targets
    cdef const void* weights
    cdef readonly Py_ssize_t n, d, target_columns
    cdef readonly bint is_float, sparse
    cdef int loss_code
    cdef double param, scale
    cdef object params, scales, _keep
    cdef readonly object dtype

    def __init__(
        self, X, Y, int loss_code, loss_param=0.0, row_weight=None, shift=None, inv_scale=None,
        output_scale=None,
    ):
        dtype = X.dtype
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"X must be float32 or float64, got {dtype}")
        self.dtype = dtype
        self.is_float = dtype == np.float32
        self.n, self.d = X.shape
        self.sparse = not isinstance(X, np.ndarray)
        self.rows.n = self.n
        self.rows.d = self.d
        if self.sparse:
            indptr = X.indptr.astype(np.int64, copy=False)
            self.rows.values = _vector(X.data, dtype, X.data.shape[0], "X.data")
            self.rows.indices = <const int32_t*> _vector(
                X.indices, np.dtype(np.int32), X.indices.shape[0], "X.indices")
            self.rows.indptr = <const int64_t*> _vector(
                indptr, np.dtype(np.int64), self.n + 1, "X.indptr")
            self._keep = (X.data, X.indices, indptr, Y, row_weight, shift, inv_scale)
            if shift is not None:
                raise ValueError("CSR rows take no shift")
        else:
            if not X.flags.c_contiguous:
                raise ValueError("X must be C-contiguous")
            self.rows.values = <const void*> <size_t> X.ctypes.data
            self.rows.indices = NULL
            self._keep = (X, Y, row_weight, shift, inv_scale)
        if Y.ndim != 2 or Y.shape[0] != self.n or not Y.flags.c_contiguous or Y.dtype != dtype:
            raise ValueError(f"Y must be a C-contiguous {dtype} array with {self.n} rows")
        self.target_columns = Y.shape[1]
        self.targets = <const void*> <size_t> Y.ctypes.data
        self.weights = _vector(row_weight, dtype, self.n, "row_weight")
        if shift is not None and inv_scale is None:
            raise ValueError("shift needs inv_scale")
        self.rows.shift = _vector(shift, dtype, self.d, "shift")
        self.rows.inv_scale = _vector(inv_scale, dtype, self.d, "inv_scale")
        self.loss_code = loss_code
        self.params = loss_param
        self.scales = 1.0 if output_scale is None else output_scale

    cdef int _check_outputs(self, Py_ssize_t k) except -1:
        cdef Py_ssize_t expected = 1 if self.loss_code == LOG_LOSS_MULTINOMIAL else k
        if self.target_columns != expected:
            raise ValueError(f"Y has {self.target_columns} columns, the model {k} outputs")
        return 0


cdef class Scratch:
    """Work buffers of a fit, allocated once."""
    cdef object _arrays
    cdef void* block            # (block_rows, d): gathered rows
    cdef void* z                # (block_rows, k): raw predictions, then their gradient
    cdef void* y
    cdef void* weight
    cdef Py_ssize_t block_rows
    cdef double[::1] params, scales, sums

    def __init__(self, Data data, Py_ssize_t k):
        cdef Py_ssize_t rows = BLOCK_ELEMENTS // max(data.d, 1)
        if data.sparse:
            rows = BLOCK_ROWS
        rows = min(max(rows, 8), BLOCK_ROWS, max(data.n, 1))
        data._check_outputs(k)
        arrays = [
            np.empty((rows, 1 if data.sparse else data.d), data.dtype),
            np.empty((rows, k), data.dtype),
            np.empty((rows, data.target_columns), data.dtype),
            np.empty(rows, data.dtype),
        ]
        self._arrays = arrays
        self.block = <void*> <size_t> arrays[0].ctypes.data
        self.z = <void*> <size_t> arrays[1].ctypes.data
        self.y = <void*> <size_t> arrays[2].ctypes.data
        self.weight = <void*> <size_t> arrays[3].ctypes.data
        self.block_rows = rows
        self.params = np.array(np.broadcast_to(np.asarray(data.params, np.float64), (k,)))
        self.scales = np.array(np.broadcast_to(np.asarray(data.scales, np.float64), (k,)))
        self.sums = np.zeros(k)


cdef inline void _forward(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const real* block, const real* theta, Py_ssize_t k, bint intercept, real* z,
) noexcept nogil:
    cdef Py_ssize_t i, c
    cdef const real* b = theta + rows.d * k
    for i in range(count):
        for c in range(k):
            z[i * k + c] = b[c] if intercept else 0
    if rows.indices == NULL:
        dense_forward(block, count, rows.d, theta, k, z)
    else:
        sparse_forward(rows, order, start, count, theta, k, z)


cdef inline void _accumulate(
    Data data, Scratch scratch, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    const real* theta, Py_ssize_t k, bint intercept, double share, real* grad,
) noexcept nogil:
    """One block, at most scratch.block_rows rows: its losses go to scratch.sums, and share
    times the gradient of their sum is added to grad (unless that is NULL)."""
    cdef const Rows* rows = &data.rows
    cdef const real* weights = <const real*> data.weights
    cdef const real* targets = <const real*> data.targets
    cdef real* z = <real*> scratch.z
    cdef real* y = <real*> scratch.y
    cdef real* weight = <real*> scratch.weight
    cdef const real* block = NULL
    cdef real* b
    cdef Py_ssize_t i, c, row, ky = data.target_columns
    cdef real factor = <real> share
    if rows.indices == NULL:
        block = gather(rows, order, start, count, <real*> scratch.block)
    _forward(rows, order, start, count, block, theta, k, intercept, z)
    for i in range(count):
        row = start + i if order == NULL else order[start + i]
        weight[i] = weights[row] if weights != NULL else 1
        for c in range(ky):
            y[i * ky + c] = targets[row * ky + c]
    loss_block(
        data.loss_code, z, y, weight, count, k, &scratch.params[0], &scratch.scales[0],
        &scratch.sums[0])
    if grad == NULL:
        return
    for i in range(count * k):
        z[i] *= factor
    if rows.indices == NULL:
        dense_backward(block, count, rows.d, z, k, grad)
    else:
        sparse_backward(rows, order, start, count, z, k, grad)
    if intercept:
        b = grad + rows.d * k
        for i in range(count):
            for c in range(k):
                b[c] += z[i * k + c]


def value_and_gradient(
    Data data, theta, Py_ssize_t n_outputs, bint fit_intercept, grad, order=None, sums=None,
):
    """Mean loss over the rows of `order` (all rows if None); `grad` is filled unless None.

    Parameters
    ----------
    theta : ndarray (d k + k,) of the data's dtype: weights feature-major, then intercepts
    grad : ndarray like theta, or None
    sums : float64 array (k,) or None; filled with the mean loss of each output

    Returns
    -------
    float
        The sum of the outputs' mean losses.
    """
    cdef Scratch scratch = Scratch(data, n_outputs)
    cdef Py_ssize_t count = data.n if order is None else order.shape[0]
    cdef const int32_t* rows = <const int32_t*> _vector(order, np.dtype(np.int32), count, "order")
    cdef Py_ssize_t size = data.d * n_outputs + n_outputs
    cdef const void* t = _vector(theta, data.dtype, size, "theta")
    cdef void* g = <void*> _vector(grad, data.dtype, size, "grad")
    if order is not None and count and (order.min() < 0 or order.max() >= data.n):
        raise ValueError("order holds an index that is not a row")
    if grad is not None:
        grad[:] = 0
    with nogil:
        if data.is_float:
            _full_pass(data, scratch, rows, count, <float*> t, n_outputs, fit_intercept,
                       <float*> g)
        else:
            _full_pass(data, scratch, rows, count, <double*> t, n_outputs, fit_intercept,
                       <double*> g)
    means = np.asarray(scratch.sums) / max(count, 1)
    if sums is not None:
        sums[:] = means
    return float(means.sum())


cdef int _full_pass(
    Data data, Scratch scratch, const int32_t* order, Py_ssize_t n, real* theta, Py_ssize_t k,
    bint intercept, real* grad,
) except -1 nogil:
    cdef Py_ssize_t start = 0, count, work = 0
    cdef double share = 1.0 / n if n else 0
    while start < n:
        count = min(scratch.block_rows, n - start)
        _accumulate(data, scratch, order, start, count, theta, k, intercept, share, grad)
        start += count
        work += count * data.d
        if work > SIGNAL_WORK:
            work = 0
            with gil:
                PyErr_CheckSignals()
    return 0


cdef class Model:
    """What training changes: parameters, solver state, their average; and its scratch.

    Parameters
    ----------
    theta : ndarray (d k + k,)
    slots : ndarray (n_slots, d k + k), the solver's state
    l1, l2 : ndarray (d k,), the penalty of each weight in the units of theta
    average : float64 ndarray (d k + k,) or None, the running sum of theta over steps
    hyper : dict with the solver's code and hyper-parameters
    """
    cdef Hyper hyper
    cdef Py_ssize_t k, size, n_slots
    cdef bint fit_intercept, penalised
    cdef readonly object theta, slots, l1, l2, average
    cdef object _last_seen, _touched, _powers, _grad

    def __init__(self, theta, slots, Py_ssize_t n_outputs, bint fit_intercept, l1, l2, hyper,
                 average=None):
        cdef Py_ssize_t size = theta.shape[0]
        _vector(theta, theta.dtype, size, "theta")
        if slots.shape[1:] != (size,) or slots.dtype != theta.dtype:
            raise ValueError("slots must have theta's dtype and one row of its size a slot")
        if slots.shape[0] > N_SLOTS_MAX or not slots.flags.c_contiguous:
            raise ValueError("too many slots, or not C-contiguous")
        _vector(l1, theta.dtype, size - n_outputs, "l1")
        _vector(l2, theta.dtype, size - n_outputs, "l2")
        _vector(average, np.dtype(np.float64), size, "average")
        self.theta, self.slots, self.l1, self.l2 = theta, slots, l1, l2
        self.average = average
        self.k = n_outputs
        self.size = size
        self.n_slots = slots.shape[0]
        self.fit_intercept = fit_intercept
        self.penalised = bool(l1.any() or l2.any())
        self.hyper.code = hyper["code"]
        self.hyper.nesterov = hyper["nesterovs_momentum"]
        self.hyper.momentum = hyper["momentum"]
        self.hyper.beta_1 = hyper["beta_1"]
        self.hyper.beta_2 = hyper["beta_2"]
        self.hyper.rho = hyper["rho"]
        self.hyper.epsilon = hyper["epsilon"]
        need = {GD: 0, SGD: self.hyper.momentum != 0, ADAGRAD: 1, RMSPROP: 2, ADAM: 3,
                NADAM: 3, AMSGRAD: 4}[self.hyper.code]
        if self.n_slots < need:
            raise ValueError(f"the solver needs {need} slots, got {self.n_slots}")
        self._grad = np.zeros(size, theta.dtype)


def _powers(double ratio, double decay_1, double decay_2):
    exponents = np.arange(N_POWERS)
    with np.errstate(over="ignore", under="ignore"):
        return np.array([np.power(base, exponents) for base in (ratio, decay_1, decay_2)])


def run_epoch(
    Data data, Model model, int32_t[::1] order, Py_ssize_t batch_size,
    double[:, ::1] coefficients, tail=None, double ratio=0.0, double decay_1=0.0,
    double decay_2=0.0, Py_ssize_t average_from=0,
):
    """Train on the rows of `order`, one solver step a batch; returns the sum over rows of
    weight times loss, one number an output, as met during the epoch.

    Parameters
    ----------
    coefficients : (n_batches, 4), the numbers of each step (see skopt_est/solvers.py)
    tail, ratio, decay_1, decay_2
        How the solver's momentum goes on without a gradient; needed for CSR.
    average_from : the first step of this epoch that counts in model.average
    """
    cdef Py_ssize_t n = order.shape[0], n_steps = coefficients.shape[0]
    cdef Py_ssize_t size = data.d * model.k + model.k
    cdef Scratch scratch = Scratch(data, model.k)
    cdef Steps steps
    cdef double[::1] rate_sum, rate_square_sum, tail_view, tail_sum
    cdef double[:, ::1] powers
    cdef int32_t[::1] last_seen, touched
    cdef int32_t* p_last = NULL
    cdef int32_t* p_touched = NULL
    if batch_size < 1 or n < 1 or n_steps != (n + batch_size - 1) // batch_size:
        raise ValueError(f"{n_steps} steps do not fit {n} rows in batches of {batch_size}")
    if coefficients.shape[1] != N_COEFFICIENTS or model.size != size:
        raise ValueError("coefficients or theta have another shape than the data asks for")
    if model.theta.dtype != data.dtype:
        raise ValueError("theta and the data have different dtypes")
    rows = np.asarray(order)
    if rows.min() < 0 or rows.max() >= data.n:
        raise ValueError("order holds an index that is not a row")
    steps.coefficients = &coefficients[0, 0]
    steps.average_from = average_from
    # Full-batch steps see all features: the dense update is no more work.
    if data.sparse and n_steps > 1:
        rates = np.asarray(coefficients)[:, 0]
        steps.constant_rate = rates[0] if (rates == rates[0]).all() else -1.0
        rate_sum = np.concatenate([[0.0], np.cumsum(rates)])
        rate_square_sum = np.concatenate([[0.0], np.cumsum(rates * rates)])
        tail_view = np.zeros(n_steps + 1) if tail is None else tail
        if tail_view.shape[0] != n_steps + 1:
            raise ValueError("tail needs one entry a step and one more")
        tail_sum = tail_view
        if model.average is not None and tail is not None:
            tail_sum = momentum_tail(tail_view[1:], ratio)
        steps.tail_sum = &tail_sum[0]
        if model._powers is None:
            model._powers = _powers(ratio, decay_1, decay_2)
            model._last_seen = np.zeros(data.d, np.int32)
            model._touched = np.empty(data.d, np.int32)
        powers = model._powers
        last_seen, touched = model._last_seen, model._touched
        if data.d:
            p_last, p_touched = &last_seen[0], &touched[0]
        steps.rate_sum = &rate_sum[0]
        steps.rate_square_sum = &rate_square_sum[0]
        steps.tail = &tail_view[0]
        steps.powers = &powers[0, 0]
        steps.ratio, steps.decay_1, steps.decay_2 = ratio, decay_1, decay_2
    with nogil:
        if data.is_float:
            _epoch(data, model, scratch, &order[0], n, batch_size, &steps, n_steps, p_last,
                   p_touched, <float> 0)
        else:
            _epoch(data, model, scratch, &order[0], n, batch_size, &steps, n_steps, p_last,
                   p_touched, <double> 0)
    return np.array(scratch.sums)


cdef inline void _touch(
    const Rows* rows, const int32_t* order, Py_ssize_t start, Py_ssize_t count, Py_ssize_t now,
    int32_t* last_seen, int32_t* touched, Py_ssize_t* n_touched, real* theta, real** slots,
    Py_ssize_t k, const Hyper* h, const Steps* steps, const real* l1, const real* l2,
    double* average,
) noexcept nogil:
    """List the features of these rows, each once a batch, and bring them up to date.

    last_seen[j] is the number of this epoch's steps that feature j has had; minus that number,
    less one, while it is in the batch at hand.
    """
    cdef Py_ssize_t i, row, c
    cdef int64_t p
    cdef int32_t j
    for i in range(start, start + count):
        row = order[i]
        for p in range(rows.indptr[row], rows.indptr[row + 1]):
            j = rows.indices[p]
            if last_seen[j] < 0:
                continue
            if last_seen[j] < now:
                for c in range(j * k, (j + 1) * k):
                    catch_up(theta, slots, c, last_seen[j], now, h, steps, l1, l2, average)
            last_seen[j] = -1 - <int32_t> now
            touched[n_touched[0]] = j
            n_touched[0] += 1


cdef inline void _step(
    real* theta, real* grad, real** slots, Py_ssize_t lo, Py_ssize_t hi, real* spare,
    const Hyper* h, const double* c, const real* l1, const real* l2, bint penalised,
) noexcept nogil:
    """Parameters lo to hi, in chunks small enough that D is still in cache for the prox."""
    cdef Py_ssize_t n
    cdef int slot = slot_of_D(h.code)
    cdef real* D
    while lo < hi:
        n = min(CHUNK, hi - lo)
        D = spare if slot < 0 else slots[slot] + lo
        data_step(theta + lo, grad + lo, slots, lo, D, n, h, c)
        if penalised:
            prox(theta + lo, D, l1 + lo, l2 + lo, n)
        lo += n


cdef int _epoch(
    Data data, Model model, Scratch scratch, const int32_t* order, Py_ssize_t n,
    Py_ssize_t batch_size, Steps* steps, Py_ssize_t n_steps, int32_t* last_seen,
    int32_t* touched, real like,
) except -1 nogil:
    cdef Py_ssize_t k = model.k, n_weights = data.d * k, size = n_weights + k
    cdef Py_ssize_t start = 0, stop, at, count, s, p, i, work = 0, n_touched = 0
    cdef bint intercept = model.fit_intercept, lazy = last_seen != NULL, interrupted = False
    cdef bint penalised = model.penalised
    cdef real* theta
    cdef real* grad
    cdef real* l1
    cdef real* l2
    cdef real* slots[N_SLOTS_MAX]
    cdef real spare[CHUNK]
    cdef double* average = NULL
    cdef const double* c
    cdef const Hyper* h = &model.hyper
    with gil:
        theta = <real*> <size_t> model.theta.ctypes.data
        grad = <real*> <size_t> model._grad.ctypes.data
        l1 = <real*> <size_t> model.l1.ctypes.data
        l2 = <real*> <size_t> model.l2.ctypes.data
        if model.average is not None:
            average = <double*> <size_t> model.average.ctypes.data
        for i in range(N_SLOTS_MAX):
            slots[i] = NULL
            if i < model.n_slots:
                slots[i] = (<real*> <size_t> model.slots.ctypes.data) + i * size
    for s in range(n_steps):
        stop = min(start + batch_size, n)
        at = start
        while at < stop:
            count = min(scratch.block_rows, stop - at)
            if lazy:
                _touch(&data.rows, order, at, count, s, last_seen, touched, &n_touched, theta,
                       slots, k, h, steps, l1, l2, average)
            _accumulate(data, scratch, order, at, count, theta, k, intercept,
                        1.0 / (stop - start), grad)
            at += count
        c = steps.coefficients + s * N_COEFFICIENTS
        if lazy:
            for i in range(n_touched):
                p = touched[i] * k
                last_seen[touched[i]] = <int32_t> s + 1
                _step(theta, grad, slots, p, p + k, spare, h, c, l1, l2, penalised)
                memset(grad + p, 0, k * sizeof(real))
                if average != NULL and s >= steps.average_from:
                    for p in range(p, p + k):
                        average[p] += theta[p]
            work += 16 * n_touched
            n_touched = 0
        else:
            _step(theta, grad, slots, 0, n_weights, spare, h, c, l1, l2, penalised)
            memset(grad, 0, n_weights * sizeof(real))
            if average != NULL and s >= steps.average_from:
                for p in range(n_weights):
                    average[p] += theta[p]
            work += (stop - start) * data.d
        if intercept:
            _step(theta, grad, slots, n_weights, size, spare, h, c, l1, l2, False)
            memset(grad + n_weights, 0, k * sizeof(real))
        if average != NULL and s >= steps.average_from:
            for p in range(n_weights, size):
                average[p] += theta[p]
        start = stop
        if work > SIGNAL_WORK:
            work = 0
            with gil:
                try:
                    PyErr_CheckSignals()
                except BaseException:
                    # Leave the weights as the steps so far made them, then let it through.
                    if lazy:
                        _flush(theta, slots, data.d, s + 1, last_seen, k, h, steps, l1, l2,
                               average)
                    raise
    if lazy:
        _flush(theta, slots, data.d, n_steps, last_seen, k, h, steps, l1, l2, average)
    return 0


cdef inline void _flush(
    real* theta, real** slots, Py_ssize_t d, Py_ssize_t now, int32_t* last_seen, Py_ssize_t k,
    const Hyper* h, const Steps* steps, const real* l1, const real* l2, double* average,
) noexcept nogil:
    cdef Py_ssize_t j, c
    for j in range(d):
        if last_seen[j] < now:
            for c in range(j * k, (j + 1) * k):
                catch_up(theta, slots, c, last_seen[j], now, h, steps, l1, l2, average)
        last_seen[j] = 0


def momentum_tail(double[::1] weights, double ratio):
    """tail[s] = sum over i >= s of ratio^(i - s + 1) weights[i], one entry more than weights."""
    cdef Py_ssize_t s, n = weights.shape[0]
    out = np.zeros(n + 1)
    cdef double[::1] tail = out
    for s in range(n - 1, -1, -1):
        tail[s] = ratio * (weights[s] + tail[s + 1])
    return out


def shuffled(int32_t[::1] rows, uint64_t[::1] state):
    """A random order of `rows`; `state`, one word, goes on."""
    out = np.array(rows)
    cdef int32_t[::1] order = out
    if order.shape[0]:
        with nogil:
            shuffle_order(&order[0], order.shape[0], &state[0])
    return out


def column_moments(X, int32_t[::1] rows, row_weight, bint centre):
    """Weighted mean and variance of the columns over these rows of a dense, C-ordered X, in one
    pass over memory.

    Blocks of rows are averaged in cache and merged (Chan, Golub & LeVeque 1983), so large
    means cost no precision. Without `centre` the mean is zero and the second moment is
    returned.
    """
    cdef Py_ssize_t d = X.shape[1]
    weights = None if row_weight is None else np.ascontiguousarray(row_weight, np.float64)
    mean, square = np.zeros(d), np.zeros(d)
    cdef double[::1] m = mean, q = square, w
    cdef double[::1] block_mean = np.zeros(d), block_square = np.zeros(d)
    cdef double* pw = NULL
    cdef const float[:, ::1] xf
    cdef const double[:, ::1] xd
    if weights is not None and weights.shape[0]:
        w = weights
        pw = &w[0]
    if rows.shape[0] == 0 or d == 0:
        return mean, square
    if weights is not None and weights.shape[0] != X.shape[0]:
        raise ValueError(f"row_weight has {weights.shape[0]} entries, X {X.shape[0]} rows")
    if np.min(rows) < 0 or np.max(rows) >= X.shape[0]:
        raise ValueError("rows holds an index that is not a row")
    if X.dtype == np.float32:
        xf = X
        with nogil:
            _moments(&xf[0, 0], &rows[0], rows.shape[0], d, pw, centre, &m[0], &q[0], &block_mean[0],
                     &block_square[0])
    else:
        xd = X
        with nogil:
            _moments(&xd[0, 0], &rows[0], rows.shape[0], d, pw, centre, &m[0], &q[0], &block_mean[0],
                     &block_square[0])
    return mean, square


cdef void _moments(
    const real* X, const int32_t* order, Py_ssize_t n, Py_ssize_t d, const double* w,
    bint centre, double* mean, double* square, double* block_mean, double* block_square,
) noexcept nogil:
    cdef const real* x
    cdef Py_ssize_t start = 0, stop, i, j
    cdef Py_ssize_t rows = max(<Py_ssize_t> 8, <Py_ssize_t> BLOCK_ELEMENTS // d)
    cdef double total = 0, part, weight, delta, share
    while start < n:
        stop = min(start + rows, n)
        part = 0
        for j in range(d):
            block_mean[j] = 0
            block_square[j] = 0
        for i in range(start, stop):
            part += w[order[i]] if w != NULL else 1
        if centre and part > 0:
            for i in range(start, stop):
                weight = (w[order[i]] if w != NULL else 1) / part
                x = X + order[i] * d
                for j in range(d):
                    block_mean[j] += weight * x[j]
        for i in range(start, stop):
            weight = w[order[i]] if w != NULL else 1
            x = X + order[i] * d
            for j in range(d):
                delta = x[j] - block_mean[j]
                block_square[j] += weight * delta * delta
        if part > 0:
            share = part / (total + part)
            for j in range(d):
                delta = block_mean[j] - mean[j]
                mean[j] += share * delta
                square[j] += block_square[j] + delta * delta * total * share
            total += part
        start = stop
    if total > 0:
        for j in range(d):
            square[j] /= total


def column_squares(X, int32_t[::1] rows, row_weight):
    """Weighted mean square of each column over these rows of a CSR matrix."""
    out = np.zeros(X.shape[1])
    weights = np.ones(rows.shape[0])
    if row_weight is not None:
        weights = np.ascontiguousarray(np.asarray(row_weight)[rows], np.float64)
    cdef double[::1] square = out, w = weights
    cdef const int32_t[::1] indices = X.indices
    cdef const int64_t[::1] indptr = X.indptr.astype(np.int64, copy=False)
    cdef const float[::1] xf
    cdef const double[::1] xd
    if X.nnz == 0 or rows.shape[0] == 0:
        return out
    if np.min(rows) < 0 or np.max(rows) >= X.shape[0]:
        raise ValueError("rows holds an index that is not a row")
    if X.dtype == np.float32:
        xf = X.data
        with nogil:
            _column_squares(&xf[0], &indices[0], indptr, rows, w, square)
    else:
        xd = X.data
        with nogil:
            _column_squares(&xd[0], &indices[0], indptr, rows, w, square)
    return out / weights.sum()


cdef void _column_squares(
    const real* x, const int32_t* indices, const int64_t[::1] indptr, const int32_t[::1] rows,
    const double[::1] w, double[::1] square,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef int64_t p
    for i in range(rows.shape[0]):
        for p in range(indptr[rows[i]], indptr[rows[i] + 1]):
            square[indices[p]] += w[i] * <double> x[p] * x[p]


def squared_norms(Data data):
    """The squared norm of each row as the solver sees it (shifted and scaled), float64."""
    out = np.zeros(data.n)
    cdef double[::1] norms = out
    if data.n:
        with nogil:
            if data.is_float:
                _norms(&data.rows, &norms[0], <float> 0)
            else:
                _norms(&data.rows, &norms[0], <double> 0)
    return out


cdef void _norms(const Rows* rows, double* out, real like) noexcept nogil:
    cdef const real* values = <const real*> rows.values
    cdef const real* shift = <const real*> rows.shift
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef Py_ssize_t i, d = rows.d
    cdef int64_t p, lo, hi
    cdef Py_ssize_t j
    cdef double x, total
    for i in range(rows.n):
        total = 0
        lo = i * d if rows.indices == NULL else rows.indptr[i]
        hi = lo + d if rows.indices == NULL else rows.indptr[i + 1]
        for p in range(lo, hi):
            j = p - lo if rows.indices == NULL else rows.indices[p]
            x = values[p]
            if shift != NULL:
                x -= shift[j]
            if inv_scale != NULL:
                x *= inv_scale[j]
            total += x * x
        out[i] = total
