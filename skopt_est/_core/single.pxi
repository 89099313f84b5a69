# Part of engine.pyx: the epoch for batches of one row.

cdef int _single_epoch(
    Data data, Model model, const int32_t* order, Py_ssize_t n, Steps* steps, Scratch scratch,
    real* theta, real* G, const real* l1, const real* l2,
) except -1 nogil:
    """The epoch for batches of one dense row: single.pxd in runs between looks for signals."""
    cdef Py_ssize_t start = 0, stop, d = data.d, run = max(1, SIGNAL_WORK // max(d, 1))
    cdef Py_ssize_t width, j
    cdef double total = 0
    cdef real param = <real> scratch.params[0], scale = <real> scratch.scales[0]
    cdef const real* targets = <const real*> data.targets
    cdef const real* weights = <const real*> data.weights
    cdef const double* c = steps.coefficients
    cdef const Hyper* h = &model.hyper
    cdef real* bias = theta + d if model.fit_intercept else NULL
    cdef real* bias_G = G + d if G != NULL else NULL
    cdef real* base
    cdef Padded p
    cdef bint ahead = h.code == SGD and steps.stride == 0 and not model.lasso
    p.blocks = (d + LANES - 1) // LANES
    width = p.blocks * LANES
    with gil:
        padded = np.zeros(PADDED_ROWS * width + LANES, model.theta.dtype)
        # to the next cache line
        j = (-(<size_t> _address(padded)) % 64) // sizeof(real)
        base = (<real*> _address(padded)) + j
    p.w, p.G, p.l1, p.l2 = base, base + width, base + 2 * width, base + 3 * width
    p.threshold, p.factor = base + 4 * width, base + 5 * width
    p.a, p.b, p.c = base + 6 * width, base + 7 * width, base + 8 * width
    p.shift, p.inv_scale = base + 9 * width, base + 10 * width
    for j in range(d):
        (<real*> p.shift)[j] = (<real*> data.rows.shift)[j] if data.rows.shift != NULL else 0
        (<real*> p.inv_scale)[j] = (
            (<real*> data.rows.inv_scale)[j] if data.rows.inv_scale != NULL else 1)
        (<real*> p.w)[j] = theta[j]
        (<real*> p.l1)[j] = l1[j]
        (<real*> p.l2)[j] = l2[j]
        if G != NULL:
            (<real*> p.G)[j] = G[j]
    while start < n:
        stop = min(start + run, n)
        if ahead and data.loss_code == LOG_LOSS_BINARY:
            total += rows_ahead(
                LOG_LOSS_BINARY, &data.rows, targets, weights, param, scale, order, start, stop,
                n, bias, <real> c[0], &p, <real> 0)
        elif ahead:
            total += rows_ahead(
                data.loss_code, &data.rows, targets, weights, param, scale, order, start, stop,
                n, bias, <real> c[0], &p, <real> 0)
        elif data.loss_code == LOG_LOSS_BINARY:
            total += single_rows(
                LOG_LOSS_BINARY, &data.rows, targets, weights, param, scale, order, start, stop,
                n, bias, bias_G, h, c, steps.stride, &p, <real> 0)
        elif data.loss_code == SQUARED_ERROR:
            total += single_rows(
                SQUARED_ERROR, &data.rows, targets, weights, param, scale, order, start, stop,
                n, bias, bias_G, h, c, steps.stride, &p, <real> 0)
        else:
            total += single_rows(
                data.loss_code, &data.rows, targets, weights, param, scale, order, start, stop,
                n, bias, bias_G, h, c, steps.stride, &p, <real> 0)
        for j in range(d):
            theta[j] = (<real*> p.w)[j]
            if G != NULL:
                G[j] = (<real*> p.G)[j]
        start = stop
        with gil:
            PyErr_CheckSignals()
    scratch.sums[0] += total
    return 0


cdef int _single_sparse_epoch(
    Data data, Model model, const int32_t* order, Py_ssize_t n, Steps* steps, Scratch scratch,
    real* theta, real* G, const real* l1, const real* l2,
) except -1 nogil:
    """The epoch for batches of one CSR row: single_sparse.pxd in runs between looks for
    signals."""
    cdef Py_ssize_t start = 0, stop, d = data.d, run = 1 << 14, j, i, m
    cdef double total = 0
    cdef real param = <real> scratch.params[0], scale = <real> scratch.scales[0]
    cdef const real* targets = <const real*> data.targets
    cdef const real* weights = <const real*> data.weights
    cdef const real* inv_scale = <const real*> data.rows.inv_scale
    cdef const Hyper* h = &model.hyper
    cdef real* bias = theta + d if model.fit_intercept else NULL
    cdef real* bias_G = G + d if G != NULL else NULL
    cdef real eta = <real> steps.coefficients[0], eps = <real> h.epsilon
    cdef real* cells
    cdef real* cell
    cdef real* part
    cdef Work work
    with gil:
        # as wide as the fullest row, and as CHUNK features at the beginning and the end
        m = max(data.fullest, CHUNK)
        table = np.empty((d, CELL), model.theta.dtype)
        buffers = np.empty((WORK_ROWS, m), model.theta.dtype)
        cells, part = <real*> _address(table), <real*> _address(buffers)
    work.w, work.y, work.x, work.steps = part, part + m, part + 2 * m, part + 3 * m
    work.G, work.D, work.l1 = part + 4 * m, part + 5 * m, part + 6 * m
    while start < d:
        m = min(CHUNK, d - start)
        for i in range(m):
            j = start + i
            (<real*> work.D)[i] = eta
            if h.code == ADAGRAD:
                (<real*> work.D)[i] = eta / (rsqrt_(G[j]) + eps) if G[j] != 0 else 0
        settle(<real*> work.D, l2 + start, <real*> work.w, <real*> work.y, m)
        for i in range(m):
            j = start + i
            cell = cells + j * CELL
            cell[WEIGHT] = theta[j]
            cell[LAST] = 0
            cell[RATE] = (<real*> work.w)[i]
            cell[INV_SCALE] = inv_scale[j] if inv_scale != NULL else 1
            cell[SQUARES] = G[j] if G != NULL else 0
            cell[L2] = l2[j]
            cell[STEP] = (<real*> work.y)[i]
            cell[L1] = l1[j]
        start += m
    start = 0
    while start < n:
        stop = min(start + run, n)
        if data.loss_code == LOG_LOSS_BINARY:
            total += sparse_rows(
                LOG_LOSS_BINARY, &data.rows, targets, weights, param, scale, order, start, stop, n,
                bias, bias_G, h, eta, model.lasso, cells, &work)
        else:
            total += sparse_rows(
                data.loss_code, &data.rows, targets, weights, param, scale, order, start, stop, n,
                bias, bias_G, h, eta, model.lasso, cells, &work)
        start = stop
        with gil:
            try:
                PyErr_CheckSignals()
            except BaseException:
                # Leave the weights as the steps so far made them, then let it through.
                _leave_cells(cells, theta, G, d, <real> stop, model.lasso, &work)
                raise
    _leave_cells(cells, theta, G, d, <real> n, model.lasso, &work)
    scratch.sums[0] += total
    return 0


cdef void _leave_cells(
    const real* cells, real* theta, real* G, Py_ssize_t d, real now, bint lasso, const Work* work,
) noexcept nogil:
    """All features after so many steps, back to where the general path has them."""
    cdef Py_ssize_t first = 0, n, i
    cdef const real* cell
    cdef real* steps = <real*> work.steps
    while first < d:
        n = min(CHUNK, d - first)
        for i in range(n):
            cell = cells + (first + i) * CELL
            (<real*> work.w)[i] = cell[WEIGHT]
            steps[i] = now - cell[LAST]
            (<real*> work.y)[i] = steps[i] * cell[RATE]
            (<real*> work.D)[i] = cell[STEP]
            (<real*> work.l1)[i] = cell[L1]
            if G != NULL:
                G[first + i] = cell[SQUARES]
        pass_penalty(<real*> work.w, <real*> work.y, steps, <real*> work.D, <real*> work.l1, n,
                     lasso)
        for i in range(n):
            theta[first + i] = (<real*> work.w)[i]
        first += n
