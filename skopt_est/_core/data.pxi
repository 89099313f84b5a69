# Part of engine.pyx: the given data of a fit.

cdef void* _address(object array, bint writable=False) except? NULL:
    """Where a C-contiguous array lies; it stays there as long as somebody keeps it. An error if
    it is to be written to and may not be."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    PyBuffer_Release(&view)
    return view.buf


cdef enum Kind:
    OTHER, FLOAT, DOUBLE, INT32, INT64


cdef struct Seen:           # an array
    void* place             # good as long as somebody keeps it
    # of its numbers; OTHER: also if it is not C-contiguous or aligned, has another order of bytes,
    # no or more than two dimensions
    Kind kind
    int ndim
    Py_ssize_t rows, columns


cdef char NATIVE = ord(">" if np.dtype(">f4").isnative else "<")


cdef Kind _kind(char letter, Py_ssize_t itemsize) noexcept:
    """Of this letter of a format or of dtype.char: C has two names for some whole numbers."""
    if letter == ord("f") or letter == ord("d"):
        return FLOAT if itemsize == 4 else DOUBLE if itemsize == 8 else OTHER
    if letter == ord("i") or letter == ord("l") or letter == ord("q"):
        return INT32 if itemsize == 4 else INT64 if itemsize == 8 else OTHER
    return OTHER


cdef int _look(Seen* seen, object array, bint writable=False) except -1:
    """What this is; OTHER if not writable, where that is asked. By one call, not a dozen
    attributes: after a pass over many rows the interpreter is no longer in cache, and each takes
    some us."""
    cdef Py_buffer view
    cdef const char* letter
    memset(seen, 0, sizeof(Seen))
    try:
        PyObject_GetBuffer(array, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS
                           | (PyBUF_WRITABLE if writable else PyBUF_SIMPLE))
    except (BufferError, TypeError, ValueError):
        return 0
    letter, seen.place, seen.ndim = view.format, view.buf, view.ndim
    if letter != NULL and letter[0] == NATIVE:      # numpy may say so
        letter += 1
    if letter != NULL and letter[0] and not letter[1] and 1 <= view.ndim <= 2 and (
            view.len == 0 or <size_t> view.buf % <size_t> view.itemsize == 0):
        seen.kind = _kind(letter[0], view.itemsize)
        seen.rows, seen.columns = view.shape[0], view.shape[1] if view.ndim == 2 else 1
    PyBuffer_Release(&view)
    return 0


cdef const void* _vector(
    object array, object dtype, Py_ssize_t n, str name, bint writable=False,
) except? NULL:
    """Address of a one-dimensional, contiguous array of float32, float64, int32 or int64; NULL
    stands for None."""
    cdef Seen seen
    if array is None:
        return NULL
    _look(&seen, array, writable)
    if seen.kind != _kind(ord(dtype.char), dtype.itemsize) or seen.ndim != 1 or seen.rows != n:
        raise ValueError(
            f"{name} must be a contiguous, aligned{' and writable' if writable else ''} {dtype} "
            f"array of shape ({n},), got {getattr(array, 'dtype', type(array))} "
            f"{np.shape(array)}")
    return seen.place


cdef int _set_rows(Rows* rows, object X, object indptr) except -1:
    """Let rows be those of X, an array or a CSR matrix with this indptr, of float32 or float64."""
    cdef const char* fault
    if X.dtype not in (np.float32, np.float64):
        raise ValueError(f"X must be float32 or float64, got {X.dtype}")
    rows.n, rows.d = X.shape
    rows.indices = NULL
    rows.indptr = NULL
    if isinstance(X, np.ndarray):
        if not (X.flags.c_contiguous and X.flags.aligned):
            raise ValueError("X must be C-contiguous and aligned")
        rows.values = _address(X)
        return 0
    rows.values = _vector(X.data, X.dtype, len(X.data), "X.data")
    rows.indices = <const int32_t*> _vector(
        X.indices, INT32_TYPE, len(X.data), "X.indices")
    rows.indptr = <const int64_t*> _vector(indptr, np.dtype(np.int64), rows.n + 1, "X.indptr")
    fault = csr_fault(rows.indptr, rows.indices, rows.n, rows.d, len(X.data))
    if fault != NULL:
        raise ValueError(fault.decode())
    return 0


cdef Py_ssize_t _fullest(const Rows* rows) noexcept nogil:
    """The most entries of a CSR row."""
    cdef Py_ssize_t i, most = 0
    for i in range(rows.n):
        most = max(most, rows.indptr[i + 1] - rows.indptr[i])
    return most


cdef class Data:
    """What is given: rows, targets, row weights, loss. Nothing in it is written to here.

    Parameters
    ----------
    X : ndarray (n, d), C order, or canonical csr_matrix with int32 indices; or the Data of it
    Y : ndarray (n, ky) of X's dtype; for the multinomial loss (n, 1), class indices. None:
        taken as a column of zeros, for one output; no steps can be made
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
    cdef readonly Py_ssize_t n, d, n_entries, target_columns
    cdef readonly bint is_float, sparse
    cdef Py_ssize_t fullest     # the most entries of a CSR row
    cdef int loss_code
    cdef object _params, _scales, _shift, _keep, _Y, _X, _indptr
    cdef double[::1] params, scales     # of each output
    cdef Py_ssize_t n_params            # 0: they are not made yet
    cdef readonly object dtype

    def __cinit__(
        self, X, Y, int loss_code, loss_param=0.0, row_weight=None, shift=None, inv_scale=None,
        output_scale=None,
    ):
        indptr = None
        if isinstance(X, Data):
            X, indptr = (<Data> X)._X, (<Data> X)._indptr
        dtype = X.dtype
        self.sparse = not isinstance(X, np.ndarray)
        if self.sparse and indptr is None:
            indptr = X.indptr.astype(np.int64, copy=False)
        self._X, self._indptr = X, indptr
        _set_rows(&self.rows, X, indptr)
        self.dtype = dtype
        self.is_float = dtype == np.float32
        self.n, self.d = self.rows.n, self.rows.d
        self.n_entries = self.n * self.d
        self._keep = (X, Y, row_weight, shift, inv_scale)
        if self.sparse:
            self.fullest = _fullest(&self.rows)
            self.n_entries = len(X.data)
            self._keep = (X.data, X.indices, indptr, Y, row_weight, shift, inv_scale)
            if shift is not None:
                raise ValueError("CSR rows take no shift")
        if Y is not None and (
                Y.ndim != 2 or Y.shape[0] != self.n or Y.dtype != dtype
                or not (Y.flags.c_contiguous and Y.flags.aligned)):
            raise ValueError(f"Y must be a C-contiguous {dtype} array with {self.n} rows")
        if loss_code not in LOSS_CODES.values():
            raise ValueError(f"there is no loss with the code {loss_code}")
        self.target_columns = 1 if Y is None else Y.shape[1]
        self.targets = NULL if Y is None else _address(Y)
        self._Y = Y
        self.weights = _vector(row_weight, dtype, self.n, "row_weight")
        if shift is not None and inv_scale is None:
            raise ValueError("shift needs inv_scale")
        self._shift = shift
        self.rows.shift = _vector(shift, dtype, self.d, "shift")
        self.rows.inv_scale = _vector(inv_scale, dtype, self.d, "inv_scale")
        self.loss_code = loss_code
        self._params = loss_param
        self._scales = 1.0 if output_scale is None else output_scale

    def n_features_of(self, const int32_t[::1] order):
        """The number of features that have an entry in these CSR rows."""
        cdef Py_ssize_t n = order.shape[0], i, found = 0
        cdef int64_t p
        cdef unsigned char[::1] seen = np.zeros(self.d + 1, np.uint8)
        if not self.sparse:
            raise ValueError("features are counted in CSR rows only")
        if n == 0:
            return 0
        check_aligned(&order[0], sizeof(int32_t))
        _check_order(&order[0], n, self.n)
        for i in range(n):
            for p in range(self.rows.indptr[order[i]], self.rows.indptr[order[i] + 1]):
                found += not seen[self.rows.indices[p]]
                seen[self.rows.indices[p]] = 1
        return found

    cdef int _check_classes(self, Py_ssize_t k) except -1:
        """The multinomial loss takes targets as places in a row of k numbers."""
        if self.loss_code == LOG_LOSS_MULTINOMIAL and self.n and self._Y is not None:
            if not (self._Y.min() >= 0 and self._Y.max() < k):    # not true of NaN
                raise ValueError(f"Y must hold class indices from 0 to {k - 1}")
        return 0

    cdef int _check_outputs(self, Py_ssize_t k) except -1:
        cdef Py_ssize_t expected = 1 if self.loss_code == LOG_LOSS_MULTINOMIAL else k
        if self.target_columns != expected:
            raise ValueError(f"Y has {self.target_columns} columns, the model {k} outputs")
        if self.n_params != k:
            self._check_classes(k)
            self.params = np.array(np.broadcast_to(np.asarray(self._params, np.float64), (k,)))
            self.scales = np.array(np.broadcast_to(np.asarray(self._scales, np.float64), (k,)))
            self.n_params = k
        return 0
