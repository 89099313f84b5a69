"""What a process is like before the package is imported, after that, after fits, after failures.

Run as a script it prints that as JSON. Nothing here imports the package before the first look.
"""

import ctypes
import faulthandler
import json
import locale
import os
import platform
import random
import signal
import struct
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.optimize
import scipy.sparse
import sklearn

# Everything that these change by themselves is in place before the first look.
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.neural_network
import sklearn.utils.estimator_checks
import threadpoolctl
from sklearn.base import is_classifier

# Where glibc's fenv_t has the control register, and the bits of it that are not flags of what has
# happened: rounding, masks of exceptions, flush to zero, subnormal inputs as zero
REGISTER = {"x86_64": (28, 0xFFC0), "aarch64": (0, 0xFFFFFFFF)}
SOLVERS = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad", "lbfgs")


def control_register() -> int:
    environment = ctypes.create_string_buffer(64)
    assert ctypes.CDLL(None).fegetenv(environment) == 0
    offset, mask = REGISTER[platform.machine()]
    return struct.unpack_from("I", environment, offset)[0] & mask


def arithmetic():
    tiny = np.full(64, np.finfo(np.float64).tiny)
    tiny32 = np.full(64, np.finfo(np.float32).tiny)
    nan = np.full(64, np.nan)
    return {
        "control register": control_register(),
        "python subnormal": sys.float_info.min / 4,
        "subnormals": (tiny / 4).tolist(),
        "subnormals, float32": (tiny32 / np.float32(4)).tolist(),
        "products with subnormals": ((tiny / 4) * 4).tolist(),
        "NaN is equal, unequal, less": [x.tolist() for x in (nan == nan, nan != nan, nan < 1)],
        "signed zero": str(np.float64(-0.0) + np.float64(-0.0)),
        "rounding": [0.1 + 0.2, float(np.rint(2.5)), float(np.sqrt(np.float64(2)))],
    }


def interpreter():
    return {
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval()],
        "hooks": [str(hook) for hook in (sys.excepthook, sys.unraisablehook, sys.gettrace())],
        "fault handler": faulthandler.is_enabled(),
        "threads": threading.active_count(),
    }


def process():
    with ThreadPoolExecutor(1) as pool:
        other_thread = pool.submit(arithmetic).result()
    named = [number for number in signal.valid_signals() if isinstance(number, signal.Signals)]
    return {
        **arithmetic(),
        "arithmetic of another thread": other_thread,
        "numpy's errors": [np.geterr(), str(np.geterrcall())],
        "print options": {k: str(v) for k, v in np.get_printoptions().items()},
        "warning filters": [str(f) for f in warnings.filters],
        "showwarning": str(warnings.showwarning),
        "scikit-learn's settings": {k: str(v) for k, v in sklearn.get_config().items()},
        "random numbers": [str(np.random.get_state()), str(random.getstate())],  # noqa: NPY002
        "threads of libraries": {
            pool["filepath"]: pool["num_threads"] for pool in threadpoolctl.threadpool_info()
        },
        "interpreter": interpreter(),
        "locale": [locale.setlocale(locale.LC_ALL), *locale.getlocale()],
        "signals": {number.name: str(signal.getsignal(number)) for number in named},
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "file of wake-ups": signal.set_wakeup_fd(-1),
        "environment": dict(os.environ),
        "directory": os.getcwd(),
    }


def make_fits():
    """Fits and predictions of each estimator, solver, dtype and form; how many."""
    import skopt_est

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * (rng.random((60, 4)) < 0.7)
    y = X[:, 0] + 0.1 * rng.normal(size=60)
    n_fits = 0
    for name in ("LinearRegression", "LogisticRegression", "MLPRegressor", "MLPClassifier"):
        cls = getattr(skopt_est, name)
        target = y > 0 if is_classifier(cls()) else y
        for solver in (*SOLVERS, "adamw") if name.startswith("MLP") else SOLVERS:
            for dtype in (np.float32, np.float64):
                for form in (np.asarray, scipy.sparse.csr_matrix):
                    est = cls(solver=solver, max_iter=3, l1_ratio=0.5, random_state=0)
                    rows = form(X.astype(dtype))
                    est.fit(rows, target).predict(rows)
                    n_fits += 1
    return n_fits


def make_failures():
    """The errors of fits that end in one."""
    import skopt_est

    def interrupted(progress):
        raise KeyboardInterrupt

    def failing(est, X, y):
        raise OSError("the scorer fails")

    X = np.random.default_rng(0).normal(size=(60, 4))
    raised = []
    for cls in (skopt_est.LinearRegression, skopt_est.MLPRegressor):
        for params, rows, error in (
            ({"learning_rate": interrupted}, X, KeyboardInterrupt),
            ({"scoring": failing, "early_stopping": True}, X, OSError),
            ({"learning_rate_init": 1e300, "solver": "sgd"}, 1e150 * X, ValueError),
            ({}, X * np.nan, ValueError),
        ):
            try:
                cls(random_state=0, **params).fit(rows, X[:, 0])
            except error:
                raised.append(error.__name__)
    return raised


def main():
    raised = []

    def note(message, *_):
        raised.append(str(message))

    # Not by a context, whose end would undo what the package does to them.
    warnings.showwarning = note
    warnings.simplefilter("always")
    found = {"before": process()}
    import skopt_est  # noqa: F401

    found["after import"], messages = process(), list(raised)
    fits = make_fits()
    found["after fits"] = process()
    failures = make_failures()
    found["after failures"] = process()
    print(json.dumps({**found, "raised": messages, "fits": fits, "failures": failures}))


if __name__ == "__main__":
    main()
