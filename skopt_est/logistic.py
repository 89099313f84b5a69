"""LogisticRegression: binary and multinomial, with every solver of the suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context

from skopt_est import _docs
from skopt_est._classifier import ProbabilisticClassifier
from skopt_est._linear import LinearEstimator

__all__ = ["LogisticRegression"]

Array = np.ndarray


@_docs.document(
    parameters=(_docs.PARAMETERS, _docs.CLASS_WEIGHT),
    attributes=_docs.ATTRIBUTES,
    rows=_docs.FIT.replace("TARGETS", ""),
    raises=_docs.RAISES,
)
class LogisticRegression(ProbabilisticClassifier, LinearEstimator):
    """Logistic regression, binary and multinomial, trained by a solver of your choice.

    With weights s_i of the samples (class weights multiplied in) and S their sum it minimises ::

        F(W, b) = (1/S) sum_i s_i log_loss(y_i, x_i W + b)
                  + alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|_2²)

    where log_loss is ``softplus(f) - y f`` for two classes (one column of weights) and
    ``logsumexp(f) - f_y`` for more (one softmax over all classes).

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights; for two classes those of ``classes_[1]``.

    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts.

    classes_ : ndarray of shape (n_classes,)
        The class labels.

    {attributes}

    See Also
    --------
    LinearRegression : The same for regression.
    sklearn.linear_model.LogisticRegression : The same minimiser with
        ``C = 1 / (alpha * S)``; its penalty also has `l1_ratio`.
    sklearn.linear_model.SGDClassifier : One update rule; its `alpha` is the same.

    Notes
    -----
    Each solver step is followed by the penalty's proximal step in the solver's own metric, so
    that L1 gives zeros and all solvers have the same fixed point. Sparse rows cost what their
    non-zero entries do: where batches lack most columns, the weights of those are brought up to
    date in closed form.

    {interruptions}

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skopt_est import LogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = LogisticRegression(solver="adam", alpha=1e-3, random_state=0)
    >>> round(make_pipeline(StandardScaler(), clf).fit(X, y).score(X, y), 2)
    0.99
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **LinearEstimator._parameter_constraints,
        **ProbabilisticClassifier._class_constraints,
    }

    def __init__(
        self,
        *,
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
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
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
        self.class_weight = class_weight

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
        LogisticRegression
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
        classes: Any = None,
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

        classes : array-like of shape (n_classes,), default=None
            All labels that may come; needed in the first call only.

        Returns
        -------
        LogisticRegression
            The fitted estimator.

        Raises
        ------
        {raises}
        """
        return self._fit(
            X,
            y,
            sample_weight,
            X_val,
            y_val,
            sample_weight_val,
            partial=True,
            classes=classes,
        )

    def _set_coef(self, W, b) -> None:
        dtype = self._dtype
        self.coef_ = np.ascontiguousarray(W.T, dtype)
        self.intercept_ = b.astype(dtype)

    def _get_coef(self):
        return self.coef_.T, self.intercept_

    def decision_function(self, X: Any) -> Array:
        """Raw predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``.
        """
        f = self._raw_prediction(X)
        return f[:, 0] if f.shape[1] == 1 else f
