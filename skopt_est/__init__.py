"""Linear and logistic estimators for scikit-learn whose optimizer is a parameter."""

from skopt_est._config import show_config
from skopt_est.linear import LinearRegression
from skopt_est.logistic import LogisticRegression

__version__ = "0.1.0"

__all__ = ["LinearRegression", "LogisticRegression", "__version__", "show_config"]
