"""Estimators for scikit-learn whose optimizer is a parameter: linear, logistic, neural networks."""

from skopt_est._config import show_config
from skopt_est._loss_curve_display import LossCurveDisplay
from skopt_est._solver_comparison_display import SolverComparisonDisplay
from skopt_est.linear import LinearRegression
from skopt_est.logistic import LogisticRegression
from skopt_est.mlp import MLPClassifier, MLPRegressor

__version__ = "0.1.0"

__all__ = [
    "LinearRegression",
    "LogisticRegression",
    "LossCurveDisplay",
    "MLPClassifier",
    "MLPRegressor",
    "SolverComparisonDisplay",
    "__version__",
    "show_config",
]
