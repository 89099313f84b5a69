"""How times are taken: sides in turns, the first round thrown away, medians of the others."""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg.blas import sgemm

from benchmarks import report

# Fits of `epoch` are repeated until they took so long
LEAST_SECONDS = 0.2
SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Figure(NamedTuple):
    """What one side took, and the result of its last run."""

    values: list[float]
    result: Any

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def fastest(self) -> float:
        return min(self.values)


def add_repeats(parser, default: int = 5) -> None:
    parser.add_argument(
        "--repeats",
        type=int,
        default=default,
        help=f"rounds of all sides in turns, after one that warms up (default: {default})",
    )


def add_cases(parser, cases) -> None:
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=list(cases),
        default=list(cases),
        metavar="CASE",
        help="only these: " + "; ".join(f'"{case}"' for case in cases),
    )


def alternate(
    sides: dict[Any, Callable[[], tuple[float, Any]]],
    repeats: int,
    *,
    warm_up: bool = True,
    once_over: float = math.inf,
) -> dict[Any, Figure]:
    """Run the sides in turns; each returns its time, in a unit of its own, and a result.

    One that took more than `once_over` at first is not run again.
    """
    values: dict[Any, list[float]] = {name: [] for name in sides}
    results = {}
    for repeat in range(0 if warm_up else 1, repeats + 1):
        for name, side in sides.items():
            if values[name] and values[name][0] > once_over:
                continue
            value, results[name] = side()
            if repeat:
                values[name].append(value)
    return {name: Figure(values[name], results[name]) for name in sides}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and the result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def epoch(fit: Callable[[int], Any], epochs: int) -> tuple[float, Any]:
    """Seconds of an epoch: a fit of twice so many less one of so many, over their number.

    What a fit does once falls out of it, all that it does once an epoch stays in. Short fits are
    repeated, and the median of the differences is taken: one of them is soon lost in noise. The
    first fit is not counted: after another side's it finds caches and memory as that left them,
    and would shorten the first of few differences.
    """
    fit(epochs)
    differences: list[float] = []
    taken = 0.0
    while taken < LEAST_SECONDS:
        short, _ = timed(lambda: fit(epochs))
        long, result = timed(lambda: fit(2 * epochs))
        differences.append(long - short)
        taken += short + long
    return statistics.median(differences) / epochs, result


def noise(ours: Figure, theirs: Figure) -> float:
    """Half the spread of the middle half of the rounds' ratios, in % of their median."""
    ratios = np.divide(theirs.values, ours.values)
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(50 * (high - low) / middle)


def versus(
    head: report.Row, unit: str, ours: Figure, theirs: Figure, reach: float | None, scale=1.0
) -> report.Row:
    """A line of a table: both times, their ratio, the one to reach, and its noise."""
    return {
        **head,
        "unit": unit,
        "ours": scale * ours.median,
        "theirs": scale * theirs.median,
        "x": theirs.median / ours.median,
        "± %": noise(ours, theirs),
        "reach": reach,
        "ours, fastest": scale * ours.fastest,
        "theirs, fastest": scale * theirs.fastest,
    }


def warm_blas() -> None:
    """One product that is large in all dimensions: before it, OpenBLAS runs at a third."""
    large = np.ones((512, 384), np.float32, order="F")
    sgemm(1.0, large, large.T)


def child(*arguments: str, **environment: str) -> Any:
    """What a fresh process with one thread prints, read as JSON; `-m benchmarks.x` and so on."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=report.ROOT,
        env={**os.environ, **SINGLE, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
