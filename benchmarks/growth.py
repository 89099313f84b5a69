"""Time of an epoch and memory of a fit against rows, columns, entries, classes, layers, units.

Every fit is one process, one thread, float32. Dense rows are a file mapped into memory. Time: the
median epoch. Memory: the most that the process had during the fit, less what it had with X and y
loaded and a small fit done. Linux only.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import growth_plot, report

ROOT = Path(__file__).resolve().parent.parent
WORK = 3e8
"""Products of an entry and a weight that the epochs of a fit have together, roughly."""
CHUNK = 100_000

ADAM = {"solver": "adam", "batch_size": 256}
SGD = {"solver": "sgd", "batch_size": 256}
GD = {"solver": "gd"}
THREE = {"adam": ADAM, "sgd": SGD, "gd": GD}
BASE = {"rows": 20_000, "columns": 28, "entries": None, "classes": 2, "layers": 0, "units": 64}
# What varies, over which values, with what else fixed, and by which solvers.
SWEEPS = {
    "rows": ((1000, 10_000, 100_000, 1_000_000, 10_000_000), {}, THREE),
    "columns": ((10, 100, 1000, 10_000, 100_000), {"entries": 10}, THREE),
    "entries": ((1, 10, 100, 1000), {"columns": 100_000}, THREE),
    "classes": ((2, 10, 100, 1000), {}, THREE),
    "layers": ((1, 2, 4, 8), {}, {"adam": ADAM}),
    "units": ((16, 64, 256, 1024), {"layers": 2}, {"adam": ADAM}),
}


def add_arguments(parser) -> None:
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--most", type=float, default=np.inf, help="leave out larger values")
    parser.add_argument(
        "--plot", action="store_true", help="draw the picture and the table of docs/growth.md"
    )


def write_data(directory: Path, size) -> None:
    """Rows of this size as files; dense ones in pieces."""
    rng = np.random.default_rng(0)
    n, d, entries, classes = (size[key] for key in ("rows", "columns", "entries", "classes"))
    y = rng.integers(classes, size=n)
    y[:classes] = np.arange(classes)
    np.save(directory / "y.npy", y)
    if entries is None:
        X = np.lib.format.open_memmap(
            directory / "X.npy", mode="w+", dtype=np.float32, shape=(n, d)
        )
        for begin in range(0, n, CHUNK):
            rows = X[begin : begin + CHUNK]
            rng.standard_normal(out=(noise := np.empty(rows.shape, np.float32)), dtype=np.float32)
            noise[:, 0] += y[begin : begin + CHUNK] / classes
            rows[:] = noise
        return
    # One column from each of so many stretches of equal width: sorted, none twice.
    width = d // entries
    indices = width * np.arange(entries) + rng.integers(width, size=(n, entries))
    np.save(directory / "indices.npy", indices.ravel().astype(np.int32))
    np.save(directory / "data.npy", rng.standard_normal(n * entries, dtype=np.float32))
    np.save(directory / "indptr.npy", np.arange(0, n * entries + 1, entries, dtype=np.int32))
    np.save(directory / "shape.npy", (n, d))


def products(size) -> float:
    """What an epoch's time should be proportional to: entries times weights of a feature, and
    so on through the layers."""
    outputs = size["classes"] if size["classes"] > 2 else 1
    entries = size["entries"] or size["columns"]
    units = (entries, *(size["layers"] * (size["units"],)), outputs)
    return size["rows"] * float(sum(a * b for a, b in itertools.pairwise(units)))


def fit(data: Path, size, params) -> report.Row:
    """The figures of one fit in a process of its own."""
    if size["layers"]:
        params = {**params, "hidden_layer_sizes": size["layers"] * (size["units"],)}
    case = {
        "data": str(data),
        "params": params,
        "warm": {"hidden_layer_sizes": [8]} if size["layers"] else {},
        "epochs": int(np.clip(WORK / products(size), 4, 50)),
    }
    command = [sys.executable, "-m", "benchmarks.growth_fit", json.dumps(case)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for sweep in args.sweeps:
        values, fixed, solvers = SWEEPS[sweep]
        for value in values:
            if value > args.most:
                continue
            size = {**BASE, **fixed, sweep: value}
            with tempfile.TemporaryDirectory() as directory:
                write_data(Path(directory), size)
                for solver, params in solvers.items():
                    figures = fit(Path(directory), size, params)
                    rows.append({"sweep": sweep, "value": value, "solver": solver, **figures})
                    report.show_last(rows)
    if args.plot:
        growth_plot.draw(rows)
        growth_plot.write_table(rows)
    return rows
