"""One BLAS thread while an estimator is fitted, or makes large predictions.

More of them would add in another order, and with two a product of the sizes that occur here can
take a hundred times longer. The limit belongs to the process, so it is shared by all fits under
way: the first one sets it, the last one puts back what it found.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# a dependency of scikit-learn
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
# entries of one_blas_thread that are not left yet, by thread
_users: Counter[int] = Counter()
_limit: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _lift() -> None:
    global _limit
    if _limit is not None:
        limit, _limit = _limit, None
        limit.__exit__(None, None, None)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block with BLAS limited to one thread."""
    global _limit
    thread = threading.get_ident()
    counted = False
    try:
        with _lock:
            if _limit is None:
                limit = _controller().limit(limits=1, user_api="blas")
                limit.__enter__()
                _limit = limit
            # nothing is called in between that an interruption could come from
            _users[thread] += 1
            counted = True
        yield
    finally:
        with _lock:
            if counted:
                _users[thread] -= 1
                if _users[thread] == 0:
                    del _users[thread]
            if not _users:
                _lift()


def _after_fork_in_child() -> None:
    """Of the threads of the parent only the one that forked is here."""
    for thread in set(_users) - {threading.get_ident()}:
        del _users[thread]
    if not _users:
        _lift()
    _lock.release()


if hasattr(os, "register_at_fork"):
    # The lock is held meanwhile, so that no thread leaves it locked, or half its work, to a child.
    os.register_at_fork(
        before=_lock.acquire,
        after_in_parent=_lock.release,
        after_in_child=_after_fork_in_child,
    )
