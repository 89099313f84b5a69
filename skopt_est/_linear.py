"""What the linear models share: standardised training, the polish, coefficients, prediction."""

from __future__ import annotations

from abc import abstractmethod
from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skopt_est import _scaling
from skopt_est._base import OptimizerEstimator
from skopt_est._checks import check_rows
from skopt_est._linear_problem import LinearProblem
from skopt_est._polish import polish
from skopt_est._predict import raw_prediction
from skopt_est._scaling import Scaling
from skopt_est._state import Record
from skopt_est.solvers import LINEAR_SOLVERS

Array = np.ndarray
# tol="auto", as a share of the objective's own scale; of a score's
AUTO_TOL = 1e-5
AUTO_SCORE_TOL = 1e-4
# gtol of lbfgs for tol="auto", in training's units
AUTO_GTOL = 1e-5
# batch_size="auto": about so many steps an epoch, in batches between these sizes
STEPS_PER_EPOCH = 50
AUTO_BATCH = (32, 256)


class LinearEstimator(OptimizerEstimator):
    """Base of the linear models."""

    _parameter_constraints: dict[str, list[Any]] = {
        **OptimizerEstimator._parameter_constraints,
        "solver": [StrOptions(set(LINEAR_SOLVERS))],
        "tol": [StrOptions({"auto"}), *OptimizerEstimator._parameter_constraints["tol"]],
        "precondition": ["boolean"],
        "polish_iter": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "fit_intercept": ["boolean"],
    }
    _kept: tuple[str, ...] = ("fit_intercept", "precondition")

    @abstractmethod
    def _set_coef(self, W: Array, b: Array) -> None:
        """Set coef_ and intercept_ from (features, outputs) and (outputs,)."""

    @abstractmethod
    def _get_coef(self) -> tuple[Array, Array]:
        """The inverse of `_set_coef`."""

    def _set_parameters(self, theta, problem):
        with np.errstate(over="ignore", invalid="ignore"):
            W, b = problem.scaling.to_coef(theta, problem.objective.layout)
        largest = float(np.finfo(self._dtype).max)
        if not (np.abs(W) <= largest).all():
            column = int(np.argmin((np.abs(W) <= largest).all(axis=1)))
            raise ValueError(
                f"The weight of column {column} of X, in the column's own units, is beyond "
                f"{self._dtype}: scale the data, or lower learning_rate_init."
            )
        if not (np.abs(b) <= largest).all():
            raise ValueError(
                f"An intercept is beyond {self._dtype}: scale the data, or lower "
                "learning_rate_init."
            )
        self._set_coef(W, b)

    def _problem(self, X, targets, rows, weights, resumed):
        return LinearProblem.build(
            X,
            targets,
            rows,
            weights,
            self._scaling(targets.n_outputs, issparse(X), resumed),
            l1=self.alpha * self.l1_ratio,
            l2=self.alpha * (1 - self.l1_ratio),
            fit_intercept=self.fit_intercept,
        )

    def _scaling(self, n_outputs: int, sparse: bool, resumed: bool) -> Scaling | None:
        """The units of the fit before, the data's own, or None: to be measured."""
        if not resumed:
            return None if self.precondition else _scaling.identity(n_outputs)
        self._check_kept()
        old = Scaling(*(self._state[name] for name in Scaling._fields))
        if sparse and old.shift is not None:
            raise ValueError(
                "X is sparse, but the fit before centred dense rows: pass dense rows, or begin "
                "with sparse rows or precondition=False."
            )
        if len(old.target_scale) != n_outputs:
            raise ValueError(
                "warm_start and partial_fit need a y with as many targets (or classes) as in the "
                f"fit before: {len(old.target_scale)} then, {n_outputs} now."
            )
        return old

    def _batch_size(self, solver, n):
        if solver.full_batch:
            return n
        size = self.batch_size
        if size == "auto":
            size = min(max(n // STEPS_PER_EPOCH, AUTO_BATCH[0]), AUTO_BATCH[1])
        return min(size, n)

    def _absolute_tol(self, magnitude):
        if self.tol != "auto":
            return float(self.tol)
        by_score = self.early_stopping and self.scoring != "loss"
        return AUTO_SCORE_TOL if by_score else AUTO_TOL * magnitude

    def _lbfgs_options(self, problem):
        gtol = AUTO_GTOL if self.tol == "auto" else float(self.tol)
        return {"gtol": gtol, "whitener": problem.whitener()}

    def _finish(self, trainer, problem, partial):
        theta = super()._finish(trainer, problem, partial)
        if n_polish := self._n_polish(partial, trainer.record):
            curvature = problem.parameter_curvature()
            theta = polish(problem.objective, theta, curvature, n_polish)
        if lost := problem.lost_digits(theta):
            record = trainer.record
            record.warning = lost if record.warning is None else f"{record.warning} {lost}"
        return theta

    def _n_polish(self, partial: bool, record: Record) -> int:
        if self.early_stopping or partial or record.diverged:
            return 0
        if self.polish_iter == "auto":
            return 10 if self.alpha > 0 and self.l1_ratio > 0 else 0
        return self.polish_iter

    # -- prediction --------------------------------------------------------------------------

    def _raw_prediction(self, X: Any, signs: bool = False) -> Array:
        """X W + b, (n_samples, n_outputs); with `signs`, of a single output, integers: 1
        where it is above 0, else 0."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # raises; it makes all tags before it looks
        W, b = self._get_coef()
        # else somebody put others in their place
        as_fitted = W.dtype.char in "fd" and len(W) == getattr(self, "n_features_in_", None)
        if as_fitted and not issparse(X):
            return raw_prediction(self, X, [W], [b], signs=signs)
        X = check_rows(self, X, reset=False, dtype=[np.float64, np.float32])
        f = np.asarray(X @ W) + b
        return (f > 0).astype(np.int64) if signs and f.shape[1] == 1 else f

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")
