"""Steps on CSR rows of the kind that a test asks for, whatever training would choose: small tables
are trained by dense steps, wide ones feature by feature."""

import threading
from contextlib import contextmanager

from skopt_est import _epoch

_everywhere: list[bool | None] = [None]
_here = threading.local()
_chosen = _epoch.steps_by_feature


def _steps_by_feature(objective, solver, settings):
    asked = getattr(_here, "asked", None)
    asked = _everywhere[-1] if asked is None else asked
    if asked is None:
        return _chosen(objective, solver, settings)
    return asked and objective.data.sparse


_epoch.steps_by_feature = _steps_by_feature


@contextmanager
def steps(by_feature):
    """By feature or dense in this thread; None: as in all threads, or as training chooses."""
    before = getattr(_here, "asked", None)
    _here.asked = by_feature
    try:
        yield
    finally:
        _here.asked = before


@contextmanager
def steps_everywhere(by_feature):
    """The same in all threads that don't ask for themselves."""
    _everywhere.append(by_feature)
    try:
        yield
    finally:
        _everywhere.pop()
