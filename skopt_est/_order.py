"""The order in which an epoch visits the rows.

Where X is larger than a processor's cache, rows in random order come one by one from memory, and
waiting for them takes longer than training on them. So the order is then random on two levels:
blocks of neighbouring rows are drawn at random, and the rows of as many blocks as a cache holds are
visited at random. Every row comes once an epoch, in another order each time. On data sorted by the
label this converges like a full permutation but for the first epochs of sgd; larger blocks
do worse, and windows of one block much worse (docs/architecture.md).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from skopt_est._core import engine
from skopt_est._rows import Rows, compiled

BLOCK = 8
"""Neighbouring rows that are drawn together."""
WINDOW = 256
"""Blocks whose rows are mixed, at most: fewer where rows are long, but never below 64."""
WINDOW_ELEMENTS = 1 << 17
IN_CACHE = 1 << 19
"""Elements of X, up to which all rows are mixed. Neither its type nor whether it is sparse has
a say, so that the same rows come in the same order."""


def visiting_order(rows: Rows, n_columns: int, rng: np.ndarray, size: int) -> Iterable[np.ndarray]:
    """A random order of `rows`, int32, in parts of `size`, which may lie in one and the same place;
    `rng`, the generator's state, goes on."""
    n = len(rows)
    if n * n_columns > IN_CACHE:
        return _on_two_levels(rows, n_columns, rng, size)
    order = engine.shuffled(rows[:], rng)
    return [order[first : first + size] for first in range(0, n, size)]


def _on_two_levels(rows: Rows, n_columns: int, rng: np.ndarray, size: int) -> Iterator[np.ndarray]:
    n = len(rows)
    window = BLOCK * min(max(WINDOW_ELEMENTS // (BLOCK * n_columns), WINDOW // 4), WINDOW)
    blocks = engine.shuffled(np.arange(-(-n // BLOCK), dtype=np.int32), rng)
    order = np.empty(min(size, n) + window, np.int32)
    drawn = waiting = 0
    while drawn < n or waiting:
        windows = -(-max(size - waiting, 0) // window)
        count = min(windows * window, n - drawn)
        if count:  # else what waits is the rest
            place = order[waiting : waiting + count]
            engine.visit(compiled(rows), blocks, BLOCK, window, drawn, place, rng)
        drawn, waiting = drawn + count, waiting + count
        part = min(size, waiting)
        yield order[:part]
        order[: waiting - part] = order[part:waiting].copy()
        waiting -= part
