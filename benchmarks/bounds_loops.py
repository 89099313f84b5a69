"""The loops of bounds.c and bounds_exact.c, compiled for this processor, and a check of what they
compute."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse

from skopt_est._core import engine

SOURCE = Path(__file__).with_name("bounds.c")
EXACT = Path(__file__).with_name("bounds_exact.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
# With its usual start files a library that was made with -ffast-math has the whole process round
# small numbers to zero, ours and scikit-learn's too.
FLAGS += ("-nostartfiles",)
VECTOR = "-mprefer-vector-width={}"
if platform.machine() in ("x86_64", "AMD64"):
    FLAGS += (VECTOR.format(512),)
SHORT_ROW = 128  # bytes: sums across half a vector are made sooner
ROW_BYTES = 1 << 14  # of the one-row steps: in the first cache beside weights
RATE = 0.01
RIDGE = 0.1  # of checks: the penalty of a unit of one
RULES = "sgd", "adagrad"  # those with loops in bounds_exact.c
BETAS = 0.9, 0.999
# What reads a table is as fast as the fastest of these: bytes, for rows as they lie; for rows in
# an order, rows ahead and bytes of each that are asked for.
AHEAD = (0, 1024, 2048, 4096)
STEPS_AHEAD = (4, 12, 40)
BLOCK_BYTES = (1 << 13, 1 << 14, 1 << 15, 1 << 17)
ROWS_AHEAD = ((0, 0), (12, 512), (64, 512), (8, 1 << 20), (32, 1 << 20))


class Loops:
    """The loops for this type and number of columns."""

    def __init__(self, dtype, columns: int, *flags: str) -> None:
        self.dtype, self.columns = np.dtype(dtype), columns
        real = {4: "float", 8: "double"}[self.dtype.itemsize]
        defined = (f"-DREAL={real}", f"-DCOLUMNS={columns}")
        if VECTOR.format(512) in FLAGS and columns * self.dtype.itemsize <= SHORT_ROW:
            flags += (VECTOR.format(256),)
        self.compiled = compiled(SOURCE, *flags, *defined)
        self.with_penalty = compiled(EXACT, *defined) if self.dtype == np.float32 else None
        self.real = {4: ctypes.c_float, 8: ctypes.c_double}[self.dtype.itemsize]
        self.compiled.read_through.restype = self.compiled.touch_rows.restype = self.real
        for name in ("sgd_rows", "there_and_back"):
            getattr(self.compiled, name).restype = None
        self.has_exact = hasattr(self.with_penalty, "sgd_exact")
        for rule in RULES if self.has_exact else ():
            getattr(self.with_penalty, f"{rule}_epoch").restype = ctypes.c_double
        self.compiled.whole_gradient.restype = ctypes.c_double

    def __call__(self, name: str, *arguments):
        """Arrays by their address, whole numbers as long, others as REAL."""
        kinds = {int: ctypes.c_long, float: self.real, type(None): ctypes.c_void_p}
        kinds[np.ndarray] = lambda array: ctypes.c_void_p(array.ctypes.data)
        exact = name.endswith(("_exact", "_epoch"))
        library = self.with_penalty if exact else self.compiled
        return getattr(library, name)(*(kinds[type(a)](a) for a in arguments))

    def aligned(self, *shape: int) -> np.ndarray:
        """Ones, from the start of a cache line on."""
        size = int(np.prod(shape)) * self.dtype.itemsize
        room = np.empty(size + 64, np.uint8)
        start = -room.ctypes.data % 64
        array = room[start : start + size].view(self.dtype).reshape(shape)
        array[:] = 1
        return array

    def reading(self, X, order=None) -> list:
        """Calls that read X once, as it lies or a row after the other in this order."""
        if order is None:
            return [partial(self, "read_through", X, len(X), ahead) for ahead in AHEAD]
        return [partial(self, "touch_rows", X, order, len(order), *way) for way in ROWS_AHEAD]

    def steps(self, rule: str, count: int):
        """The call of so many one-row steps, and what it works on: rows, labels, weights."""
        lanes = 64 // self.dtype.itemsize
        width = -(-self.columns // lanes) * lanes
        n = 1 << max(1, (ROW_BYTES // (width * self.dtype.itemsize)).bit_length() - 1)
        X, y, w, G = (self.aligned(*shape) for shape in ((n, width), (n,), (width,), (width,)))
        X[:, self.columns :] = w[:] = 0
        X[:, : self.columns] = np.random.default_rng(0).standard_normal((n, self.columns))
        X /= np.sqrt(self.columns)  # of many columns, too, the sums are no sigmoid's end
        y[:] = X[:, : self.columns // 2].sum(axis=1) > 0
        state = (w, G) if rule == "adagrad" else (w,)
        return lambda: self(f"{rule}_steps", X, y, n, count, RATE, *state), X, y, w

    def sgd_rows(self, X, y, order, coming, w) -> list:
        """Calls of an epoch of sgd over rows in this order, with ways to ask for them."""
        return [
            partial(self, "sgd_rows", X, y, order, early, len(order), ahead, RATE, w)
            for ahead in STEPS_AHEAD
            for early in (None, coming)
        ]

    def there_and_back(self, X, w, gradient, *of_loss) -> list:
        """Calls that make X'(X w), in blocks of several sizes, the next asked for or not; with
        labels and means the gradient of the log loss on rows less these."""
        row, name = X[0].nbytes, "whole_gradient" if of_loss else "there_and_back"
        return [
            partial(self, name, X, len(X), max(size // row, 4) // 4 * 4, ask, w, gradient, *of_loss)
            for size in BLOCK_BYTES
            for ask in (0, 1)
        ]

    def sparse(self, rule: str, X, y, order):
        """The call of an epoch over CSR rows, and its cells: weights, and what the solver has."""
        cells = self.aligned(X.shape[1], {"sgd": 1, "adagrad": 2, "adam": 4}[rule])
        cells[:, 0] = 0
        if rule == "adam":
            cells[:, 1] = 0
        return self._epoch(f"{rule}_sparse", X, y, order, cells), cells

    def cells(self, rule: str, X, y, order):
        """The same with the numbers that our tables have, units of one."""
        cells = self.aligned(X.shape[1], 8 if rule == "adam" else 4)
        cells[:, (0, 3)] = 0
        if rule == "adam":
            cells[:, 4] = 0
        return self._epoch(f"{rule}_cells", X, y, order, cells), cells

    def exact(self, rule: str, X, y, order, units, ridge: float):
        """The same with a penalty, units, and nothing that it can do without: the steps alone on
        cells, and these; the epoch, which draws its order and leaves weights in an array, and
        weights, intercept and order. Cells are in large pages, as ours. Only if `has_exact`."""
        assert np.diff(X.indptr).max() <= 4096
        d = X.shape[1]
        cells, table = (
            engine.in_large_pages(4 * self.dtype.itemsize * (d + 8))
            .view(self.dtype)
            .reshape(d + 8, 4)
            for _ in range(2)
        )
        cells[:], cells[:d, 2], cells[:, 3] = 0, units, 1
        if rule == "sgd":
            cells[:, 3] = np.log2(1 + RATE * ridge * cells[:, 2].astype(float) ** 2)
        table[:] = cells
        w, _, intercept = arrays = [self.aligned(size) for size in (d + 8, d + 8, 2)]
        intercept[:] = 0, 1
        rows, word = (X.data, X.indices, X.indptr, y), np.zeros(1, np.uint64)
        drawn, settings = order.copy(), (len(order), RATE, ridge)
        steps = partial(self, f"{rule}_exact", *rows, order, *settings, cells)
        epoch = partial(self, f"{rule}_epoch", *rows, drawn, *settings, table, *arrays, word)
        return (steps, cells[:d]), (epoch, (w[:d], intercept, drawn))

    def _epoch(self, name: str, X, y, order, cells):
        return partial(self, name, X.data, X.indices, X.indptr, y, order, len(order), RATE, cells)

    def check(self) -> None:
        """That the loops do what they are timed for."""
        rng = np.random.default_rng(0)
        n = 600 if self.columns < 2000 else 50
        X = rng.integers(9, size=(n, self.columns)).astype(self.dtype)
        order = rng.permutation(n).astype(np.int32)
        # a number of each line
        touched = X[:, :: 64 // self.dtype.itemsize].sum(axis=1) + X[:, -1]
        results = [(call(), X.sum()) for call in self.reading(X)]
        results += [(call(), touched[order[:30]].sum()) for call in self.reading(X, order[:30])]
        w, gradient = (self.aligned(self.columns) for _ in range(2))
        w[:] = rng.standard_normal(self.columns)
        results += [
            (call() or gradient.copy(), X.T @ (X @ w))
            for call in self.there_and_back(X, w, gradient)
        ]
        labels = rng.integers(2, size=n).astype(self.dtype)
        small = X / X.sum(axis=1).max()
        means = small.mean(axis=0)
        z = (small - means).astype(float) @ w
        losses = np.logaddexp(0, z) - labels * z
        slopes = (small - means).T @ (1 / (1 + np.exp(-z)) - labels)
        for call in self.there_and_back(small, w, gradient, labels, means):
            results += [(call(), losses.sum()), (gradient.copy(), slopes)]
        for call in self.sgd_rows(small, labels, order, order, w):
            w[:] = 0
            results.append((call() or w.copy(), textbook("sgd", small, labels, order)))
        some = rng.random(X.shape) < min(0.3, 30 / self.columns)
        rows = sparse.csr_matrix(X * some / 9, dtype=self.dtype)
        for rule in ("sgd", "adagrad"):
            call, X, y, w = self.steps(rule, 50)
            call()
            results.append((w, textbook(rule, X, y, np.arange(50) % len(X))))
        for rule in ("sgd", "adagrad", "adam"):
            for loop in (self.sparse, self.cells):
                call, cells = loop(rule, rows, labels, order)
                call()
                if rule == "adam" and loop == self.cells:
                    catch_up(cells)
                dense, waits = rows.toarray(), loop == self.sparse
                results.append((cells[:, 0], textbook(rule, dense, labels, order, waits=waits)))
            if rule in RULES and self.has_exact:
                results += self._of_exact(rule, rows, labels, order)
        tolerance = 1e3 * np.finfo(self.dtype).eps
        for found, expected in results:
            size = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, tolerance, tolerance * size)

    def _of_exact(self, rule: str, rows, labels, order) -> list:
        """What the exact loops compute, and what they should."""
        units = np.random.default_rng(1).uniform(0.5, 2, self.columns).astype(self.dtype)
        steps, epoch = self.exact(rule, rows, labels, order, units, RIDGE)
        steps[0]()
        X, ridge = rows.toarray() * units, RIDGE * units**2
        results = [(weights(rule, steps[1]), textbook(rule, X, labels, order, ridge=ridge))]
        losses: list[float] = []
        X, ridge = np.c_[X, np.ones(len(X))], np.append(ridge, 0)
        total, (w, intercept, drawn) = epoch[0](), epoch[1]
        assert (drawn != order).any() and (np.sort(drawn) == np.sort(order)).all()
        expected = textbook(rule, X, labels, drawn, ridge=ridge, losses=losses)
        value = sum(losses) + 0.5 * (ridge * expected**2).sum()
        return [*results, (np.append(w, intercept[0]), expected), (total, value)]


def compiled(source: Path, *flags: str) -> ctypes.CDLL:
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        sys.exit("bounds: no C compiler: neither $CC nor cc is a program")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "bounds.so"
        command = (compiler, *FLAGS, *flags, source, "-o", library, "-lm")
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"bounds: {compiler} can't compile {source}:\n{done.stderr}")
        return ctypes.CDLL(str(library))


def weights(rule: str, cells) -> np.ndarray:
    """Those of the cells of an exact loop after its epoch."""
    w, last, units, fourth = cells.astype(float).T
    size = fourth if rule == "adagrad" else 1
    return w / (1 + RATE * RIDGE * units**2 * size) ** -last


def catch_up(cells) -> None:
    """The weights of adam's cells after the steps that they missed up to the epoch's end."""
    for cell in cells:
        m, v = cell[4:6].astype(float)
        for _ in range(int(-cell[3])):
            m, v = BETAS[0] * m, BETAS[1] * v
            cell[0] -= RATE * m / np.sqrt(v)


def textbook(
    rule: str, X, y, order, *, waits: bool = False, ridge=0, losses: list[float] | None = None
) -> np.ndarray:
    """The weights after a step for each of these rows; adagrad's G and adam's v start at one; if
    adam waits, features stand still that a row lacks. ridge: what sgd and adagrad shrink by.
    losses: where the rows' losses go."""
    w, m, v = np.zeros(X.shape[1]), np.zeros(X.shape[1]), np.ones(X.shape[1])
    for i in order:
        z = X[i].astype(float) @ w
        if losses is not None:
            losses.append(np.logaddexp(0, z) - y[i] * z)
        g = (1 / (1 + np.exp(-z)) - y[i]) * X[i]
        if rule == "adam":
            here = (X[i] != 0) | (not waits)
            m[here] = (BETAS[0] * m + (1 - BETAS[0]) * g)[here]
            v[here] = (BETAS[1] * v + (1 - BETAS[1]) * g * g)[here]
            w[here] -= RATE * (m / np.sqrt(v))[here]
        elif rule == "adagrad":
            v += g * g
            w -= RATE * g / np.sqrt(v)
            w /= 1 + RATE * ridge / np.sqrt(v)
        else:
            w -= RATE * g
            w /= 1 + RATE * ridge
    return w
