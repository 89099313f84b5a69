"""Lack of memory at any line, and a real one: the fit before is left."""

import contextlib
import random
import subprocess
import sys

import joblib
import numpy as np
import pytest
from faults import EPOCHS, EVERY, AtLine, Fault, assert_untouched, data, fit, lines_of, model
from scipy.sparse import csr_matrix
from sklearn.base import clone

from skopt_est import LinearRegression, MLPRegressor

ALLOCATING = [
    *((cls, solver, np.asarray) for cls in EVERY for solver in ("gd", "adam", "lbfgs")),
    *((cls, solver, csr_matrix) for cls in EVERY for solver in ("sgd", "adagrad")),
]


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize(("cls", "solver", "form"), ALLOCATING)
def test_lack_of_memory_at_any_line_leaves_the_fit_before(cls, solver, form, warm_start):
    X, y = data(cls)
    X = form(X)
    est = fit(model(cls, solver=solver, warm_start=warm_start), X, y)
    before, digest = dict(vars(est)), joblib.hash(vars(est))
    expected = est.predict(X)
    for number in lines_of(est, X, y, n=15):
        with AtLine(number, Fault) as fault, contextlib.suppress(Fault):
            fit(est, X, y)
        assert fault.places
        training = fault.places[0] in ("_walk", "_train_best")
        if training or fault.places[0] in ("_fit", "_take_over", "warn_not_converged"):
            # If the new fit was complete, it may have been handed over.
            if est._state is not before["_state"] and training:
                assert len(est.history_) == EPOCHS * (1 + warm_start)
            if est._state is not before["_state"] or not training:
                est.__dict__ = dict(before)
        assert_untouched(est, before, digest)
        np.testing.assert_array_equal(est.predict(X), expected)


@pytest.mark.parametrize(
    ("cls", "solver", "form"), [case for case in ALLOCATING if case[1] != "lbfgs"]
)
def test_lack_of_memory_in_partial_fit_leaves_the_call_before_or_its_own_epoch(cls, solver, form):
    X, y = data(cls)
    X = form(X)
    est = model(cls, solver=solver, max_iter=1)
    classes = {} if cls in (LinearRegression, MLPRegressor) else {"classes": np.unique(y)}
    again = clone(est)
    with AtLine(None, None) as counter:
        again.partial_fit(X, y, **classes)
    est.partial_fit(X, y, **classes)
    before, digest = dict(vars(est)), joblib.hash(vars(est))
    numbers = random.Random(0).sample(range(10, counter.lines), 15)
    for number in numbers:
        with AtLine(number, Fault) as fault, contextlib.suppress(Fault):
            est.partial_fit(X, y)
        if est.t_ > before["t_"]:  # the epoch was complete
            assert not {"_validate", "_steps"} & set(fault.places)
            est.__dict__ = dict(before)
        assert_untouched(est, before, digest)


LIMITED = """
import resource, sys
import joblib, numpy as np
from scipy.linalg.blas import sgemm
from skopt_est import LogisticRegression, MLPClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 50)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
wide = np.repeat(X, 400, axis=1)
# OpenBLAS takes its buffers when first used, and tries forever where it finds no memory; numpy and
# scipy have one each.
wide[:, :500].T @ wide[:, :500], sgemm(1.0, wide[:, :500], wide[:, :500], trans_a=True)
models = [
    (MLPClassifier((30,), max_iter=2), MLPClassifier((1500, 1500), max_iter=1), X),
    (LogisticRegression(max_iter=2), LogisticRegression(max_iter=1, dtype="float64"), wide),
    (MLPClassifier((30,), max_iter=2), MLPClassifier((1500, 1500), max_iter=1, solver="lbfgs"), X),
]
def size():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

for small, large, rows in models:
    est = small.fit(X, y)
    expected, digest = est.predict(X), joblib.hash(vars(est))
    params = large.get_params()
    failures = []
    for megabytes in (2, 10, 20, 40, 60, 80, 100, 120, 140, 160, 200, 1000):
        resource.setrlimit(resource.RLIMIT_AS, (size() + (megabytes << 20), -1))
        try:
            type(est).fit(est.set_params(**params), rows, y)
        except MemoryError:
            failures.append(megabytes)
        else:
            break
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
        est.set_params(**small.__class__(**{**params}).get_params())
        est.set_params(**{"max_iter": 2})
        assert (est.predict(X) == expected).all()
    print(type(est).__name__, failures, est.n_iter_)
    assert len(failures) > 3 and est.n_iter_ == 1
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_fit_that_finds_no_memory_leaves_the_fit_before():
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", LIMITED],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    assert len(done.stdout.splitlines()) == 3
