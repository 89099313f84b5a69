"""One BLAS thread while an estimator is fitted, or makes large predictions; ours in place of more.

More of BLAS's would add in another order, and with two a product of the sizes that occur here can
take a hundred times longer. The limit belongs to the process, so it is shared by all fits under
way: the first one sets it, the last one puts back what it found. (Of BLAS on OpenMP it belongs to a
thread.)

Full passes over many rows come in parts, which as many threads may share as BLAS had, so that
threadpoolctl's limits and those of joblib's workers hold for them, too.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any

# a dependency of scikit-learn
from threadpoolctl import LibController, ThreadpoolController

Numbers = list[tuple[LibController, int]]

# Re-entrant, as a signal's handler may fit or predict where its thread holds the lock.
_lock = threading.RLock()
# the thread of each entry of one_blas_thread that is not left yet
_entries: dict[object, int] = {}
# the number of threads that each BLAS had before the first entry
_found: Numbers = []
# of those that help in_threads; made when first needed
_pool: ThreadPoolExecutor | None = None


@cache
def _libraries() -> tuple[list[LibController], list[LibController]]:
    """Those whose number is the process's, and those where each thread has its own."""
    every = ThreadpoolController().select(user_api="blas").lib_controllers
    own = [library for library in every if getattr(library, "threading_layer", "") == "openmp"]
    return [library for library in every if library not in own], own


def _numbers(libraries: list[LibController]) -> Numbers:
    found = [(library, library.get_num_threads()) for library in libraries]
    return [(library, number) for library, number in found if number is not None]


def _set(library: LibController, number: int) -> None:
    # Where the number is the process's, threadpoolctl 3.7 does nothing, and doesn't say so, while a
    # limit of another thread is under way. Ours has to hold, and be lifted, by whoever is last.
    getattr(library, "_real_set_num_threads", library.set_num_threads)(number)


# An interruption may come at any call below. So numbers are written down before the first is
# changed, and forgotten after the last is put back; each function can be called again.


def _limit() -> None:
    global _found
    found = _numbers(_libraries()[0])
    if not _found:  # nor has a handler written them down meanwhile
        _found = found
    for library, _ in _found:
        _set(library, 1)


def _lift() -> None:
    global _found
    for library, number in _found:
        _set(library, number)
    _found = []


def _leave(entry: object, own: Numbers) -> None:
    with _lock:
        _entries.pop(entry, None)
        if not _entries:
            _lift()
    for library, number in own:
        _set(library, number)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block with BLAS limited to one thread."""
    entry, own = object(), Numbers()
    try:
        with _lock:
            _entries[entry] = threading.get_ident()
            _limit()
        own = _numbers(_libraries()[1])
        for library, _ in own:
            _set(library, 1)
        yield
    finally:
        try:
            _leave(entry, own)
        except BaseException:
            _leave(entry, own)
            raise


def n_threads() -> int:
    """Those that what is under way here, within `one_blas_thread`, may have: BLAS's number, shared
    with what is under way in other threads; one where each thread has a number of its own."""
    with _lock:
        number = 1 if _libraries()[1] else max((number for _, number in _found), default=1)
        return max(number // max(len(set(_entries.values())), 1), 1)


def in_threads(job: Callable[[int], Any], count: int) -> list[Any]:
    """The results of job(0), ..., job(count - 1), which may run at once, in any order."""
    results: list[Any] = [None] * count
    waiting = deque(range(count))

    def work() -> None:
        while True:
            try:
                i = waiting.popleft()
            except IndexError:
                return
            results[i] = job(i)

    helpers = _start(work, min(n_threads(), count) - 1)
    try:
        work()
    finally:
        waiting.clear()  # after an error nobody begins another one
        busy = [helper for helper in helpers if not helper.cancel()]
        try:
            wait(busy)
        except BaseException:
            wait(busy)  # what they write to must not be used meanwhile
            raise
    for helper in busy:
        helper.result()
    return results


def _start(work: Callable[[], None], count: int) -> list[Future]:
    """That in so many other threads. Fewer, where no more can be started, take longer."""
    global _pool
    helpers: list[Future] = []
    if count < 1:
        return helpers
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(thread_name_prefix="skopt_est")
        try:
            while len(helpers) < count:
                helpers.append(_pool.submit(work))
        except RuntimeError:  # also while the interpreter ends
            pass
    return helpers


def _after_fork_in_child() -> None:
    """Of the threads of the parent only the one that forked is here."""
    global _pool
    _pool = None
    here = threading.get_ident()
    for entry in [entry for entry, thread in _entries.items() if thread != here]:
        del _entries[entry]
    if not _entries:
        _lift()
    _lock.release()


if hasattr(os, "register_at_fork"):
    # The lock is held meanwhile, so that no thread leaves it locked, or half its work, to a child.
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_after_fork_in_child,
    )
