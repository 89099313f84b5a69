"""
Data larger than memory
=======================

How late does a flight arrive? A year of flights lies in a parquet file and is read a chunk at a
time: ``partial_fit`` learns from each, so that memory holds one chunk whatever the file's length.
The script trains on a quarter of the file and on all of it, in three ways: the whole table in
memory, chunks of the parquet file, and chunks of a memory-mapped array that was written chunk by
chunk. It prints the peak memory of each, above what the imports take, and the score on rows that
none of them has seen.

    python examples/larger_than_memory.py [--rows N] [--epochs N]
"""

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from skopt_est import LinearRegression

FLIGHTS = Path(__file__).resolve().parent / "data" / "flights.parquet"
NUMBERS = ["dep_delay", "temp", "wind_speed", "precip", "visib", "plane_seats"]
CATEGORIES = ["month", "weekday", "hour", "carrier", "origin", "dest"]
GROUPS_PER_CHUNK = 4  # a row group is the least that is read from a parquet file at once


def make_columns():
    """From the table's columns to numbers, float32."""
    narrow = FunctionTransformer(np.float32, feature_names_out="one-to-one")
    numbers = make_pipeline(SimpleImputer(strategy="median"), narrow)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    return make_column_transformer((numbers, NUMBERS), (encoder, CATEGORIES))


def read(groups):
    """These row groups of the file: features and target."""
    with pyarrow.parquet.ParquetFile(FLIGHTS) as file:
        table = file.read_row_groups(groups).to_pandas()
    return table, table.pop("target").to_numpy(np.float32)


def chunks_of(groups, seed):
    """Row groups in random order, some at a time.

    The file is in order of time: a chunk of neighbouring groups would hold one week, and the
    units of training are those of the first chunk.
    """
    order = np.random.default_rng(seed).permutation(groups)
    return np.array_split(order, -(-len(order) // GROUPS_PER_CHUNK))


def make_model(n_passes):
    """One epoch of `fit`, or one call of `partial_fit`, is one pass of the schedule."""
    return LinearRegression(
        solver="adam", learning_rate="cosine", max_iter=n_passes, random_state=0
    )


def train_in_memory(columns, groups, epochs, _):
    table, y = read(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # max_iter is meant to be reached
        return make_model(epochs).fit(columns.transform(table), y)


def train_from_parquet(columns, groups, epochs, _):
    model = make_model(epochs * len(chunks_of(groups, seed=0)))
    for epoch in range(epochs):
        for chunk in chunks_of(groups, seed=epoch):
            table, y = read(chunk)
            model.partial_fit(columns.transform(table), y)
    return model


def write_array(columns, groups, folder):
    """The transformed rows as a file of numbers, written a chunk at a time."""
    with pyarrow.parquet.ParquetFile(FLIGHTS) as file:
        sizes = [file.metadata.row_group(int(group)).num_rows for group in groups]
    shape = sum(sizes), len(columns.get_feature_names_out()) + 1
    array = np.lib.format.open_memmap(folder / "rows.npy", "w+", dtype=np.float32, shape=shape)
    start = 0
    for chunk in chunks_of(groups, seed=0):
        table, y = read(chunk)
        array[start : start + len(y), :-1] = columns.transform(table)
        array[start : start + len(y), -1] = y
        start += len(y)


def train_from_array(columns, groups, epochs, folder):
    """The rows were mixed when they were written, so they are read in their order."""
    n_chunks = len(chunks_of(groups, seed=0))
    model = make_model(epochs * n_chunks)
    for _ in range(epochs):
        for chunk in range(n_chunks):
            # Mapped anew, so that the pages of the chunk before are given back.
            rows = np.load(folder / "rows.npy", mmap_mode="r")
            rows = rows[chunk * len(rows) // n_chunks : (chunk + 1) * len(rows) // n_chunks]
            model.partial_fit(rows[:, :-1], rows[:, -1])
    return model


WAYS = {
    "all in memory": train_in_memory,
    "chunks of parquet": train_from_parquet,
    "chunks of a mapped array": train_from_array,
}


def peak_megabytes():
    """The most memory that this process has had so far."""
    if sys.platform == "linux":  # where getrusage begins with the peak of the parent
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS: bytes


def measure(way, *arguments):
    """A trained model, the rise of the process's peak memory, and the seconds it took."""
    before, start = peak_megabytes(), time.perf_counter()
    model = WAYS[way](*arguments)
    return model, peak_megabytes() - before, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, help="use about this many rows of the file")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the rows")
    options = parser.parse_args()

    with pyarrow.parquet.ParquetFile(FLIGHTS) as file:
        n_rows, n_groups = file.metadata.num_rows, file.metadata.num_row_groups
    groups = np.random.default_rng(0).permutation(n_groups)
    if options.rows is not None:
        groups = groups[: max(-(-options.rows * n_groups // n_rows), 5)]
    n_test = max(len(groups) // 10, 1)
    test, training = groups[:n_test], groups[n_test:]

    columns = make_columns().fit(read(training[:8])[0])  # a sample tells the categories
    X_test, y_test = read(test)
    X_test = columns.transform(X_test)
    chunk = read(training[:GROUPS_PER_CHUNK])[0]
    size = X_test.itemsize * X_test.shape[1] * len(chunk) / 1e6
    print(f"A chunk has up to {len(chunk)} rows of {X_test.shape[1]} columns: {size:.0f} MB.")

    results = []
    # A process for each way: the peak of a process never falls.
    context = multiprocessing.get_context("spawn")
    for share in (training[: -(-len(training) // 4)], training):
        with tempfile.TemporaryDirectory() as folder:
            write_array(columns, share, Path(folder))
            for way in WAYS:
                with context.Pool(1) as pool:
                    arguments = columns, share, options.epochs, Path(folder)
                    model, megabytes, seconds = pool.apply(measure, (way, *arguments))
                results.append(
                    {
                        "rows": model.t_ // options.epochs,
                        "way": way,
                        "peak MB": round(megabytes),
                        "seconds": round(seconds, 2),
                        "R² on test rows": round(r2_score(y_test, model.predict(X_test)), 4),
                    }
                )
    print(f"Training, {options.epochs} epochs, and its peak memory above that of the imports:\n")
    print(pd.DataFrame(results).to_string(index=False))
    print(
        "\nSeconds are those of one run each, with reading and encoding; the writing of the mapped "
        "array\nis not counted."
    )


if __name__ == "__main__":
    main()
