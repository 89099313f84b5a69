"""One result for any number of threads and jobs, in any process; to rounding on any vector unit."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fits
import numpy as np
import pytest
from fits import CASES, ESTIMATORS, FURTHER, WIDE, data, is_network, model
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_info, threadpool_limits

from skopt_est._core import available

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Processes that make the same fits. BLAS reads its variable when it is loaded.
ENVIRONMENTS = {
    "one BLAS thread": {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "1"},
    "two BLAS threads": {"OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "2"},
    **{simd: {"SKOPT_EST_SIMD": simd} for simd in available()[1:]},
}
# Between two builds, of the norm of an array: some hundred roundings, where one is half an eps.
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """The arrays of each process, by its name and theirs."""
    folder = tmp_path_factory.mktemp("fits")

    def run(name):
        file = folder / f"{name}.npz"
        environment = {"SKOPT_EST_SIMD": available()[0]} | ENVIRONMENTS[name]
        environment["PYTHONPATH"] = str(Path(fits.__file__).parent)  # what fits.py imports
        done = subprocess.run(
            [sys.executable, "-P", fits.__file__, str(file)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        with np.load(file) as arrays:
            found = dict(arrays)
        assert found.pop("simd") == environment["SKOPT_EST_SIMD"], "another build ran"
        return found

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(ENVIRONMENTS, pool.map(run, ENVIRONMENTS), strict=True))


def test_fits_are_those_of_every_estimator_solver_form_and_type():
    assert len(CASES) == 2 * 3 * (8 + 8 + 9 + 9)


def test_number_of_blas_threads_and_seed_of_hashes_change_no_bit(processes):
    one, two = (processes[name] for name in ("one BLAS thread", "two BLAS threads"))
    assert one.keys() == two.keys() and len(one) == 3 * (len(CASES) + len(FURTHER) + len(WIDE))
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


@pytest.mark.parametrize("simd", available()[1:])
def test_vector_units_agree_to_rounding(processes, simd):
    best, other = processes["one BLAS thread"], processes[simd]
    assert best.keys() == other.keys()
    for name, array in best.items():
        assert array.shape == other[name].shape, name
        tolerance = TOLERANCE["float32" if "float32" in name else "float64"]
        difference = np.abs(array.astype(float) - other[name]).max()
        assert difference <= tolerance * np.linalg.norm(array), name
    # the builds do differ: sums of other orders can't all be alike (without vectors, as the
    # sanitized build has them, they are)
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):
        assert any(not np.array_equal(array, other[name]) for name, array in best.items())


# Rows at a time, features, hidden units: products that OpenBLAS adds otherwise with two threads.
LARGE = [("LinearRegression", 1, 20_000, ()), ("LogisticRegression", 1500, 400, ())]
LARGE += [("MLPRegressor", 1, 3000, (3000,))]


@pytest.mark.parametrize(("name", "at_once", "d", "units"), LARGE)
def test_number_of_blas_threads_changes_no_bit_of_large_predictions(name, at_once, d, units):
    X, y = data(name, n=20, d=d)
    network = {"hidden_layer_sizes": units} if is_network(name) else {}
    est = model(name, "gd", max_iter=1, **network).fit(X, y)
    parts = np.random.default_rng(1).normal(size=(10 if at_once == 1 else 1, at_once, d))
    predict = getattr(est, "predict_proba", est.predict)
    predicted = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            before = threadpool_info()
            predicted.append([predict(rows) for rows in parts])
            assert threadpool_info() == before
    np.testing.assert_array_equal(*predicted)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_number_of_jobs_changes_no_bit_of_a_search(name):
    X, y = data(name)
    grid = {"solver": ["sgd", "adam"], "early_stopping": [False, True]}
    one, two = (
        GridSearchCV(model(name, "adam"), grid, cv=3, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2)
    )
    scores = [key for key in one.cv_results_ if key.startswith("split")]
    assert len(scores) == 3
    for key in scores:
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    assert one.best_params_ == two.best_params_
    for a, b in zip(*(fits.outcome(s.best_estimator_, X) for s in (one, two)), strict=True):
        np.testing.assert_array_equal(a, b)
