# Row-major matrix products through scipy's BLAS, for either precision.
from scipy.linalg.cython_blas cimport dgemm, sgemm

from skopt_est._core.types cimport real


cdef inline void gemm(
    char trans_a, char trans_b, int m, int n, int k, real* a, int lda, real* b, int ldb,
    real beta, real* c, int ldc,
) noexcept nogil:
    """C (m, n) <- op(A) op(B) + beta C; BLAS is column-major, so it is given C' = B' A'."""
    cdef real one = 1
    if real is float:
        sgemm(&trans_b, &trans_a, &n, &m, &k, &one, b, &ldb, a, &lda, &beta, c, &ldc)
    else:
        dgemm(&trans_b, &trans_a, &n, &m, &k, &one, b, &ldb, a, &lda, &beta, c, &ldc)
