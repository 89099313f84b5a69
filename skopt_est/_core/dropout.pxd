# Dropout masks (Srivastava et al. 2014), scaled in training so that prediction needs nothing.
#
# The mask of an element is a function of a key and the element's number in the epoch: it need
# not be stored, does not depend on how a batch is cut into blocks, and is the same for dense and
# sparse rows.
from libc.stdint cimport uint64_t

from skopt_est._core.random cimport mix
from skopt_est._core.types cimport real


cdef struct Drop:
    uint64_t key
    uint64_t kept           # the share kept, of 2**32; 0: dropout is off
    double scale            # what is kept is multiplied by


cdef inline void set_drop(Drop* drop, double rate, uint64_t key) noexcept nogil:
    drop.key = key
    drop.kept = 0 if rate == 0 else max(1, <uint64_t> ((1 - rate) * 4294967296.0))
    drop.scale = 1 / (1 - rate)


cdef inline real mask(const Drop* drop, uint64_t number, real scale) noexcept nogil:
    """0 or `scale`, for the element of this number."""
    cdef uint64_t word = mix(drop.key + number * <uint64_t> 0x9E3779B97F4A7C15)
    return scale if (word >> 32) < drop.kept else 0


cdef inline void drop_from(
    const Drop* drop, uint64_t first, real* out, real* slope, Py_ssize_t n
) noexcept nogil:
    """Mask n outputs, numbered from `first`, and their derivatives unless slope is NULL."""
    cdef Py_ssize_t j
    cdef real m, scale = <real> drop.scale
    if slope == NULL:
        for j in range(n):
            out[j] *= mask(drop, first + <uint64_t> j, scale)
        return
    for j in range(n):
        m = mask(drop, first + <uint64_t> j, scale)
        out[j] *= m
        slope[j] *= m
