"""The cases of `compare`, run by path, on whichever skopt_est is found.

Only the public estimators' names and parameters are used, so that the same cases run on older
commits. Nothing else of this package is imported: it would be that of the other commit.
"""

import json
import statistics
import sys
import time
import warnings

import numpy as np
from scipy import sparse
from scipy.linalg.blas import sgemm

# A fixed number of epochs at a fixed rate: the work does not depend on how training goes.
FIXED = dict(learning_rate="constant", tol=0.0, n_iter_no_change=10**6, random_state=0)
SGD1 = dict(solver="sgd", batch_size=1)
ADAGRAD1 = dict(solver="adagrad", batch_size=1, learning_rate_init=0.003)
ADAM1 = dict(solver="adam", batch_size=1, learning_rate_init=1e-5)
ADAM256 = dict(solver="adam", batch_size=256)
WIDE, LARGE = (20_000, 100_000), (50_000, 100)
# estimator, rows and columns, parameters, epochs of a run; "csr": 50 entries a row
CASES = {
    "linear 100k x 20, sgd b1": ("linear", (100_000, 20), SGD1, 5),
    "linear 100k x 20, adagrad b1": ("linear", (100_000, 20), ADAGRAD1, 5),
    "linear 100k x 100, sgd b1": ("linear", (100_000, 100), SGD1, 3),
    "linear 100k x 100, adam b256": ("linear", (100_000, 100), ADAM256, 3),
    "linear 100k x 100, gd": ("linear", (100_000, 100), dict(solver="gd"), 10),
    "linear 1M x 28, sgd b1": ("linear", (1_000_000, 28), SGD1, 1),
    "CSR 20k x 100k, sgd b1": ("csr", WIDE, SGD1, 3),
    "CSR 20k x 100k, adagrad b1": ("csr", WIDE, ADAGRAD1, 3),
    "CSR 20k x 100k, adam b1": ("csr", WIDE, ADAM1, 1),
    "MLP 1k x 10, (32), b32": ("mlp", (1000, 10), dict(hidden=(32,), batch_size=32), 50),
    "MLP 5k x 30, (64, 64), b32": ("mlp", (5000, 30), dict(hidden=(64, 64), batch_size=32), 5),
    "MLP 50k x 20, (100), b200": ("mlp", (50_000, 20), dict(hidden=(100,), batch_size=200), 2),
    "MLP 50k x 100, (256, 256), b256": ("mlp", LARGE, dict(hidden=(256, 256), batch_size=256), 1),
    "MLP 50k x 100, (256, 256, 256), b1024": (
        "mlp",
        LARGE,
        dict(hidden=(256, 256, 256), batch_size=1024),
        1,
    ),
}


def rows(kind, n, d):
    rng = np.random.default_rng(0)
    if kind == "csr":
        columns = np.sort(rng.integers(d, size=(n, 50), dtype=np.int32), axis=1)
        values = np.abs(rng.standard_normal(n * 50, dtype=np.float32)) / 7
        starts = np.arange(0, 50 * n + 1, 50, dtype=np.int32)
        X = sparse.csr_matrix((values, columns.ravel(), starts), shape=(n, d))
        X.sum_duplicates()
        f = X @ rng.standard_normal(d)
    else:
        X = rng.standard_normal((n, d), dtype=np.float32)
        f = X[:, : d // 2].sum(axis=1)
    return X, (f + rng.standard_normal(n) > 0).astype(int)


def fit(kind, X, y, params, epochs):
    """Seconds, and the last epoch's loss."""
    import skopt_est

    params = {**FIXED, **params, "max_iter": epochs}
    if kind == "mlp":
        model = skopt_est.MLPClassifier(params.pop("hidden"), alpha=0.0, **params)
    else:
        model = skopt_est.LogisticRegression(**params)
    start = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - start, model.loss_curve_[-1]


def main(case: str) -> dict:
    import skopt_est

    kind, shape, params, epochs = CASES[case]
    X, y = rows(kind, *shape)
    if kind == "mlp":
        large = np.ones((512, 384), np.float32, order="F")
        sgemm(1.0, large, large.T)  # BLAS is slow before its first large product
    fit(kind, X, y, params, 1)
    seconds = []
    for _ in range(3):
        short, _ = fit(kind, X, y, params, epochs)
        long, loss = fit(kind, X, y, params, 2 * epochs)
        seconds.append((long - short) / epochs)
    return {"from": skopt_est.__file__, "seconds": statistics.median(seconds), "loss": loss}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(main(sys.argv[1])))
