# Compiled loops trust what they are given: it is looked at once, where it comes in.
from libc.stdint cimport int32_t, int64_t


cdef inline int check_aligned(const void* address, size_t itemsize) except -1:
    """For memoryviews, which may begin at any byte."""
    if <size_t> address % itemsize:
        raise ValueError("arrays must be aligned: numpy.require(array, requirements='A')")
    return 0


cdef inline Py_ssize_t range_start(object rows, Py_ssize_t n) except -1:
    """Of a range of some of n rows, one after the other."""
    if rows.step != 1 or rows.start < 0 or rows.stop > n:
        raise ValueError(f"{rows} is not a range of step one within {n} rows")
    return rows.start


cdef inline const char* csr_fault(
    const int64_t* indptr, const int32_t* indices, Py_ssize_t n, Py_ssize_t d, Py_ssize_t n_entries,
) noexcept nogil:
    """What is wrong with a matrix of so many entries, or NULL."""
    cdef Py_ssize_t i
    cdef bint outside = False
    if n < 0 or d < 0:      # then indptr may be empty
        return "X.shape is negative"
    if indptr[0] != 0 or indptr[n] > n_entries:
        return "X.indptr does not begin with 0, or ends beyond the entries"
    for i in range(n):
        if indptr[i] > indptr[i + 1]:
            return "X.indptr falls"
    for i in range(indptr[n]):
        outside |= indices[i] < 0 or indices[i] >= d
    if outside:
        return "X.indices has the number of a column that is not there"
    return NULL
