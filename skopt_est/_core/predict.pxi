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
    coefs, intercepts : lists of C-ordered arrays of X's dtype, one a layer; no intercepts: None
    activations : codes, one a hidden layer
    finite_only : return None if the numbers of some block of X don't have a finite sum, or, of a
        single layer with one output, the predictions
    result : C-ordered array (n, outputs), to be filled and returned, or None. Of X's dtype; of a
        single output it may be of int64, and then is 1 where the prediction is above 0, else 0
    """
    cdef bint summable, signs
    cdef Py_ssize_t most_weights = 0
    cdef Py_ssize_t n_layers = len(coefs), level, widest = 1, rows, n, d, itemsize, spare
    cdef Rows source
    cdef Layer* layers
    cdef char* place
    cdef Kind kind
    cdef Seen x, W, b, filled
    # lists are read without bounds checks
    if len(intercepts) != n_layers or len(activations) != n_layers - 1:
        raise ValueError(
            f"{n_layers} arrays of weights need as many of intercepts, got {len(intercepts)}, and "
            f"{n_layers - 1} activations, got {len(activations)}")
    source.shift = source.inv_scale = NULL
    _look(&x, X)
    if x.ndim == 2 and x.kind in (FLOAT, DOUBLE):
        source.n, source.d, source.values = x.rows, x.columns, x.place
        source.indices = NULL
        source.indptr = NULL
        kind = x.kind
    else:
        indptr = None if isinstance(X, np.ndarray) else X.indptr.astype(np.int64, copy=False)
        _set_rows(&source, X, indptr)
        kind = _kind(ord(X.dtype.char), X.dtype.itemsize)
    itemsize = sizeof(float) if kind == FLOAT else sizeof(double)
    n, d = source.n, source.d
    shelf = PyByteArray_FromStringAndSize(NULL, n_layers * <Py_ssize_t> sizeof(Layer))
    layers = <Layer*> PyByteArray_AS_STRING(shelf)
    memset(layers, 0, n_layers * sizeof(Layer))
    for level in range(n_layers):
        _look(&W, coefs[level])
        if W.kind != kind or W.ndim != 2 or W.rows != d or W.columns < 1:
            raise ValueError(
                f"layer {level} must have a C-ordered, aligned {X.dtype} array of {d} rows, not "
                "empty")
        d = W.columns
        layers[level].n_in, layers[level].n_out, layers[level].W = W.rows, d, W.place
        if intercepts[level] is not None:
            _look(&b, intercepts[level])
            if b.kind != kind or b.ndim != 1 or b.rows != d:
                raise ValueError(f"the intercepts of layer {level} must be a contiguous, aligned "
                                 f"{X.dtype} array of shape ({d},)")
            layers[level].b = b.place
        most_weights = max(most_weights, layers[level].n_in * layers[level].n_out)
        if level < n_layers - 1:
            _check_activation(activations[level])
            layers[level].activation = activations[level]
            widest = max(widest, layers[level].n_out)
    if result is None:
        result = np.empty((n, d), X.dtype)
    _look(&filled, result, True)
    signs = d == 1 and filled.kind == INT64
    if filled.ndim != 2 or filled.rows != n or filled.columns != d or not (
            signs or filled.kind == kind):
        raise ValueError(f"result must be C-ordered, aligned and writable, of shape {(n, d)} and "
                         f"{X.dtype}, got {result.dtype} {result.shape}")
    rows = PREDICT_FEW if most_weights <= FEW_WEIGHTS else PREDICT_ELEMENTS
    rows = min(max(rows // (2 * widest), 16), BLOCK_ROWS)
    if 2 * rows >= WHOLE_TILES:
        rows = (rows + WHOLE_TILES // 2) // WHOLE_TILES * WHOLE_TILES
    rows = min(rows, max(n, 1))
    # of two layers that follow each other, and what becomes signs
    spare = (2 * rows * widest if n_layers > 1 else 0) + (rows if signs else 0)
    spares = PyByteArray_FromStringAndSize(NULL, spare * itemsize)
    place = PyByteArray_AS_STRING(spares)
    for level in range(n_layers - 1):
        layers[level].out = place + (level % 2) * rows * widest * itemsize
    layers[n_layers - 1].out = place + (spare - rows) * itemsize if signs else filled.place
    with nogil:
        if kind == FLOAT:
            summable = _predict[float](
                &source, layers, n_layers, rows, finite_only,
                <int64_t*> filled.place if signs else NULL, 0)
        else:
            summable = _predict[double](
                &source, layers, n_layers, rows, finite_only,
                <int64_t*> filled.place if signs else NULL, 0)
    return result if summable else None


cdef bint _summable(const real* x, Py_ssize_t n) noexcept nogil:
    cdef real total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += x[i]
    return isfinite(total)


cdef bint _predict(
    const Rows* source, Layer* layers, Py_ssize_t n_layers, Py_ssize_t block_rows,
    bint finite_only, int64_t* signs, real like,
) except -1 nogil:
    """Whether the rows' numbers could be summed, if that was asked. The last layer's out: what is
    filled; a block's if signs is not NULL, and then signs is filled."""
    cdef Py_ssize_t start = 0, count, work = 0, i
    cdef Layer* last = layers + n_layers - 1
    cdef real* result = <real*> last.out
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
