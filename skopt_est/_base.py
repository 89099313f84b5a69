"""What every estimator shares: parameters, and fit as one walk.

The walk: validate -> target matrix and weights -> rows to train on, rows to validate on ->
objective in the units of training -> state (new or resumed) -> training -> fitted attributes.
Linear models and networks differ in the steps that are abstract here.

It works on a copy of the estimator that replaces the original's attributes when it is through,
so a fit that fails leaves the estimator as it was.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import check_random_state

from skopt_est import _lbfgs, _targets
from skopt_est._callbacks import CallbackSupportMixin, Tasks, watched
from skopt_est._checks import check_rows_and_targets
from skopt_est._core import engine
from skopt_est._parameters import CONSTRAINTS
from skopt_est._problem import Problem, Targets
from skopt_est._rows import Rows
from skopt_est._state import Record, Settings, State
from skopt_est._stored import StoredEstimator
from skopt_est._threads import one_blas_thread
from skopt_est._trainer import Diverged, Trainer
from skopt_est._validation import Validation, check_arguments, held_out, hold_out, score_of
from skopt_est._warn import warn_not_converged
from skopt_est.solvers import SOLVERS, Solver

Array = np.ndarray


class OptimizerEstimator(CallbackSupportMixin, StoredEstimator, metaclass=ABCMeta):
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
        self, X: Any, targets: Targets, rows: Rows, weights: Array | None, resumed: bool
    ) -> Problem:
        """The objective of these rows in the units of training; weights: as `Problem` has them."""

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
        if partial:  # whose parameters scikit-learn leaves unchecked after the first call
            self._validate_params()
        check_arguments(
            self.scoring, X_val, y_val, sample_weight_val, partial and self.early_stopping
        )
        validation = None if X_val is None else Validation(X_val, y_val, sample_weight_val)
        tasks = Tasks(self) if watched(self) else None
        work, before = self._twin(), dict(vars(self))
        warning = None
        try:
            warning = work._walk(X, y, sample_weight, validation, partial, classes, tasks)
        finally:
            # Training publishes what it has before it lets an interruption through.
            if vars(work).get("_state", before.get("_state")) is not before.get("_state"):
                self._take_over(work, before)
        if tasks is not None:
            tasks.end({})
        if warning is not None:
            warn_not_converged(warning)
        return self

    def _take_over(self, fitted: Self, before: dict[str, Any]) -> None:
        """The attributes of the fitted copy, and those that were set here since `before`: by
        callbacks or for them."""
        changed = {k: v for k, v in vars(self).items() if before.get(k, fitted) is not v}
        self.__dict__ = vars(fitted) | changed

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
        tasks: Tasks | None,
    ) -> str | None:
        """Train and publish; the warning that is due. `tasks` are told on the way."""
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

        first, given, trained_on = draw(), (raw_X, raw_y, sample_weight), None
        if not hasattr(raw_X, "shape"):
            given = (X, raw_y, sample_weight)
        if self.early_stopping and validation is None:
            one_class_a_row = is_classifier(self) and targets.Y.shape[1] == 1
            labels = _targets.of_rows(targets.Y, rows)[:, 0] if one_class_a_row else None
            held = hold_out(len(rows), labels, self.validation_fraction, first[1])
            validation = held_out(given, rows[_targets.positions(held)], self.scoring)
            rows = trained_on = rows[_targets.positions(held, False)]
            del labels, held

        self._n_rows = len(rows)
        self._weight_sum = float(len(rows)) if weights is None else weights.total(rows)
        scaled = _targets.row_weights(weights, rows, rows, X.shape[0], X.dtype)
        problem = self._problem(X, targets, rows, scaled, resumed)
        settings = {f.name: getattr(self, f.name) for f in fields(Solver) if hasattr(self, f.name)}
        solver = SOLVERS[self.solver](**settings)
        # Those of BLAS would add in another order, and cost more than they bring at these sizes.
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            score = None if validation is None else score_of(self, validation, problem)
            batch_size = self._batch_size(solver, len(rows))

            n_starts = 1 if resumed or partial else self.n_init

            def trainings(start: Array | None, seed: int) -> Iterator[Trainer]:
                """Those of this fit, none of them begun."""
                for left in range(n_starts, 0, -1):
                    theta = problem.start(start, partial)
                    state, record = self._state_and_record(
                        problem, solver, batch_size, theta, seed, resumed
                    )
                    loop = self._settings(problem, batch_size)
                    yield Trainer(problem.objective, solver, loop, state, record, score, tasks)
                    if left > 1:
                        start, seed = draw()

            if tasks is not None:
                n_subtasks = n_starts if n_starts > 1 else 1 if partial else self.max_iter
                tasks.start(
                    *("partial-fit" if partial else "fit", n_subtasks, given, trained_on),
                    lambda trainer: self._fitted_so_far(trainer, problem),
                )
            several = tasks if n_starts > 1 else None
            return self._train_best(trainings(*first), problem, partial, several)

    def _train_best(
        self, trainings: Iterator[Trainer], problem: Problem, partial: bool, tasks: Tasks | None
    ) -> str | None:
        """Run the trainings and publish the best of them; the warning that goes with it. One that
        diverged at once is passed over if there are others. If the keyboard or a callback
        interrupts, what there is is published. `tasks` are told of each training."""
        best: Trainer | None = None
        trainer: Trainer | None = None
        failure: Diverged | None = None
        try:
            for trainer in trainings:
                if tasks is not None:
                    tasks.begin("start", self.max_iter)
                try:
                    self._train(trainer, problem, partial)
                except Diverged as error:
                    failure = error
                else:
                    if best is None or trainer.outcome() < best.outcome():
                        best = trainer
                if tasks is not None and tasks.end(None):
                    break
            if best is None:
                raise failure or RuntimeError("no training was asked for")
            self._publish(best, problem, self._finish(best, problem, partial))
            return best.record.warning
        except BaseException as error:
            told = trainer.tasks if trainer is not None else None
            if not isinstance(error, KeyboardInterrupt) and not (told and told.failed):
                raise
            if trainer is not None and trainer is not best and trainer.salvage():
                best = trainer if best is None else min(best, trainer, key=Trainer.outcome)
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
        if trainer.record.warning is not None:
            trainer.record.warning += problem.caution()

    @abstractmethod
    def _lbfgs_options(self, problem: Problem) -> dict[str, Any]:
        """When lbfgs stops: gtol, and for some ftol and max_fun; its coordinates."""

    def _finish(self, trainer: Trainer, problem: Problem, partial: bool) -> Array:
        """What follows training, in training's units."""
        return trainer.state.model_parameters()

    def _publish(self, trainer: Trainer, problem: Problem, theta: Array) -> None:
        """Set every fitted attribute; `_state` last, it tells that all are there."""
        state, record = trainer.state, trainer.record
        self._set_parameters(theta, problem)
        self.history_ = record.history
        begun, known = trainer.begun, vars(self)
        self.n_iter_ = len(record.history) - begun
        self.t_, self.n_updates_ = state.t, state.n_updates
        scores = record.scores(begun, known.get("validation_scores_", []))
        self.loss_curve_ = record.losses(begun, known.get("loss_curve_"))
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = record.best_loss
        self.validation_scores_ = scores
        self.best_validation_score_ = record.best_score
        self.best_iter_ = record.best_iter
        self._record = vars(record)
        self._state = {
            **{field.name: getattr(state, field.name) for field in fields(State)},
            **problem.scaling._asdict(),
            **{name: getattr(self, name) for name in self._kept},
            "solver": self.solver,
            "learning_rate_init": self.learning_rate_init,
        }

    def _fitted_so_far(self, trainer: Trainer, problem: Problem) -> dict[str, Any]:
        """The attributes that a fit would have set if it had ended with the training's last epoch,
        with that epoch's weights."""
        twin, now = self._twin(), trainer.so_far()
        twin._publish(now, problem, now.state.model_parameters())
        return dict(vars(twin))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
