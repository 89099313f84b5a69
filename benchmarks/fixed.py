"""Fixed costs: import, size of the wheel, a fit of 100 rows, BLAS that has not run yet.

Every figure but the size is of fresh processes, the sides in turns.

- import: ms that `import skopt_est` takes after scikit-learn's linear models and networks; theirs
  is the time of those. Both have their bytecode beside them, as pip installs it.
- size: MB of the package's files as an unpacked wheel; the bytecode that pip writes beside them
  comes on top.
- fit of 100 rows x 10: ms, the first of a process and the median of 20 later ones.
- cold BLAS: ms of the first fit of a network of three layers of 256 units on float32 rows; theirs
  is scikit-learn's, and `later` the second fit of the same process.
- callbacks: µs an epoch that it takes to look whether there are any, where there are none; and to
  tell one that does nothing. To reach: 1 % of an epoch of 10 ms.
"""

import compileall
import statistics
from pathlib import Path

import skopt_est
from benchmarks import report, timing

IMPORT_MS, SIZE_MB, LOOK_US = 100.0, 5.0, 100.0
FITS = ("linear", "network", "large network")
NOT_IN_A_WHEEL = (".c", ".pyc")


def add_arguments(parser) -> None:
    timing.add_cases(parser, ("import", "size", *FITS, "callbacks"))
    timing.add_repeats(parser)


def size() -> float:
    """MB."""
    folder = Path(skopt_est.__file__).parent
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if path.suffix not in NOT_IN_A_WHEEL) / 1e6


def in_turns(calls: dict[str, tuple[str, ...]], repeats: int) -> dict[str, dict[str, float]]:
    """Medians of what the processes print; the first round brings the files into memory."""
    printed: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, arguments in calls.items():
            figures = timing.child("-m", "benchmarks.fixed_child", *arguments)
            if repeat:
                printed[name].append(figures)
    return {
        name: {key: statistics.median(line[key] for line in lines) for key in lines[0]}
        for name, lines in printed.items()
    }


def line(case, unit, ours, theirs, **others) -> report.Row:
    row: report.Row = {"case": case, "unit": unit, "ours": ours, "theirs": theirs}
    return row | {"later, ours": None, "later, theirs": None, "reach": None} | others


def measure(case, repeats) -> list[report.Row]:
    if case == "size":
        return [line("unpacked wheel", "MB", size(), None, reach=SIZE_MB)]
    if case == "import":
        compileall.compile_dir(Path(skopt_est.__file__).parent, quiet=1)
        took = in_turns({"both": ("import",)}, repeats)["both"]
        return [line("import", "ms", took["ours"], took["theirs"], reach=IMPORT_MS)]
    if case == "callbacks":
        took = in_turns({"both": ("callbacks",)}, repeats)["both"]
        none = line("no callback, an epoch", "µs", took["look"], None, reach=LOOK_US)
        return [none, line("a callback, an epoch", "µs", took["tell"], None)]
    took = in_turns({side: (case, side) for side in ("skopt_est", "sklearn")}, repeats)
    ours, theirs = took["skopt_est"], took["sklearn"]
    row = line(f"first fit, {case}", "ms", ours["first"], theirs["first"])
    return [row | {"later, ours": ours["later"], "later, theirs": theirs["later"]}]


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    for case in args.cases:
        for row in measure(case, args.repeats):
            rows.append(row)
            report.show_last(rows)
    return rows
