"""Peak memory of a fit beyond X and y, in % of X, and its time: ours and scikit-learn's.

Each figure is of a fresh process that loads X and y from files and has done a small fit. `arrays`
is the most that NumPy's allocations reached (by tracemalloc), `resident` how far the process grew;
each is taken in a process of its own, as tracemalloc needs memory too. Linux only. Ours should stay
below 10 % of X and what the parameters themselves need (theta, gradient, the solver's slots and the
best ones kept: `reach`); `bytes_a_row` tells what each thing that is asked for needs. `seconds` are
those of the whole fits whose `resident` is taken: two epochs, but five iterations of lbfgs, ours
and theirs.
"""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import problems, report, timing
from skopt_est.solvers import SOLVERS

SHARE = 10.0
# rows, columns, non-zeros a row (None: dense), precision
TABLES = {
    "1M x 28 float32": (1_000_000, 28, None, "float32"),
    "1M x 28 float64": (1_000_000, 28, None, "float64"),
    "200k x 100 float32": (200_000, 100, None, "float32"),
    "200k x 100 float64": (200_000, 100, None, "float64"),
    "CSR 200k x 10k, 50 a row, float32": (200_000, 10_000, 50, "float32"),
    "CSR 200k x 10k, 50 a row, float64": (200_000, 10_000, 50, "float64"),
}
# ours, theirs, and the hidden units; names of `memory_child`, after a plus what is asked for
MODELS = {
    "linear, sgd": ("sgd", "SGDClassifier", None),
    "linear, adam": ("adam", "SGDClassifier", None),
    "linear, gd": ("gd", "LogisticRegression", None),
    "linear, lbfgs": ("lbfgs", "LogisticRegression", None),
    "linear, class_weight": ("adam+class_weight", "SGDClassifier+class_weight", None),
    "linear, sample_weight": ("adam+sample_weight", "SGDClassifier+sample_weight", None),
    "linear, early_stopping": ("adam+early_stopping", "SGDClassifier+early_stopping", None),
    "MLP (100), adam": ("mlp", "MLPClassifier", 100),
}
README = (
    "table",
    "model",
    "arrays %",
    "resident %",
    "their arrays %",
    "their resident %",
    "reach %",
    "seconds",
    "their seconds",
)


def add_arguments(parser) -> None:
    timing.add_cases(parser, TABLES)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--repeats", type=int, default=3, help="processes of a figure; the median is shown"
    )


def save(folder: Path, case: str) -> int:
    """Files of X and y; the bytes of X."""
    n, d, per_row, dtype = TABLES[case]
    if per_row is None:
        X, y = problems.dense(n, d, np.dtype(dtype))
        parts = {"X": X}
    else:
        X, y = problems.csr(n, d, per_row)
        parts = {"data": X.data.astype(dtype), "indices": X.indices, "indptr": X.indptr}
    for name, array in (*parts.items(), ("y", y)):
        np.save(folder / f"{name}.npy", array)
    return sum(array.nbytes for array in parts.values())


def parameters_own(model: str, case: str) -> int:
    """Bytes of theta, gradient, slots, best parameters; L-BFGS keeps ten pairs of vectors."""
    _, d, _, dtype = TABLES[case]
    solver, _, hidden = MODELS[model]
    n = d + 1 if hidden is None else (d + 2) * hidden + 1
    solver = "adam" if solver == "mlp" else solver.partition("+")[0]
    slots = 20 if solver == "lbfgs" else SOLVERS[solver]().n_slots()
    return n * np.dtype(dtype).itemsize * (slots + 3)


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for case in args.cases:
        with tempfile.TemporaryDirectory() as folder:
            size = save(Path(folder), case)
            for model in args.models:
                ours, theirs, _ = MODELS[model]
                row: report.Row = {"table": case, "model": model, "MB of X": size / 1e6}
                times: report.Row = {}
                for side, name in (("", ours), ("their ", theirs)):
                    for kind in ("arrays", "resident"):
                        most, seconds = peak(kind, name, folder, args.repeats)
                        row[f"{side}{kind} %"] = 100 / size * most
                        times[f"{side}seconds"] = seconds  # of `resident`, the last
                row["reach %"] = SHARE + 100 * parameters_own(model, case) / size
                row |= times
                rows.append(row)
                report.show_last(rows)
    return rows


def peak(kind, name, folder, repeats) -> tuple[float, float]:
    """Medians of bytes and seconds."""
    arguments = ("-m", "benchmarks.memory_child", kind, name, folder)
    most, seconds = np.median([timing.child(*arguments) for _ in range(repeats)], axis=0)
    return float(most), float(seconds)
