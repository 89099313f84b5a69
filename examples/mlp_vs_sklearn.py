"""The same network from scikit-learn and from skopt_est
=====================================================

Change the import, compare.

Settings that both libraries have, on a table of the US census with categories and missing values.
Prints fit times, epochs and scores on test rows side by side, one thread each.

Usage::

    python examples/mlp_vs_sklearn.py [--rows N]
"""

import argparse
import time
import warnings

import numpy as np
import pandas as pd
import sklearn.neural_network
from compare_solvers import load_adult, make_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import skopt_est

LIBRARIES = {"scikit-learn": sklearn.neural_network, "skopt_est": skopt_est}
# Parameters, and the dtype of the inputs
SETTINGS = {
    "default": ({}, np.float64),
    "early stopping": ({"early_stopping": True}, np.float64),
    "(64, 64), batches of 32": ({"hidden_layer_sizes": (64, 64), "batch_size": 32}, np.float64),
    "float32 inputs": ({}, np.float32),
}
MAX_ITER = 50


def fit_and_score(library, params, X_train, y_train, X_test, y_test):
    """One line of the table."""
    params = {"max_iter": MAX_ITER, "random_state": 0, **params}
    if library is skopt_est:
        # scikit-learn divides alpha by the rows of a batch; here it doesn't depend on them
        params["alpha"] = 1e-4 / params.get("batch_size", 200)
    model = library.MLPClassifier(**params)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is low on purpose
        model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    probability = model.predict_proba(X_test)
    return {
        "fit seconds": seconds,
        "epochs": model.n_iter_,
        "ms / epoch": 1000 * seconds / model.n_iter_,
        "log loss": log_loss(y_test, probability, labels=model.classes_),
        "ROC AUC": roc_auc_score(y_test, probability[:, 1]),
        "accuracy": model.score(X_test, y_test),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the random sample")
    options = parser.parse_args()

    X, y = load_adult(options.rows)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    columns = make_model()["columns"].set_params(sparse_threshold=0)  # dense
    train, test = columns.fit_transform(X_train), columns.transform(X_test)

    rows = []
    with threadpool_limits(1):
        for setting, (params, dtype) in SETTINGS.items():
            parts = train.astype(dtype), y_train, test.astype(dtype), y_test
            for name, library in LIBRARIES.items():
                figures = fit_and_score(library, params, *parts)
                rows.append({"setting": setting, "library": name, **figures})

    print(f"{len(train)} training rows, {train.shape[1]} columns; at most {MAX_ITER} epochs:\n")
    table = pd.DataFrame(rows).round({"fit seconds": 2, "ms / epoch": 1}).round(4)
    print(table.to_string(index=False))
    print(
        "\nTimes are those of one run each and shift with whatever else the machine does. Scores "
        "are those\nof one split; early stopping goes by the accuracy in scikit-learn, by the "
        "validation loss here."
    )


if __name__ == "__main__":
    main()
