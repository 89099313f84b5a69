"""Write fitted estimators of this version, as pickles and skops files, with their predictions.

    python tests/data/make_saved_files.py

makes tests/data/saved/VERSION; run it once for each release. Tests load what is there.
"""

import json
import pickle
import sys
import warnings
from pathlib import Path
from zipfile import ZIP_DEFLATED

import numpy as np
import pandas as pd
import skops.io
from sklearn.exceptions import ConvergenceWarning

import skopt_est
from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

COLUMNS = ["a", "b", "c"]


def problem():
    """Rows and the kinds of targets."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).round(3)
    z = X @ [1.0, -2.0, 0.5] + rng.normal(size=60)
    targets = {
        "numbers": z,
        "several numbers": np.c_[z, 1 - z],
        "counts": rng.poisson(np.exp(0.3 * z)).astype(float),
        "two": (z > 0).astype(int),
        "three": np.array(["hot", "mild", "cold"])[np.digitize(z, [-1, 1])],
        "labels": np.c_[z > 0, z > 1].astype(int),
    }
    return X, targets


# name: estimator, target, float32
CASES = {
    "linear": (LinearRegression(), "numbers", False),
    "linear-huber-early": (LinearRegression(loss="huber", early_stopping=True), "numbers", True),
    "linear-several": (LinearRegression(solver="sgd", average=True), "several numbers", False),
    "linear-poisson": (LinearRegression(loss="poisson", solver="lbfgs"), "counts", False),
    "logistic": (LogisticRegression(solver="nadam", class_weight="balanced"), "two", False),
    "logistic-three": (LogisticRegression(alpha=0.02, l1_ratio=1.0), "three", True),
    "mlp-classifier": (MLPClassifier((3,), early_stopping=True, scoring=None), "three", False),
    "mlp-classifier-two": (MLPClassifier((3,), solver="lbfgs"), "two", False),
    "mlp-classifier-labels": (
        MLPClassifier((3, 2), activation=["gelu", "tanh"], solver="adamw", dropout=0.1),
        "labels",
        True,
    ),
    "mlp-regressor": (
        MLPRegressor(hidden_layer_sizes=(3,), standardize_target=True, average=True),
        "several numbers",
        False,
    ),
    "mlp-regressor-poisson": (
        MLPRegressor(loss="poisson", hidden_layer_sizes=(3,), solver="adagrad"),
        "counts",
        False,
    ),
}


def fitted(name):
    """The estimator of a case, fitted, with its rows, which have column names, and targets."""
    est, target, single = CASES[name]
    X, targets = problem()
    X = pd.DataFrame(X.astype(np.float32 if single else np.float64), columns=COLUMNS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est = est.set_params(random_state=0, max_iter=10).fit(X, targets[target])
    return est, X, targets[target]


def main():
    folder = Path(__file__).parent / "saved" / skopt_est.__version__
    if folder.exists():
        sys.exit(f"{folder} is there already: files of a release are not made anew.")
    folder.mkdir(parents=True)
    told = {}
    for name in CASES:
        est, X, y = fitted(name)
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(est, protocol=4))
        skops.io.dump(est, folder / f"{name}.skops", compression=ZIP_DEFLATED, compresslevel=9)
        told[name] = {
            "dtype": str(X.dtypes.iloc[0]),
            "X": X.to_numpy().tolist(),
            "y": y.tolist(),
            "predict": est.predict(X).tolist(),
        }
        if hasattr(est, "predict_proba"):
            told[name]["predict_proba"] = est.predict_proba(X).tolist()
    text = json.dumps(told, ensure_ascii=False)
    (folder / "predictions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
