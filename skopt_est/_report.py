"""The lines of `verbose`."""

from __future__ import annotations

import time
from typing import Any


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    total = round(seconds)
    return f"{total // 3600}:{total // 60 % 60:02}:{total % 60:02}"


def line(entry: dict[str, Any], last: int | None, left: float | None) -> str:
    """One epoch, of at most `last`, with the seconds to that one; None: there is no last one.
    Lines of one training have their columns in the same places."""
    epoch, rate, score = entry["epoch"], entry["learning_rate"], entry["validation_score"]
    cells = [f"Epoch {epoch:4d}" if last is None else f"Epoch {epoch:{len(str(last))}d}/{last}"]
    if rate is not None:
        cells.append(f"rate {rate:<8.3g}")
    cells.append(f"loss {entry['loss']:<12.6g}")
    if score is not None:
        cells.append(f"validation score {score:<12.6g}")
    if left is not None:
        cells.append(f"{clock(left)} left")
    return "  ".join(cells).rstrip()


class Report:
    """Prints every so many epochs (0: never).

    The time left is that of all epochs that may still come, at the pace so far.
    """

    def __init__(self, every: int, begun: int) -> None:
        self.every, self.begun = every, begun
        self.last: int | None = None
        self.start = time.perf_counter()

    def __call__(self, entry: dict[str, Any]) -> None:
        if not self.every or entry["epoch"] % self.every:
            return
        left = None
        if self.last is not None:
            pace = (time.perf_counter() - self.start) / (entry["epoch"] - self.begun)
            left = pace * (self.last - entry["epoch"])
        print(line(entry, self.last, left))
