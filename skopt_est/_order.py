"""The order in which an epoch visits the rows.

Where X is larger than a processor's cache, rows in random order come one by one from memory, and
waiting for them takes longer than training on them. So the order is then random on two levels:
blocks of neighbouring rows are drawn at random, and the rows of a window, of 16 blocks or more, are
visited at random. Every row comes once an epoch, in another order each time. On data sorted by the
label this converges like a full permutation but for the first epochs; blocks of more rows than
`BLOCK` allows do worse, and windows of one block much worse (docs/architecture.md).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from skopt_est._core import engine
from skopt_est._rows import Rows, compiled

BLOCK = 8, 16
"""Neighbouring rows that are drawn together, at least and at most. Memory is read faster the longer
the stretches; but on sorted rows a block is like one row that weighs as much as all of it. Among
the gradient's other columns that is lost in the noise where they are twice as many as the block has
rows or more (`python -m benchmarks windows`)."""
BLOCK_ELEMENTS = 1 << 11
"""So long a stretch is long enough."""
WINDOW = 16, 64
"""Stretches whose rows are mixed: as many as a batch has rows, but at least and at most so many.
Steps of one row then find their window, and most of the next, in the second cache even as float64;
larger batches read memory less evenly whatever the window, and want rows of many blocks. Where
`BLOCK` rows are longer than a stretch, no window has its place there: the most."""
MOST_BLOCKS = 256
"""More make no difference to how well rows are mixed."""
IN_CACHE = 1 << 19
"""Elements of X, up to which all rows are mixed. Neither its type nor whether it is sparse has
a say, so that the same rows in the same batches come in the same order."""


Part = tuple[np.ndarray, np.ndarray | None]
"""Rows in the order in which they are visited, and rows to ask memory for meanwhile."""


def visiting_order(
    rows: Rows, n_columns: int, rng: np.ndarray, size: int, batch_size: int, ask: bool = False
) -> Iterable[Part]:
    """A random order of `rows`, int32, for batches of `batch_size`, in parts of `size`, which may
    lie in one and the same place; `rng`, the generator's state, goes on. If `ask`, each part comes
    with rows for which memory may be asked at its places: those of the next window, in the order
    in which they lie (in the last window its own), or None where all rows are mixed."""
    n = len(rows)
    if n * n_columns > IN_CACHE:
        return _on_two_levels(rows, n_columns, rng, size, batch_size, ask)
    order = engine.shuffled(rows[:], rng)
    return [(order[first : first + size], None) for first in range(0, n, size)]


def _on_two_levels(
    rows: Rows, n_columns: int, rng: np.ndarray, size: int, batch_size: int, ask: bool
) -> Iterator[Part]:
    n = len(rows)
    block = max(BLOCK[0], min(BLOCK[1], n_columns // 2, BLOCK_ELEMENTS // n_columns))
    in_a_stretch, stretches = BLOCK_ELEMENTS // (block * n_columns), WINDOW[1]
    if in_a_stretch:
        stretches = min(max(batch_size, WINDOW[0]), stretches)
    window = block * min(stretches * max(in_a_stretch, 1), MOST_BLOCKS)
    blocks = engine.shuffled(np.arange(-(-n // block), dtype=np.int32), rng)
    drawn_rows = np.empty((1 + ask, min(size, n) + window), np.int32)
    order, coming = drawn_rows[0], drawn_rows[1] if ask else None
    drawn = waiting = 0
    while drawn < n or waiting:
        windows = -(-max(size - waiting, 0) // window)
        count = min(windows * window, n - drawn)
        if count:  # else what waits is the rest
            place = slice(waiting, waiting + count)
            asked = None if coming is None else coming[place]
            engine.visit(compiled(rows), blocks, block, window, drawn, order[place], rng, asked)
        drawn, waiting = drawn + count, waiting + count
        part = min(size, waiting)
        yield order[:part], None if coming is None else coming[:part]
        waiting -= part
        if waiting:
            drawn_rows[:, :waiting] = drawn_rows[:, part : part + waiting].copy()
