"""On a cluster of dask: Incremental of dask-ml, and searches, with the results of one process."""

import os
import urllib.request

import dask
import dask.array as da
import joblib
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from dask_ml.wrappers import Incremental
from fits import ESTIMATORS, FORMS, data, model, of_case, outcome
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CHUNK = 100


@pytest.fixture(scope="module")
def client():
    # A busy machine may be slow to start processes; port 0 is any that is free.
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "120s"}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2, timeout=300)
        yield client


def in_chunks(X, y):
    """X and y as dask arrays; sparse rows become chunks of CSR."""
    rows = X.toarray() if sparse.issparse(X) else X
    rows = da.from_array(rows, chunks=(CHUNK, rows.shape[1]))
    rows = rows.map_blocks(sparse.csr_matrix, dtype=X.dtype) if sparse.issparse(X) else rows
    return rows, da.from_array(y, chunks=CHUNK)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_incremental_is_partial_fit_over_the_chunks(client, name, form):
    X, y = data(name, form)
    classes = {"classes": np.unique(y)} if is_classifier(ESTIMATORS[name]()) else {}
    expected = model(name, "adam")
    for start in range(0, len(y), CHUNK):
        rows = slice(start, start + CHUNK)
        expected.partial_fit(X[rows], y[rows], **classes)

    rows, targets = in_chunks(X, y)
    wrapper = Incremental(model(name, "adam"), shuffle_blocks=False, assume_equal_chunks=True)
    wrapper.fit(rows, targets, **classes)
    for a, b in zip(outcome(wrapper.estimator_, X), outcome(expected, X), strict=True):
        np.testing.assert_array_equal(a, b)
    predicted = [expected.predict(X[i : i + CHUNK]) for i in range(0, len(y), CHUNK)]
    np.testing.assert_array_equal(wrapper.predict(rows).compute(), np.concatenate(predicted))


def pid(est, X, y):
    return os.getpid()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_search_on_the_cluster_is_the_search_in_one_process(client, name):
    X, y = data(name)
    grid = {"solver": ["sgd", "adam", "lbfgs"], "alpha": [1e-4, 1e-2]}
    score = "accuracy" if is_classifier(ESTIMATORS[name]()) else "r2"
    scoring = {"score": score, "pid": pid}
    alone, cluster = (
        GridSearchCV(model(name, "adam"), grid, scoring=scoring, refit="score", cv=3)
        for _ in range(2)
    )
    alone.fit(X, y)
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        cluster.fit(X, y)

    workers = set(client.run(os.getpid).values())
    pids = {int(p) for i in range(3) for p in cluster.cv_results_[f"split{i}_test_pid"]}
    assert len(workers) == 2 and pids <= workers
    for i in range(3):
        key = f"split{i}_test_score"
        np.testing.assert_array_equal(cluster.cv_results_[key], alone.cv_results_[key])
    assert cluster.best_params_ == alone.best_params_
    found, expected = (outcome(search.best_estimator_, X) for search in (cluster, alone))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_halving_search_on_the_cluster(client):
    X, y = data("LogisticRegression")
    grid = {"alpha": [1e-4, 1e-3, 1e-2]}
    alone, cluster = (
        HalvingGridSearchCV(model("LogisticRegression", "adam"), grid, cv=3, random_state=0)
        for _ in range(2)
    )
    alone.fit(X, y)
    with joblib.parallel_config(backend="dask"):
        cluster.fit(X, y)
    scores = (search.cv_results_["mean_test_score"] for search in (cluster, alone))
    np.testing.assert_array_equal(*scores)


def test_fitted_estimators_travel(client):
    cases = [(name, "adam", form, "float32") for name in ESTIMATORS for form in FORMS]
    futures = [client.submit(of_case, *case, pure=False) for case in cases]
    for case, found in zip(cases, client.gather(futures), strict=True):
        for a, b in zip(found, of_case(*case), strict=True):
            np.testing.assert_array_equal(a, b)
    X, y = data("MLPClassifier")
    est = model("MLPClassifier", "adam").fit(X, y)
    sent = client.scatter(est)
    remote = client.submit(lambda est, X, y: est.partial_fit(X, y), sent, X, y).result()
    est.partial_fit(X, y)
    for a, b in zip(outcome(remote, X), outcome(est, X), strict=True):
        np.testing.assert_array_equal(a, b)


def test_dashboard_answers(client):
    # its pages need bokeh, which the extra brings
    with urllib.request.urlopen(client.dashboard_link, timeout=300) as answer:
        assert b"bokeh.min.js" in answer.read()
