"""LinearRegression: six losses, one or several targets, with every solver of the suite."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from skopt_est import _targets
from skopt_est._base import OptimizerEstimator, Targets
from skopt_est._losses import LOSSES

__all__ = ["LinearRegression"]

Array = np.ndarray
NAMES = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")


class LinearRegression(MultiOutputMixin, RegressorMixin, OptimizerEstimator):
    """placeholder"""

    _parameter_constraints: dict[str, list[Any]] = {
        **OptimizerEstimator._parameter_constraints,
        "loss": [StrOptions(set(NAMES))],
        "delta": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        solver: str = "adam",
        alpha: float = 1e-4,
        l1_ratio: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[float], float] = "adaptive",
        learning_rate_init: float | str = "auto",
        power_t: float = 0.5,
        max_iter: int = 1000,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float | str = "auto",
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.0,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        rho: float = 0.9,
        epsilon: float = 1e-8,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        scoring: str | Callable[..., float] | None = "loss",
        average: bool | int = False,
        dtype: str = "auto",
        precondition: bool = True,
        polish_iter: int | str = "auto",
        fit_intercept: bool = True,
        delta: float = 1.35,
        quantile: float = 0.5,
    ) -> None:
        self.loss = loss
        self.solver = solver
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.rho = rho
        self.epsilon = epsilon
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.average = average
        self.dtype = dtype
        self.precondition = precondition
        self.polish_iter = polish_iter
        self.fit_intercept = fit_intercept
        self.delta = delta
        self.quantile = quantile

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the model."""
        return self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for one epoch on these rows."""
        return self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val, partial=True)

    def _targets(self, y, weights, dtype, partial, classes) -> Targets:
        self._one_target = y.ndim == 1
        Y = self._encode(y, dtype, "y")
        return Targets(Y, LOSSES[self.loss], Y.shape[1])

    def _encode(self, y, dtype, argument):
        Y = _targets.regression_targets(y, dtype, argument)
        LOSSES[self.loss].check(Y, argument)
        return Y

    def _set_coef(self, W, b) -> None:
        W, b = W.astype(self._dtype), b.astype(self._dtype)
        if self._one_target:
            self.coef_, self.intercept_ = W[:, 0].copy(), float(b[0])
        else:
            self.coef_, self.intercept_ = np.ascontiguousarray(W.T), b

    def _get_coef(self):
        if self.coef_.ndim == 1:
            return self.coef_[:, None], np.array([self.intercept_], self.coef_.dtype)
        return self.coef_.T, self.intercept_

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
        f = LOSSES[self.loss].link(self._raw_prediction(X))
        return f[:, 0] if self.coef_.ndim == 1 else f

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags
