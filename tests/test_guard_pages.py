"""Rows are read in whole vectors, also beyond their ends, but never beyond the end of X: arrays end
where the next page can't be read, in a process of their own, which an access would end."""

import ctypes
import mmap
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier


def before_a_wall(array):
    """A copy whose last byte is the last of a page that no other page follows."""
    size = -(-array.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
    room = mmap.mmap(-1, size + mmap.PAGESIZE)
    wall = ctypes.addressof(ctypes.c_char.from_buffer(room)) + size
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(mmap.PAGESIZE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = np.frombuffer(room, array.dtype, array.size, size - array.nbytes)
    copy = copy.reshape(array.shape)
    copy[...] = array
    return copy


def fit_all(n, d, dtype):
    rng = np.random.default_rng(n * d)
    X = before_a_wall(rng.standard_normal((n, d)).astype(dtype))
    y, weight = np.arange(n) % 2, before_a_wall(np.ones(n, dtype))
    for solver in ("gd", "sgd", "adagrad", "adam", "lbfgs"):
        for batch_size in (1, 3, n):
            params = {"solver": solver, "batch_size": batch_size, "max_iter": 2}
            for make in (LogisticRegression, LinearRegression):
                make(**params).fit(X, y, sample_weight=weight).predict(X)
    MLPClassifier((5,), batch_size=3, max_iter=2).fit(X, y).predict(X)


def fit_csr(lengths, dtype, **params):
    """Rows of so many entries, each in columns of its own, one by one and in batches."""
    starts = np.append(0, np.cumsum(lengths)).astype(np.int32)
    rng, n, entries = np.random.default_rng(0), len(lengths), int(starts[-1])
    X = sparse.csr_matrix(
        (
            before_a_wall(rng.standard_normal(entries).astype(dtype)),
            before_a_wall(np.arange(entries, dtype=np.int32)),
            starts,
        ),
        shape=(n, entries),
    )
    for solver in ("sgd", "adagrad", "adam"):
        for batch_size in (1, 2):
            model = LogisticRegression(solver=solver, batch_size=batch_size, max_iter=2, **params)
            model.fit(X, np.arange(n) % 2).predict(X)


def main():
    import warnings

    warnings.simplefilter("ignore")
    for dtype in (np.float32, np.float64):
        for entries in (*range(1, 20), 31, 32, 33):
            fit_csr([entries] * 7, dtype)
        for lengths in ((9, 33), (33, 9), (33, 16), (16, 8, 0), (33, 9, 0, 17, 1, 0, 3)):
            fit_csr(lengths, dtype, shuffle=False)
        for n, d in ((2, 1), (3, 5), (5, 16), (9, 20), (4, 100), (14, 33)):
            fit_all(n, d, dtype)
    print("done")


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect")
def test_no_row_is_read_beyond_the_end_of_its_array():
    done = subprocess.run([sys.executable, "-P", __file__], capture_output=True, text=True)
    assert done.stdout == "done\n", (done.returncode, done.stderr)


@pytest.mark.skipif(sys.platform == "win32", reason="no mprotect")
def test_the_wall_is_one():
    code = "import runpy; m = runpy.run_path({!r}); a = m['before_a_wall'](m['np'].ones(3)); "
    code += "m['ctypes'].string_at(a.ctypes.data, a.nbytes + 1)"
    code = code.format(__file__)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True)
    assert done.returncode != 0
    # nothing of Python's own; a sanitizer tells where
    assert b"Traceback" not in done.stderr


if __name__ == "__main__":
    main()
