"""One fit in a process of its own: seconds of its epochs, and what it takes beside X.

Run by `benchmarks.growth` with one argument: the fit as JSON. The answer is JSON too.
"""

import ctypes
import gc
import json
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.linalg.blas import sgemm

from skopt_est import LogisticRegression, MLPClassifier

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def memory(field: str) -> int:
    """Bytes of this process: "VmRSS", or "VmHWM", the most since the mark was set."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def load(directory: Path):
    """X, a mapped file or CSR, and y."""
    y = np.load(directory / "y.npy")
    if (directory / "X.npy").exists():
        return np.load(directory / "X.npy", mmap_mode="r"), y
    parts = (np.load(directory / f"{part}.npy") for part in ("data", "indices", "indptr"))
    return sparse.csr_matrix(tuple(parts), shape=np.load(directory / "shape.npy")), y


def make(params, epochs):
    """The estimator: a network if there are hidden layers. The rate does not matter here."""
    fixed = dict(max_iter=epochs, tol=0.0, n_iter_no_change=np.inf, random_state=0)
    kind = MLPClassifier if "hidden_layer_sizes" in params else LogisticRegression
    return kind(**fixed, learning_rate="constant", **params)


def main() -> None:
    case = json.loads(sys.argv[1])
    X, y = load(Path(case["data"]))
    large = np.ones((512, 384), np.float32, order="F")
    sgemm(1.0, large, large.T)
    del large
    if not sparse.issparse(X):  # pages of the file count as X, so have them all
        for begin in range(0, len(X), 100_000):
            np.asarray(X[begin : begin + 100_000]).max()
    warnings.simplefilter("ignore", UserWarning)  # few epochs; many classes for few rows
    make(case["params"] | case["warm"], 2).fit(X[:1000], y[:1000])  # what only the first fit costs
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free in the process would hide what is taken
    CLEAR.write_text("5")  # the mark starts from here
    before = memory("VmRSS")
    start = time.perf_counter()
    model = make(case["params"], case["epochs"]).fit(X, y)
    seconds = time.perf_counter() - start
    epochs = [entry["seconds"] for entry in model.history_]
    answer = {
        "epoch s": statistics.median(epochs[1:]),
        "before and after s": seconds - sum(epochs),
        "epochs": len(epochs),
        "memory MB": max(memory("VmHWM") - before, 0) / 1e6,
    }
    print(json.dumps(answer))


main()
