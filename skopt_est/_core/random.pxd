# SplitMix64 (Steele, Lea & Flood 2014): one word of state, so that a fitted estimator
# can store the generator as a number and resume the same sequence.
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcpy

from skopt_est._core.memory cimport skopt_prefetch


cdef enum:
    BLOCKS_AHEAD = 16       # a block's rows are asked for so early: training took the cache


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


cdef inline void list_rows(
    const int32_t* rows, Py_ssize_t n, Py_ssize_t block, const int32_t* blocks,
    Py_ssize_t place_of_last, Py_ssize_t start, Py_ssize_t count, int32_t* order,
) noexcept nogil:
    """`count` rows (NULL: 0, 1, ...) from place `start` on, of the blocks as they are listed.

    The last block may lack some rows; place_of_last: where it is in the list.
    """
    cdef Py_ssize_t n_blocks = (n + block - 1) // block, lacking = n_blocks * block - n
    cdef Py_ssize_t before = place_of_last * block, at = 0, b, i, j, place, size
    if start >= before + block - lacking:
        start += lacking
    b, i = start // block, start % block
    while at < count:
        if rows != NULL and b + BLOCKS_AHEAD < n_blocks:
            skopt_prefetch(rows + blocks[b + BLOCKS_AHEAD] * block)
        place = blocks[b] * block + i
        size = min(block - i, min(n - place, count - at))
        if rows != NULL:
            memcpy(order + at, rows + place, size * sizeof(int32_t))
        else:
            for j in range(size):
                order[at + j] = <int32_t> (place + j)
        at += size
        b += 1
        i = 0


cdef inline void mix_windows(
    int32_t* order, Py_ssize_t count, Py_ssize_t window, uint64_t* state
) noexcept nogil:
    """The rows of each window in random order."""
    cdef Py_ssize_t at = 0
    while at < count:
        permute(order + at, min(window, count - at), state)
        at += window
