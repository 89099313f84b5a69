"""Steps on CSR rows of the kind that a test asks for, whatever training would choose: small tables
are trained by dense steps, wide ones feature by feature."""

from contextlib import contextmanager
from contextvars import ContextVar

from skopt_est import _epoch

_asked: ContextVar[bool | None] = ContextVar("asked", default=None)
_chosen = _epoch.steps_by_feature


def _steps_by_feature(objective, solver, settings):
    asked = _asked.get()
    if asked is None:
        return _chosen(objective, solver, settings)
    return asked and objective.data.sparse


_epoch.steps_by_feature = _steps_by_feature


@contextmanager
def steps(by_feature):
    """By feature or dense in this thread; None: as training chooses."""
    token = _asked.set(by_feature)
    try:
        yield
    finally:
        _asked.reset(token)
