"""SolverComparisonDisplay: what a search found out about solvers and learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skopt_est._plotting import DASHES, MARKERS, label_outer, panels, scale_times, tidy
from skopt_est._search_results import results_of

__all__ = ["SolverComparisonDisplay"]

Array = np.ndarray
# As many learning rates have a tick each; of more, the powers of ten have one.
MOST_TICKS = 8
STYLES = ("fill_between", "errorbar", None)


class SolverComparisonDisplay:
    """Score and fit time against the learning rate, a line for each solver.

    Make one with :meth:`from_estimator`. All parameters are stored as attributes; each of the
    arrays has an entry for every pair of a solver and a rate that was tried.

    Parameters
    ----------
    solvers : array-like of str of shape (n_pairs,)
        The solver.

    learning_rates : array-like of shape (n_pairs,)
        Its `learning_rate_init`: a number or "auto".

    mean_scores : array-like of shape (n_pairs,)
        The mean test score over the folds.

    std_scores : array-like of shape (n_pairs,)
        Its standard deviation over the folds.

    mean_fit_times : array-like of shape (n_pairs,)
        Seconds of a fit, the mean over the folds.

    score_name : str, default="score"
        Label of the axis of the scores.

    Attributes
    ----------
    axes_ : ndarray of shape (2,) of matplotlib Axes
        The panels of the scores and of the fit times.

    figure_ : matplotlib Figure
        The figure that they are in.

    lines_ : list of matplotlib Line2D
        The scores of each solver. A learning rate of "auto" is the first point of its line, apart
        from the others and left of them.

    time_lines_ : list of matplotlib Line2D
        The fit times, likewise.

    bands_ : list of matplotlib PolyCollection or None
        The deviations of each solver's scores; None where there are fewer than two numeric rates.

    errorbars_ : list of matplotlib ErrorbarContainer or None
        The deviations that have no band; None where there are none.

    See Also
    --------
    LossCurveDisplay : Training and validation curves of fitted estimators.
    sklearn.model_selection.ValidationCurveDisplay : Scores against one parameter.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skopt_est import LogisticRegression, SolverComparisonDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> grid = {"solver": ["sgd", "rmsprop", "adam"], "learning_rate_init": [0.01, 0.1, 1]}
    >>> search = GridSearchCV(LogisticRegression(alpha=0.01), grid, cv=3).fit(X, y)
    >>> display = SolverComparisonDisplay.from_estimator(search)
    >>> [line.get_label() for line in display.lines_]
    ['sgd', 'rmsprop', 'adam']
    >>> display.figure_.savefig("solvers.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        solvers: Sequence[str],
        learning_rates: Sequence[float | str],
        mean_scores: Any,
        std_scores: Any,
        mean_fit_times: Any,
        score_name: str = "score",
    ) -> None:
        self.solvers = solvers
        self.learning_rates = learning_rates
        self.mean_scores = mean_scores
        self.std_scores = std_scores
        self.mean_fit_times = mean_fit_times
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        solver_param: str | None = None,
        metric: str | None = None,
        std_display_style: str | None = "fill_between",
        ax: Any = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Plot the results of a fitted search.

        Where other parameters were searched, too, a pair of solver and rate is shown with those
        that gave it its best score, and where a search halves its candidates, as of the last
        iteration in which the pair took part.

        Parameters
        ----------
        search : GridSearchCV or another search of scikit-learn
            Fitted, with a `solver` among the parameters that it tried. Candidates without a
            `learning_rate_init` of their own have that of the estimator searched.

        solver_param : str, default=None
            Name of the solver's parameter, such as ``"classifier__solver"``. By default it is
            found; needed where several steps of a pipeline have one.

        metric : str, default=None
            Which score of a search by several metrics to show; by default that by which it refits.

        std_display_style : {"fill_between", "errorbar"} or None, default="fill_between"
            As in :meth:`plot`.

        ax : matplotlib Axes or array-like of two Axes, default=None
            As in :meth:`plot`.

        line_kw : dict, default=None
            As in :meth:`plot`.

        Returns
        -------
        SolverComparisonDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        ValueError
            If the search tried no solver, several parameters could be the solver, its estimator
            has no `learning_rate_init`, or `metric` is none of its metrics.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        display = cls(**results_of(search, solver_param, metric))
        return display.plot(ax=ax, std_display_style=std_display_style, line_kw=line_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        std_display_style: str | None = "fill_between",
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Plot scores and fit times.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of two Axes, default=None
            Where to draw: two axes, or one that is divided. None makes a new figure.

        std_display_style : {"fill_between", "errorbar"} or None, default="fill_between"
            How one standard deviation of the scores over the folds is shown: as a band (a bar
            where there is one point only), as bars, or not.

        line_kw : dict, default=None
            Arguments for ``Axes.plot`` of all lines, in place of those set here.

        Returns
        -------
        SolverComparisonDisplay
            The display itself, with the attributes that end in an underscore.

        Raises
        ------
        ValueError
            If `std_display_style` is unknown, the arrays are not as long as each other, or `ax`
            holds neither one nor two axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if std_display_style not in STYLES:
            raise ValueError(
                f"std_display_style={std_display_style!r}: must be 'fill_between', 'errorbar' or "
                "None."
            )
        self._check_lengths()
        names = list(dict.fromkeys(self.solvers))
        axes = panels(ax, 2, size=(7.2, 6.4))
        self.axes_, self.figure_ = axes, axes[0].figure
        self.lines_, self.time_lines_, self.bands_, self.errorbars_ = [], [], [], []
        places = _Places(self.solvers, self.learning_rates)
        for i, name in enumerate(names):
            x, order = places.of_solver(name)
            mean, std, seconds = (
                np.append(np.asarray(values, dtype=float), np.nan)[order]
                for values in (self.mean_scores, self.std_scores, self.mean_fit_times)
            )
            marker, dashes = MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)]
            style = {"label": name, "color": f"C{i}", "marker": marker, "linestyle": dashes}
            style |= line_kw or {}
            line = axes[0].plot(x, mean, **style)[0]
            self.lines_.append(line)
            self.time_lines_.append(axes[1].plot(x, seconds, **style)[0])
            band, bars = self._deviations(line, std, std_display_style)
            self.bands_.append(band)
            self.errorbars_.append(bars)
        axes[0].set_ylabel(self.score_name)
        axes[1].set_ylabel("fit time in seconds")
        scale_times(axes[1], np.nanmin(self.mean_fit_times), np.nanmax(self.mean_fit_times))
        for panel in axes:
            tidy(panel)
        places.label(axes)
        if ax is None:
            self.figure_.legend(
                handles=self.lines_, title="solver", loc="outside right upper", frameon=False
            )
        else:
            # above the panels, as points may be anywhere in them
            place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
            axes[0].legend(handles=self.lines_, ncols=4, frameon=False, **place)
        return self

    def _deviations(self, line: Any, std: Array, style: str | None) -> tuple[Any, Any]:
        """Band and bars of a line's scores; points that stand alone have no band."""
        x, mean = line.get_xdata(), line.get_ydata()
        gap = np.flatnonzero(np.isnan(x))
        numeric = np.arange(len(x)) > (gap[0] if len(gap) else -1)
        in_band = numeric & (numeric.sum() > 1) & (style == "fill_between")
        band = bars = None
        if in_band.any():
            low, high = (mean - std)[in_band], (mean + std)[in_band]
            colour = line.get_color()
            # where all of them lie on each other, lines are still seen
            alpha = min(0.2, 0.4 / len(set(self.solvers)))
            band = line.axes.fill_between(x[in_band], low, high, color=colour, alpha=alpha, lw=0)
        alone = ~in_band & ~np.isnan(x)
        if style is not None and alone.any():
            bars = line.axes.errorbar(
                x[alone], mean[alone], std[alone], fmt="none", ecolor=line.get_color(), capsize=3
            )
        return band, bars

    def _check_lengths(self) -> None:
        n = len(self.solvers)
        for name in ("learning_rates", "mean_scores", "std_scores", "mean_fit_times"):
            if len(getattr(self, name)) != n:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries and solvers has {n}: they "
                    "must be as many."
                )


class _Places:
    """Where the learning rates are on a logarithmic axis: numbers at their place, "auto" left of
    them with the solvers side by side."""

    def __init__(self, solvers: Sequence[str], rates: Sequence[float | str]) -> None:
        self.solvers, self.rates = list(solvers), list(rates)
        # one that is not positive made the fits fail
        numeric = {float(rate) for rate in rates if not isinstance(rate, str)}
        self.numeric = sorted(rate for rate in numeric if rate > 0)
        self.ratio = self.numeric[1] / self.numeric[0] if len(self.numeric) > 1 else 10.0
        self.auto = self.numeric[0] / self.ratio if self.numeric else 1.0
        pairs = zip(self.solvers, self.rates, strict=True)
        self.automatic = list(dict.fromkeys(s for s, rate in pairs if isinstance(rate, str)))

    def of_solver(self, solver: str) -> tuple[Array, Array]:
        """Places of a solver's points from left to right, and their positions in the data; after
        "auto" a gap, at position -1."""
        mine = [i for i, name in enumerate(self.solvers) if name == solver]
        auto = [i for i in mine if isinstance(self.rates[i], str)]
        rest = sorted((i for i in mine if i not in auto), key=lambda i: float(self.rates[i]))
        x = [float(self.rates[i]) for i in rest]
        if auto:
            n = len(self.automatic)
            beside = (self.automatic.index(solver) + 0.5) / n - 0.5
            x = [self.auto * self.ratio ** (0.7 * beside), np.nan, *x]
            rest = [auto[0], -1, *rest]
        return np.array(x), np.array(rest)

    def label(self, axes: Array) -> None:
        """Scale, ticks and labels."""
        from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

        ticks = self.numeric
        if len(ticks) > MOST_TICKS:
            first, last = np.ceil(np.log10(ticks[0])), np.floor(np.log10(ticks[-1]))
            ticks = list(10.0 ** np.arange(first, last + 1)) or [ticks[0], ticks[-1]]
        labels = [f"{tick:g}" for tick in ticks]
        if self.automatic:
            ticks, labels = [self.auto, *ticks], ["auto", *labels]
        for panel in axes:
            panel.set_xscale("log")
            panel.xaxis.set_major_locator(FixedLocator(ticks))
            panel.xaxis.set_major_formatter(FixedFormatter(labels))
            panel.xaxis.set_minor_locator(NullLocator())
            if self.automatic and self.numeric:
                panel.axvline(self.auto * self.ratio**0.5, color="0.7", linewidth=0.8)
            elif self.automatic:
                panel.set_xlim(self.auto / self.ratio**0.5, self.auto * self.ratio**0.5)
        label_outer(axes, "learning_rate_init")
