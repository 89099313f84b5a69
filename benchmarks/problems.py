"""Random rows with labels that a linear model predicts in part."""

import numpy as np
from scipy import sparse


def dense(n, d, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=dtype)
    return X, (X[:, : d // 2].sum(axis=1) + rng.standard_normal(n, dtype=dtype) > 0).astype(int)


def classes(n, d, k, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d), dtype=np.float32)
    f = X @ rng.standard_normal((d, k), dtype=np.float32) * (3 / np.sqrt(d))
    return X, np.argmax(f + rng.gumbel(size=(n, k)), axis=1)


def csr(n, d, per_row, *, zipf=False, seed=0):
    """float32 rows with so many non-zeros, in columns drawn alike or by Zipf's law as words are."""
    rng = np.random.default_rng(seed)
    if zipf:
        columns = (d ** rng.random((n, per_row))).astype(np.int32) - 1  # density 1 / column
    else:
        columns = rng.integers(d, size=(n, per_row), dtype=np.int32)
    columns.sort(axis=1)
    values = np.abs(rng.standard_normal((n, per_row), dtype=np.float32)) / np.float32(
        np.sqrt(per_row)
    )
    starts = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    X = sparse.csr_matrix((values.ravel(), columns.ravel(), starts), shape=(n, d))
    X.sum_duplicates()
    f = X @ rng.standard_normal(d, dtype=np.float32)
    return X, (f + 0.5 * rng.standard_normal(n) > 0).astype(int)
