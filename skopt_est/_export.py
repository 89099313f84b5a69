"""Fitted estimators as scikit-learn's: the same predictions, and the same objective where there is
one.

Attributes that only scikit-learn's own training has (`rank_`, `singular_` of LinearRegression,
`solver_` of Ridge, `dual_gap_` of ElasticNet) are not set.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn
from sklearn import linear_model, neural_network
from sklearn.base import BaseEstimator, is_classifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.fixes import parse_version

from skopt_est._mlp import AUTO_BATCH

if TYPE_CHECKING:
    from skopt_est._stored import StoredEstimator

# Ridge and the like take several targets at once, the others are made one by one
MATRIX_TARGETS = (
    linear_model.LinearRegression,
    linear_model.Ridge,
    linear_model.ElasticNet,
)
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
NETWORK_SOLVERS = ("lbfgs", "sgd", "adam")
# schedules that mean the same; lbfgs takes no notice
NETWORK_SCHEDULES: dict[str, tuple[str, ...]] = {
    "lbfgs": ("constant", "invscaling", "adaptive"),
    "sgd": ("constant", "adaptive"),
    "adam": ("constant",),
}
# parameters that change nothing of what is trained, or only with others that are named themselves
SILENT = ("dtype", "scoring", "rho", "weight_decay", "delta", "quantile")


def to_sklearn(est: StoredEstimator) -> BaseEstimator:
    """See `StoredEstimator.to_sklearn`."""
    if hasattr(est, "coefs_"):
        other, lost = _network(est)
    elif is_classifier(est):
        other, lost = _logistic(est)
    else:
        other, lost = _linear(est)
    if lost:
        warnings.warn(
            f"{type(other).__name__} predicts the same, but scikit-learn has no counterpart of "
            f"{', '.join(lost)}: fitted anew, it would be trained in another way.",
            UserWarning,
            stacklevel=3,
        )
    return other


def _shown(est: Any, *names: str) -> list[str]:
    return [f"{name}={getattr(est, name)!r}" for name in names]


def _set_inputs(other: BaseEstimator, est: Any) -> None:
    other.n_features_in_ = est.n_features_in_
    if hasattr(est, "feature_names_in_"):
        other.feature_names_in_ = est.feature_names_in_.copy()


# -- linear models -------------------------------------------------------------------------------


def _logistic(est: Any) -> tuple[BaseEstimator, list[str]]:
    params: dict[str, Any] = {
        "C": 1.0 / (est.alpha * est._weight_sum) if est.alpha > 0 else np.inf,
        "fit_intercept": est.fit_intercept,
        "class_weight": deepcopy(est.class_weight),
        "random_state": deepcopy(est.random_state),
    }
    if est.alpha > 0 and est.l1_ratio > 0:
        params |= {"l1_ratio": est.l1_ratio, "solver": "saga"}
        if parse_version(sklearn.__version__) < parse_version("1.8"):
            params["penalty"] = "elasticnet"
    other = linear_model.LogisticRegression(**params)
    _set_inputs(other, est)
    other.classes_ = est.classes_.copy()
    other.coef_ = est.coef_.copy()
    other.intercept_ = np.array(est.intercept_, est.coef_.dtype, ndmin=1)
    other.n_iter_ = np.array([est.n_iter_], np.int32)
    return other, []


def _linear(est: Any) -> tuple[BaseEstimator, list[str]]:
    loss = est._loss
    model = {
        "squared_error": _least_squares,
        "absolute_error": _sgd,
        "huber": _sgd,
        "quantile": _quantile,
        "poisson": _glm,
        "gamma": _glm,
    }[loss]
    other, lost = model(est)
    if est._one_target or isinstance(other, MATRIX_TARGETS):
        _set_linear(other, est, est.coef_, est.intercept_)
        return other, lost
    several = MultiOutputRegressor(other)
    several.estimators_ = [
        _set_linear(deepcopy(other), est, row, float(b))
        for row, b in zip(est.coef_, est.intercept_, strict=True)
    ]
    _set_inputs(several, est)
    return several, lost


def _set_linear(other: Any, est: Any, coef: np.ndarray, intercept: Any) -> Any:
    _set_inputs(other, est)
    other.coef_ = coef.copy()
    other.intercept_ = deepcopy(intercept) if est.fit_intercept else 0.0
    if isinstance(other, linear_model.LinearRegression):
        return other
    other.n_iter_ = est.n_iter_
    if isinstance(other, linear_model.Ridge):
        other.n_iter_ = None  # as of its direct solvers
    elif isinstance(other, linear_model.ElasticNet) and coef.ndim == 2 and len(coef) > 1:
        other.n_iter_ = [est.n_iter_] * len(coef)
    elif isinstance(other, linear_model.SGDRegressor):
        other.intercept_ = np.array([other.intercept_], coef.dtype)
        other.t_ = float(est.t_ + 1)
    elif isinstance(other, linear_model.PoissonRegressor | linear_model.GammaRegressor):
        other._base_loss = other._get_loss()
    return other


def _least_squares(est: Any) -> tuple[BaseEstimator, list[str]]:
    if est.alpha == 0:
        return linear_model.LinearRegression(fit_intercept=est.fit_intercept), []
    if est.l1_ratio == 0:
        alpha = est.alpha * est._weight_sum
        return linear_model.Ridge(
            alpha, fit_intercept=est.fit_intercept, random_state=deepcopy(est.random_state)
        ), []
    return linear_model.ElasticNet(
        est.alpha,
        l1_ratio=est.l1_ratio,
        fit_intercept=est.fit_intercept,
        random_state=deepcopy(est.random_state),
    ), []


def _sgd(est: Any) -> tuple[BaseEstimator, list[str]]:
    huber = est._loss == "huber"
    return linear_model.SGDRegressor(
        loss="huber" if huber else "epsilon_insensitive",
        epsilon=est.delta if huber else 0.0,
        alpha=est.alpha * est._weight_sum / est._n_rows,  # the loss's mean is over rows there
        penalty="elasticnet",
        l1_ratio=est.l1_ratio,
        fit_intercept=est.fit_intercept,
        random_state=deepcopy(est.random_state),
    ), []


def _quantile(est: Any) -> tuple[BaseEstimator, list[str]]:
    lost = _shown(est, "l1_ratio") if est.alpha > 0 and est.l1_ratio < 1 else []
    return linear_model.QuantileRegressor(
        quantile=est.quantile, alpha=est.alpha, fit_intercept=est.fit_intercept
    ), lost


def _glm(est: Any) -> tuple[BaseEstimator, list[str]]:
    make: Callable[..., BaseEstimator] = (
        linear_model.PoissonRegressor if est._loss == "poisson" else linear_model.GammaRegressor
    )
    lost = _shown(est, "l1_ratio") if est.alpha > 0 and est.l1_ratio > 0 else []
    return make(alpha=est.alpha, fit_intercept=est.fit_intercept), lost


# -- networks ------------------------------------------------------------------------------------


def _network(est: Any) -> tuple[BaseEstimator, list[str]]:
    _check_activations(est._activations)
    classifier = is_classifier(est)
    if classifier and len(est.classes_) == 1:
        raise ValueError(
            "This network was fitted to one class only: scikit-learn's has no probabilities of a "
            "single class. There is nothing to export."
        )
    cls = neural_network.MLPClassifier if classifier else neural_network.MLPRegressor
    params, lost = _network_parameters(est, cls)
    other = cls(**params)
    _set_inputs(other, est)
    other.coefs_ = [W.copy() for W in est.coefs_]
    other.intercepts_ = [b.copy() for b in est.intercepts_]
    for name in ("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_", "loss_"):
        setattr(other, name, getattr(est, name))
    other._random_state = check_random_state(deepcopy(est.random_state))
    if other.solver != "lbfgs":
        _set_training(other, est)
    if classifier:
        labels = np.eye(len(est.classes_), dtype=int) if est._multilabel else est.classes_
        other._label_binarizer = LabelBinarizer().fit(labels)
        other.classes_ = other._label_binarizer.classes_
    return other, lost


def _set_training(other: Any, est: Any) -> None:
    """What scikit-learn's partial_fit goes on with; its optimizer begins anew."""
    other.loss_curve_ = list(est.loss_curve_)
    other._no_improvement_count = 0
    other.validation_scores_ = other.best_validation_score_ = None
    other.best_loss_ = est.best_loss_
    if est.early_stopping:
        other.validation_scores_ = list(est.validation_scores_)
        other.best_validation_score_ = est.best_validation_score_
        other.best_loss_ = None


def _check_activations(names: list[str]) -> None:
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(
                f"scikit-learn's networks have no activation {name!r}, only "
                f"{', '.join(ACTIVATIONS)}. skopt_est.onnx exports this network."
            )
    if len(set(names)) > 1:
        raise ValueError(
            f"scikit-learn's networks have one activation for all hidden layers, this one has "
            f"{names}. skopt_est.onnx exports this network."
        )


def _network_parameters(est: Any, cls: type) -> tuple[dict[str, Any], list[str]]:
    """scikit-learn's parameters, and ours that matter to training and have no counterpart there."""
    ours, theirs = est.get_params(), signature(cls).parameters
    defaults = signature(type(est)).parameters
    params = {name: deepcopy(value) for name, value in ours.items() if name in theirs}
    lost = [
        name
        for name, value in ours.items()
        if name not in (*theirs, *SILENT)
        and value is not None
        and not np.array_equal(value, defaults[name].default)
    ]
    if est.early_stopping and est.scoring is not None:
        lost.append("scoring")
    if params["solver"] not in NETWORK_SOLVERS:
        lost.append("solver")
        params["solver"] = "adam"
    if params["learning_rate"] not in NETWORK_SCHEDULES[params["solver"]]:
        lost.append("learning_rate")
        params["learning_rate"] = "constant"
    if "loss" in theirs:
        if est._loss not in ("squared_error", "poisson"):
            lost.append("loss")
        log_link = est.out_activation_ == "exp"
        params["loss"] = "poisson" if log_link else "squared_error"
    params["activation"] = est._activations[0] if est._activations else "identity"
    params["hidden_layer_sizes"] = tuple(len(b) for b in est.intercepts_[:-1])
    rows = est._n_rows
    if params["solver"] != "lbfgs":
        rows = min(rows, AUTO_BATCH if est.batch_size == "auto" else est.batch_size)
    # alpha is divided by a batch's sum of weights there
    params["alpha"] = est.alpha * rows * est._weight_sum / est._n_rows
    if est.learning_rate_init == "auto":
        params["learning_rate_init"] = getattr(est, "learning_rate_init_", 0.001)
    if np.isfinite(est.n_iter_no_change):
        params["n_iter_no_change"] = max(est.n_iter_no_change - 1, 1)
    return params, _shown(est, *lost)
