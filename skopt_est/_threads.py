"""One BLAS thread while an estimator is fitted.

More of them would add in another order, and with two a product of the sizes that occur here can
take a hundred times longer. The limit belongs to the process, so it is shared by all fits under
way: the first one sets it, the last one puts back what it found.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# a dependency of scikit-learn
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_users = 0
_limit: Any = None


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run the block with BLAS limited to one thread."""
    global _users, _limit
    counted = False
    try:
        with _lock:
            if _limit is None:
                limit = _controller().limit(limits=1, user_api="blas")
                limit.__enter__()
                _limit = limit
            # nothing is called in between, so that no interruption comes there
            _users += 1
            counted = True
        yield
    finally:
        with _lock:
            _users -= counted
            if _users == 0 and _limit is not None:
                limit, _limit = _limit, None
                limit.__exit__(None, None, None)
