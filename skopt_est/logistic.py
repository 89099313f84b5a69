"""LogisticRegression: binary and multinomial, with every solver of the suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skopt_est import _docs, _targets
from skopt_est._base import OptimizerEstimator
from skopt_est._losses import LOSSES, LogLossMultinomial
from skopt_est._problem import Targets

__all__ = ["LogisticRegression"]

Array = np.ndarray


@_docs.document(
    parameters=_docs.PARAMETERS,
    attributes=_docs.ATTRIBUTES,
    rows=_docs.FIT.replace("TARGETS", ""),
    raises=_docs.RAISES,
)
class LogisticRegression(ClassifierMixin, OptimizerEstimator):
    """Logistic regression, binary and multinomial, trained by a solver of your choice.

    With weights s_i of the samples (class weights multiplied in) and S their sum it minimises ::

        F(W, b) = (1/S) sum_i s_i log_loss(y_i, x_i W + b)
                  + alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|_2²)

    where log_loss is ``softplus(f) - y f`` for two classes (one column of weights) and
    ``logsumexp(f) - f_y`` for more (one softmax over all classes).

    Parameters
    ----------
    {parameters}

    class_weight : dict, "balanced" or None, default=None
        Weight of each class, multiplied into the weights of its samples. "balanced" is
        ``S / (n_classes * S_class)``, by weight.

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
    non-zero entries do: weights of absent columns are brought up to date in closed form.

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

    classes_: Array

    _parameter_constraints: dict[str, list[Any]] = {
        **OptimizerEstimator._parameter_constraints,
        "class_weight": [dict, StrOptions({"balanced"}), None],
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

    def _targets(self, y, weights, dtype, partial, classes) -> Targets:
        check_classification_targets(y)
        resumed = (partial or self.warm_start) and hasattr(self, "_state")
        if partial:
            self._first_classes(y, classes)
        else:
            found = np.unique(y)
            if resumed and not np.array_equal(found, self.classes_):
                raise ValueError(
                    f"warm_start=True needs the classes of the fit before, "
                    f"{self.classes_.tolist()}; y has {found.tolist()}."
                )
            self.classes_ = found
        n_classes = len(self.classes_)
        if n_classes < 2:
            raise ValueError(
                f"y has one class only ({self.classes_.tolist()}); this classifier needs samples "
                "of at least 2 classes."
            )
        codes = _targets.class_indices(y, self.classes_, "y")
        factors = _targets.class_factors(self.class_weight, self.classes_, codes, weights)
        loss = LOSSES["log_loss_binary"]
        if n_classes > 2:
            loss = LogLossMultinomial(n_classes=n_classes)
        return Targets(
            codes.astype(dtype)[:, None], loss, 1 if n_classes == 2 else n_classes, factors
        )

    def _first_classes(self, y: Array, classes: Any) -> None:
        """partial_fit: the classes of the first call hold for all."""
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' is not defined for partial_fit: it needs all of y. Pass "
                "a dict, made with sklearn.utils.class_weight.compute_class_weight on a large "
                "sample."
            )
        first = not hasattr(self, "_state")
        if classes is None:
            if first:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return
        classes = np.unique(classes)
        if not first and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes={classes.tolist()} differs from the classes of the first call, "
                f"{self.classes_.tolist()}."
            )
        self.classes_ = classes

    def _encode(self, y, dtype, argument):
        y = column_or_1d(y, warn=True)
        return _targets.class_indices(y, self.classes_, argument).astype(dtype)[:, None]

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

    def predict(self, X: Any) -> Array:
        """The most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        f = self._raw_prediction(X)
        codes = f[:, 0] > 0 if f.shape[1] == 1 else f.argmax(axis=1)
        return self.classes_[codes.astype(np.intp)]

    def predict_proba(self, X: Any) -> Array:
        """Class probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``; rows sum to 1.
        """
        f = self._raw_prediction(X)
        if f.shape[1] > 1:
            return softmax(f, axis=1)
        return np.hstack([expit(-f), expit(f)])

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the class probabilities, finite wherever the raw prediction is.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        f = self._raw_prediction(X)
        exact = f.astype(np.float64)
        if f.shape[1] > 1:
            return log_softmax(exact, axis=1).astype(f.dtype)
        return np.hstack([log_expit(-exact), log_expit(exact)]).astype(f.dtype)
