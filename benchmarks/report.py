"""Tables for people, JSON for later."""

import itertools
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from threadpoolctl import threadpool_info

import skopt_est

Row = dict[str, object]
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "scipy", "scikit-learn")
PEERS = ("torch", "vowpalwabbit", "sklearn-contrib-lightning")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def caches() -> Row:
    """Sizes of the caches beyond the first that a core reaches, as far as the system tells them."""
    sizes: Row = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level = (folder / "level").read_text().strip()
        if level != "1":
            sizes[f"L{level}"] = (folder / "size").read_text().strip()
    return sizes


def environment() -> Row:
    """What the figures depend on beside the code."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        **caches(),
        "simd": skopt_est.show_config(mode="dicts")["simd"],
        "blas": sorted({f"{lib['prefix']} {lib['version']} {_kernel(lib)}" for lib in _blas()}),
        "python": platform.python_version(),
        "commit": git("rev-parse", "HEAD").strip() or None,
        "uncommitted changes": bool(git("status", "--porcelain", "--untracked-files=no").strip()),
        **{name: version(name) for name in PACKAGES},
        **{name: _version(name) for name in PEERS if _version(name)},
    }


def _blas() -> list[dict]:
    return [library for library in threadpool_info() if library["user_api"] == "blas"]


def _kernel(library: dict) -> str:
    return library.get("architecture", "")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def markdown(rows: list[Row]) -> str:
    """A table, or one after the other where the columns change; numbers to the right."""
    return "\n\n".join(_table(list(group)) for _, group in itertools.groupby(rows, key=list))


def _table(rows: list[Row]) -> str:
    heads = list(rows[0])
    cells = [[_text(row[head]) for head in heads] for row in rows]
    rules = [
        "---:" if any(isinstance(row[head], int | float) for row in rows) else "---"
        for head in heads
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, rules, *cells])


def show_last(rows: list[Row]) -> None:
    """Print the newest row, under the head of its table if it is the first."""
    lines = _table(rows[-1:]).split("\n")
    first = len(rows) == 1 or list(rows[-2]) != list(rows[-1])
    print("\n".join(lines if first else lines[-1:]), flush=True)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def write_json(path: Path, command: str, rows: list[Row], repeats: int | None) -> None:
    """The rows with the environment they were measured in."""
    about = environment() | ({} if repeats is None else {"repeats": repeats})
    document = {"command": command, "environment": about, "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")
