# Part of engine.pyx: the given data of a fit.

cdef void* _address(object array) except? NULL:
    """Where a C-contiguous array lies; it stays there as long as somebody keeps it."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf


cdef const void* _vector(object array, object dtype, Py_ssize_t n, str name) except? NULL:
    """Address of a one-dimensional, contiguous array; NULL stands for None."""
    if array is None:
        return NULL
    if array.dtype != dtype or array.shape != (n,) or not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be a contiguous {dtype} array of shape ({n},), got {array.dtype} "
            f"{array.shape}")
    return _address(array)


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
    cdef Py_ssize_t fullest     # the most entries of a CSR row
    cdef int loss_code
    cdef object _params, _scales, _shift, _keep
    cdef double[::1] params, scales     # of each output
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
            self.fullest = int(np.diff(indptr).max()) if self.n else 0
            self._keep = (X.data, X.indices, indptr, Y, row_weight, shift, inv_scale)
            if shift is not None:
                raise ValueError("CSR rows take no shift")
        else:
            if not X.flags.c_contiguous:
                raise ValueError("X must be C-contiguous")
            self.rows.values = _address(X)
            self.rows.indices = NULL
            self._keep = (X, Y, row_weight, shift, inv_scale)
        if Y.ndim != 2 or Y.shape[0] != self.n or not Y.flags.c_contiguous or Y.dtype != dtype:
            raise ValueError(f"Y must be a C-contiguous {dtype} array with {self.n} rows")
        self.target_columns = Y.shape[1]
        self.targets = _address(Y)
        self.weights = _vector(row_weight, dtype, self.n, "row_weight")
        if shift is not None and inv_scale is None:
            raise ValueError("shift needs inv_scale")
        self._shift = shift
        self.rows.shift = _vector(shift, dtype, self.d, "shift")
        self.rows.inv_scale = _vector(inv_scale, dtype, self.d, "inv_scale")
        self.loss_code = loss_code
        self._params = loss_param
        self._scales = 1.0 if output_scale is None else output_scale

    cdef int _check_outputs(self, Py_ssize_t k) except -1:
        cdef Py_ssize_t expected = 1 if self.loss_code == LOG_LOSS_MULTINOMIAL else k
        if self.target_columns != expected:
            raise ValueError(f"Y has {self.target_columns} columns, the model {k} outputs")
        if self.params is None or self.params.shape[0] != k:
            self.params = np.array(np.broadcast_to(np.asarray(self._params, np.float64), (k,)))
            self.scales = np.array(np.broadcast_to(np.asarray(self._scales, np.float64), (k,)))
        return 0
