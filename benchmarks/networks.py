"""MLPs against scikit-learn's on real tables: test loss, score, epochs and seconds.

Rows are preprocessed once for both; a seed is that of the split, the initial weights and the order
of rows. One hidden layer of 100 units, adam, rate 0.001, batches of 200, at most 200 epochs. Arms:

- equal: neither stops early; the same objective (their alpha over the batch's weight), tolerance
  and patience (theirs is exceeded, ours reached).
- early stopping: both as their defaults are; ours goes by the validation loss, theirs by the
  score.
- by score: ours with their criterion and patience.
- dropout, adamw: ours, early stopping with dropout 0.2 or weight decay 0.01.

All but the first are compared with scikit-learn's early stopping. The loss is the log loss, half
the squared error of standardised targets, or half the Poisson deviance; the score is accuracy, R2
or D2.
"""

import importlib.util
import itertools
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse, stats
from sklearn import neural_network
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import d2_tweedie_score, log_loss, mean_poisson_deviance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skopt_est
from benchmarks import report
from tests import datasets

ALPHA, BATCH, PATIENCE = 1e-4, 200, 10
FEWER_ROWS = {"mnist10k": 2000, "newsgroups20": 2000}  # the widest
TEXT = {"newsgroups20": 20}  # training rows that a term occurs in at least
EARLY = {"early_stopping": True}
THEIRS = {"equal": {}, "early stopping": EARLY}
OURS = {
    "equal": {"n_iter_no_change": PATIENCE + 1},
    "early stopping": EARLY,
    "by score": {**EARLY, "scoring": None, "n_iter_no_change": PATIENCE + 1},
    "dropout": {**EARLY, "dropout": 0.2},
    "adamw": {**EARLY, "solver": "adamw"},
}


def add_arguments(parser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="tables with a load.py that has names(), info(name) and load(name); default: those "
        "of the tests",
    )
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="only these tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[4000, 500], help="most training rows of a table"
    )


def catalogue(folder):
    """Names, and a function from a name to (X, y, task, exposure)."""
    if folder is None:
        return list(datasets.TABLES), lambda name: (*datasets.load(name), None)
    spec = importlib.util.spec_from_file_location("tables", folder / "load.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)

    def load(name):
        X, y, task = tables.load(name)
        column = tables.info(name).get("exposure")
        return X, y, task, None if column is None else X.pop(column).to_numpy(float)

    return tables.names(), load


def split(name, X, y, task, exposure, seed, max_rows):
    """Training and test rows (X, y, weights) as both libraries get them."""
    n = min(FEWER_ROWS.get(name, max_rows), max_rows, len(y) * 3 // 4)
    train, test = train_test_split(
        np.arange(len(y)),
        train_size=n,
        test_size=min(5000, len(y) - n),
        stratify=y if task in ("binary", "multiclass") else None,
        random_state=seed,
    )
    weights = None
    if exposure is not None:
        y, weights = y / exposure, exposure
    if task == "regression":
        y = (y - y[train].mean()) / y[train].std()
    if sparse.issparse(X):
        features = X[train], X[test]
        if name in TEXT:
            common = np.bincount(X[train].indices, minlength=X.shape[1]) >= TEXT[name]
            tfidf = TfidfTransformer(sublinear_tf=True).fit(X[train][:, common])
            features = tuple(tfidf.transform(X[rows][:, common]) for rows in (train, test))
    else:
        columns = make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
        )
        fitted = columns.fit_transform(X.iloc[train])
        features = np.ascontiguousarray(fitted), columns.transform(X.iloc[test])
    parts = zip(features, (train, test), strict=True)
    return [(part, y[rows], None if weights is None else weights[rows]) for part, rows in parts]


def fit_and_test(library, task, train, test, seed, **params):
    """Test loss and score, epochs and seconds of one fit."""
    X, y, weights = train
    regression = task in ("regression", "count")
    kind = library.MLPRegressor if regression else library.MLPClassifier
    if regression:
        params["loss"] = "poisson" if task == "count" else "squared_error"
    if library is skopt_est:
        params["alpha"] = ALPHA / (BATCH * (1 if weights is None else weights.mean()))
    model = kind(random_state=seed, **params)
    start = time.perf_counter()
    model.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
    seconds = time.perf_counter() - start

    X, y, weights = test
    score = model.score(X, y, sample_weight=weights)
    if task == "count":
        prediction = model.predict(X)
        loss = mean_poisson_deviance(y, prediction, sample_weight=weights) / 2
        score = d2_tweedie_score(y, prediction, sample_weight=weights, power=1)
    elif task == "regression":
        loss = float(np.mean((model.predict(X) - y) ** 2)) / 2
    else:
        loss = log_loss(y, model.predict_proba(X), labels=model.classes_)
    return {"loss": loss, "score": score, "epochs": model.n_iter_, "seconds": seconds}


def measure(name, load, seeds, max_rows):
    """Lists over the seeds of the figures of each library and arm."""
    X, y, task, exposure = load(name)
    fits = [("scikit-learn", neural_network, arm, params) for arm, params in THEIRS.items()]
    fits += [("skopt_est", skopt_est, arm, params) for arm, params in OURS.items()]
    figures = {(label, arm): [] for label, _, arm, _ in fits}
    for seed in range(seeds):
        train, test = split(name, X, y, task, exposure, seed, max_rows)
        for label, library, arm, params in fits:
            result = fit_and_test(library, task, train, test, seed, **params)
            figures[label, arm].append(result)
    return {key: {k: [r[k] for r in rows] for k in rows[0]} for key, rows in figures.items()}


def compare(name, rows, arm, ours, theirs) -> report.Row:
    """One line of the table; differences are ours less theirs, seed by seed."""
    differences = np.subtract(ours["loss"], theirs["loss"])
    # a difference of no spread would be one of rounding
    spread = max(float(differences.std(ddof=1)), 1e-12)
    row: report.Row = {
        "table": name,
        "rows": rows,
        "arm": arm,
        "loss": mean_and_deviation(ours["loss"]),
        "scikit-learn's": mean_and_deviation(theirs["loss"]),
        "difference %": 100 * float(differences.mean()) / statistics.mean(theirs["loss"]),
        "difference / sd": float(differences.mean()) / spread,
    }
    for key in ("score", "epochs", "seconds"):
        row[key] = float(np.mean(ours[key]))
        row[f"their {key}"] = float(np.mean(theirs[key]))
    return row


def mean_and_deviation(values) -> str:
    return f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}"


def summary(rows, arm, lines, n_seeds) -> report.Row:
    """Over the tables; a difference is beyond the noise if it is not zero by a paired t test."""
    noise = stats.t.ppf(0.975, n_seeds - 1) / np.sqrt(n_seeds)
    lines = [line for line in lines if (line["rows"], line["arm"]) == (rows, arm)]
    relative = [line["difference %"] for line in lines]
    ratios = [line["difference / sd"] for line in lines]
    return {
        "rows": rows,
        "arm": arm,
        "difference %, mean": statistics.mean(relative),
        "median": statistics.median(relative),
        "worst": max(relative),
        "better beyond noise": sum(bool(ratio < -noise) for ratio in ratios),
        "worse beyond noise": sum(bool(ratio > noise) for ratio in ratios),
        "score, mean difference": statistics.mean(
            line["score"] - line["their score"] for line in lines
        ),
        "time / scikit-learn's, median": statistics.median(
            line["seconds"] / line["their seconds"] for line in lines
        ),
    }


def run(args) -> list[report.Row]:
    warnings.simplefilter("ignore", ConvergenceWarning)
    names, load = catalogue(args.folder)
    lines: list[report.Row] = []
    losses: list[report.Row] = []
    for rows, name in itertools.product(args.rows, args.sets or names):
        figures = measure(name, load, args.seeds, rows)
        for arm in OURS:
            theirs = figures["scikit-learn", arm if arm in THEIRS else "early stopping"]
            lines.append(compare(name, rows, arm, figures["skopt_est", arm], theirs))
            report.show_last(lines)
        losses += [
            {"table": name, "rows": rows, "library": library, "arm": arm, "losses": figure["loss"]}
            for (library, arm), figure in figures.items()
        ]
    totals = [summary(rows, arm, lines, args.seeds) for rows in args.rows for arm in OURS]
    print(report.markdown(totals))
    return totals + lines + losses
