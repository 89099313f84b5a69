# Part of engine.pyx: the epoch for batches of one row.

cdef int _single_epoch(
    Data data, Model model, const int32_t* order, const int32_t* coming, Py_ssize_t n,
    Steps* steps, Scratch scratch, real* theta, real* G, const real* l1, const real* l2,
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
    cdef bint prepared = h.code == SGD and steps.stride == 0 and not model.lasso
    width = whole_vectors(d, sizeof(real))
    p.vectors = width // elements(1, <real> 0)
    p.width = width_read(d, p.vectors, <real> 0)
    p.lasso = model.lasso
    with gil:
        padded = np.zeros(PADDED_ROWS * width + CACHE_LINE, model.theta.dtype)
        # to the next cache line
        j = (-(<size_t> _address(padded)) % 64) // sizeof(real)
        base = (<real*> _address(padded)) + j
    p.w, p.G, p.l1, p.l2 = base, base + width, base + 2 * width, base + 3 * width
    p.threshold, p.factor = base + 4 * width, base + 5 * width
    p.a, p.b, p.c = base + 6 * width, base + 7 * width, base + 8 * width
    p.shift, p.inv_scale, p.edge = base + 9 * width, base + 10 * width, base + 11 * width
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
        if prepared and data.loss_code == LOG_LOSS_BINARY:
            total += rows_ahead(
                <int8_t> 0, &data.rows, targets, weights, param, scale, order, coming, start,
                stop, n, bias, <real> c[0], &p)
        elif prepared:
            total += rows_ahead(
                <int32_t> data.loss_code, &data.rows, targets, weights, param, scale, order,
                coming, start, stop, n, bias, <real> c[0], &p)
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
