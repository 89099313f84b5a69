# Part of engine.pyx: the shape of a model, and the work buffers of a fit.

cdef int _check_activation(code) except -1:
    if code not in ACTIVATION_CODES.values():
        raise ValueError(f"there is no activation with the code {code}")
    return 0


cdef class Network:
    """The shape of a model: numbers, no parameters.

    Parameters
    ----------
    units : inputs, units of each hidden layer, outputs
    activations : codes, one a hidden layer
    dropout : rates, one a hidden layer; input_dropout: that of the inputs
    fit_intercept : without hidden layers only; else there always are intercepts
    """
    cdef readonly tuple units, activations, dropout
    cdef readonly double input_dropout
    cdef readonly bint fit_intercept
    cdef readonly Py_ssize_t n_layers, n_outputs, n_weights, size

    def __cinit__(self, units, activations=(), dropout=None, double input_dropout=0.0,
                  bint fit_intercept=True):
        cdef Py_ssize_t n_hidden = len(units) - 2
        self.units = tuple(int(n) for n in units)
        self.activations = tuple(int(code) for code in activations)
        self.dropout = (0.0,) * n_hidden if dropout is None else tuple(map(float, dropout))
        self.input_dropout = input_dropout
        self.fit_intercept = fit_intercept
        if len(self.activations) != n_hidden or len(self.dropout) != n_hidden:
            raise ValueError(f"{n_hidden} hidden layers need as many activations and rates")
        if n_hidden and not fit_intercept:
            raise ValueError("hidden layers need intercepts")
        if min(self.units[1:]) < 1 or self.units[0] < 0:
            raise ValueError(f"layers must have units, got {self.units}")
        for code in self.activations:
            _check_activation(code)
        if not all(0 <= rate < 1 for rate in (*self.dropout, input_dropout)):
            raise ValueError("dropout rates must be in [0, 1)")
        self.n_layers = n_hidden + 1
        self.n_outputs = self.units[n_hidden + 1]
        self.n_weights = sum(a * b for a, b in zip(self.units, self.units[1:]))
        self.size = self.n_weights + sum(self.units[1:])

    @property
    def drops(self):
        """Whether training drops anything."""
        return bool(self.input_dropout or any(self.dropout))


def zeros(shape, dtype):
    """Like numpy.zeros, but from the start of a cache line on: loads and stores of vectors that
    span two take longer. Results do not depend on it."""
    cdef Py_ssize_t n = int(np.prod(shape)), itemsize = np.dtype(dtype).itemsize
    if itemsize < 1:
        raise ValueError(f"dtype must have a size, got {dtype}")
    space = np.zeros(n + 64 // itemsize, dtype)
    cdef Py_ssize_t skipped = (-(<size_t> _address(space)) % 64) // itemsize
    return space[skipped:skipped + n].reshape(shape)


def in_large_pages(Py_ssize_t n_bytes):
    """Room for so many bytes that are read here and there, many times: in pages of LARGE_PAGE
    where the system has them, but for a last one that would be less than half full. Then their
    addresses are soon translated, and they don't keep one another out of the second cache, as
    small pages may that lie anywhere. It takes the system 0.1 ms a page to clear them."""
    cdef Py_ssize_t large = (n_bytes + LARGE_PAGE // 2) // LARGE_PAGE * LARGE_PAGE, skipped
    if large == 0 or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(n_bytes, np.uint8)
    try:
        pages = mmap.mmap(-1, max(large, n_bytes) + LARGE_PAGE, mmap.MAP_PRIVATE)
        room = np.frombuffer(pages, np.uint8)
        skipped = (-<size_t> _address(room)) % LARGE_PAGE
        pages.madvise(mmap.MADV_HUGEPAGE, skipped, large)
    except OSError:     # no room for one more page, or a system that was built without
        return np.empty(n_bytes, np.uint8)
    return room[skipped:skipped + n_bytes]


cdef class Scratch:
    """Work buffers of a fit, allocated once, and the layers that lie in them.

    Parameters
    ----------
    data : Data, or other rows of the same width
    network : Network
    """
    cdef Network network
    cdef bint sparse, masking
    cdef bint in_place          # dense rows, one layer with one output: nothing is gathered
    cdef Columns columns        # if in_place
    cdef object dtype
    cdef object _arrays, _shift
    cdef Layer* layers
    cdef Py_ssize_t n_layers
    cdef Drop input_drop
    cdef void* block            # (block_rows, d): gathered rows
    cdef void* z                # (block_rows, k): raw predictions, then their gradient
    cdef void* y
    cdef void* weight
    cdef void* spare            # (block_rows, widest hidden layer), twice
    cdef void* other
    cdef Py_ssize_t block_rows, target_columns, k
    cdef double[::1] params, scales, sums
    cdef object totals          # sums, as an array
    # of the weights that an epoch left, in training's units; NaN: not known
    cdef readonly double penalty
    cdef object cells           # room for those of cells.pxi, from one call to the next
    cdef list cells_for         # whose they are, and what else they depend on
    cdef bint cells_left        # whether they are what the last call of run_epoch left
    cdef bint cells_stay        # whether they lie in large pages, if that is worth it

    def __cinit__(self, Data data, Network network):
        cdef Py_ssize_t k = network.n_outputs, level
        widths = network.units[1:]
        cdef Py_ssize_t row_bytes = max(data.d, 1) * data.dtype.itemsize
        cdef Py_ssize_t rows = BLOCK_BYTES // row_bytes
        if data.sparse:
            rows = BLOCK_ROWS
        self.in_place = not data.sparse and widths == (1,)
        if self.in_place:
            rows = ONE_OUTPUT_BYTES // row_bytes
        rows = max(rows, 16)
        if network.n_layers > 1:
            rows = max(LAYERS_ELEMENTS // (data.d + 2 * sum(widths)), BLOCK_ROWS)
        rows = min(rows, 4 * BLOCK_ROWS if network.n_layers > 1 else BLOCK_ROWS)
        if self.in_place:
            # Whole groups of rows, and whole vectors of losses: both are powers of two.
            whole = whole_vectors(GROUP, data.dtype.itemsize)
            rows = min(rows // whole * whole, max(data.n + whole - 1, whole) // whole * whole)
        else:
            rows = min(rows, max(data.n, 1))
        if network.units[0] != data.d:
            raise ValueError(f"the rows have {data.d} columns, the model {network.units[0]} inputs")
        data._check_outputs(k)
        widest = max(widths[:network.n_layers - 1], default=0)
        arrays = [
            zeros((rows, 1 if data.sparse else data.d), data.dtype),
            zeros((rows, data.target_columns), data.dtype),
            zeros(rows, data.dtype),
            zeros((rows, widest), data.dtype),
            zeros((rows, widest), data.dtype),
        ]
        self.block, self.y = _address(arrays[0]), _address(arrays[1])
        self.weight = _address(arrays[2])
        self.spare, self.other = _address(arrays[3]), _address(arrays[4])
        self.n_layers = network.n_layers
        shelf = np.zeros(self.n_layers * sizeof(Layer), np.uint8)
        self.layers = <Layer*> _address(shelf)
        arrays.append(shelf)
        for level in range(self.n_layers):
            self.layers[level].n_in, self.layers[level].n_out = network.units[level], widths[level]
            out = zeros((rows, widths[level]), data.dtype)
            arrays.append(out)
            self.layers[level].out = _address(out)
            if level == self.n_layers - 1:
                break
            self.layers[level].activation = network.activations[level]
            if slope_needed(self.layers[level].activation, network.dropout[level]):
                slope = zeros((rows, widths[level]), data.dtype)
                arrays.append(slope)
                self.layers[level].slope = _address(slope)
        if self.in_place:
            self.columns.width = whole_vectors(data.d, data.dtype.itemsize)
            columns = zeros((3 + GROUP, self.columns.width), data.dtype)
            arrays.append(columns)
            self.columns.shift, self.columns.scaled, self.columns.sum = (
                _address(columns[0]), _address(columns[1]), _address(columns[2]))
            self.columns.edge = _address(columns[3:])
            self._shift = columns[0, :data.d]
        self.z = self.layers[self.n_layers - 1].out
        self._arrays = arrays
        self.network, self.dtype, self.sparse = network, data.dtype, data.sparse
        self.target_columns = data.target_columns
        self.block_rows = rows
        self.k = k
        self.sums = self.totals = np.zeros(k)
        self.penalty = NAN

    cdef bint look_for_cells(
        self, model, Data data, Py_ssize_t n_bytes, bint plain, bint plain_adam, double rate,
        double tail, bint resumes,
    ) except -1:
        """Room for so many bytes in `cells`; whether they are there, as the call before left them
        whose numbers were the same. Adam's `tail` stays the same
        once all its steps are alike."""
        cdef list made_for = [model, data, n_bytes, plain, plain_adam, rate, tail]
        cdef bint there = resumes and made_for == self.cells_for
        self.cells_for = made_for
        if self.cells is None or self.cells.nbytes < n_bytes:
            self.cells, self.cells_stay = None, False
            self.cells = np.empty(n_bytes, np.uint8)
        elif resumes and not self.cells_stay:
            # not worth it in the first call, which may be the only one
            self.cells_stay = True
            if n_bytes >= LARGE_PAGE // 2:
                there, self.cells = False, None
                self.cells = in_large_pages(n_bytes)
        return there

    cdef Py_ssize_t rows_of(self, Py_ssize_t n) noexcept nogil:
        """How many rows a block of a batch of n has, at most: those of a network are about alike,
        as few rows are not worth what a product does for each block."""
        cdef Py_ssize_t blocks = (n + self.block_rows - 1) // self.block_rows
        if self.n_layers == 1 or blocks < 2:
            return self.block_rows
        return min(((n + blocks - 1) // blocks + 3) // 4 * 4, self.block_rows)

    cdef int begin(self, Data data, Network network, mask_key) except -1:
        """Before a pass over data: sums at zero, and the keys of its dropout masks (None: nothing
        is dropped)."""
        cdef Py_ssize_t level
        cdef uint64_t key = 0 if mask_key is None else mask_key
        if (network is not self.network or data.dtype != self.dtype or data.sparse != self.sparse
                or data.target_columns != self.target_columns or data.d != network.units[0]):
            raise ValueError("the work buffers were made for another network or kind of data")
        data._check_outputs(self.k)
        self.params, self.scales = data.params, data.scales
        self.sums[:] = 0
        self.penalty = NAN
        if self.in_place:
            self._shift[:] = 0 if data._shift is None else data._shift
        self.masking = mask_key is not None
        set_drop(&self.input_drop, 0.0 if mask_key is None else network.input_dropout, mix(key))
        for level in range(self.n_layers - 1):
            set_drop(&self.layers[level].drop, 0.0 if mask_key is None else network.dropout[level],
                     mix(key + <uint64_t> (level + 1)))
        return 0

    cdef void bind(self, const char* theta, char* grad, Py_ssize_t itemsize, bint intercept):
        """Let the layers' parameters, and their gradients, be those of the flat arrays."""
        cdef Py_ssize_t level, at = 0
        for level in range(self.n_layers):
            self.layers[level].W = theta + at * itemsize
            self.layers[level].gW = NULL if grad == NULL else grad + at * itemsize
            at += self.layers[level].n_in * self.layers[level].n_out
        for level in range(self.n_layers):
            self.layers[level].b = theta + at * itemsize if intercept else NULL
            self.layers[level].gb = NULL if grad == NULL else grad + at * itemsize
            at += self.layers[level].n_out
