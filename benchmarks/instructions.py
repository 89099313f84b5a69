"""Instruction counts of the compiled kernels, HEAD against another commit.

    python -m benchmarks.instructions --base REVISION

Both commits are built in temporary directories and run the fits of `instructions_cases` (those of
the working tree, for both) under valgrind's callgrind. Counted is what the package's compiled
modules and BLAS execute, with the C library's functions that they call; not the interpreter, nor
the imports. Counts do not depend on the machine's load. The exit status is 1 if a case grew by
more than 5 %.

Valgrind knows no AVX-512, so the engine's build for AVX2 is counted, with OpenBLAS's kernels for
Haswell. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

LIMIT = 1.05
ROOT = Path(__file__).resolve().parent.parent
CASES = Path(__file__).resolve().with_name("instructions_cases.py")
# The same on both sides and in every run; paths of libraries must be found all the same.
KEPT = ("PATH", "HOME", "LD_LIBRARY_PATH")
FIXED = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LD_BIND_NOW": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
CALLGRIND = (
    *("valgrind", "--tool=callgrind", "--quiet"),
    *("--compress-strings=no", "--compress-pos=no", "--callgrind-out-file=%p.callgrind"),
)

Row = dict[str, object]


def ours(path: str) -> bool:
    """Whether a shared object is a compiled module of the package, or BLAS."""
    return "/skopt_est/" in path or "blas" in Path(path).name


def of_c_library(path: str) -> bool:
    return Path(path).name.startswith(("libc.", "libc-", "libm.", "libm-"))


def count(lines: Iterable[str]) -> int:
    """Instructions of our shared objects and of what they call in the C library.

    The format: `ob=` names the object of the costs that follow, a line of position and cost. After
    `calls=` that line is the inclusive cost of the call, to the object that `cob=` named, if any
    did since the last call, and else to the same one.
    """
    total = 0
    place = target = ""
    in_call = False
    for line in lines:
        if line.startswith("ob="):
            place = target = line[3:].strip()
        elif line.startswith("cob="):
            target = line[4:].strip()
        elif line.startswith("calls="):
            in_call = True
        elif line[:1].isdigit():
            if ours(place) and (not in_call or of_c_library(target)):
                total += int(line.split()[1])
            if in_call:
                target, in_call = place, False
    return total


def compare(base: Mapping[str, int], head: Mapping[str, int], cases: Iterable[str]) -> list[Row]:
    """A row for each case, with `grew` where head takes over 5 % more, or does not run."""
    rows: list[Row] = []
    for case in cases:
        before, after = base.get(case), head.get(case)
        ratio = after / before if before and after else None
        grew = after is None or (ratio is not None and ratio > LIMIT)
        rows.append({"case": case, "base": before, "head": after, "ratio": ratio, "grew": grew})
    return rows


def table(rows: list[Row]) -> str:
    """For people; a dash where a side does not run the case."""

    def text(value: object, form: str) -> str:
        return "–" if value is None else format(value, form)

    lines = ["| case | base | head | ratio | |", "| --- | ---: | ---: | ---: | --- |"]
    for row in rows:
        cells = [text(row[side], ",") for side in ("base", "head")]
        verdict = "" if not row["grew"] else "does not run" if row["head"] is None else "grew"
        lines.append(
            f"| {row['case']} | {' | '.join(cells)} | {text(row['ratio'], '.4f')} | {verdict} |"
        )
    return "\n".join(lines)


def build(revision: str, tree: Path) -> None:
    """The commit's files, with the engine compiled in place."""
    tree.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    subprocess.run(["tar", "--extract"], cwd=tree, input=archive, check=True)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", "2"]
    built = subprocess.run(
        command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if built.returncode:
        sys.exit(f"{built.stdout}\n{revision} could not be built.")


def fixed_addresses() -> list[str]:
    """The prefix of a command that runs without randomised addresses, where that is allowed."""
    prefix = ["setarch", os.uname().machine, "--addr-no-randomize"]
    try:
        allowed = subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        print("Addresses are randomised here: counts may differ a little from run to run.")
    return prefix if allowed else []


def measure(tree: Path, simd: str) -> tuple[dict[str, int], list[str]]:
    """Instructions of each case that ran, less those of the imports; and the names of all."""
    output = tree / "counts"
    output.mkdir()
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {**FIXED, "SKOPT_EST_SIMD": simd, "PYTHONPATH": str(tree)}
    answer = json.loads(
        subprocess.run(
            [*fixed_addresses(), *CALLGRIND, sys.executable, "-P", str(CASES)],
            cwd=output,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
    )
    if Path(answer["from"]).parent.parent != tree:
        sys.exit(f"{answer['from']} was imported in place of the build in {tree}.")
    counts = {}
    for case, process in answer["processes"].items():
        with (output / f"{process}.callgrind").open() as lines:
            counts[case] = count(lines)
    imports = counts.pop("")
    return {case: value - imports for case, value in counts.items()}, answer["cases"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.instructions", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--base", required=True, help="the commit to compare with")
    parser.add_argument("--head", default="HEAD", help="the commit that is judged")
    parser.add_argument("--simd", default="avx2", help="the engine's build (baseline, avx2)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    counts: dict[str, dict[str, int]] = {}
    cases: list[str] = []
    commits: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as directory:
        for side in ("base", "head"):  # names of one length: so are the paths
            commits[side] = subprocess.run(
                ["git", "rev-parse", "--verify", f"{getattr(args, side)}^{{commit}}"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout.strip()
            print(f"{side}: {commits[side]}", flush=True)
            tree = Path(directory).resolve() / side
            build(commits[side], tree)
            counts[side], cases = measure(tree, args.simd)
    rows = compare(counts["base"], counts["head"], cases)
    print(table(rows))
    if args.json:
        document = {"command": "instructions", "simd": args.simd, **commits, "rows": rows}
        args.json.write_text(json.dumps(document, indent=1) + "\n")
    if failed := [row["case"] for row in rows if row["grew"]]:
        sys.exit(f"More than {LIMIT - 1:.0%} above {args.base}, or not running: {failed}")


if __name__ == "__main__":
    main()
