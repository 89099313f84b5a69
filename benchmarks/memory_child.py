"""One fresh process of `memory`: prints the bytes that a fit needed beyond X and y, and seconds."""

import gc
import json
import sys
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn import linear_model, neural_network

import skopt_est

EPOCHS = 2
NETWORK = {"max_iter": EPOCHS, "batch_size": 200, "random_state": 0}


def make(name, feature):
    own = {"class_weight": {"class_weight": "balanced"}, "early_stopping": {"early_stopping": True}}
    parameters = own.get(feature, {})
    if name == "mlp":
        return skopt_est.MLPClassifier((100,), **NETWORK)
    if name == "MLPClassifier":
        return neural_network.MLPClassifier((100,), **NETWORK)
    if name == "LogisticRegression":
        return linear_model.LogisticRegression(max_iter=5)
    if name == "SGDClassifier":
        return linear_model.SGDClassifier(loss="log_loss", max_iter=EPOCHS, tol=None, **parameters)
    epochs = 5 if name == "lbfgs" else EPOCHS
    return skopt_est.LogisticRegression(solver=name, max_iter=epochs, random_state=0, **parameters)


def load(folder: Path):
    y = np.load(folder / "y.npy")
    if (folder / "X.npy").exists():
        return np.load(folder / "X.npy"), y
    parts = [np.load(folder / f"{name}.npy") for name in ("data", "indices", "indptr")]
    return sparse.csr_matrix(tuple(parts), shape=(len(y), int(parts[1].max()) + 1), copy=False), y


def status(key: str) -> int:
    """Bytes: VmRSS is what the process has in memory, VmHWM the most it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


def main(kind: str, name: str, folder: str) -> tuple[int, float]:
    """name: of an estimator, and after a plus what is asked of it."""
    warnings.simplefilter("ignore")
    X, y = load(Path(folder))
    name, _, feature = name.partition("+")
    weight = np.random.default_rng(0).random(len(y)) if feature == "sample_weight" else None
    some = None if weight is None else weight[:500]
    make(name, feature).fit(X[:500], y[:500], sample_weight=some)
    gc.collect()
    if kind == "arrays":
        tracemalloc.start()
    Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    before = status("VmRSS")
    start = time.perf_counter()
    make(name, feature).fit(X, y, sample_weight=weight)
    seconds = time.perf_counter() - start
    if kind == "arrays":
        return tracemalloc.get_traced_memory()[1], seconds
    return status("VmHWM") - before, seconds


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
