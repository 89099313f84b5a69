"""Which solver, and with which learning rate?
===========================================

A grid search on a table of the US census.

The table has numbers, categories and missing values. The script prints the cross-validated score
and the fit time of every solver and rate, then the score of the best one on rows that the search
has not seen. It plots the search's results, and how the training loss of each solver falls.

Usage::

    python examples/compare_solvers.py [--rows N] [--jobs N] [--output FILE]
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skopt_est import LogisticRegression, LossCurveDisplay, SolverComparisonDisplay

ADULT = Path(__file__).resolve().parent / "data" / "adult.csv.gz"
STOCHASTIC = ["sgd", "adagrad", "rmsprop", "adam", "nadam"]
FULL_BATCH = ["gd", "lbfgs"]  # find the length of their steps themselves
RATES = [0.01, 0.1, 1.0]


def load_adult(n_rows=None):
    """Features and label (income above 50K a year?) of all people, or of a random sample."""
    table = pd.read_csv(ADULT)
    if n_rows is not None and n_rows < len(table):
        table = table.sample(n_rows, random_state=0)
    return table.drop(columns="target"), table["target"]


def make_model():
    """From raw columns to probabilities: impute, scale or encode, classify."""
    numeric = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categorical = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
    )
    columns = make_column_transformer(
        (numeric, make_column_selector(dtype_include="number")),
        (categorical, make_column_selector(dtype_exclude="number")),
    )
    return Pipeline([("columns", columns), ("classifier", LogisticRegression(random_state=0))])


def search_solvers(X, y, n_jobs):
    """Cross-validate every stochastic solver at every rate, and the full-batch solvers."""
    grid = [
        {"classifier__solver": STOCHASTIC, "classifier__learning_rate_init": RATES},
        {"classifier__solver": FULL_BATCH, "classifier__learning_rate_init": ["auto"]},
    ]
    search = GridSearchCV(make_model(), grid, scoring="roc_auc", cv=3, n_jobs=n_jobs)
    return search.fit(X, y)


def table_of(search):
    """The search's results, best first."""
    columns = {
        "param_classifier__solver": "solver",
        "param_classifier__learning_rate_init": "rate",
        "mean_test_score": "ROC AUC",
        "std_test_score": "std",
        "mean_fit_time": "fit seconds",
    }
    results = pd.DataFrame(search.cv_results_)[list(columns)].rename(columns=columns)
    return results.sort_values("ROC AUC", ascending=False)


def plot(search, X, y, output):
    """The search's results, and the losses by epoch of each solver at its best rate."""
    features = search.best_estimator_["columns"].transform(X)
    classifier = search.best_estimator_["classifier"]
    best_rates = table_of(search).drop_duplicates("solver").set_index("solver")["rate"]
    best_rates = best_rates[STOCHASTIC + FULL_BATCH]
    models = [
        clone(classifier).set_params(solver=solver, learning_rate_init=rate).fit(features, y)
        for solver, rate in best_rates.items()
    ]

    plt.switch_backend("agg")  # draws to files, needs no display
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.5), layout="constrained")
    SolverComparisonDisplay.from_estimator(search, ax=left)
    names = [f"{solver} ({rate})" for solver, rate in best_rates.items()]
    curves = LossCurveDisplay.from_estimator(models, names=names, above_lowest=True, ax=right)
    curves.axes_[0].set(xlabel="epoch (lbfgs: iteration)", ylim=(1e-6, None))
    figure.suptitle("Logistic regression on adult census income")
    figure.savefig(output, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="use a random sample of this many rows")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default: one a core")
    parser.add_argument("--output", default="compare_solvers.png", help="file of the plot")
    options = parser.parse_args()

    X, y = load_adult(options.rows)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    search = search_solvers(X_train, y_train, options.jobs)

    print(f"3-fold cross-validation on {len(X_train)} rows:\n")
    print(table_of(search).astype({"rate": str}).round(4).to_string(index=False))
    best = search.best_params_
    print(f"\nBest: {best['classifier__solver']}, rate {best['classifier__learning_rate_init']}.")
    print(f"ROC AUC on {len(X_test)} held-out rows: {search.score(X_test, y_test):.4f}")
    plot(search, X_train, y_train, options.output)
    print(f"Plots: {options.output}")


if __name__ == "__main__":
    main()
