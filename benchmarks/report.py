"""Tables for people, JSON for later."""

import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import skopt_est

Row = dict[str, object]


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> Row:
    """What the figures depend on beside the code."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return {
        "processor": processor(),
        "simd": skopt_est.show_config(mode="dicts")["simd"],
        "python": platform.python_version(),
        "commit": commit.stdout.strip() or None,
        **{name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
    }


def markdown(rows: list[Row]) -> str:
    """A table; numbers to the right."""
    heads = list(rows[0])
    cells = [[_text(row[head]) for head in heads] for row in rows]
    rules = ["---:" if isinstance(rows[0][head], int | float) else "---" for head in heads]
    lines = [heads, rules, *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show_last(rows: list[Row]) -> None:
    """Print the newest row, under the head of the table if it is the first."""
    lines = markdown(rows).split("\n")
    print("\n".join(lines if len(rows) == 1 else lines[-1:]), flush=True)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def write_json(path: Path, command: str, rows: list[Row]) -> None:
    """The rows with the environment they were measured in."""
    document = {"command": command, "environment": environment(), "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")
