"""What every estimator shares: parameters, and fit as one walk.

The walk: validate -> target matrix and weights -> rows to train on, rows to validate on ->
units of training -> objective -> state (new or resumed) -> training -> polish -> `coef_`.
It works on a copy of the estimator that replaces the original's attributes when it is through,
so a fit that fails leaves the estimator as it was.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import get_scorer
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from skopt_est import _lbfgs, _scaling, _targets
from skopt_est._checks import check_rows, check_rows_and_targets
from skopt_est._parameters import CONSTRAINTS
from skopt_est._polish import polish
from skopt_est._problem import Problem, Targets
from skopt_est._scaling import Scaling
from skopt_est._threads import one_blas_thread
from skopt_est._trainer import Record, Settings, State, Trainer
from skopt_est._validation import Validation, hold_out, scorer_of
from skopt_est.solvers import SOLVERS, Solver

Array = np.ndarray
# tol="auto", as a share of the objective's own scale; of a score's
AUTO_TOL = 1e-5
AUTO_SCORE_TOL = 1e-4
# gtol of lbfgs for tol="auto", in training's units
AUTO_GTOL = 1e-5
# parameters that a resumed fit can't change
KEPT = ("loss", "fit_intercept", "precondition")
# batch_size="auto": about so many steps an epoch, in batches between these sizes
STEPS_PER_EPOCH = 50
AUTO_BATCH = (32, 256)


class OptimizerEstimator(BaseEstimator, metaclass=ABCMeta):
    """Base of the estimators that are trained by a solver of `skopt_est.solvers`."""

    _parameter_constraints = CONSTRAINTS

    @abstractmethod
    def _targets(
        self, y: Array, weights: Array | None, dtype: np.dtype, partial: bool, classes: Any
    ) -> Targets:
        """Encode y and settle what is learned of it (loss, outputs, classes_)."""

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype, argument: str) -> Array:
        """y of validation rows as a target matrix, by what `_targets` settled."""

    @abstractmethod
    def _set_coef(self, W: Array, b: Array) -> None:
        """Set coef_ and intercept_ from (features, outputs) and (outputs,)."""

    @abstractmethod
    def _get_coef(self) -> tuple[Array, Array]:
        """The inverse of `_set_coef`."""

    # -- fit ---------------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        X_val: Any,
        y_val: Any,
        sample_weight_val: Any,
        *,
        partial: bool = False,
        classes: Any = None,
    ) -> Self:
        # scikit-learn leaves parameters unchecked in partial_fit after its first call
        self._validate_params()
        if isinstance(self.scoring, str) and self.scoring != "loss":
            # an unknown name is an error even where nothing is scored
            try:
                get_scorer(self.scoring)
            except ValueError as error:
                raise ValueError(f"scoring={self.scoring!r}: {error}") from error
        if (X_val is None) != (y_val is None):
            given, missing = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{given} was given without {missing}; pass both or neither.")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val was given without X_val and y_val.")
        if partial and self.early_stopping and X_val is None:
            raise ValueError(
                "early_stopping=True with partial_fit needs X_val and y_val: rows held out of "
                "one batch would be trained on in the next."
            )
        validation = None if X_val is None else Validation(X_val, y_val, sample_weight_val)
        work = self._twin()
        try:
            work._walk(X, y, sample_weight, validation, partial, classes)
        except KeyboardInterrupt:
            # Training publishes what it has before it lets an interruption through.
            if getattr(work, "_state", None) is not getattr(self, "_state", None):
                self.__dict__ = work.__dict__
            raise
        self.__dict__ = work.__dict__
        return self

    def _twin(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def _walk(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: Validation | None,
        partial: bool,
        classes: Any,
    ) -> None:
        resumed = (partial or self.warm_start) and hasattr(self, "_state")
        raw_X, raw_y = X, y
        dtype: Any = [np.float64, np.float32] if self.dtype == "auto" else np.dtype(self.dtype)
        if resumed:
            dtype = self._state["theta"].dtype
        X, y = self._validate(X, y, dtype, reset=not resumed)
        self._dtype = X.dtype.name
        sample_weight = _targets.weights_of(sample_weight, X, "sample_weight")
        targets = self._targets(y, sample_weight, X.dtype, partial, classes)
        if not resumed:
            self._forget()
        weights = _targets.with_class_factors(sample_weight, targets.class_factors, targets.Y)
        rows = _targets.weighted_rows(weights, X.shape[0])
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if self.early_stopping and validation is None:
            labels = targets.Y[rows, 0] if is_classifier(self) else None
            train, held = hold_out(len(rows), labels, self.validation_fraction, seed)
            validation = self._held_rows(raw_X, raw_y, X, sample_weight, rows[held])
            rows = rows[train]

        problem = Problem.build(
            X,
            targets,
            rows,
            weights,
            self._scaling(targets.n_outputs, issparse(X), resumed),
            l1=self.alpha * self.l1_ratio,
            l2=self.alpha * (1 - self.l1_ratio),
            fit_intercept=self.fit_intercept,
        )
        solver = SOLVERS[self.solver](**{f.name: getattr(self, f.name) for f in fields(Solver)})
        batch_size = self._batch_size(solver, len(rows))
        # Threads would add in another order, and cost more than they bring at these sizes.
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            state, record = self._state_and_record(problem, solver, batch_size, seed, resumed)
            score = None if validation is None else self._scorer(validation, problem)
            settings = self._settings(problem, batch_size)
            trainer = Trainer(problem.objective, solver, settings, state, record, score)
            try:
                self._train(trainer, partial)
                theta = state.model_parameters()
                if n_polish := self._n_polish(partial, record):
                    curvature = problem.parameter_curvature()
                    theta = polish(problem.objective, theta, curvature, n_polish)
            except KeyboardInterrupt:
                if record.history:
                    trainer.restore_best()
                    self._publish(trainer, problem, state.model_parameters())
                raise
        self._publish(trainer, problem, theta)

    # -- steps of the walk, in order ---------------------------------------------------------

    def _validate(
        self, X: Any, y: Any, dtype: Any, reset: bool, names: tuple[str, str] = ("X", "y")
    ) -> tuple[Any, Array]:
        numeric = self.__sklearn_tags__().estimator_type == "regressor"
        return check_rows_and_targets(
            self, X, y, reset=reset, dtype=dtype, numeric=numeric, names=names
        )

    def _forget(self) -> None:
        """Drop what an earlier fit left; the attributes just set (classes_, names) stay."""
        for name in ("_state", "_record"):
            self.__dict__.pop(name, None)

    def _held_rows(self, raw_X: Any, raw_y: Any, X: Any, weights, held: Array) -> Validation:
        if self.scoring == "loss":
            return Validation(None, None, None if weights is None else weights[held], held)
        # Scorers see the rows as the user gave them, so that column names are kept.
        source = raw_X if hasattr(raw_X, "shape") else X
        if issparse(source):
            source = source.tocsr()
        return Validation(
            _safe_indexing(source, held),
            _safe_indexing(raw_y, held),
            None if weights is None else weights[held],
            held,
        )

    def _scaling(self, n_outputs: int, sparse: bool, resumed: bool) -> Scaling | None:
        """The units of the fit before, the data's own, or None: to be measured."""
        if not resumed:
            return None if self.precondition else _scaling.identity(n_outputs)
        for name in KEPT:
            fitted, now = self._state[name], getattr(self, name, None)
            if fitted != now:
                raise ValueError(
                    f"warm_start and partial_fit go on with the {name} of the fit before, "
                    f"{fitted!r}; got {name}={now!r}. Fit anew with warm_start=False."
                )
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

    def _state_and_record(
        self, problem: Problem, solver: Solver, batch_size: int, seed: int, resumed: bool
    ) -> tuple[State, Record]:
        """New ones, or those of the fit before.

        Weights, counters and the order of rows go on; so do the moments, the average and the
        learning rate where solver and `learning_rate_init` are still the same.
        """
        theta = problem.start()
        slots = np.zeros((solver.n_slots(), len(theta)), theta.dtype)
        state = State(theta, slots, np.zeros(1), np.array([seed], np.uint64), rate=0.0)
        record = Record()
        if resumed:
            old = self._state
            state.theta[:] = old["theta"]
            state.rng = old["rng"].copy()
            state.n_updates, state.t = old["n_updates"], old["t"]
            record = Record(**{**self._record, "diverged": False})
            record.history = list(record.history)
            if old["solver"] == self.solver and old["slots"].shape == slots.shape:
                state.slots[:], state.extras = old["slots"], old["extras"].copy()
                state.n_moments = old["n_moments"]
                if self.average and old["average"] is not None:
                    state.average, state.n_averaged = old["average"].copy(), old["n_averaged"]
                if old["learning_rate_init"] == self.learning_rate_init:
                    state.rate = old["rate"]
        if solver.name == "lbfgs":
            self.__dict__.pop("learning_rate_init_", None)
        elif state.rate == 0:
            state.rate = self.learning_rate_init_ = float(
                problem.automatic_rate(solver, batch_size)
                if self.learning_rate_init == "auto"
                else self.learning_rate_init
            )
        return state, record

    def _batch_size(self, solver: Solver, n: int) -> int:
        if solver.full_batch:
            return n
        size = self.batch_size
        if size == "auto":
            size = min(max(n // STEPS_PER_EPOCH, AUTO_BATCH[0]), AUTO_BATCH[1])
        return min(size, n)

    def _settings(self, problem: Problem, batch_size: int) -> Settings:
        tol, magnitude = self.tol, problem.magnitude()
        if tol == "auto":
            by_score = self.early_stopping and self.scoring != "loss"
            tol = AUTO_SCORE_TOL if by_score else AUTO_TOL * magnitude
        return Settings(
            learning_rate=self.learning_rate,
            power_t=self.power_t,
            max_iter=self.max_iter,
            batch_size=batch_size,
            shuffle=bool(self.shuffle),
            tol=float(tol),
            n_iter_no_change=self.n_iter_no_change,
            early_stopping=bool(self.early_stopping),
            magnitude=magnitude,
            halve_on_rise=self.learning_rate_init == "auto",
            average_from=int(self.average) or None,
            verbose=int(self.verbose),
        )

    def _scorer(self, validation: Validation, problem: Problem) -> Callable[[Array], float]:
        """The validation score as a function of the parameters in training's units."""
        X_val, Y, rows = problem.X, problem.targets.Y, validation.rows
        weights = validation.sample_weight
        if rows is None:
            X_val, y_val, weights = self._validate_held_out(validation, X_val.dtype)
            validation = validation._replace(sample_weight=weights)
            Y = self._encode(y_val, X_val.dtype, "y_val")
            if Y.shape[1] != problem.targets.Y.shape[1]:
                raise ValueError(
                    f"y_val has {Y.shape[1]} targets, y has {problem.targets.Y.shape[1]}; they "
                    "must be as many."
                )
            rows = np.arange(len(Y), dtype=np.int32)
        elif weights is not None:
            of_rows, weights = weights, np.zeros(len(Y))
            weights[rows] = of_rows
        if self.scoring == "loss":
            if issparse(X_val) and problem.scaling.shift is not None:
                raise ValueError(
                    "X_val is sparse, but X is dense and centred in training: pass both in one "
                    "form, or precondition=False."
                )
            held = problem.held_out(X_val, Y, rows, weights)
            return lambda theta: -held.loss_value(theta)
        evaluate = scorer_of(self, self.scoring)

        def score(theta: Array) -> float:
            fitted = self._twin()
            fitted._set_coef(*problem.scaling.to_coef(theta, problem.objective.layout))
            return evaluate(fitted, validation)

        return score

    def _validate_held_out(self, validation: Validation, dtype) -> tuple[Any, Array, Array | None]:
        X, y = self._validate(
            validation.X, validation.y, dtype, reset=False, names=("X_val", "y_val")
        )
        return X, y, _targets.weights_of(validation.sample_weight, X, "sample_weight_val")

    def _train(self, trainer: Trainer, partial: bool) -> None:
        state = trainer.state
        if self.average and state.average is None:
            state.average, state.n_averaged = np.zeros(len(state.theta)), 0
        if trainer.solver.name == "lbfgs":
            gtol = AUTO_GTOL if self.tol == "auto" else float(self.tol)
            _lbfgs.run(trainer, gtol, one_iteration=partial)
        elif partial:
            trainer.run_one_epoch()
        else:
            trainer.run()

    def _n_polish(self, partial: bool, record: Record) -> int:
        if self.early_stopping or partial or record.diverged:
            return 0
        if self.polish_iter == "auto":
            return 10 if self.alpha > 0 and self.l1_ratio > 0 else 0
        return self.polish_iter

    def _publish(self, trainer: Trainer, problem: Problem, theta: Array) -> None:
        """Set every fitted attribute."""
        state, record, scaling = trainer.state, trainer.record, problem.scaling
        self._set_coef(*scaling.to_coef(theta, problem.objective.layout))
        self._state = {
            **{field.name: getattr(state, field.name) for field in fields(State)},
            **scaling._asdict(),
            **{name: getattr(self, name, None) for name in KEPT},
            "solver": self.solver,
            "learning_rate_init": self.learning_rate_init,
        }
        self._record = vars(record)
        self.history_ = record.history
        self.n_iter_ = len(record.history)
        self.t_, self.n_updates_ = state.t, state.n_updates
        self.loss_curve_ = record.losses()
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = record.best_loss
        self.validation_scores_ = record.scores()
        self.best_validation_score_ = record.best_score
        self.best_iter_ = record.best_iter

    # -- prediction --------------------------------------------------------------------------

    def _raw_prediction(self, X: Any) -> Array:
        """X W + b, (n_samples, n_outputs)."""
        check_is_fitted(self)
        W, b = self._get_coef()
        X = check_rows(self, X, reset=False, dtype=[np.float64, np.float32])
        return np.asarray(X @ W) + b

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coef_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
