"""What the displays share: axes to draw in, marks told apart without colour, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A line's colour comes from matplotlib's cycle; marker and dashes tell it apart in grey.
MARKERS = "os^DvPX<>p"
DASHES = ("-", "--", "-.", ":")
# An axis is logarithmic if its numbers differ by more than this factor.
LOG_FROM = 5
# Words in names of scores, where a label has others
WORDS = {"neg": "negative", "roc": "ROC", "auc": "AUC", "r2": "R²", "d2": "D²", "f1": "F1"}


def panels(ax: Any, n: int, size: tuple[float, float]) -> np.ndarray:
    """n axes above each other.

    Parameters
    ----------
    ax : None, Axes or array-like of Axes
        None: a new figure, of `size` in inches. One where n are needed is divided.
    """
    import matplotlib.pyplot as plt
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    if ax is None:
        _, axes = plt.subplots(n, 1, sharex=True, squeeze=False, figsize=size, layout="constrained")
        return axes[:, 0]
    given = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(given) == n:
        return given
    place = given[0].get_subplotspec() if len(given) == 1 else None
    if place is None:
        raise ValueError(
            f"ax holds {len(given)} axes, this plot has {n} panels: pass {n} axes, one of a grid "
            "of subplots, which is divided, or None."
        )
    given[0].set_axis_off()
    grid = GridSpecFromSubplotSpec(n, 1, subplot_spec=place)
    axes = np.empty(n, dtype=object)
    for i in range(n):
        axes[i] = given[0].figure.add_subplot(grid[i], sharex=axes[0])
    return axes


def label_outer(axes: np.ndarray, xlabel: str) -> None:
    """Labels of an axis that panels share: below the last one only, of those that are above each
    other."""
    left = axes[-1].get_position().x0
    for panel in axes[:-1]:
        if abs(panel.get_position().x0 - left) < 1e-3:
            panel.tick_params(axis="x", which="both", labelbottom=False)
        else:
            panel.set_xlabel(xlabel)
    axes[-1].set_xlabel(xlabel)


def scale_times(axes: Axes, low: float, high: float) -> None:
    """A logarithmic vertical axis for numbers that differ much, labelled without powers."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if not high > LOG_FROM * low > 0:
        return
    axes.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if high < 50 * low else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def tidy(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def name_of_score(scoring: Any, estimator: Any) -> str:
    """How an axis of these scores is labelled; scoring as in a search or an estimator."""
    if scoring is None:
        return "accuracy" if is_classifier(estimator) else "R²"
    if not isinstance(scoring, str):
        metric = getattr(scoring, "_score_func", scoring)
        scoring = getattr(metric, "__name__", "score")
    return " ".join(WORDS.get(word, word) for word in scoring.split("_"))
