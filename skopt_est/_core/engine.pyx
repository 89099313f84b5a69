"""The compiled engine: data, model, one epoch, one gradient.

It is built several times, for different vector units; `skopt_est._core` picks one at import.
`Data` (rows, targets, weights, loss) and `Model` (parameters, solver state, penalty) are two
objects, so that several models can be trained on one `Data`.
"""
import mmap

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport INFINITY, NAN, fabs, isfinite, log2
from libc.stdint cimport UINT32_MAX, int8_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from skopt_est._core.activations cimport (
    ELU, GELU, IDENTITY, LEAKY_RELU, LOGISTIC, MISH, RELU, SELU, SILU, TANH,
)
from skopt_est._core.absent cimport Listed, bring_up
from skopt_est._core.cells cimport (
    LISTS, MOST_STEPS, QUAD, QUADS_MOST, Cells, adam_step, cells_ahead, in_line, list_features,
    list_first, missed, plain_rows, put_cells, row_step, rows_asked, step_listed, take_cells,
)
from skopt_est._core.chances cimport chances_fill
from skopt_est._core.dense cimport GROUP, Columns, dense_backward, dense_forward, next_block
from skopt_est._core.dropout cimport Drop, drop_from, set_drop
from skopt_est._core.entry cimport check_aligned, csr_fault, range_start
from skopt_est._core.layers cimport Layer, backward_layers, forward_layers, slope_needed
from skopt_est._core.lazy cimport N_POWERS, Steps
from skopt_est._core.log_loss cimport log_loss_sum
from skopt_est._core.losses cimport (
    ABSOLUTE_ERROR, AT_ONCE, GAMMA, HUBER, LOG_LOSS_BINARY, LOG_LOSS_MULTINOMIAL, POISSON,
    QUANTILE, SQUARED_ERROR, loss_block, losses_told,
)
from skopt_est._core.plain cimport arrays_plain, fill_plain
from skopt_est._core.plain_adam cimport arrays_adam, plain_absent
from skopt_est._core.powers cimport PLAIN
from skopt_est._core.products cimport add_scaled, add_transposed, multiply
from skopt_est._core.quads cimport QUAD_LANES, whole_lanes
from skopt_est._core.random cimport (
    list_rows, mix, mix_windows, next_word as next_random_word, permute,
)
from skopt_est._core.rows cimport (
    CACHE_LINE, Rows, follow_on, gather, look_up, one_backward, one_forward, pick,
    prefetch_numbers, sparse_backward, sparse_forward, wide_apart,
)
from skopt_est._core.single cimport (
    PADDED_ROWS, Padded, elements, rows_ahead, single_rows, width_read,
)
from skopt_est._core.solvers cimport (
    ADAGRAD, ADAM, AMSGRAD, GD, N_COEFFICIENTS, N_SLOTS_MAX, NADAM, RMSPROP, SGD, Hyper, data_step,
    magnitude, slot_of_D, tiny,
)
from skopt_est._core.steps cimport (
    CHUNK, N_GATHERED, clip, clip_listed, flush, step, step_features, touch,
)
from skopt_est._core.tiles cimport whole_vectors
from skopt_est._core.types cimport real

chances_fill()

PLAIN_KERNELS = bool(PLAIN)     # of powers.pxd: this compiler can make them

# The integer codes exist once, in the enums of losses.pxd, solvers.pxd and activations.pxd.
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
    "adamw": ADAM,              # and a decay of its own: see Hyper
    "nadam": NADAM,
    "amsgrad": AMSGRAD,
}

ACTIVATION_CODES = {
    "identity": IDENTITY,
    "logistic": LOGISTIC,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SILU,
    "mish": MISH,
}

# what np.dtype looks up anew at each call
cdef object INT32_TYPE = np.dtype(np.int32), FLOAT64_TYPE = np.dtype(np.float64)

cdef enum:
    BLOCK_BYTES = 1 << 18       # of X in one block: stays in L2, and its products are long sums
    ONE_OUTPUT_BYTES = 1 << 14  # the same where rows are read twice in place: half of L1
    BLOCK_ROWS = 256
    LAYERS_ELEMENTS = 1 << 19   # of all layers of a block of rows: usual batches are one block
    LARGE_PAGE = 1 << 21        # of memory, in bytes
    SIGNAL_WORK = 1 << 26       # elements of X between two looks for signals


include "data.pxi"
include "network.pxi"
include "model.pxi"


cdef inline void forward_rows(
    const Rows* rows, Layer* layers, Py_ssize_t n_layers, const int32_t* order, Py_ssize_t start,
    Py_ssize_t count, Py_ssize_t n, const real* block, const Drop* drop, bint training,
) noexcept nogil:
    """Raw predictions of these rows, to the last layer's out; n: where the order ends."""
    cdef const real* W = <const real*> layers.W
    cdef const real* b = <const real*> layers.b
    cdef real* out = <real*> layers.out
    cdef Py_ssize_t i
    if rows.indices == NULL:
        multiply(block, count, rows.d, W, layers.n_out, b, out)
    else:
        sparse_forward(rows, order, start, count, n, W, layers.n_out, out, drop)
        for i in range(count if b != NULL else 0):
            add_scaled(out + i * layers.n_out, <real> 1, b, layers.n_out)
    forward_layers(layers, n_layers, count, <uint64_t> start, training, <real> 0)


cdef inline void _losses(
    Data data, Scratch scratch, const int32_t* order, Py_ssize_t start, Py_ssize_t count, real* z,
) noexcept nogil:
    """z, raw predictions of these rows <- the derivatives of their weighted losses, whose sums go
    to scratch.sums."""
    cdef Py_ssize_t k = scratch.sums.shape[0]
    cdef const real* weight
    cdef const real* y = pick(
        <const real*> data.targets, order, start, count, data.target_columns, <real> 0,
        <real*> scratch.y)
    if data.loss_code == LOG_LOSS_BINARY and k == 1 and data.weights == NULL:
        scratch.sums[0] += log_loss_sum(z, y, count, <real> scratch.scales[0], z)
        return
    weight = pick(
        <const real*> data.weights, order, start, count, 1, <real> 1, <real*> scratch.weight)
    loss_block(
        data.loss_code, z, y, weight, count, k, &scratch.params[0], &scratch.scales[0],
        &scratch.sums[0])


cdef inline void _accumulate(
    Data data, Scratch scratch, const int32_t* order, Py_ssize_t start, Py_ssize_t count,
    Py_ssize_t n, double share, bint fresh, real like,
) noexcept nogil:
    """One block, at most scratch.block_rows rows: its losses go to scratch.sums, and share
    times the gradient of their sum is added to the bound gradient, or made if `fresh`; if none
    is bound, only the losses count. CSR rows add to the first layer's weights even if fresh."""
    cdef const Rows* rows = &data.rows
    cdef Layer* first = scratch.layers
    cdef real* z = <real*> scratch.z
    cdef const real* block = NULL
    cdef Py_ssize_t i, k = scratch.sums.shape[0]
    cdef real factor = <real> share
    cdef const Drop* drop = &scratch.input_drop if scratch.input_drop.kept else NULL
    cdef bint in_place = scratch.in_place and drop == NULL
    if in_place and order != NULL and count > 1 and follow_on(order, start, count):
        start, n, order = order[start], rows.n, NULL
    if in_place:
        if order != NULL:
            i = next_block(start, count)
            if data.targets != NULL and wide_apart(rows, <real> 0):
                look_up(rows, <const real*> data.targets, order, i, min(i + count, n), 1)
            else:
                prefetch_numbers(<const real*> data.targets, order, i, min(i + count, n))
            prefetch_numbers(<const real*> data.weights, order, i, min(i + count, n))
        dense_forward(rows, order, start, count, n, <const real*> first.W,
                      <const real*> first.b, fresh, &scratch.columns, first.gW != NULL, z)
    elif rows.indices == NULL:
        block = gather(rows, order, start, count, n, drop != NULL, <real*> scratch.block)
        if drop != NULL:
            drop_from(drop, <uint64_t> (start * rows.d), <real*> block,
                      <real*> NULL, count * rows.d)
    if not in_place:
        forward_rows(rows, first, scratch.n_layers, order, start, count, n, block, drop,
                     first.gW != NULL or scratch.masking)
    _losses(data, scratch, order, start, count, z)
    if first.gW == NULL:
        return
    for i in range(count * k):
        z[i] *= factor
    z = backward_layers(scratch.layers, scratch.n_layers, count, fresh, <real*> scratch.spare,
                        <real*> scratch.other, like)
    if in_place:
        dense_backward(rows, order, start, count, n, z, fresh, &scratch.columns, <real*> first.gW)
    elif rows.indices == NULL:
        add_transposed(block, count, rows.d, z, first.n_out, fresh, <real*> NULL, <real*> first.gW)
    else:
        sparse_backward(rows, order, start, count, z, first.n_out, <real*> first.gW, drop)


include "predict.pxi"


cdef int _check_order(
    const int32_t* order, Py_ssize_t count, Py_ssize_t n, str name="order"
) except -1:
    cdef int32_t low = 0, high = -1
    cdef Py_ssize_t i
    for i in range(count):
        low = min(low, order[i])
        high = max(high, order[i])
    if low < 0 or high >= n:
        raise ValueError(f"{name} holds an index that is not a row")
    return 0


def value_and_gradient(
    Data data, theta, Network network, grad, order=None, sums=None, mask_key=None,
    Scratch scratch=None,
):
    """Mean loss over the rows of `order` (all rows if None); `grad` is filled unless None.

    Parameters
    ----------
    order : int32 array, a range of step one, or None
    theta : ndarray (network.size,) of the data's dtype
    grad : ndarray like theta, or None
    sums : float64 array (k,) or None; filled with the mean loss of each output
    mask_key : int or None
        Key of the dropout masks, None for none. Masks go by place in `order`: no range with them.
    scratch : Scratch or None
        Work buffers, so as to allocate them once for many calls.

    Returns
    -------
    float
        The sum of the outputs' mean losses.
    """
    cdef Py_ssize_t count = data.n if order is None else len(order), first = 0
    cdef const int32_t* rows = NULL
    if isinstance(order, range):
        first = range_start(order, data.n)
        if mask_key is not None:
            raise ValueError("masks go by place in an order, got a range")
    else:
        rows = <const int32_t*> _vector(order, INT32_TYPE, count, "order")
    cdef const void* t = _vector(theta, data.dtype, network.size, "theta")
    cdef void* g = <void*> _vector(grad, data.dtype, network.size, "grad", True)
    if theta is None:
        raise ValueError("theta must be an array, got None")
    if rows != NULL:
        _check_order(rows, count, data.n)
    if grad is not None and (data.sparse or count == 0 or not network.fit_intercept):
        grad[:] = 0
    if scratch is None:
        scratch = Scratch(data, network)
    scratch.begin(data, network, mask_key)
    scratch.bind(<const char*> t, <char*> g, theta.itemsize, network.fit_intercept)
    with nogil:
        if data.is_float:
            _full_pass(data, scratch, rows, first, count, network.size, <float> 0)
        else:
            _full_pass(data, scratch, rows, first, count, network.size, <double> 0)
    means = scratch.totals / max(count, 1)
    if sums is not None:
        sums[:] = means
    return float(means.sum())


cdef int _full_pass(
    Data data, Scratch scratch, const int32_t* order, Py_ssize_t first, Py_ssize_t n,
    Py_ssize_t size, real like,
) except -1 nogil:
    """Over n rows from place `first` on, or from row `first` on if order is NULL."""
    cdef Py_ssize_t start = first, stop = first + n, count, work = 0
    cdef double share = 1.0 / n if n else 0
    while start < stop:
        count = min(scratch.block_rows, stop - start)
        _accumulate(data, scratch, order, start, count, stop, share, start == first, like)
        start += count
        work += count * size
        if work > SIGNAL_WORK:
            work = 0
            with gil:
                PyErr_CheckSignals()
    return 0


include "by_feature.pxi"


def run_epoch(
    Data data, Model model, Scratch scratch, order, Py_ssize_t batch_size, coefficients, tail=None,
    double ratio=0.0, double decay_1=0.0, double decay_2=0.0, kept=None,
    Py_ssize_t average_from=0, mask_key=None, bint by_feature=False, gradient=None, coming=None,
    bint resumes=False,
):
    """Train on the rows of `order`, one solver step a batch; returns the sum over rows of
    weight times loss, one number an output, as met during the epoch.

    Parameters
    ----------
    order : int32 array
    coefficients : float64 array (n_batches, 4), or (1, 4) if all steps are alike
        The numbers of each step (see skopt_est/solvers.py).
    tail, ratio, decay_1, decay_2
        How the solver's momentum goes on without a gradient; needed by feature.
    kept : (n_batches,) or None, what weight decay leaves of a weight in each step; needed by
        feature
    average_from : the first step of this epoch that counts in model.average
    mask_key : key of this epoch's dropout masks; None: nothing is dropped
    by_feature : whether steps move the first layer's weights of their batch's features only, and
        what the others miss is made up for later. For CSR; one step of all rows is always dense.
    gradient : ndarray like theta, or None
        Of the mean loss of all rows, who has it already and takes one step; `order` is then any
        row, and the sums are zero.
    coming : int32 array like order, or None
        A row for each place of `order`, for which memory is asked at that place's step, and its
        page looked up before, long before the row's own step; by sgd's steps of one dense row only,
        at one rate, with one output and neither momentum, L1, an average nor a limit of the norm.
        It changes no number.
    resumes : whether the parameters, slots, penalties and units of model and data have not been
        written to since the last call with this scratch: what it put side by side for its steps
        may then be taken up. Changes no number.
    """
    cdef Py_ssize_t n = len(order), n_steps
    cdef Seen table
    cdef Steps steps
    cdef int32_t* last_seen = NULL
    cdef int32_t* touched = NULL
    cdef const int32_t* rows
    cdef const int32_t* rows_coming
    cdef bint summed
    if batch_size < 1 or n < 1:
        raise ValueError(f"no step can be made of {n} rows in batches of {batch_size}")
    if data._Y is None:
        raise ValueError("no step can be made without targets")
    if data.d != model.network.units[0]:
        raise ValueError(
            f"the rows have {data.d} columns, the model {model.network.units[0]} inputs")
    batch_size = min(batch_size, n)
    n_steps = (n + batch_size - 1) // batch_size
    by_feature = by_feature and n_steps > 1
    if by_feature and not data.sparse:
        raise ValueError("steps by feature need CSR rows")
    _look(&table, coefficients)
    if table.kind != DOUBLE or table.ndim != 2 or table.columns != N_COEFFICIENTS:
        raise ValueError(
            f"coefficients must be contiguous, aligned float64 in {N_COEFFICIENTS} columns")
    if table.rows != 1 and table.rows != n_steps:
        raise ValueError(f"{table.rows} steps do not fit {n} rows in batches of {batch_size}")
    if model.theta.dtype != data.dtype:
        raise ValueError("theta and the data have different dtypes")
    rows = <const int32_t*> _vector(order, INT32_TYPE, n, "order")
    _check_order(rows, n, data.n)
    rows_coming = <const int32_t*> _vector(coming, INT32_TYPE, n, "coming")
    if rows_coming != NULL:
        _check_order(rows_coming, n, data.n, "coming")
    steps.coefficients = <const double*> table.place
    steps.stride = N_COEFFICIENTS if table.rows > 1 else 0
    steps.average_from = average_from
    if by_feature:
        if model.hyper.code == GD:
            raise ValueError(f"gd takes all {n} rows in one step, got batches of {batch_size}")
        if ratio > 0 and model.n_slots == 0:
            raise ValueError(f"ratio={ratio:g} is of a momentum, for which the solver has no slot")
        steps.constant_rate = _one_rate(steps.coefficients, table.rows)
        steps.rate_sum = steps.rate_square_sum = NULL
        if steps.constant_rate < 0:
            rates = np.broadcast_to(coefficients[:, 0], n_steps)
            rate_sum, rate_square_sum = _sums_before(rates), _sums_before(rates * rates)
            steps.rate_sum = <const double*> _address(rate_sum)
            steps.rate_square_sum = <const double*> _address(rate_square_sum)
        steps.moves_without_gradient = (
            model.penalised or model.average is not None or tail is not None or kept is not None)
        tail_sum = None
        if tail is None:
            tail = model.no_tail(n_steps)
        elif model.average is not None:
            tail_sum = momentum_tail(tail[1:], ratio)
        steps.tail = <const double*> _vector(tail, FLOAT64_TYPE, n_steps + 1, "tail")
        steps.tail_sum = steps.tail if tail_sum is None else <const double*> _address(tail_sum)
        if model._powers is None:
            model._powers = _powers(ratio, decay_1, decay_2)
            model._last_seen = np.zeros(data.d, np.int32)
            model._touched = np.empty(data.d, np.int32)
        if data.d:
            last_seen = <int32_t*> _address(model._last_seen)
            touched = <int32_t*> _address(model._touched)
        steps.powers = <const double*> _address(model._powers)
        steps.ratio, steps.decay_1, steps.decay_2 = ratio, decay_1, decay_2
        steps.penalised = model.penalised
        steps.decay_sum = NULL
        if kept is not None:
            decay_sum = _sums_before(np.log(kept))
            if len(decay_sum) != n_steps + 1:
                raise ValueError("kept needs one entry a step")
            steps.decay_sum = <const double*> _address(decay_sum)
    scratch.begin(data, model.network, mask_key)
    resumes = resumes and scratch.cells_left
    scratch.cells_left = False      # until the steps have been made, and in cells
    scratch.bind(model.p_theta, model.p_grad, sizeof(float) if data.is_float else sizeof(double),
                 model.network.fit_intercept)
    if gradient is not None:
        if n_steps > 1:
            raise ValueError(f"a gradient is of one step, not of {n_steps}")
        _vector(gradient, data.dtype, model.size, "gradient")
        model._grad[:] = gradient
    summed = gradient is not None
    with nogil:
        if data.is_float:
            _epoch(data, model, scratch, rows, rows_coming, n, batch_size, &steps, n_steps,
                   last_seen, touched, summed, resumes, <float> 0)
        else:
            _epoch(data, model, scratch, rows, rows_coming, n, batch_size, &steps, n_steps,
                   last_seen, touched, summed, resumes, <double> 0)
    return scratch.totals.copy()


cdef int _epoch(
    Data data, Model model, Scratch scratch, const int32_t* order, const int32_t* coming,
    Py_ssize_t n, Py_ssize_t batch_size, Steps* steps, Py_ssize_t n_steps, int32_t* last_seen,
    int32_t* touched, bint summed, bint resumes, real like,
) except -1 nogil:
    cdef Py_ssize_t n_weights = model.n_weights, size = model.size
    cdef Py_ssize_t k = scratch.layers[0].n_out, at, count, rows, s, p, i, work = 0, n_touched = 0
    cdef Py_ssize_t start = 0, stop, dense_from = 0
    cdef bint intercept = model.fit_intercept, lazy = last_seen != NULL
    cdef bint penalised = model.penalised
    cdef double limit = model.max_grad_norm
    cdef real* theta = <real*> model.p_theta
    cdef real* grad = <real*> model.p_grad
    cdef real* l1 = <real*> model.p_l1
    cdef real* l2 = <real*> model.p_l2
    cdef real* slots[N_SLOTS_MAX]
    cdef real spare[CHUNK]
    cdef real gathered[N_GATHERED]
    cdef double* average = model.p_average
    cdef const double* c
    cdef const Hyper* h = &model.hyper
    for i in range(N_SLOTS_MAX):
        slots[i] = (<real*> model.p_slots) + i * size if i < model.n_slots else NULL
    if (
        not lazy and not summed and batch_size == 1 and k == 1 and average == NULL and limit == 0
        and model.n_layers == 1 and data.rows.indices == NULL and scratch.input_drop.kept == 0
        and data.loss_code != LOG_LOSS_MULTINOMIAL
        and (h.code == ADAGRAD or (h.code == SGD and h.momentum == 0))
    ):
        return _single_epoch(
            data, model, order, coming, n, steps, scratch, theta, slots[0], l1, l2)
    if lazy and _in_cells(data, model, scratch, n_steps):
        return _cells_epoch(data, model, scratch, order, n, batch_size, steps, n_steps, theta,
                            slots, l1, l2, resumes)
    if data.rows.indices != NULL and not summed:
        memset(grad, 0, size * sizeof(real))
    if lazy:
        dense_from = data.d * k     # the first layer's weights are stepped feature by feature
    for s in range(n_steps):
        stop = min(start + batch_size, n)
        at = stop if summed else start
        rows = scratch.rows_of(stop - start)
        while at < stop:
            count = min(rows, stop - at)
            if lazy:
                touch(&data.rows, order, at, count, n, s, last_seen, touched, &n_touched, theta,
                      grad, slots, k, h, steps, l1, l2, average)
            _accumulate(data, scratch, order, at, count, n, 1.0 / (stop - start), at == start,
                        like)
            at += count
        if limit != 0:
            if lazy:
                clip_listed(grad, touched, n_touched, k, dense_from, size, limit)
            else:
                clip(grad, size, limit)
        c = steps.coefficients + s * steps.stride
        if lazy:
            step_features(theta, grad, slots, touched, n_touched, k, gathered, h, c, l1, l2,
                          penalised)
            for i in range(n_touched):
                last_seen[touched[i]] = <int32_t> s + 1
                if average != NULL and s >= steps.average_from:
                    for p in range(touched[i] * k, (touched[i] + 1) * k):
                        average[p] += theta[p]
            work += 16 * n_touched * k
            n_touched = 0
        work += (stop - start) * (size - dense_from)
        step(theta, grad, slots, dense_from, n_weights, spare, h, c, l1, l2, penalised,
             h.weight_decay)
        if not lazy and data.rows.indices != NULL:
            memset(grad, 0, data.d * k * sizeof(real))
        if intercept:
            step(theta, grad, slots, n_weights, size, spare, h, c, l1, l2, False, 0)
        if average != NULL and s >= steps.average_from:
            for p in range(dense_from, size):
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
                        flush(theta, grad, slots, data.d, s + 1, last_seen, k, h, steps, l1, l2,
                              average)
                    raise
    if lazy:
        flush(theta, grad, slots, data.d, n_steps, last_seen, k, h, steps, l1, l2, average)
    return 0


include "single.pxi"
include "cells.pxi"


def momentum_tail(double[::1] weights, double ratio, kept=None):
    """tail[s] = ratio / kept[s] (weights[s] + tail[s + 1]), one entry more than weights: the sum
    over i >= s of ratio^(i - s + 1) weights[i] where kept, of weight decay, is None."""
    cdef Py_ssize_t s, n = weights.shape[0]
    out = np.zeros(n + 1)
    cdef double[::1] tail = out
    cdef const double[::1] ratios = (
        np.full(n, ratio) if kept is None else np.divide(ratio, kept))
    if ratios.shape[0] != n:
        raise ValueError(f"kept has {ratios.shape[0]} entries, weights {n}")
    if n:
        check_aligned(&weights[0], sizeof(double))
        check_aligned(&ratios[0], sizeof(double))
    for s in range(n - 1, -1, -1):
        tail[s] = ratios[s] * (weights[s] + tail[s + 1])
    return out


include "order.pxi"
