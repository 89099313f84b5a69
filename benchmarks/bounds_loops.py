"""The loops of bounds.c, compiled for this processor, and a check of what they compute."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import sparse

SOURCE = Path(__file__).with_name("bounds.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
# With its usual start files a library that was made with -ffast-math has the whole process round
# small numbers to zero, ours and scikit-learn's too.
FLAGS += ("-nostartfiles",)
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS += ("-mprefer-vector-width=512",)
ROW_BYTES = 1 << 14  # of the one-row steps: in the first cache beside weights
RATE = 0.01


class Loops:
    """The loops for this type and number of columns."""

    def __init__(self, dtype, columns: int, *flags: str) -> None:
        self.dtype, self.columns = np.dtype(dtype), columns
        real = {4: "float", 8: "double"}[self.dtype.itemsize]
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None:
            sys.exit("bounds: no C compiler: neither $CC nor cc is a program")
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "bounds.so"
            defined = (f"-DREAL={real}", f"-DCOLUMNS={columns}")
            command = (compiler, *FLAGS, *flags, *defined, SOURCE, "-o", library, "-lm")
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(f"bounds: {compiler} can't compile {SOURCE}:\n{done.stderr}")
            self.compiled = ctypes.CDLL(str(library))
        self.real = {4: ctypes.c_float, 8: ctypes.c_double}[self.dtype.itemsize]
        self.compiled.read_rows.restype = self.real

    def __call__(self, name: str, *arguments):
        """Arrays by their address, whole numbers as long, others as REAL."""
        kinds = {int: ctypes.c_long, float: self.real, type(None): ctypes.c_void_p}
        kinds[np.ndarray] = lambda array: ctypes.c_void_p(array.ctypes.data)
        return getattr(self.compiled, name)(*(kinds[type(a)](a) for a in arguments))

    def aligned(self, *shape: int) -> np.ndarray:
        """Ones, from the start of a cache line on."""
        size = int(np.prod(shape)) * self.dtype.itemsize
        room = np.empty(size + 64, np.uint8)
        start = -room.ctypes.data % 64
        array = room[start : start + size].view(self.dtype).reshape(shape)
        array[:] = 1
        return array

    def steps(self, rule: str, count: int):
        """The call of so many one-row steps, and what it works on: rows, labels, weights."""
        lanes = 64 // self.dtype.itemsize
        width = -(-self.columns // lanes) * lanes
        n = 1 << max(1, (ROW_BYTES // (width * self.dtype.itemsize)).bit_length() - 1)
        X, y, w, G = (self.aligned(*shape) for shape in ((n, width), (n,), (width,), (width,)))
        X[:, self.columns :] = w[:] = 0
        X[:, : self.columns] = np.random.default_rng(0).standard_normal((n, self.columns))
        y[:] = X[:, : self.columns // 2].sum(axis=1) > 0
        state = (w, G) if rule == "adagrad" else (w,)
        return lambda: self(f"{rule}_steps", X, y, n, count, RATE, *state), X, y, w

    def sparse(self, rule: str, X, y, order):
        """The call of an epoch over CSR rows, and its cells: weights, and G beside them."""
        cells = np.zeros((X.shape[1], 2 if rule == "adagrad" else 1), self.dtype)
        cells[:, 1:] = 1
        entries = (X.data, X.indices, X.indptr)
        return lambda: self(f"{rule}_sparse", *entries, y, order, len(order), RATE, cells), cells

    def cells(self, rule: str, X, y, order):
        """The same with four numbers a feature, whose unit is one."""
        cells = self.aligned(X.shape[1], 4)
        cells[:, 0] = 0
        entries = (X.data, X.indices, X.indptr)
        return lambda: self(f"{rule}_cells", *entries, y, order, len(order), RATE, cells), cells

    def check(self) -> None:
        """That the loops do what they are timed for."""
        rng = np.random.default_rng(0)
        X = rng.integers(9, size=(50, self.columns)).astype(self.dtype)
        order = rng.permutation(50).astype(np.int32)
        rest = self.columns % (64 // self.dtype.itemsize)
        twice = self.columns - 64 // self.dtype.itemsize  # the last vector reads some again
        read = X.sum(axis=1) + X[:, twice : self.columns - rest].sum(axis=1) * (rest > 0)
        results = [
            (self("read_rows", X, None, 30), read[:30].sum()),
            (self("read_rows", X, order, 30), read[order[:30]].sum()),
        ]
        rows = sparse.csr_matrix(X * (rng.random(X.shape) < 0.3) / 9, dtype=self.dtype)
        labels = rng.integers(2, size=50).astype(self.dtype)
        for rule in ("sgd", "adagrad"):
            call, X, y, w = self.steps(rule, 50)
            call()
            results.append((w, textbook(rule, X, y, np.arange(50) % len(X))))
            for loop in (self.sparse, self.cells):
                call, cells = loop(rule, rows, labels, order)
                call()
                results.append((cells[:, 0], textbook(rule, rows.toarray(), labels, order)))
        tolerance = 1e3 * np.finfo(self.dtype).eps
        for found, expected in results:
            size = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, tolerance, tolerance * size)


def textbook(rule: str, X, y, order) -> np.ndarray:
    """The weights after a step for each of these rows; adagrad's G starts at one."""
    w, G = np.zeros(X.shape[1]), np.ones(X.shape[1])
    for i in order:
        g = (1 / (1 + np.exp(-X[i].astype(float) @ w)) - y[i]) * X[i]
        G += g * g
        w -= RATE * g / (np.sqrt(G) if rule == "adagrad" else 1)
    return w
