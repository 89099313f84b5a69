"""What every estimator shares: parameters, and fit as one walk.

The walk: validate -> target matrix and weights -> rows to train on, rows to validate on ->
objective in the units of training -> state (new or resumed) -> training -> fitted attributes.
Linear models and networks differ in the steps that are abstract here.

It works on a copy of the estimator that replaces the original's attributes when it is through,
so a fit that fails leaves the estimator as it was.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.utils import _safe_indexing, check_random_state

from skopt_est import _lbfgs, _targets
from skopt_est._checks import check_rows_and_targets
from skopt_est._core import engine
from skopt_est._parameters import CONSTRAINTS
from skopt_est._problem import Problem, Targets
from skopt_est._stored import StoredEstimator
from skopt_est._threads import one_blas_thread
from skopt_est._trainer import Diverged, Record, Settings, State, Trainer
from skopt_est._validation import Validation, check_arguments, hold_out, scorer_of
from skopt_est._warn import warn_not_converged
from skopt_est.solvers import SOLVERS, Solver

Array = np.ndarray


class OptimizerEstimator(StoredEstimator, metaclass=ABCMeta):
    """Base of the estimators that are trained by a solver of `skopt_est.solvers`."""

    _parameter_constraints = CONSTRAINTS
    # parameters that a resumed fit can't change
    _kept: tuple[str, ...] = ()
    # whether y may be a matrix where it holds classes
    _matrix_targets = False
    # parameters that not all estimators have, as those without them behave
    n_init: int = 1
    max_grad_norm: float | None = None

    @abstractmethod
    def _targets(
        self, y: Array, weights: Array | None, dtype: np.dtype, partial: bool, classes: Any
    ) -> Targets:
        """Encode y and settle what is learned of it (loss, outputs, classes_)."""

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype, argument: str) -> Array:
        """y of validation rows as a target matrix, by what `_targets` settled."""

    @abstractmethod
    def _problem(
        self, X: Any, targets: Targets, rows: Array, weights: Array | None, resumed: bool
    ) -> Problem:
        """The objective of these rows in the units of training."""

    def _initial(
        self, rng: np.random.RandomState, n_features: int, n_outputs: int, dtype: np.dtype
    ) -> Array | None:
        """Random parameters to start from, drawn from rng; None: the problem's own start."""
        return None

    def _take_up(self, state: State, problem: Problem) -> None:
        """Let a resumed fit begin with the fitted parameters, should they have been changed."""

    def _absolute_tol(self, magnitude: float) -> float:
        """`tol` in the units of what is judged; magnitude: of a constant model's objective."""
        return float(self.tol)

    @abstractmethod
    def _batch_size(self, solver: Solver, n: int) -> int:
        """Rows of one step."""

    @abstractmethod
    def _set_parameters(self, theta: Array, problem: Problem) -> None:
        """Set the fitted coefficients from the parameters in training's units."""

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
        check_arguments(
            self.scoring, X_val, y_val, sample_weight_val, partial and self.early_stopping
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
            kept = self._state["theta"].dtype
            if self.dtype != "auto" and dtype != kept:
                raise ValueError(
                    f"warm_start and partial_fit go on in the precision of the fit before, "
                    f"{kept.name}; got dtype={self.dtype!r}. Fit anew with warm_start=False."
                )
            dtype = kept
        X, y = self._validate(X, y, dtype, reset=not resumed)
        self._dtype = X.dtype.name
        sample_weight = _targets.weights_of(sample_weight, X, "sample_weight")
        targets = self._targets(y, sample_weight, X.dtype, partial, classes)
        if not resumed:
            self._forget()
        weights = _targets.with_class_factors(sample_weight, targets.class_factors, targets.Y)
        rows = _targets.weighted_rows(weights, X.shape[0])
        rng = check_random_state(self.random_state)

        def draw() -> tuple[Array | None, int]:
            """The start of a training, and the seed of its order of rows."""
            # drawn for a resumed fit, too: it holds out the same rows
            start = self._initial(rng, X.shape[1], targets.n_outputs, X.dtype)
            return None if resumed else start, int(rng.randint(np.iinfo(np.int32).max))

        first = draw()
        if self.early_stopping and validation is None:
            one_column = targets.Y.shape[1] == 1
            labels = targets.Y[rows, 0] if is_classifier(self) and one_column else None
            train, held = hold_out(len(rows), labels, self.validation_fraction, first[1])
            validation = self._held_rows(raw_X, raw_y, X, sample_weight, rows[held])
            rows = rows[train]

        self._n_rows = len(rows)
        self._weight_sum = float(len(rows) if weights is None else weights[rows].sum())
        problem = self._problem(X, targets, rows, weights, resumed)
        settings = {f.name: getattr(self, f.name) for f in fields(Solver) if hasattr(self, f.name)}
        solver = SOLVERS[self.solver](**settings)
        # Threads would add in another order, and cost more than they bring at these sizes.
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            score = None if validation is None else self._scorer(validation, problem)
            batch_size = self._batch_size(solver, len(rows))

            def trainings(start: Array | None, seed: int) -> Iterator[Trainer]:
                """Those of this fit, none of them begun."""
                for left in range(1 if resumed or partial else self.n_init, 0, -1):
                    theta = problem.start(start, partial)
                    state, record = self._state_and_record(
                        problem, solver, batch_size, theta, seed, resumed
                    )
                    loop = self._settings(problem, batch_size)
                    yield Trainer(problem.objective, solver, loop, state, record, score)
                    if left > 1:
                        start, seed = draw()

            best, theta = self._best_of(trainings(*first), problem, partial)
        self._publish(best, problem, theta)
        if best.record.warning is not None:
            warn_not_converged(best.record.warning)

    def _best_of(
        self, trainings: Iterator[Trainer], problem: Problem, partial: bool
    ) -> tuple[Trainer, Array]:
        """Run the trainings; the best of them and its parameters. One that diverged at once is
        passed over if there are others. An interruption publishes what there is, then goes on."""
        best: Trainer | None = None
        trainer: Trainer | None = None
        failure: Diverged | None = None
        try:
            for trainer in trainings:
                try:
                    self._train(trainer, problem, partial)
                except Diverged as error:
                    failure = error
                    continue
                if best is None or trainer.outcome() < best.outcome():
                    best = trainer
            if best is None:
                raise failure or RuntimeError("no training was asked for")
            return best, self._finish(best, problem, partial)
        except KeyboardInterrupt:
            if trainer is not None and trainer is not best and trainer.has_begun():
                trainer.restore_best()
                if best is None or trainer.outcome() < best.outcome():
                    best = trainer
            if best is not None:
                self._publish(best, problem, best.state.model_parameters())
            raise

    # -- steps of the walk, in order ---------------------------------------------------------

    def _validate(
        self, X: Any, y: Any, dtype: Any, reset: bool, names: tuple[str, str] = ("X", "y")
    ) -> tuple[Any, Array]:
        numeric = self.__sklearn_tags__().estimator_type == "regressor"
        return check_rows_and_targets(
            *(self, X, y),
            reset=reset,
            dtype=dtype,
            numeric=numeric,
            matrix=numeric or self._matrix_targets,
            names=names,
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
            _safe_indexing(raw_y.tocsr() if issparse(raw_y) else raw_y, held),
            None if weights is None else weights[held],
            held,
        )

    def _check_kept(self) -> None:
        """A resumed fit goes on with the model of the fit before."""
        for name in self._kept:
            fitted, now = self._state[name], getattr(self, name)
            if fitted != now:
                raise ValueError(
                    f"warm_start and partial_fit go on with the {name} of the fit before, "
                    f"{fitted!r}; got {name}={now!r}. Fit anew with warm_start=False."
                )

    def _state_and_record(
        self,
        problem: Problem,
        solver: Solver,
        batch_size: int,
        theta: Array,
        seed: int,
        resumed: bool,
    ) -> tuple[State, Record]:
        """New ones, or those of the fit before.

        Weights, counters and the order of rows go on; so do the moments, the average and the
        learning rate where solver and `learning_rate_init` are still the same.
        """
        slots = engine.zeros((solver.n_slots(), len(theta)), theta.dtype)
        state = State(theta, slots, np.zeros(1), np.array([seed], np.uint64), rate=0.0)
        record = Record()
        if resumed:
            old = self._state
            state.theta[:] = old["theta"]
            state.rng = old["rng"].copy()
            state.n_updates, state.t = old["n_updates"], old["t"]
            record = Record(**{**self._record, "diverged": False, "warning": None})
            record.history = list(record.history)
            if old["solver"] == self.solver and old["slots"].shape == slots.shape:
                state.slots[:], state.extras = old["slots"], old["extras"].copy()
                state.n_moments = old["n_moments"]
                if self.average and old["average"] is not None:
                    state.average, state.n_averaged = old["average"].copy(), old["n_averaged"]
                if old["learning_rate_init"] == self.learning_rate_init:
                    state.rate = old["rate"]
            self._take_up(state, problem)
        if solver.name == "lbfgs":
            self.__dict__.pop("learning_rate_init_", None)
        elif state.rate == 0:
            state.rate = self.learning_rate_init_ = float(
                problem.automatic_rate(solver, batch_size)
                if self.learning_rate_init == "auto"
                else self.learning_rate_init
            )
        return state, record

    def _settings(self, problem: Problem, batch_size: int) -> Settings:
        magnitude = problem.magnitude()
        return Settings(
            learning_rate=self.learning_rate,
            power_t=self.power_t,
            max_iter=self.max_iter,
            batch_size=batch_size,
            shuffle=bool(self.shuffle),
            tol=self._absolute_tol(magnitude),
            n_iter_no_change=self.n_iter_no_change,
            early_stopping=bool(self.early_stopping),
            magnitude=magnitude,
            halve_on_rise=self.learning_rate_init == "auto",
            average_from=int(self.average) or None,
            verbose=int(self.verbose),
            max_grad_norm=self.max_grad_norm or 0.0,
            by_loss=self.scoring == "loss",
            data_mark=problem.data_mark(),
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
            scratch = held.scratch()
            return lambda theta: -held.loss_value(theta, scratch)
        evaluate = scorer_of(self, self.scoring)

        def score(theta: Array) -> float:
            fitted = self._twin()
            fitted._set_parameters(theta, problem)
            return evaluate(fitted, validation)

        return score

    def _validate_held_out(self, validation: Validation, dtype) -> tuple[Any, Array, Array | None]:
        X, y = self._validate(
            validation.X, validation.y, dtype, reset=False, names=("X_val", "y_val")
        )
        return X, y, _targets.weights_of(validation.sample_weight, X, "sample_weight_val")

    def _train(self, trainer: Trainer, problem: Problem, partial: bool) -> None:
        state = trainer.state
        if self.average and state.average is None:
            state.average, state.n_averaged = np.zeros(len(state.theta)), 0
        if trainer.solver.name == "lbfgs":
            _lbfgs.run(trainer, **self._lbfgs_options(problem), one_iteration=partial)
        elif partial:
            trainer.run_one_epoch()
        else:
            trainer.run()

    @abstractmethod
    def _lbfgs_options(self, problem: Problem) -> dict[str, Any]:
        """When lbfgs stops: gtol, and for some ftol and max_fun; its coordinates."""

    def _finish(self, trainer: Trainer, problem: Problem, partial: bool) -> Array:
        """What follows training, in training's units."""
        return trainer.state.model_parameters()

    def _publish(self, trainer: Trainer, problem: Problem, theta: Array) -> None:
        """Set every fitted attribute."""
        state, record = trainer.state, trainer.record
        self._set_parameters(theta, problem)
        self._state = {
            **{field.name: getattr(state, field.name) for field in fields(State)},
            **problem.scaling._asdict(),
            **{name: getattr(self, name) for name in self._kept},
            "solver": self.solver,
            "learning_rate_init": self.learning_rate_init,
        }
        self._record = vars(record)
        self.history_ = record.history
        self.n_iter_ = len(record.history) - trainer.begun
        self.t_, self.n_updates_ = state.t, state.n_updates
        self.loss_curve_ = record.losses()
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = record.best_loss
        self.validation_scores_ = record.scores()
        self.best_validation_score_ = record.best_score
        self.best_iter_ = record.best_iter

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
