# Part of engine.pyx: raw predictions of a fitted network.

cdef enum:
    # of the two widest layers of a block of rows: both stay in L2, or, beside weights that do so,
    # too, in L1
    PREDICT_ELEMENTS = 1 << 16
    PREDICT_FEW = 1 << 14
    FEW_WEIGHTS = 1 << 13
    WHOLE_TILES = 84        # a multiple of the rows of a tile, whichever the vector unit


def predict(X, coefs, intercepts, activations, bint finite_only=False, result=None):
    """Raw predictions, (n, outputs), in blocks of rows that stay in cache.

    Parameters
    ----------
    X : ndarray (n, d), C order, or canonical csr_matrix with int32 indices, float32 or float64; or
        what has a csr_matrix's data, indices, indptr, shape and dtype
    coefs, intercepts : lists of C-ordered arrays of X's dtype, one a layer
    activations : codes, one a hidden layer
    finite_only : return None if the numbers of some block of X don't have a finite sum, or, of a
        single layer with one output, the predictions
    result : C-ordered array (n, outputs), to be filled and returned, or None. Of X's dtype; of a
        single output it may be of int64, and then is 1 where the prediction is above 0, else 0
    """
    cdef bint summable
    cdef int64_t* signs = NULL
    cdef Py_ssize_t most_weights = 0
    cdef Py_ssize_t n_layers = len(coefs), level, widest = 1, rows, n
    cdef Rows source
    cdef Layer* layers
    cdef char* place
    cdef Py_ssize_t itemsize = X.dtype.itemsize
    cdef bint is_float = X.dtype == np.float32
    dtype = X.dtype
    # lists are read without bounds checks
    if len(intercepts) != n_layers or len(activations) != n_layers - 1:
        raise ValueError(
            f"{n_layers} arrays of weights need as many of intercepts, got {len(intercepts)}, and "
            f"{n_layers - 1} activations, got {len(activations)}")
    source.shift = source.inv_scale = NULL
    indptr = None if isinstance(X, np.ndarray) else X.indptr.astype(np.int64, copy=False)
    _set_rows(&source, X, indptr)
    n = source.n
    shelf = np.zeros(n_layers * sizeof(Layer), np.uint8)
    layers = <Layer*> _address(shelf)
    d = source.d
    for level in range(n_layers):
        W, b = coefs[level], intercepts[level]
        if (W.shape[:1] != (d,) or W.ndim != 2 or W.shape[1] < 1 or W.dtype != dtype
                or not (W.flags.c_contiguous and W.flags.aligned)):
            raise ValueError(
                f"layer {level} must have a C-ordered {dtype} array of {d} rows, not empty")
        d = W.shape[1]
        layers[level].n_in, layers[level].n_out = W.shape
        layers[level].W = _address(W)
        layers[level].b = _vector(b, dtype, d, f"the intercepts of layer {level}")
        most_weights = max(most_weights, layers[level].n_in * layers[level].n_out)
        if level < n_layers - 1:
            _check_activation(activations[level])
            layers[level].activation = activations[level]
            widest = max(widest, layers[level].n_out)
    if result is None:
        result = np.empty((n, d), dtype)
    elif result.shape != (n, d) or not result.flags.c_contiguous:
        raise ValueError(f"result must be C-ordered, of shape {(n, d)}, got {result.shape}")
    filled = dtype if d > 1 or result.dtype != np.int64 else result.dtype
    out = <void*> _vector(result.reshape(-1), filled, n * d, "result", True)
    rows = PREDICT_FEW if most_weights <= FEW_WEIGHTS else PREDICT_ELEMENTS
    rows = min(max(rows // (2 * widest), 16), BLOCK_ROWS)
    if 2 * rows >= WHOLE_TILES:
        rows = (rows + WHOLE_TILES // 2) // WHOLE_TILES * WHOLE_TILES
    rows = min(rows, max(n, 1))
    if filled != dtype:
        signs = <int64_t*> out
        of_block = np.empty(rows, dtype)
        out = <void*> _address(of_block)
    buffers = np.empty(2 * rows * widest, dtype)
    place = <char*> _address(buffers)
    for level in range(n_layers - 1):
        layers[level].out = place + (level % 2) * rows * widest * itemsize
    with nogil:
        if is_float:
            summable = _predict(&source, layers, n_layers, rows, finite_only, <float*> out, signs)
        else:
            summable = _predict(&source, layers, n_layers, rows, finite_only, <double*> out, signs)
    return result if summable else None


cdef bint _summable(const real* x, Py_ssize_t n) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return isfinite(total)


cdef bint _predict(
    const Rows* source, Layer* layers, Py_ssize_t n_layers, Py_ssize_t block_rows,
    bint finite_only, real* result, int64_t* signs,
) except -1 nogil:
    """Whether the rows' numbers could be summed, if that was asked. signs: NULL, or what is filled
    in place of result, which then is a block's."""
    cdef Py_ssize_t start = 0, count, work = 0, i
    cdef Layer* last = layers + n_layers - 1
    cdef const real* block
    cdef bint asked = finite_only and source.indices == NULL
    # A number that is not finite leaves none that is, times whatever weight; an activation may.
    cdef bint told_by_result = n_layers == 1 and last.n_out == 1
    while start < source.n:
        count = min(block_rows, source.n - start)
        block = <const real*> source.values + start * source.d
        # Here they come from memory; the layers find them in cache.
        if asked and not told_by_result and not _summable(block, count * source.d):
            return False
        last.out = result + (start * last.n_out if signs == NULL else 0)
        forward_rows(source, layers, n_layers, NULL, start, count, source.n, block,
                     NULL, False)
        if asked and told_by_result and not _summable(<const real*> last.out, count):
            return False
        for i in range(count if signs != NULL else 0):
            signs[start + i] = (<const real*> last.out)[i] > 0
        start += count
        work += count * layers[0].n_in * layers[0].n_out
        if work > SIGNAL_WORK:
            work = 0
            with gil:
                PyErr_CheckSignals()
    return True
