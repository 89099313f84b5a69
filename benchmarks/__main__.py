"""The command line of the benchmarks; see ``python -m benchmarks --help``."""

import argparse
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks import epochs, mlp, networks, optimum, rare, rates, report, solvers

COMMANDS = {
    "epochs": epochs,
    "mlp": mlp,
    "networks": networks,
    "optimum": optimum,
    "rare": rare,
    "rates": rates,
    "solvers": solvers,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run from the root of a clone, in an environment with the package installed "
        "in editable mode and the extra `test`. Threads are pinned to one. Close other programs: "
        "ratios within one run are what counts, absolute times depend on the machine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0])
        command.add_argument("--json", type=Path, help="write the figures to this file")
        module.add_arguments(command)
    args = parser.parse_args()
    with threadpool_limits(1):
        rows = COMMANDS[args.command].run(args)
    if args.json:
        report.write_json(args.json, args.command, rows)


main()
