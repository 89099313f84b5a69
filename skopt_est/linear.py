"""LinearRegression: six losses, one or several targets, with every solver of the suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context

from skopt_est import _docs
from skopt_est._linear import LinearEstimator
from skopt_est._regressor import SixLossRegressor

__all__ = ["LinearRegression"]

Array = np.ndarray


@_docs.document(
    parameters=(_docs.PARAMETERS, _docs.LOSSES),
    attributes=_docs.ATTRIBUTES,
    rows=_docs.FIT.replace("TARGETS", " or (n_samples, n_targets)"),
    raises=_docs.RAISES,
)
class LinearRegression(SixLossRegressor, LinearEstimator):
    """Linear model with six losses, trained by a solver of your choice.

    With weights s_i of the samples and S their sum it minimises ::

        F(W, b) = (1/S) sum_i s_i loss(y_i, x_i W + b)
                  + alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|_2²)

    Several targets are fitted as so many models with the same alpha.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        Weights.

    intercept_ : float or ndarray of shape (n_targets,)
        Intercept.

    {attributes}

    See Also
    --------
    LogisticRegression : The same for classification.
    sklearn.linear_model.ElasticNet : The same minimiser for "squared_error", with the same
        `alpha` and `l1_ratio`.
    sklearn.linear_model.Ridge : The same with its alpha = ``alpha * S``.
    sklearn.linear_model.PoissonRegressor : The same with the same `alpha`.

    Notes
    -----
    Each solver step is followed by the penalty's proximal step in the solver's own metric, so
    that L1 gives zeros and all solvers have the same fixed point. Sparse rows cost what their
    non-zero entries do: where batches lack most columns, the weights of those are brought up to
    date in closed form.

    {interruptions}

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skopt_est import LinearRegression
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = LinearRegression(solver="adagrad", alpha=0.0, random_state=0).fit(X, y)
    >>> round(reg.score(X, y), 2)
    0.51
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **LinearEstimator._parameter_constraints,
        **SixLossRegressor._loss_constraints,
    }
    _kept = ("loss", *LinearEstimator._kept)

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
        n_iter_no_change: float = 5,
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
        """Fit the model.

        Parameters
        ----------
        {rows}

        Returns
        -------
        LinearRegression
            The fitted estimator.

        Raises
        ------
        {raises}

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached first, or training diverged and the best weights before
            that were kept.
        """
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
        """Train for one epoch on these rows; nothing stops it or is held out.

        Weights, the solver's state, the units of training and an automatic learning rate are
        those of the first call: make its rows typical, some hundreds if you can. A call counts
        as one of the `max_iter` epochs of a schedule; "adaptive" does not fall here.

        Parameters
        ----------
        {rows}

        Returns
        -------
        LinearRegression
            The fitted estimator.

        Raises
        ------
        {raises}
        """
        return self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val, partial=True)

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
