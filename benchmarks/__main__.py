"""The command line of the benchmarks; see ``python -m benchmarks --help``."""

import argparse
import importlib
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks import report

COMMANDS = (
    *("epochs", "mlp", "inference", "optimum", "real", "search", "fixed", "memory", "growth"),
    *(
        "networks",
        "rare",
        "rates",
        "hindsight",
        "solvers",
        "bytes_a_row",
        "windows",
        "bounds",
        "threads",
        "profile",
    ),
    *("compare", "readme"),
)
ABOUT = """\
Measurements of speed, memory and accuracy, beside those of the other libraries that are installed.

Run it from the root of a clone, in an environment with the package installed in editable mode and
its extra `bench`. PyTorch, sklearn-contrib-lightning and vowpalwabbit are measured where they are
installed, and left out where not. Threads are pinned to one. The sides take turns in one process
(or in fresh ones, where the help of a command says so), the first round warms up, and the median
of the others is shown. Close other programs: ratios within one run are what counts, absolute times
depend on the machine.

Columns: `x` is how many times as fast ours is, `± %` half the spread of the middle half of the
rounds' ratios, and `reach` the ratio (or the bound) that the project wants to hold; `bounds` tells
which ratios the machine allows.

`compare` times two commits of ours; `python -m benchmarks.instructions` counts their instructions.
"""


def main() -> None:
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in COMMANDS}
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=ABOUT, formatter_class=shape
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in modules.items():
        about = module.__doc__
        command = commands.add_parser(
            name,
            help=about.splitlines()[0].replace("%", "%%"),
            description=about,
            formatter_class=shape,
        )
        command.add_argument("--json", type=Path, help="write the figures to this file")
        module.add_arguments(command)
    args = parser.parse_args()
    with threadpool_limits(1):
        rows = modules[args.command].run(args)
    if args.json:
        report.write_json(args.json, args.command, rows, getattr(args, "repeats", None))


main()
