# SplitMix64 (Steele, Lea & Flood 2014): one word of state, so that a fitted estimator
# can store the generator as a number and resume the same sequence.
from libc.stdint cimport int32_t, uint64_t


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t next_word(uint64_t* state) noexcept nogil:
    state[0] += <uint64_t> 0x9E3779B97F4A7C15
    return mix(state[0])


cdef inline void permute(int32_t* order, Py_ssize_t n, uint64_t* state) noexcept nogil:
    """Fisher-Yates; the bounded number is the high word of a product (Lemire 2019).

    Its bias is below n / 2**32, so no draw is rejected.
    """
    cdef Py_ssize_t i, j
    cdef int32_t swap
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t> (((next_word(state) >> 32) * <uint64_t> (i + 1)) >> 32)
        swap = order[i]
        order[i] = order[j]
        order[j] = swap


cdef inline void shuffle(
    const int32_t* rows, Py_ssize_t n, Py_ssize_t block, Py_ssize_t window, int32_t* blocks,
    int32_t* order, uint64_t* state,
) noexcept nogil:
    """Blocks of so many rows in random order, then the rows of each window in random order.
    blocks: room for their numbers."""
    cdef Py_ssize_t n_blocks = (n + block - 1) // block, b, i, at = 0
    for b in range(n_blocks):
        blocks[b] = <int32_t> b
    if block > 1:
        permute(blocks, n_blocks, state)
    for b in range(n_blocks):
        for i in range(blocks[b] * block, min((blocks[b] + <Py_ssize_t> 1) * block, n)):
            order[at] = rows[i]
            at += 1
    at = 0
    while at < n:
        permute(order + at, min(window, n - at), state)
        at += window
