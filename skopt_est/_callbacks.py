"""scikit-learn's callbacks (`sklearn.callback`): the only place that knows them.

scikit-learn has them since 1.9, as an experiment. With an older version estimators have no
`set_callbacks`, and nothing here is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from skopt_est._validation import in_double, take

if TYPE_CHECKING:
    from skopt_est._trainer import Trainer

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands where scikit-learn's would."""


class Tasks:
    """What the callbacks of an estimator see of one fit: a task of the whole, in it one for each
    epoch (in between one for each start, if there are several).

    Hooks get the rows as the user passed them, without those held out, so that scorers find
    column names where fit found them.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.numpy_errors: Any = np.geterr()
        self.contexts: list[Any] = []
        self.failed = False

    def start(
        self,
        name: str,
        n_subtasks: int,
        given: tuple[Any, Any, Any],
        rows: Any,
        attributes: Callable[[Trainer], dict[str, Any]],
    ) -> None:
        """The task of the whole.

        Parameters
        ----------
        given : X, y and sample weights
        rows : positions of those trained on; None: all
        attributes : the fitted attributes after a training's last epoch, sharing no array with it
        """
        self.given, self.rows, self.attributes = given, rows, attributes
        self.begin(name, n_subtasks)

    @cached_property
    def data(self) -> tuple[Any, Any, dict[str, Any] | None]:
        X, y, weight = self.given if self.rows is None else take(*self.given, self.rows)
        return X, y, None if weight is None else {"sample_weight": in_double(weight)}

    def begin(self, name: str, n_subtasks: int = 0) -> None:
        """A task, the next one within the last one that has begun and not ended."""
        with self._hooks():
            if self.contexts:
                context = self.contexts[-1].subcontext(task_name=name, max_subtasks=n_subtasks)
            else:
                context = self.estimator._init_callback_context(name, max_subtasks=n_subtasks)
            self.contexts.append(context)
            context.call_on_fit_task_begin(estimator=self.estimator, **self._lazily())

    def end(self, attributes: Callable[[], dict[str, Any]] | dict[str, Any] | None = None) -> bool:
        """The task that began last; whether a callback asks for no more of its kind.
        attributes: what predictions take; None: there is no fitted estimator."""
        with self._hooks():
            context = self.contexts.pop()
            return context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self._lazily()
            )

    def end_epoch(self, trainer: Trainer, finite: bool) -> bool:
        return self.end((lambda: self.attributes(trainer)) if finite else None)

    def _lazily(self) -> dict[str, Callable[[], Any]]:
        return {
            "X": lambda: self.data[0],
            "y": lambda: self.data[1],
            "metadata": lambda: self.data[2],
        }

    @contextmanager
    def _hooks(self) -> Iterator[None]:
        """Hooks run in the numpy error state of whoever called fit. An error of theirs goes
        through; `failed` tells it from one of training."""
        try:
            with np.errstate(**self.numpy_errors):
                yield
        except BaseException:
            self.failed = True
            raise


def watched(estimator: Any) -> bool:
    """Whether there is somebody to tell."""
    return bool(getattr(estimator, "_skl_callbacks", None))
