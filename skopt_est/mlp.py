"""MLPClassifier and MLPRegressor: scikit-learn's networks with every solver of the suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, Self

from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if

from skopt_est import _docs
from skopt_est._classifier import ProbabilisticClassifier
from skopt_est._mlp import MLPEstimator, can_go_on
from skopt_est._regressor import SixLossRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

SMOOTHING = """\
label_smoothing : float in [0, 1), default=0.0
    Share of each target's weight that goes to all classes alike in training (Szegedy et al. 2016);
    with two classes, and for each label of several, half of it to either side. Validation scores
    are without it.
"""
STANDARDIZE = """\
standardize_target : bool, default=False
    Train on targets with mean zero and deviation one; weights and predictions are in the units of
    y. The objective, and with it `alpha`, `tol` and `loss_curve_`, is that of these targets, while
    `delta` stays in the units of y. Not for "poisson" and "gamma", whose scale is not the target's.
"""


@_docs.document(
    parameters=(
        _docs.PARAMETERS,
        _docs.MLP_PARAMETERS,
        _docs.CLASS_WEIGHT,
        SMOOTHING,
    ),
    attributes=_docs.MLP_ATTRIBUTES + "\n" + _docs.ATTRIBUTES,
    rows=_docs.FIT.replace("TARGETS", " or (n_samples, n_labels)"),
    raises=_docs.RAISES,
)
class MLPClassifier(ProbabilisticClassifier, MLPEstimator):
    """Multi-layer perceptron for binary, multinomial and multilabel classification.

    Takes the place of :class:`sklearn.neural_network.MLPClassifier`: the parameters up to
    `max_fun` are its, with their meaning; those after it are new. With weights s_i of the samples
    (class weights multiplied in) and S their sum it minimises ::

        F(W, b) = (1/S) sum_i s_i log_loss(y_i, f(x_i))
                  + alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|_2²)

    over the weights W of all layers and their intercepts b, f the last layer's products. log_loss
    is ``softplus(f) - y f`` for two classes, ``logsumexp(f) - f_y`` for more, and the sum of the
    former over the columns where y is a matrix of labels.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; for several labels a row the numbers of y's columns.

    out_activation_ : str
        "logistic" or, for more than two classes, "softmax".

    {attributes}

    See Also
    --------
    MLPRegressor : The same for regression.
    LogisticRegression : The model without hidden layers, trained in standardised units.
    sklearn.neural_network.MLPClassifier : Its alpha is ``alpha`` times the batch's sum of weights.

    Notes
    -----
    What differs from scikit-learn on purpose: `alpha` does not depend on the batch; the penalty is
    a proximal step in the solver's own metric, so adaptive solvers have the same minimiser as
    others; early stopping looks at the validation loss (``scoring=None`` for the accuracy) and its
    rows are stratified; patience is exact; log-probabilities are finite; epsilon stands outside of
    the root after bias correction; a keyboard interrupt ends a search. A network wants its inputs
    standardised, with :class:`~sklearn.preprocessing.StandardScaler` for one.

    Sparse rows are never made dense. Where batches lack most features, a step moves only the
    first-layer weights of those that its rows have: the others are brought up to date in closed
    form when they next occur.

    {interruptions}

    References
    ----------
    Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural
    networks.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skopt_est import MLPClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = MLPClassifier(solver="adamw", early_stopping=True, max_iter=500, random_state=0)
    >>> make_pipeline(StandardScaler(), clf).fit(X, y).score(X, y) > 0.97
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **MLPEstimator._parameter_constraints,
        **ProbabilisticClassifier._class_constraints,
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }
    _least_classes = 1
    _matrix_targets = True

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[float], float] = "constant",
        learning_rate_init: float | str = "auto",
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        l1_ratio: float = 0.0,
        rho: float = 0.9,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        average: bool | int = False,
        n_init: int = 1,
        scoring: str | Callable[..., float] | None = "loss",
        dtype: str = "auto",
        class_weight: Mapping[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.l1_ratio = l1_ratio
        self.rho = rho
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.average = average
        self.n_init = n_init
        self.scoring = scoring
        self.dtype = dtype
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing

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
        """Fit the network.

        Parameters
        ----------
        {rows}

        Returns
        -------
        MLPClassifier
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

    @available_if(can_go_on)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for one epoch on these rows; nothing stops it or is held out.

        Weights, the solver's state and (with `standardize_target`) the target's units are those of
        the first call. A call counts as one of the `max_iter` epochs of a schedule; "adaptive"
        does not fall here. Not there for solver="lbfgs".

        Parameters
        ----------
        {rows}

        classes : array-like of shape (n_classes,), default=None
            All labels that may come; needed in the first call only.

        Returns
        -------
        MLPClassifier
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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_docs.document(
    parameters=(
        _docs.PARAMETERS,
        _docs.MLP_PARAMETERS,
        _docs.LOSSES,
        STANDARDIZE,
    ),
    attributes=_docs.MLP_ATTRIBUTES + "\n" + _docs.ATTRIBUTES,
    rows=_docs.FIT.replace("TARGETS", " or (n_samples, n_targets)"),
    raises=_docs.RAISES,
)
class MLPRegressor(SixLossRegressor, MLPEstimator):
    """Multi-layer perceptron for regression with six losses and one or several targets.

    Takes the place of :class:`sklearn.neural_network.MLPRegressor`: the parameters up to `max_fun`
    are its, with their meaning; those after it are new. With weights s_i of the samples and S their
    sum it minimises ::

        F(W, b) = (1/S) sum_i s_i mean_k loss(y_ik, f_k(x_i))
                  + alpha (l1_ratio |W|_1 + (1 - l1_ratio) / 2 |W|_2²)

    over the weights W of all layers and their intercepts b, f the last layer's products.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    out_activation_ : str
        "identity", or "exp" for loss="poisson" and "gamma".

    {attributes}

    See Also
    --------
    MLPClassifier : The same for classification, with notes on what differs from scikit-learn.
    LinearRegression : The model without hidden layers, trained in standardised units.
    sklearn.neural_network.MLPRegressor : Its alpha is ``alpha`` times the batch's sum of weights.
        With several targets its loss is their mean, as here, but its gradient that of their sum.

    Notes
    -----
    {interruptions}

    References
    ----------
    Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural
    networks.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skopt_est import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MLPRegressor(standardize_target=True, early_stopping=True, random_state=0)
    >>> reg.fit(20 * X, y).score(20 * X, y) > 0.5
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **MLPEstimator._parameter_constraints,
        **SixLossRegressor._loss_constraints,
        "standardize_target": ["boolean"],
    }
    _kept = ("loss", "standardize_target")

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Callable[[float], float] = "constant",
        learning_rate_init: float | str = "auto",
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        l1_ratio: float = 0.0,
        rho: float = 0.9,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = None,
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        average: bool | int = False,
        n_init: int = 1,
        scoring: str | Callable[..., float] | None = "loss",
        dtype: str = "auto",
        delta: float = 1.35,
        quantile: float = 0.5,
        standardize_target: bool = False,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.l1_ratio = l1_ratio
        self.rho = rho
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.average = average
        self.n_init = n_init
        self.scoring = scoring
        self.dtype = dtype
        self.delta = delta
        self.quantile = quantile
        self.standardize_target = standardize_target

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
        """Fit the network.

        Parameters
        ----------
        {rows}

        Returns
        -------
        MLPRegressor
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

    @available_if(can_go_on)
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

        Weights, the solver's state and (with `standardize_target`) the target's units are those of
        the first call. A call counts as one of the `max_iter` epochs of a schedule; "adaptive"
        does not fall here. Not there for solver="lbfgs".

        Parameters
        ----------
        {rows}

        Returns
        -------
        MLPRegressor
            The fitted estimator.

        Raises
        ------
        {raises}
        """
        return self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val, partial=True)

    def _targets(self, y, weights, dtype, partial, classes):
        # a single column is one target, as in scikit-learn's network
        column = y.ndim == 2 and y.shape[1] == 1
        return super()._targets(y[:, 0] if column else y, weights, dtype, partial, classes)
