# Part of engine.pyx: the epoch over CSR rows with one output.

cdef Py_ssize_t _most_entries(
    const Rows* rows, const int32_t* order, Py_ssize_t n, Py_ssize_t batch_size
) noexcept nogil:
    """Of a batch."""
    cdef Py_ssize_t most = 0, entries = 0, i
    for i in range(n):
        if i % batch_size == 0:
            entries = 0
        entries += <Py_ssize_t> (rows.indptr[order[i] + 1] - rows.indptr[order[i]])
        most = max(most, entries)
    return most


cdef double _ridge(const real* l2, const real* inv_scale, Py_ssize_t d) noexcept nogil:
    """The number that l2 is, times inv_scale squared; -1 if there is none."""
    cdef double error = 1e-6 if real is float else 1e-14    # of rounding inv_scale and l2
    cdef double ridge, square
    cdef int32_t odd = 0
    cdef Py_ssize_t j = 0
    while j < d and l2[j] == 0:
        j += 1
    if j == d:
        return 0
    square = <double> inv_scale[j] * inv_scale[j] if inv_scale != NULL else 1
    ridge = l2[j] / square
    if not ridge < 1e30:
        return -1
    for j in range(d):
        square = <double> inv_scale[j] * inv_scale[j] if inv_scale != NULL else 1
        odd |= not (fabs(l2[j] - ridge * square) <= error * l2[j] and l2[j] < 1e30)
    return -1 if odd else ridge


cdef double _log2(double decay) noexcept nogil:
    return log2(decay) if decay > 1e-300 else -1e4


cdef int _cells_epoch(
    Data data, Model model, Scratch scratch, const int32_t* order, Py_ssize_t n,
    Py_ssize_t batch_size, const Steps* steps, Py_ssize_t n_steps, real* theta, real** slots,
    const real* l1, const real* l2, bint resumes,
) except -1 nogil:
    """resumes: parameters, slots and cells are as the last call with this scratch left them."""
    cdef const Rows* rows = &data.rows
    cdef const Hyper* h = &model.hyper
    cdef Py_ssize_t d = data.d, s = 0, start, stop, m, i, work = 0
    cdef double total = 0
    cdef real param = <real> scratch.params[0], scale = <real> scratch.scales[0]
    cdef const real* targets = <const real*> data.targets
    cdef const real* weights = <const real*> data.weights
    cdef const real* inv_scale = <const real*> rows.inv_scale
    cdef real* bias = theta + d if model.fit_intercept else NULL
    cdef real* bias_slots = slots[0] + d if model.n_slots else NULL
    cdef real* part
    cdef int32_t* features
    cdef int32_t* place
    cdef Cells cells
    cdef Listed a
    cdef plain_absent absent
    cdef bint plain
    cdef real told[AT_ONCE], tail = 0
    memset(&absent, 0, sizeof(absent))
    memset(&cells, 0, sizeof(cells))
    cells.n_slots, cells.empty = model.n_slots, <int32_t> d
    # whose places are listed in 32 bits
    plain = (
        PLAIN and batch_size == 1 and not model.lasso
        and d < <int64_t> UINT32_MAX // (2 * QUAD * <int64_t> sizeof(real)) - 64)
    cells.plain = (
        plain and steps.constant_rate >= 0
        and (h.code == ADAGRAD or h.code == SGD and h.momentum == 0)
        and model.n_slots == (h.code == ADAGRAD))
    if cells.plain:
        with gil:
            if model._ridge_of is not data:
                model.ridge, model._ridge_of = _ridge(l2, inv_scale, d), data
        cells.ridge = model.ridge
        cells.plain = h.code == SGD or cells.ridge >= 0
    # as absent.pxd: near 1 the moves' geometric sum has no closed form
    cells.plain_adam = (
        plain and h.code == ADAM and steps.ratio > 0 and steps.ratio <= 0.999
        and h.epsilon > tiny(param))        # it divides the step of what fills up vectors
    if cells.plain_adam:
        cells.log_ratio, cells.log_decay_1 = log2(steps.ratio), _log2(steps.decay_1)
        cells.log_decay_2 = _log2(steps.decay_2)
        cells.ratio_is_decays = fabs(   # but for rounding
            cells.log_ratio - (cells.log_decay_1 - 0.5 * cells.log_decay_2)) < 1e-14
    cells.n_changing = 1
    cells.n_quads = 1
    if not cells.plain:
        cells.n_changing = 1 + (cells.n_slots + QUAD - 1) // QUAD
        cells.n_quads = 1 + (cells.n_slots + model.lasso + QUAD - 1) // QUAD
    # so that no cell lies in more cache lines than it has to
    cells.width = QUAD * (cells.n_quads if cells.n_quads < 3 else 4)
    plain = cells.plain or cells.plain_adam
    while (1 << cells.shift) < cells.width * <Py_ssize_t> sizeof(real):
        cells.shift += 1
    m = whole_lanes(max(CHUNK, data.fullest if batch_size == 1 else min(
        d, _most_entries(rows, order, n, batch_size))))
    # Not whole pages apart, as a load waits for a store to the same place of another page.
    m += CACHE_LINE // sizeof(real)
    if cells.plain_adam:
        tail = <real> steps.tail[0]
    with gil:
        # cells that fill up vectors, and those that plain.pxd fills with the last
        resumes = scratch.look_for_cells(
            model, data, (d + LISTS + QUAD_LANES) * cells.width * sizeof(real) + CACHE_LINE,
            cells.plain, cells.plain_adam, steps.constant_rate, tail, resumes)
        of_rows = np.empty(LISTS * m + CACHE_LINE // sizeof(uint32_t) if plain else 0, np.uint32)
        listed = np.zeros((24 + N_SLOTS_MAX, m), model.theta.dtype)
        lists = np.empty(m, np.int32)
        places = np.zeros(0 if batch_size == 1 else d, np.int32)
        # from a line on: a vector in two lines counts twice
        cells.table, part = in_line(_address(scratch.cells)), <real*> in_line(_address(listed))
        features, place = <int32_t*> _address(lists), <int32_t*> _address(places)
        cells.places = <uint32_t*> in_line(_address(of_rows))
    cells.most, cells.rows_ahead = m, rows_asked(rows)
    if not plain:
        cells.places = NULL
    a.w, a.last, a.inv_scale, a.l2 = part, part + m, part + 2 * m, part + 3 * m
    a.l1, a.g, a.D, a.away = part + 4 * m, part + 5 * m, part + 6 * m, part + 7 * m
    a.size, a.variance, a.moment = part + 8 * m, part + 9 * m, part + 10 * m
    a.tail, a.odd = part + 11 * m, part + 12 * m
    a.parts = part + (14 + N_SLOTS_MAX) * m
    for i in range(N_SLOTS_MAX):
        a.slots[i] = part + (13 + i) * m if i < model.n_slots else NULL
    for i in range(m if steps.constant_rate >= 0 and h.code == SGD else 0):
        (<real*> a.size)[i] = <real> (steps.constant_rate / (1 - h.momentum))
    cells.columns[0], cells.columns[1] = a.w, a.last
    cells.columns[2], cells.columns[3] = a.inv_scale, a.l2
    for i in range(QUAD, QUADS_MOST * QUAD):
        cells.columns[i] = part + (13 + N_SLOTS_MAX) * m        # of no account
        if i - QUAD < model.n_slots:
            cells.columns[i] = a.slots[i - QUAD]
        elif i - QUAD == model.n_slots:
            cells.columns[i] = a.tail if cells.plain_adam else a.l1
    if not resumes:
        _fill_cells(&cells, d, h, &a, features, theta, slots, inv_scale, l1, l2,
                    <real> steps.constant_rate, tail)
    memset(<real*> cells.table + d * cells.width, 0, LISTS * cells.width * sizeof(real))
    for i in range(LISTS if cells.plain and h.code == ADAGRAD else 0):
        (<real*> cells.table)[(d + i) * cells.width + 3] = 1    # what needs a sum finds one
    if plain:
        list_first(rows, order, n_steps, cells_ahead(h.code), &cells, param)
    while s < n_steps:
        stop = min(s + AT_ONCE, n_steps) if batch_size == 1 else s + 1
        if cells.plain and h.code == ADAGRAD:
            plain_rows(data.loss_code, rows, targets, weights, param, scale, order, s, stop,
                       n_steps, bias, bias_slots, True, h, steps, &cells, <real*> a.parts,
                       <real*> a.w, told)
        elif cells.plain:
            plain_rows(data.loss_code, rows, targets, weights, param, scale, order, s, stop,
                       n_steps, bias, bias_slots, False, h, steps, &cells, <real*> a.parts,
                       <real*> a.w, told)
        elif batch_size == 1:
            for i in range(s, stop):
                if not cells.plain_adam or not adam_step(
                        data.loss_code, rows, targets, weights, param, scale, order, i, n_steps,
                        bias, bias_slots, model.size, h, steps, &cells, &a, &absent,
                        told + (i - s)):
                    told[i - s] = row_step(
                        data.loss_code, rows, targets, weights, param, scale, order, i, n_steps,
                        bias, bias_slots, model.size, h, steps, &cells, &a)
        else:
            start = s * batch_size
            work += _batch_step(data, model, scratch, order + start, min(batch_size, n - start),
                                n - start, s, steps, bias, bias_slots, &cells, &a, features, place)
        if batch_size == 1:
            total += losses_told(
                data.loss_code, told, targets, weights, order + s, stop - s, scale, param)
            work += 8 * (stop - s)
        s = stop
        if work > SIGNAL_WORK >> 8:
            work = 0
            with gil:
                try:
                    PyErr_CheckSignals()
                except BaseException:
                    # Leave the weights as the steps so far made them, then let it through.
                    _leave_cells(
                        &cells, d, s, h, steps, &a, &absent, features, theta, slots, tail)
                    raise
    scratch.penalty = _leave_cells(
        &cells, d, n_steps, h, steps, &a, &absent, features, theta, slots, tail)
    scratch.cells_left = True
    scratch.sums[0] += total
    return 0


cdef Py_ssize_t _batch_step(
    Data data, Model model, Scratch scratch, const int32_t* order, Py_ssize_t n,
    Py_ssize_t n_ahead, Py_ssize_t s, const Steps* steps, real* bias, real* bias_slots,
    const Cells* cells, const Listed* a, int32_t* features, int32_t* place,
) noexcept nogil:
    """Step s, of a batch; its losses go to scratch.sums. n_ahead: how many rows there are from
    its first on. Returns the number of features."""
    cdef const Rows* rows = &data.rows
    cdef const Hyper* h = &model.hyper
    cdef const double* c = steps.coefficients + s * steps.stride
    cdef real* w = <real*> a.w
    cdef real* g = <real*> a.g
    cdef real* last = <real*> a.last
    cdef const real* inv_scale = <const real*> a.inv_scale
    cdef real* scaled = <real*> a.D      # free until the step
    cdef real* z = <real*> scratch.z
    cdef real* slots[N_SLOTS_MAX]
    cdef real gradient = 0, share = <real> (1.0 / n), D
    cdef Py_ssize_t start = 0, count, i, m, slot = slot_of_D(h.code)
    m = list_features(rows, order, n, n_ahead, place, features, <real> 0)
    take_cells(cells, features, m, <real> 0)
    if steps.moves_without_gradient:
        bring_up(a, m, s, h, steps, <real> 0)
    for i in range(m):
        scaled[i] = w[i] * inv_scale[i]
    for i in range(whole_lanes(m)):
        g[i] = 0
    while start < n:
        count = min(scratch.block_rows, n - start)
        one_forward(rows, order, start, count, 0, place, <const real*> NULL, scaled,
                    bias[0] if bias != NULL else 0, z)
        _losses(data, scratch, order, start, count, z)
        for i in range(count):
            z[i] *= share
            gradient += z[i]
        one_backward(rows, order, start, count, place, <const real*> NULL, z, g)
        start += count
    for i in range(m):
        g[i] *= inv_scale[i]
    step_listed(a, m, h, c, steps.penalised, <real> 0)
    for i in range(m):
        last[i] = <real> (s + 1)
    put_cells(cells, features, m, cells.n_changing, <real> 0)
    if bias != NULL:
        for i in range(N_SLOTS_MAX):
            slots[i] = bias_slots + i * model.size if i < cells.n_slots else NULL
        data_step(bias, &gradient, slots, 0, slots[slot] if slot >= 0 else &D, 1, h, c)
    return m


cdef void _fill_cells(
    const Cells* cells, Py_ssize_t d, const Hyper* h, const Listed* a, int32_t* features,
    const real* theta, real** slots, const real* inv_scale, const real* l1, const real* l2,
    real rate, real tail,
) noexcept nogil:
    cdef Py_ssize_t first = 0, n, i, m
    cdef real one = 1
    if cells.plain and h.code == ADAGRAD:
        fill_plain(<real*> cells.table, <int32_t> d, theta, inv_scale, slots[0], rate, True)
    elif cells.plain:
        fill_plain(<real*> cells.table, <int32_t> d, theta, inv_scale, l2, rate, False)
    if cells.plain:
        return
    memset(a.last, 0, CHUNK * sizeof(real))
    for i in range(CHUNK if cells.plain_adam else 0):
        (<real*> a.tail)[i] = tail
    while first < d:
        n = min(CHUNK, d - first)
        memcpy(a.w, theta + first, n * sizeof(real))
        for i in range(n):
            features[i] = <int32_t> (first + i)
            (<real*> a.inv_scale)[i] = inv_scale[first + i] if inv_scale != NULL else one
        memcpy(a.l2, l2 + first, n * sizeof(real))
        for m in range(cells.n_slots):
            memcpy(a.slots[m], slots[m] + first, n * sizeof(real))
        memcpy(a.l1, l1 + first, n * sizeof(real))
        put_cells(cells, features, n, cells.n_quads, theta[0])
        first += n


cdef double _leave_cells(
    const Cells* cells, Py_ssize_t d, Py_ssize_t now, const Hyper* h, const Steps* steps,
    const Listed* a, plain_absent* absent, int32_t* features, real* theta, real** slots,
    real tail,
) noexcept nogil:
    """All features after so many steps, to where they lie between epochs; and in their cells as
    _fill_cells would have them for the next. Returns the penalty; NaN if it would take another
    look at all features."""
    cdef Py_ssize_t first = 0, n, i, m
    cdef double penalty = 0, size
    if cells.plain:
        penalty = arrays_plain(
            <real*> cells.table, <int32_t> d, h.code == ADAGRAD, <real> now,
            <real> (steps.constant_rate * cells.ridge), <real> h.epsilon, theta, slots[0])
        return 0.5 * cells.ridge * penalty if cells.ridge >= 0 else NAN
    if cells.plain_adam:
        missed(absent, now, h, steps, cells, theta[0])
    while True:
        if cells.plain_adam:
            first = arrays_adam(<real*> cells.table, <int32_t> first, <int32_t> d, absent, tail,
                                theta, slots, &penalty)
        n = min(QUAD_LANES if cells.plain_adam else CHUNK, d - first)
        if n == 0:
            return penalty
        for i in range(n):
            features[i] = <int32_t> (first + i)
        take_cells(cells, features, n, theta[0])
        if steps.moves_without_gradient:
            bring_up(a, n, now, h, steps, theta[0])
        memcpy(theta + first, a.w, n * sizeof(real))
        for m in range(cells.n_slots):
            memcpy(slots[m] + first, a.slots[m], n * sizeof(real))
        memset(a.last, 0, n * sizeof(real))
        for i in range(n if cells.plain_adam else 0):
            (<real*> a.tail)[i] = tail
        put_cells(cells, features, n, cells.n_changing, theta[0])
        for i in range(n):
            size = fabs(<double> (<real*> a.w)[i])
            penalty += size * ((<real*> a.l1)[i] + 0.5 * (<real*> a.l2)[i] * size)
        first += n
