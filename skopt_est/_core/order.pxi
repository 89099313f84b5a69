# Part of engine.pyx: random words, and the order in which rows are visited.

cdef uint64_t* _word(uint64_t[::1] state) except NULL:
    if state.shape[0] != 1:
        raise ValueError(f"state must be one word, got {state.shape[0]}")
    check_aligned(&state[0], sizeof(uint64_t))
    return &state[0]


def next_word(uint64_t[::1] state):
    """64 random bits; `state`, one word, goes on."""
    return next_random_word(_word(state))


def shuffled(const int32_t[::1] rows, uint64_t[::1] state):
    """A random order of `rows`; `state`, one word, goes on."""
    cdef uint64_t* word = _word(state)
    out = np.empty(rows.shape[0], np.int32)
    cdef int32_t* order = <int32_t*> _address(out)
    if rows.shape[0]:
        with nogil:
            memcpy(order, &rows[0], rows.shape[0] * sizeof(int32_t))
            permute(order, rows.shape[0], word)
    return out


def visit(
    rows, const int32_t[::1] blocks, Py_ssize_t block, Py_ssize_t window, Py_ssize_t start,
    int32_t[::1] order, uint64_t[::1] state, int32_t[::1] coming=None,
):
    """Fill `order` with some of `rows`, visited at random on two levels; `state`, one word, goes
    on.

    Parameters
    ----------
    rows : int32 array, or range(n)
    blocks : an order of the blocks of `block` neighbours
    window : so many rows, in the order of their blocks, are mixed
    start : the first place in that order, a multiple of window
    coming : filled, unless None, with the rows a window later in the order of the blocks, and at
        the end with those of `order`: what a place's step may ask memory for
    """
    cdef uint64_t* word = _word(state)
    cdef Py_ssize_t n = len(rows), count = order.shape[0], place = 0, b
    cdef const int32_t[::1] given
    cdef const int32_t* p_rows = NULL
    cdef const int32_t* listed
    cdef int32_t last, n_last = 0, outside = 0
    cdef Py_ssize_t n_coming = 0
    cdef int32_t* p_coming = NULL
    if block < 1 or window < 1:
        raise ValueError(f"block and window must be positive, got {block} and {window}")
    if start < 0 or start > n - count or start % window:
        raise ValueError(f"there are no {count} places from {start} on in windows of {window}")
    block, window = min(block, max(n, 1)), min(window, max(n, 1))
    if isinstance(rows, range):
        if range_start(rows, n) != 0:
            raise ValueError(f"a range of rows must begin at 0, got {rows}")
    elif np.may_share_memory(order, rows):
        raise ValueError("order must not lie over rows or blocks")
    elif coming is not None and np.may_share_memory(coming, rows):
        raise ValueError("coming must not lie over rows, blocks or order")
    else:
        given = rows
    if np.may_share_memory(order, blocks):
        raise ValueError("order must not lie over rows or blocks")
    if coming is not None:
        if coming.shape[0] != count:
            raise ValueError(f"coming must have {count} places like order, got {coming.shape[0]}")
        if np.may_share_memory(coming, blocks) or np.may_share_memory(coming, order):
            raise ValueError("coming must not lie over rows, blocks or order")
    if blocks.shape[0] != (n + block - 1) // block:
        raise ValueError(f"{blocks.shape[0]} blocks of {block} are not {n} rows")
    if count:
        check_aligned(&order[0], sizeof(int32_t))
        if not isinstance(rows, range):
            p_rows = &given[0]
            check_aligned(p_rows, sizeof(int32_t))
        check_aligned(&blocks[0], sizeof(int32_t))
        listed = &blocks[0]
        last = <int32_t> (blocks.shape[0] - 1)
        for b in range(blocks.shape[0]):    # without branches, so that it is done in vectors
            outside |= (listed[b] < 0) | (listed[b] > last)
            n_last += listed[b] == last
        while place < blocks.shape[0] - 1 and listed[place] != last:
            place += 1
        if outside or n_last != 1:
            raise ValueError("blocks must be an order of all blocks")
        if coming is not None:
            check_aligned(&coming[0], sizeof(int32_t))
            p_coming = &coming[0]
            n_coming = max(min(count, n - start - window), 0)
        with nogil:
            list_rows(p_rows, n, block, &blocks[0], place, start, count, &order[0])
            mix_windows(&order[0], count, window, word)
            if p_coming != NULL:
                list_rows(
                    p_rows, n, block, &blocks[0], place, start + window, n_coming, p_coming)
                memcpy(p_coming + n_coming, &order[0] + n_coming,
                       (count - n_coming) * sizeof(int32_t))
