"""What the networks share: layers, parameters, fitted attributes, prediction."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skopt_est import _scaling
from skopt_est._base import OptimizerEstimator
from skopt_est._core import engine
from skopt_est._network import Architecture, NetworkProblem, glorot
from skopt_est._predict import raw_prediction
from skopt_est._scaling import Scaling
from skopt_est.solvers import SOLVERS

Array = np.ndarray
# batch_size="auto"
AUTO_BATCH = 200
# lbfgs ends where F falls by a smaller share than this at tol=1e-4 (scipy's default), and by one
# that is smaller in proportion for a smaller tol
LBFGS_FTOL, LBFGS_TOL = 2.2e-9, 1e-4
RATE = Interval(Real, 0, 1, closed="left")


def can_go_on(estimator: MLPEstimator) -> bool:
    """Whether there is a partial_fit."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "solver='lbfgs' has no partial_fit: a step of it wants all rows. Choose another solver."
        )
    return True


class MLPEstimator(OptimizerEstimator):
    """Base of the networks."""

    _parameter_constraints: dict[str, list[Any]] = {
        **OptimizerEstimator._parameter_constraints,
        "solver": [StrOptions(set(SOLVERS))],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": ["array-like", StrOptions(set(engine.ACTIVATION_CODES))],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [None, Interval(Real, 0, None, closed="neither")],
        "dropout": ["array-like", RATE],
        "input_dropout": [RATE],
        "n_init": [Interval(Integral, 1, None, closed="left")],
    }
    label_smoothing: float = 0.0
    standardize_target: bool = False

    def _architecture(self) -> Architecture:
        """The hidden layers that the parameters ask for, each value checked."""
        sizes = self.hidden_layer_sizes
        sizes = np.atleast_1d(np.asarray(sizes, object))
        for size in sizes:
            if isinstance(size, bool | np.bool_) or not isinstance(size, Integral) or size < 1:
                raise ValueError(
                    f"hidden_layer_sizes={self.hidden_layer_sizes!r}: each must be an integer of "
                    f"at least 1, got {size!r}."
                )
        names, rates = (
            self._per_layer("activation", len(sizes)),
            self._per_layer("dropout", len(sizes)),
        )
        for name in names:
            if not isinstance(name, str) or name not in engine.ACTIVATION_CODES:
                raise ValueError(
                    f"activation={self.activation!r}: {name!r} is none of "
                    f"{sorted(engine.ACTIVATION_CODES)}."
                )
        for rate in rates:
            if not isinstance(rate, Real) or not 0 <= float(rate) < 1:
                raise ValueError(f"dropout={self.dropout!r}: {rate!r} is no number in [0, 1).")
        drops = any(rates) or self.input_dropout
        if self.solver == "lbfgs" and (drops or self.max_grad_norm is not None):
            raise ValueError(
                "solver='lbfgs' needs an objective that stays the same from step to step: it takes "
                f"no dropout (got dropout={self.dropout!r}, input_dropout={self.input_dropout!r}) "
                f"and no max_grad_norm (got {self.max_grad_norm!r}). Choose another solver."
            )
        return Architecture(
            tuple(int(size) for size in sizes),
            tuple(map(str, names)),
            tuple(float(rate) for rate in rates),
            float(self.input_dropout),
        )

    def _per_layer(self, name: str, n_hidden: int) -> list[Any]:
        """The parameter `name` as a list with an entry for each hidden layer."""
        given = getattr(self, name)
        if isinstance(given, str | Real):
            return [given] * n_hidden
        values = list(np.atleast_1d(np.asarray(given, object)))
        if np.ndim(given) == 0:
            return values * n_hidden
        if len(values) != n_hidden:
            raise ValueError(
                f"{name}={given!r} has {len(values)} entries, one for each of the {n_hidden} "
                "hidden layers is needed; or pass a single one for all."
            )
        return values

    def _initial(self, rng, n_features, n_outputs, dtype):
        hidden = self._architecture()
        return glorot(rng, hidden.layout(n_features, n_outputs), hidden.activations, dtype)

    def _problem(self, X, targets, rows, weights, resumed):
        hidden, scaling = self._architecture(), None
        if resumed:
            self._check_same(hidden, targets.n_outputs)
            scaling = Scaling(*(self._state[name] for name in Scaling._fields))
        elif not self.standardize_target:
            scaling = _scaling.identity(targets.n_outputs)
        return NetworkProblem.build(
            X,
            targets,
            rows,
            weights,
            scaling,
            hidden,
            alpha=self.alpha,
            l1_ratio=self.l1_ratio,
            label_smoothing=self.label_smoothing,
        )

    def _check_same(self, hidden: Architecture, n_outputs: int) -> None:
        """A resumed fit goes on with the network of the fit before."""
        self._check_kept()
        units, names = tuple(len(b) for b in self.intercepts_), tuple(self._activations)
        if (*hidden.units, n_outputs) != units or hidden.activations != names:
            raise ValueError(
                "warm_start and partial_fit go on with the network of the fit before: units "
                f"{units} (outputs last) with activations {names}; got {hidden.units} hidden "
                f"units with {hidden.activations} and {n_outputs} outputs. Fit anew with "
                "warm_start=False."
            )

    def _take_up(self, state, problem):
        layout = problem.objective.layout
        published = problem.to_user(state.model_parameters())
        parts = (*layout.weights(published), *layout.intercepts(published))
        same = map(np.array_equal, (*self.coefs_, *self.intercepts_), parts)
        if len(self.coefs_) + len(self.intercepts_) != len(parts) or not all(same):
            state.theta[:] = problem.of_user(self.coefs_, self.intercepts_)
            state.average, state.n_averaged = None, 0

    def _batch_size(self, solver, n):
        if solver.full_batch:
            return n
        return min(AUTO_BATCH if self.batch_size == "auto" else self.batch_size, n)

    def _lbfgs_options(self, problem):
        ftol = LBFGS_FTOL * min(1.0, self.tol / LBFGS_TOL)
        return {"gtol": float(self.tol), "ftol": ftol, "max_fun": self.max_fun}

    def _set_parameters(self, theta, problem):
        objective = problem.objective
        theta = problem.to_user(theta)
        self.coefs_ = objective.layout.weights(theta)
        self.intercepts_ = objective.layout.intercepts(theta)
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_ = objective.n_outputs
        self.out_activation_ = objective.loss.out_activation
        self._activations = list(self._architecture().activations)

    def _raw_prediction(self, X: Any, signs: bool = False) -> Array:
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)  # raises; it makes all tags before it looks
        return raw_prediction(self, X, self.coefs_, self.intercepts_, self._activations, signs)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")
