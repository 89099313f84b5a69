"""Which rows are meant, where all are: without an array of their positions."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


class AllRows:
    """The positions 0, 1, ..., n - 1. Parts are made when asked for: an array of all takes four
    bytes a row, as much as a label does."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, some: slice | Array) -> Array:
        if isinstance(some, slice):
            return np.arange(*some.indices(self.n), dtype=np.int32)
        assert some.dtype.kind == "i"  # places, not a mask
        return some

    __iter__ = None  # not by counting up to an IndexError, which never comes


Rows = Array | AllRows


def compiled(rows: Rows, first: int = 0, stop: int | None = None) -> Array | range:
    """Places first to stop of the rows, as compiled functions take them."""
    stop = len(rows) if stop is None else stop
    return range(first, stop) if isinstance(rows, AllRows) else rows[first:stop]
