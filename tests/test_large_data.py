"""Chunks of parquet files and mapped arrays train like those in memory, in the room of a chunk."""

import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from fits import ESTIMATORS, data, is_network, model, outcome
from sklearn.base import is_classifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CHUNK = 100


def classes_of(name, y):
    return {"classes": np.unique(y)} if is_classifier(ESTIMATORS[name]()) else {}


def from_memory(X, y, _):
    for start in range(0, len(X), CHUNK):
        yield X[start : start + CHUNK], y[start : start + CHUNK]


def from_parquet(X, y, folder):
    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])]).assign(y=y)
    pa.parquet.write_table(pa.Table.from_pandas(table), folder / "t.parquet", row_group_size=CHUNK)
    with pa.parquet.ParquetFile(folder / "t.parquet") as file:
        for batch in file.iter_batches(CHUNK):
            chunk = batch.to_pandas()
            yield chunk.drop(columns="y").to_numpy(), chunk["y"].to_numpy()


def from_mapped_array(X, y, folder):
    np.save(folder / "X.npy", X)
    mapped = np.load(folder / "X.npy", mmap_mode="r")
    assert isinstance(mapped[:CHUNK], np.memmap)
    yield from from_memory(mapped, y, None)


@pytest.mark.parametrize("chunks", [from_parquet, from_mapped_array])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_chunks_of_a_file_train_as_chunks_in_memory(name, chunks, tmp_path):
    X, y = data(name, n=5 * CHUNK)
    estimators = []
    for source in (chunks, from_memory):
        est = model(name, "adam")
        for rows, target in source(X, y, tmp_path):
            est.partial_fit(rows, target, **classes_of(name, y))
        assert est.t_ == len(X) and len(est.loss_curve_) == 5
        estimators.append(est)
    for a, b in zip(*(outcome(est, X) for est in estimators), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frames_of_a_parquet_file_keep_their_column_names(tmp_path):
    X, y = data("LinearRegression", n=3 * CHUNK)
    table = pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
    table.to_parquet(tmp_path / "t.parquet")
    est = model("LinearRegression", "sgd")
    with pa.parquet.ParquetFile(tmp_path / "t.parquet") as file:
        for i, batch in enumerate(file.iter_batches(CHUNK)):
            est.partial_fit(batch.to_pandas(), y[i * CHUNK : (i + 1) * CHUNK])
    assert est.feature_names_in_.tolist() == list(table)
    with pytest.raises(ValueError, match="feature names"):
        est.partial_fit(table.iloc[:CHUNK, ::-1], y[:CHUNK])


def peak_of(work):
    """The most memory, in bytes, that Python and numpy had at once during `work`."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_memory_is_bounded_by_the_chunk_and_not_by_the_file(name, tmp_path):
    n, d, n_chunks = 2000, 100, 10
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", shape=(n * n_chunks, d))
    X[:] = np.random.default_rng(0).normal(size=X.shape)
    y = X[:, 0].copy()
    y = (y > 0).astype(int) if is_classifier(ESTIMATORS[name]()) else y
    X.flush()
    chunk_bytes = n * d * X.itemsize
    network = {"hidden_layer_sizes": (9,)} if is_network(name) else {}
    est = model(name, "adam", batch_size=256, **network)

    def pass_over_the_file():
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        for start in range(0, len(mapped), n):
            part = slice(start, start + n)
            est.partial_fit(mapped[part], y[part], **classes_of(name, y))

    pass_over_the_file()
    assert peak_of(pass_over_the_file) < chunk_bytes


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fit_of_a_mapped_array_copies_none_of_its_rows(name, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "X.npy", rng.normal(size=(20_000, 100)))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    y = np.asarray(mapped[:, 0]).copy()
    y = (y > 0).astype(int) if is_classifier(ESTIMATORS[name]()) else y
    network = {"hidden_layer_sizes": (9,)} if is_network(name) else {}
    est = model(name, "adam", batch_size=256, max_iter=1, **network)
    assert peak_of(lambda: est.fit(mapped, y)) < mapped.nbytes / 5
