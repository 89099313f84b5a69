"""The fits that `benchmarks.instructions` counts; run by path, on whichever skopt_est is found.

Only the public estimators' names and parameters are used, so that the same cases run on older
commits. Each case runs in a child of a process that has imported everything: the counts of the
import are those of the first child, which does nothing.
"""

import json
import os
import sys
import warnings

import numpy as np
from scipy import sparse

import skopt_est

# A fixed number of epochs at a fixed rate: the work does not depend on how training goes.
FIXED = dict(learning_rate="constant", tol=0.0, n_iter_no_change=1000, random_state=0)


def labels(rng, n, classes=2):
    return np.concatenate([np.arange(classes), rng.integers(classes, size=n - classes)])


def dense(n, d, classes=2, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)).astype(dtype), labels(rng, n, classes)


def csr(n, d, entries, classes=2):
    rng = np.random.default_rng(0)
    start = rng.integers(d - 40 * entries, size=n)  # sorted columns, none twice
    columns = start[:, None] + np.cumsum(rng.integers(1, 40, size=(n, entries)), axis=1)
    values = rng.standard_normal(n * entries).astype(np.float32)
    pointers = np.arange(0, n * entries + 1, entries)
    X = sparse.csr_matrix((values, columns.ravel().astype(np.int32), pointers), shape=(n, d))
    return X, labels(rng, n, classes)


def logistic(X, y, **params):
    return skopt_est.LogisticRegression(**(FIXED | params)).fit(X, y)


def network(X, y, hidden, **params):
    params = FIXED | dict(solver="adam", learning_rate_init=1e-3) | params
    return skopt_est.MLPClassifier(hidden, **params).fit(X, y)


def batch_1(data, solver, epochs):
    logistic(*data, solver=solver, batch_size=1, max_iter=epochs, learning_rate_init=0.01)


def adam(data, batch, epochs):
    logistic(*data, solver="adam", batch_size=batch, max_iter=epochs, learning_rate_init=0.01)


def gradients():
    X, y = dense(10_000, 28, dtype=np.float64)
    logistic(X, y, solver="gd", max_iter=100, learning_rate_init=0.1)


def predictions():
    """Of a network, with one epoch on few rows to get it."""
    X, y = dense(20_000, 20)
    model = network(X[:200], y[:200], (100,), batch_size=100, max_iter=1)
    for _ in range(5):
        model.predict_proba(X)


CASES = {
    "dense, sgd, batch 1": lambda: batch_1(dense(2000, 20), "sgd", 100),
    "dense, adagrad, batch 1": lambda: batch_1(dense(2000, 20), "adagrad", 100),
    "dense, adam, batch 128": lambda: adam(dense(5000, 28), 128, 100),
    "dense float64, gd": gradients,
    "dense, 10 classes, adam, batch 128": lambda: adam(dense(5000, 28, classes=10), 128, 40),
    "csr, sgd, batch 1": lambda: batch_1(csr(1000, 10_000, 40), "sgd", 10),
    "csr, adagrad, batch 1": lambda: batch_1(csr(1000, 10_000, 40), "adagrad", 10),
    "csr, adam, batch 64": lambda: adam(csr(1000, 10_000, 40), 64, 10),
    # the steps of these are by feature
    "csr, few entries, adam, batch 64": lambda: adam(csr(2000, 50_000, 10), 64, 10),
    "csr, 5 classes, adam, batch 8": lambda: adam(csr(400, 30_000, 10, classes=5), 8, 5),
    "network, relu, adam, batch 32": lambda: network(
        *dense(2000, 10), (32,), activation="relu", batch_size=32, max_iter=20
    ),
    "network, tanh, dropout, batch 64": lambda: network(
        *dense(2000, 30), (64, 64), activation="tanh", dropout=0.2, batch_size=64, max_iter=4
    ),
    "network, predict_proba": predictions,
}


def main() -> None:
    """Run the cases and print, as JSON, the process number of each that ran to its end."""
    warnings.simplefilter("ignore")
    processes: dict[str, int] = {}
    for name, case in [("", lambda: None), *CASES.items()]:
        child = os.fork()
        if child == 0:
            try:
                case()
            except Exception as error:  # older commits lack an estimator or a parameter
                print(f"{name}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            processes[name] = child
    answer = {"from": skopt_est.__file__, "cases": list(CASES), "processes": processes}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
