"""LossCurveDisplay: how training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skopt_est._plotting import DASHES, LOG_FROM, MARKERS, label_outer, name_of_score, panels, tidy

__all__ = ["LossCurveDisplay"]

Array = np.ndarray
TRAINING, VALIDATION = DASHES[:2]
LONGEST_NAME = 40
BEST: dict[str, Any] = {
    "linestyle": "",
    "marker": "*",
    "markersize": 13,
    "markeredgecolor": "black",
    "zorder": 4,
}


class LossCurveDisplay:
    """Training and validation curves of one or several estimators.

    Make one with :meth:`from_estimator`. All parameters are stored as attributes.

    Parameters
    ----------
    loss_curves : list of array-like of shape (n_epochs,)
        The training objective by epoch, a curve for each estimator.

    validation_losses : list of array-like or None, default=None
        The validation loss by epoch, for each estimator; None where there is none.

    validation_scores : list of array-like or None, default=None
        Scores other than the loss, in the same way. They have a panel of their own.

    best_epochs : list of int or None, default=None
        The epoch to be marked, from 1: on an estimator's validation curve, or on its training
        curve if it has no other.

    names : list of str, default=None
        What the estimators are called in the legend. Needed if there are several.

    score_name : str, default="score"
        Label of the axis of `validation_scores`.

    Attributes
    ----------
    axes_ : ndarray of shape (1,) or (2,) of matplotlib Axes
        The panel of the losses, and that of the validation scores if there are any.

    figure_ : matplotlib Figure
        The figure that they are in.

    lines_ : list of matplotlib Line2D
        The training curves.

    validation_lines_ : list of matplotlib Line2D or None
        The validation curves; None for an estimator without one.

    best_markers_ : list of matplotlib Line2D or None
        The marks of the best epochs; None where there is none.

    See Also
    --------
    SolverComparisonDisplay : Scores and fit times of a search over solvers.
    sklearn.model_selection.LearningCurveDisplay : Scores by the number of training rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skopt_est import LossCurveDisplay, MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> params = dict(learning_rate_init=0.01, early_stopping=True, random_state=0)
    >>> models = [
    ...     MLPClassifier(32, solver=solver, **params).fit(X / 16, y)
    ...     for solver in ("adam", "nadam")
    ... ]
    >>> display = LossCurveDisplay.from_estimator(models)
    >>> display.names
    ['adam', 'nadam']
    >>> display.figure_.savefig("curves.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        loss_curves: Sequence[Any],
        validation_losses: Sequence[Any] | None = None,
        validation_scores: Sequence[Any] | None = None,
        best_epochs: Sequence[int | None] | None = None,
        names: Sequence[str] | None = None,
        score_name: str = "score",
    ) -> None:
        self.loss_curves = loss_curves
        self.validation_losses = validation_losses
        self.validation_scores = validation_scores
        self.best_epochs = best_epochs
        self.names = names
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        names: str | Sequence[str] | None = None,
        above_lowest: bool = False,
        ax: Any = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Plot the curves of fitted estimators.

        Parameters
        ----------
        estimator : estimator or list of estimators
            Fitted ones with a ``loss_curve_``: those of this package and scikit-learn's networks,
            alone, as the last step of a pipeline, or as the best estimator of a search.

        names : str or list of str, default=None
            What they are called in the legend. By default several estimators of one class are
            named by the parameters in which they differ.

        above_lowest : bool, default=False
            As in :meth:`plot`.

        ax : matplotlib Axes or array-like of Axes, default=None
            As in :meth:`plot`.

        line_kw : dict, default=None
            As in :meth:`plot`.

        Returns
        -------
        LossCurveDisplay
            With the best epochs marked: ``best_iter_`` where an estimator stopped early or had no
            validation rows, else the epoch of its best validation score.

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        ValueError
            If an estimator has no ``loss_curve_``, or there are not as many names.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        given = list(estimator) if isinstance(estimator, list | tuple) else [estimator]
        if not given:
            raise ValueError("estimator is an empty list: there is nothing to plot.")
        models = [_model_of(one) for one in given]
        if names is None:
            names = _names_of(models) if len(models) > 1 else None
        elif isinstance(names, str):
            names = [names]
        losses, scores, score_names = [], [], []
        for model in models:
            curve = getattr(model, "validation_scores_", None)
            curve = None if curve is None else np.asarray(curve, dtype=float)
            by_loss = getattr(model, "scoring", None) == "loss"
            losses.append(-curve if by_loss and curve is not None else None)
            scores.append(None if by_loss else curve)
            if scores[-1] is not None:
                score_names.append(name_of_score(getattr(model, "scoring", None), model))
        display = cls(
            loss_curves=[np.asarray(model.loss_curve_, dtype=float) for model in models],
            validation_losses=losses,
            validation_scores=scores,
            best_epochs=[_best_epoch(model) for model in models],
            names=names,
            score_name=score_names[0] if len(set(score_names)) == 1 else "score",
        )
        return display.plot(ax=ax, above_lowest=above_lowest, line_kw=line_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        above_lowest: bool = False,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: one for each panel, or one that is divided if there are two. None
            makes a new figure.

        above_lowest : bool, default=False
            Draw how far each training curve is above the lowest point of all, with both axes
            logarithmic, and nothing else: this is how to compare solvers that minimise the same
            objective.

        line_kw : dict, default=None
            Arguments for ``Axes.plot`` of all curves, in place of those set here.

        Returns
        -------
        LossCurveDisplay
            The display itself, with the attributes that end in an underscore.

        Raises
        ------
        ValueError
            If the lists that were given are not as long as each other, a curve has validation
            losses and scores, there are several curves without names, or `ax` holds another
            number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        self._check_lengths()
        n = len(self.loss_curves)
        curves = [np.asarray(curve, dtype=float) for curve in self.loss_curves]
        losses, scores = self.validation_losses or [None] * n, self.validation_scores or [None] * n
        best = self.best_epochs or [None] * n
        if above_lowest:
            lowest = min(np.nanmin(curve) for curve in curves)
            curves = [np.where(curve > lowest, curve - lowest, np.nan) for curve in curves]
            losses = scores = best = [None] * n
        with_scores = any(score is not None for score in scores)
        axes = panels(ax, 1 + with_scores, size=(6.4, 6.4 if with_scores else 4.8))

        self.axes_, self.figure_ = axes, axes[0].figure
        self.lines_, self.validation_lines_, self.best_markers_ = [], [], []
        for i in range(n):
            line, validation = self._draw(axes[0], curves[i], TRAINING, i, line_kw), None
            if losses[i] is not None:
                validation = self._draw(axes[0], losses[i], VALIDATION, i, line_kw)
            elif scores[i] is not None:
                validation = self._draw(axes[1], scores[i], VALIDATION, i, line_kw)
            self.lines_.append(line)
            self.validation_lines_.append(validation)
            self.best_markers_.append(_mark(validation or line, best[i]))
        axes[0].set_ylabel("loss")
        lengths = [len(curve) for curve in curves]
        if above_lowest:
            axes[0].set_yscale("log")
            axes[0].set_ylabel(f"training objective above the lowest, {lowest:.4g}")
        if above_lowest or max(lengths) > LOG_FROM * min(lengths):
            axes[0].set_xscale("log")
            axes[0].xaxis.set_major_formatter("{x:g}")
        elif axes[0].get_xscale() == "linear":
            axes[0].xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        if with_scores:
            axes[1].set_ylabel(f"validation {self.score_name}")
        for panel in axes:
            tidy(panel)
        label_outer(axes, "epoch")
        self._add_legend()
        return self

    def _draw(self, panel: Any, values: Any, kind: str, i: int, line_kw: Any) -> Any:
        """Several estimators: a colour and a marker for each. One: a colour for each curve."""
        style: dict[str, Any] = {"linestyle": kind, "markersize": 5}
        if len(self.loss_curves) > 1:
            spaced = (0.03 * (i % 4), 0.12)
            style |= {"color": f"C{i}", "marker": MARKERS[i % len(MARKERS)], "markevery": spaced}
        else:
            style["color"] = "C0" if kind == TRAINING else "C1"
        values = np.asarray(values, dtype=float)
        return panel.plot(np.arange(1, len(values) + 1), values, **(style | (line_kw or {})))[0]

    def _add_legend(self) -> None:
        """One estimator: its curves. Several: their names, then what the kinds of lines are."""
        from matplotlib.lines import Line2D

        several = len(self.loss_curves) > 1
        lines, validation = self.lines_, [line for line in self.validation_lines_ if line]
        marks = [mark for mark in self.best_markers_ if mark]
        entries: list[tuple[str, dict[str, Any]]] = []
        if several:
            for name, line in zip(self.names or [], lines, strict=True):
                entries.append((name, _style_of(line)))
            if validation:
                entries.append(("training", {"color": "0.3", "linestyle": TRAINING}))
                entries.append(("validation", {"color": "0.3", "linestyle": VALIDATION}))
        else:
            prefix = f"{self.names[0]}, " if self.names else ""
            for kind, line in zip(("training", "validation"), lines + validation, strict=False):
                entries.append((prefix + kind, _style_of(line)))
        if marks:
            label = "best epoch" if several else f"best epoch, {marks[0].get_xdata()[0]}"
            colour = "0.85" if several else marks[0].get_color()
            entries.append((label, {**BEST, "color": colour}))
        handles = [Line2D([], [], **style) for _, style in entries]
        self.axes_[0].legend(handles, [label for label, _ in entries])

    def _check_lengths(self) -> None:
        n = len(self.loss_curves)
        for name in ("validation_losses", "validation_scores", "best_epochs", "names"):
            value = getattr(self, name)
            if value is not None and len(value) != n:
                raise ValueError(
                    f"{name} has {len(value)} entries and loss_curves has {n}: they must be as "
                    "many."
                )
        both = zip(self.validation_losses or [], self.validation_scores or [], strict=False)
        for i, (loss, score) in enumerate(both):
            if loss is not None and score is not None:
                raise ValueError(
                    f"Curve {i} has validation_losses and validation_scores: pass one of them."
                )
        if n > 1 and self.names is None:
            raise ValueError(f"names=None: the {n} curves of loss_curves need names.")


def _style_of(line: Any) -> dict[str, Any]:
    names = ("color", "linestyle", "marker", "markersize")
    return {name: getattr(line, f"get_{name}")() for name in names}


def _mark(line: Any, epoch: int | None) -> Any:
    if epoch is None:
        return None
    height = line.get_ydata()[epoch - 1]
    return line.axes.plot(epoch, height, **{**BEST, "color": line.get_color()})[0]


def _model_of(estimator: Any) -> Any:
    """The estimator that has the curves; that of a pipeline or a search is within."""
    model = estimator
    while True:
        if isinstance(model, Pipeline):
            model = model[-1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            break
    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise type(error)(f"{estimator!r} can't be plotted: {error}") from error
    if not hasattr(model, "loss_curve_"):
        raise ValueError(
            f"{estimator!r} has no loss_curve_. Pass fitted estimators of skopt_est, alone, as the "
            "last step of a pipeline or as the best estimator of a search."
        )
    return model


def _best_epoch(model: Any) -> int | None:
    stopped_early = getattr(model, "early_stopping", False)
    scores = getattr(model, "validation_scores_", None)
    if hasattr(model, "best_iter_") and (stopped_early or scores is None):
        return model.best_iter_
    values = -np.asarray(model.loss_curve_, float) if scores is None else np.array(scores, float)
    return None if np.isnan(values).all() else int(np.nanargmax(values)) + 1


def _names_of(models: list[Any]) -> list[str]:
    """The parameters that differ, after the class where it isn't the same for all; the class alone
    if that is too long."""
    types = [type(model) for model in models]
    classes = [cls.__name__ for cls in types]
    if len(set(classes)) < len(set(types)):
        classes = [f"{cls.__module__.split('.')[0]}.{cls.__name__}" for cls in types]
    params = [model.get_params(deep=False) for model in models]
    shared = [key for key in params[0] if all(key in p for p in params) and key != "random_state"]
    differing = [key for key in shared if len({repr(p[key]) for p in params}) > 1]
    differing.sort(key=lambda key: key != "solver")
    names = []
    for cls, p in zip(classes, params, strict=True):
        parts = [cls] if len(set(classes)) > 1 else []
        # a solver's name says what it is
        parts += [p[key] if key == "solver" else f"{key}={p[key]!r}" for key in differing]
        names.append(", ".join(parts))
    if max(map(len, names)) > LONGEST_NAME:
        names = classes
    if len(set(names)) < len(names):
        names = [f"{cls} {i}" for i, cls in enumerate(classes, 1)]
    return names
