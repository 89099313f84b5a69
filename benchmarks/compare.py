"""Times of two commits of our own, in processes that take turns.

    python -m benchmarks compare BASE [HEAD]

Both commits' files are laid into temporary folders and compiled there (Cython and setuptools have
to be installed). A side may also be a folder in which the package was compiled in place: `.` is the
working tree. Each round runs a case in a fresh process of each side, the order turned about from
round to round; a process warms up and gives the median of three measurements. `x` is how many
times as fast HEAD is. The losses should be alike where the commits mean to compute the same.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import compare_cases, report, timing
from benchmarks.instructions import build

SCRIPT = Path(compare_cases.__file__).resolve()


def add_arguments(parser) -> None:
    parser.add_argument("base", help="a commit, or a folder with the package compiled in place")
    parser.add_argument("head", nargs="?", default="HEAD", help="likewise (default: HEAD)")
    parser.add_argument(
        "--builds", type=Path, metavar="FOLDER", help="keep what is built here, and use it again"
    )
    parser.add_argument("--simd", choices=("baseline", "avx2", "avx512"), help="of the engine")
    timing.add_cases(parser, compare_cases.CASES)
    timing.add_repeats(parser)


def built(revision: str, builds: Path) -> tuple[str, Path]:
    """The side's name, and a folder to import the package from."""
    if Path(revision, "skopt_est").is_dir():
        return revision, Path(revision).resolve()
    commit = report.git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    if not re.fullmatch("[0-9a-f]{40,64}", commit):
        sys.exit(f"{revision} is neither a commit nor a folder with the package")
    tree = builds / commit
    if not tree.exists():
        print(f"building {revision} ({commit[:9]})", file=sys.stderr, flush=True)
        unfinished = tree.with_suffix(".unfinished")
        build(commit, unfinished)
        unfinished.rename(tree)
    return commit[:9], tree


def one_process(tree: Path, case: str, simd: str | None) -> tuple[float, float]:
    """Seconds of an epoch, and the loss."""
    environment = {**os.environ, **timing.SINGLE, "PYTHONPATH": str(tree)}
    if simd:
        environment["SKOPT_EST_SIMD"] = simd
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT), case],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    if Path(answer["from"]).resolve().parent.parent != tree.resolve():
        sys.exit(f"{answer['from']} was imported in place of the build in {tree}")
    return answer["seconds"], answer["loss"]


def measure(case, trees: dict[str, Path], simd, repeats) -> dict[str, timing.Figure]:
    figures = {side: timing.Figure([], None) for side in trees}
    for repeat in range(repeats):
        sides = list(trees) if repeat % 2 == 0 else list(trees)[::-1]
        for side in sides:
            seconds, loss = one_process(trees[side], case, simd)
            figures[side] = timing.Figure([*figures[side].values, seconds], loss)
    return figures


def run(args) -> list[report.Row]:
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        builds = (args.builds or Path(temporary)).resolve()
        builds.mkdir(parents=True, exist_ok=True)
        (base, base_tree), (head, head_tree) = (
            built(side, builds) for side in (args.base, args.head)
        )
        for case in args.cases:
            trees = {"base": base_tree, "head": head_tree}
            figures = measure(case, trees, args.simd, args.repeats)
            old, new = figures["base"], figures["head"]
            row: report.Row = {"case": case, "base": base, "head": head}
            row |= {"base ms": 1000 * old.median, "head ms": 1000 * new.median}
            row |= {"x": old.median / new.median, "± %": timing.noise(new, old)}
            row |= {"loss, base": old.result, "loss, head": new.result}
            rows.append(row)
            report.show_last(rows)
    return rows
