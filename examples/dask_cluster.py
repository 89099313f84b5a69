"""
More processes, more machines: dask
===================================

A grid search runs on a cluster of dask by one line around ``fit``; the estimator knows nothing of
it. The script starts a cluster on this machine, prints the address of its dashboard, and runs one
search on a table of the US census three times: in this process, in joblib's own processes, and on
the cluster. It prints the seconds of each and whether the scores are equal. Then ``Incremental`` of
dask-ml trains on a dask array, one chunk after the other, where the chunks lie.

With more than one machine, start ``dask scheduler`` on one and ``dask worker`` on all, and pass the
address of the scheduler.

    python examples/dask_cluster.py [--rows N] [--workers N] [--address ADDRESS] [--pause]
"""

import argparse
import time

import dask.array as da
import joblib
import numpy as np
import pandas as pd
from compare_solvers import load_adult, make_model
from dask.distributed import Client
from dask_ml.wrappers import Incremental
from sklearn.model_selection import GridSearchCV, train_test_split

from skopt_est import LogisticRegression, MLPClassifier

GRID = {
    "hidden_layer_sizes": [(50,), (100,)],
    "solver": ["adam", "adamw"],
    "learning_rate_init": [0.001, 0.003],
}


def start(options):
    """A client of the cluster at this address, or of a new one of this machine's processes."""
    if options.address is not None:
        return Client(options.address)
    # Port 0: any that is free. A fit runs on one thread, so a worker has no use for more.
    return Client(n_workers=options.workers, threads_per_worker=1, dashboard_address=":0")


def search_three_times(X, y, n_workers):
    """The same search by each of joblib's backends: its mean scores, its seconds, and those of a
    small search before it."""
    backends = {
        "this process": {"backend": "sequential"},
        "joblib's processes": {"backend": "loky", "n_jobs": n_workers},
        # Data go to the workers once; without scatter they go with every task.
        "the cluster": {"backend": "dask", "scatter": [X, y]},
    }
    scores, seconds, first = {}, {}, {}
    for name, backend in backends.items():
        network = MLPClassifier(early_stopping=True, max_iter=500, random_state=0)
        search = GridSearchCV(network, GRID, scoring="roc_auc", cv=3, refit=False)
        with joblib.parallel_config(**backend):
            begin = time.perf_counter()
            search.fit(X[:500], y[:500])  # new processes import what they need
            first[name] = time.perf_counter() - begin
            begin = time.perf_counter()
            search.fit(X, y)
            seconds[name] = time.perf_counter() - begin
        scores[name] = search.cv_results_["mean_test_score"]
    return scores, seconds, first


def on_workers(client, array):
    """A dask array whose chunks of 1000 rows lie in the workers' memory."""
    parts = np.array_split(array, -(-len(array) // 1000))
    futures = client.scatter(parts)
    return da.concatenate(
        [
            da.from_delayed(future, part.shape, part.dtype)
            for future, part in zip(futures, parts, strict=True)
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, help="use a random sample of this many rows")
    parser.add_argument("--workers", type=int, default=2, help="processes of the cluster")
    parser.add_argument("--address", help="of the scheduler of a cluster that runs already")
    parser.add_argument("--pause", action="store_true", help="wait before the cluster is closed")
    options = parser.parse_args()

    table, labels = load_adult(options.rows)
    train, test, y_train, y_test = train_test_split(table, labels, stratify=labels, random_state=0)
    columns = make_model()["columns"].set_params(sparse_threshold=0)
    X_train = columns.fit_transform(train).astype(np.float32)
    X_test = columns.transform(test).astype(np.float32)
    y_train, y_test = (part.to_numpy() == ">50K" for part in (y_train, y_test))

    begin = time.perf_counter()
    with start(options) as client:
        n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
        print(f"{n_workers} workers, up after {time.perf_counter() - begin:.1f} s.")
        print(f"Dashboard: {client.dashboard_link}\n")

        scores, seconds, first = search_three_times(X_train, y_train, n_workers)
        table = pd.DataFrame({"500 rows, seconds": first, "all rows, seconds": seconds}).round(2)
        table["times as fast"] = (seconds["this process"] / pd.Series(seconds)).round(2)
        alone = scores["this process"]
        table["equal scores"] = [np.array_equal(scores[name], alone) for name in table.index]
        print(f"{len(X_train)} training rows:\n\n{table.to_string()}")
        print(
            "\nOne run each. The search on 500 rows tells what new processes and small tasks cost: "
            "a cluster\npays where fits are long, or where it is there already.\n"
        )

        X_chunks, y_chunks = on_workers(client, X_train), on_workers(client, y_train)
        model = Incremental(LogisticRegression(random_state=0), shuffle_blocks=False)
        for _ in range(5):
            model.partial_fit(X_chunks, y_chunks, classes=[False, True])
        accuracy = model.estimator_.score(X_test, y_test)
        print(f"Incremental, {X_chunks.numblocks[0]} chunks, 5 passes: accuracy {accuracy:.4f}")
        if options.pause:
            input("Press Enter to close the cluster.")


if __name__ == "__main__":
    main()
