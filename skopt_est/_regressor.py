"""What the regressors share: six losses, targets in one or several columns, predictions."""

from __future__ import annotations

from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions

from skopt_est import _targets
from skopt_est._losses import LOSSES
from skopt_est._problem import Targets

Array = np.ndarray
NAMES = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")


class SixLossRegressor(MultiOutputMixin, RegressorMixin):
    """Stands before a base that has `_raw_prediction`, in the order of inheritance."""

    loss: str
    _loss: str
    _one_target: bool
    _loss_constraints: dict[str, list[Any]] = {
        "loss": [StrOptions(set(NAMES))],
        "delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def _targets(self, y, weights, dtype, partial, classes) -> Targets:
        self._one_target, self._loss = y.ndim == 1, self.loss
        Y = self._encode(y, dtype, "y")
        loss = LOSSES[self.loss]
        if loss.parameter is not None:
            loss = replace(loss, value=float(getattr(self, loss.parameter)))
        return Targets(Y, loss, Y.shape[1])

    def _encode(self, y, dtype, argument):
        Y = _targets.regression_targets(y, dtype, argument)
        LOSSES[self.loss].check(Y, argument)
        return Y

    def predict(self, X: Any) -> Array:
        """Predictions in the units of y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            ``exp`` of the raw prediction for loss="poisson" and "gamma".
        """
        f = self._raw_prediction(X)
        f = LOSSES[self._loss].link(f)
        return f[:, 0] if self._one_target else f

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags
