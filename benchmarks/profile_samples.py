"""The engine with line numbers, samples of a process, and the part of the engine each is of."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
HERTZ = 4000
PARTS = {
    "tiles products": "products",
    "layers": "layers",
    "activations": "activations",
    "dropout": "dropout",
    "losses log_loss": "losses",
    "vector_math": "exp, log, tanh",
    "solvers steps": "update",
    "estimates": "roots and divisions",
    "rows": "reading a batch's rows",
    "dense fours single": "dense rows, one output",
    "cells places plain plain_adam powers quads": "CSR rows, one output",
    "lazy absent by_feature": "absent features",
    "memory": "prefetches",
    "random order": "order of rows",
    "predict": "prediction",
    "moments": "moments of columns",
}
OTHER = "around the loops"
PART_OF = {file: part for files, part in PARTS.items() for file in files.split()}
LIBRARIES = {  # what the name of a shared object begins with
    "kernel": ("[kernel", "[unknown", "[vdso"),
    "interpreter": ("python", "libpython"),
    "C library": ("libc.", "libc-", "libm.", "libm-", "libpthread", "ld-linux"),
    "BLAS": ("libscipy_openblas", "libopenblas", "libblas"),
    "NumPy": ("_multiarray",),
}
FUNCTION = re.compile(r"\s*(?:cdef|cpdef|def)\s[^=(]*?(\w+)\s*\(")


def build(tree: Path, simd: str) -> None:
    """The working tree's sources, compiled in place with line numbers, and its benchmarks."""
    if not any(tree.glob("skopt_est/_core/engine_*.so")):
        left_out = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
        package = ROOT / "skopt_est"
        shutil.copytree(package, tree / "skopt_est", ignore=left_out, dirs_exist_ok=True)
        shutil.copy(ROOT / "setup.py", tree)
        print(f"Building the engine with line numbers in {tree} ...", flush=True)
        done = subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"],
            cwd=tree,
            env={**os.environ, "SKOPT_EST_BUILD": "profiled", "SKOPT_EST_SIMD": simd},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}\nThe engine could not be built.")
    shutil.copytree(ROOT / "benchmarks", tree / "benchmarks", dirs_exist_ok=True)


def sampled(tree: Path, simd: str, case: str, seconds: float) -> tuple[dict, list[list[str]]]:
    """What the process says of itself, and address, symbol and object of each sample."""
    data = tree / "perf.data"
    record = ("record", "--quiet", "-e", "cpu-clock", "-F", HERTZ, "-k", "mono", "-o", data, "--")
    command = ("perf", *record, sys.executable, "-m", "benchmarks.profile", case, seconds)
    environment = {**os.environ, **dict.fromkeys(SINGLE, "1"), "SKOPT_EST_SIMD": simd}
    options: dict[str, Any] = {"cwd": tree, "stdout": subprocess.PIPE, "text": True}
    done = subprocess.run([str(word) for word in command], env=environment, **options)
    if done.returncode:
        sys.exit(
            "perf record failed; see above, and /proc/sys/kernel/perf_event_paranoid: "
            "above 2 it needs privileges."
        )
    child = json.loads(done.stdout.splitlines()[-1])
    window = f"--time={child['begin']:.6f},{child['end']:.6f}"
    script = ["perf", "script", "-i", str(data), window, "-F", "ip,sym,dso"]
    lines = subprocess.run(script, check=True, stderr=subprocess.DEVNULL, **options).stdout
    samples = [re.match(r"\s*(\w+) (.*) \((.*)\)$", line) for line in lines.splitlines()]
    return child, [list(sample.groups()) for sample in samples if sample]


def frames(path: str, addresses: list[int]) -> list[list[tuple[str, Path, int]]]:
    """Function, file and line of each address, from what was inlined there to what was called."""
    text = subprocess.run(
        ["addr2line", "-a", "-i", "-f", "-e", path],
        input="\n".join(hex(address) for address in addresses),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found: list[list[tuple[str, Path, int]]] = []
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("0x"):
            found.append([])
            continue
        file, _, number = next(lines).split(" ")[0].rpartition(":")
        found[-1].append((line, Path(file), int(number) if number.isdigit() else 0))
    return found


@cache
def sources(core: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in core.glob("*.p*") if path.suffix != ".py"}


@cache
def written_in(core: Path, name: str, file: Path, line: int) -> tuple[str, str] | None:
    """File of Cython and function; C among it, whose names may be made by a macro, by its name."""
    texts = sources(core)
    if file.name in texts:
        found = [FUNCTION.match(text) for text in texts[file.name].splitlines()[:line]]
        return file.name, next((match[1] for match in reversed(found) if match), "?")
    single, either = re.escape(name), re.escape(name.removesuffix("f"))
    written = rf"^\s*(?:[A-Z]+_[A-Z]+|static) [^;=(]*\b(?:{single}|{either}##F)\("
    return next(
        ((f, name) for f, text in texts.items() if re.search(written, text, re.MULTILINE)), None
    )


def places(tree: Path, child: dict, samples: list[list[str]]) -> Counter:
    """Samples by part, file and function."""
    counts: Counter = Counter()
    inside: dict[str, Counter] = {path: Counter() for path in child["maps"]}
    for address, symbol, path in samples:
        if path in inside:
            inside[path][int(address, 16) - child["maps"][path]] += 1
            continue
        name = Path(path).name
        group = [key for key, starts in LIBRARIES.items() if name.startswith(starts)]
        counts[group[0] if group else name.split(".")[0], "", symbol] += 1
    core = tree / "skopt_est" / "_core"
    for path, addresses in inside.items():
        for found, number in zip(frames(path, list(addresses)), addresses.values(), strict=True):
            known = (written_in(core, *frame) for frame in found)
            file, function = next(filter(None, known), (found[-1][1].name, found[-1][0]))
            counts[PART_OF.get(file.split(".")[0], OTHER), file, function] += number
    return counts
