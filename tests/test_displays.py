"""The displays show what was recorded, say where, and refuse what has nothing to show."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import sklearn.linear_model
import sklearn.neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skopt_est import (
    LinearRegression,
    LogisticRegression,
    LossCurveDisplay,
    MLPClassifier,
    MLPRegressor,
    SolverComparisonDisplay,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, y = load_breast_cancer(return_X_y=True)
X = StandardScaler().fit_transform(X)
X_val, y_val = X[400:], y[400:]
X, y = X[:400], y[:400]


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def network(**params):
    settings = dict(hidden_layer_sizes=8, max_iter=12, random_state=0, learning_rate_init=0.03)
    return MLPClassifier(**(settings | params))


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


# -- loss curves -------------------------------------------------------------------------------


def test_one_estimator_has_its_training_curve_with_the_least_loss_marked():
    reg = LinearRegression(random_state=0, max_iter=10).fit(X, X[:, 0])
    display = LossCurveDisplay.from_estimator(reg)
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, reg.n_iter_ + 1))
    np.testing.assert_array_equal(line.get_ydata(), reg.loss_curve_)
    assert display.validation_lines_ == [None]
    (mark,) = display.best_markers_
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (reg.best_iter_, reg.best_loss_)
    assert display.axes_.shape == (1,)
    assert display.axes_[0].figure is display.figure_
    assert display.axes_[0].get_xlabel() == "epoch"
    assert display.axes_[0].get_ylabel() == "loss"
    assert legend_of(display.axes_[0]) == ["training", f"best epoch, {reg.best_iter_}"]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_loss_is_in_the_same_panel_with_its_best_epoch_marked(early_stopping):
    clf = network(early_stopping=early_stopping, alpha=0.0, max_iter=60, n_iter_no_change=20)
    clf.fit(X, y, X_val=X_val, y_val=y_val)
    display = LossCurveDisplay.from_estimator(clf)
    losses = -np.array(clf.validation_scores_)
    (line,) = display.validation_lines_
    np.testing.assert_array_equal(line.get_ydata(), losses)
    assert line.axes is display.axes_[0]
    assert line.get_linestyle() != display.lines_[0].get_linestyle()
    (mark,) = display.best_markers_
    assert mark.get_xdata()[0] == 1 + losses.argmin() < clf.n_iter_
    assert mark.get_ydata()[0] == losses.min()
    assert (display.best_epochs == [clf.best_iter_]) or not early_stopping
    assert legend_of(display.axes_[0])[1] == "validation"


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda: network(scoring=None), "validation accuracy"),
        (lambda: network(scoring="roc_auc"), "validation ROC AUC"),
        (lambda: network(scoring="neg_log_loss"), "validation negative log loss"),
        (lambda: network(scoring=lambda est, X, y: est.score(X, y)), "validation <lambda>"),
        (lambda: MLPRegressor(hidden_layer_sizes=8, scoring=None, max_iter=12), "validation R²"),
    ],
)
def test_other_scores_have_a_panel_of_their_own(make, label):
    model = make().fit(X, y, X_val=X_val, y_val=y_val)
    display = LossCurveDisplay.from_estimator(model)
    top, bottom = display.axes_
    (line,) = display.validation_lines_
    assert line.axes is bottom and display.lines_[0].axes is top
    assert display.best_markers_[0].axes is bottom
    np.testing.assert_array_equal(line.get_ydata(), model.validation_scores_)
    assert display.best_epochs == [1 + int(np.argmax(model.validation_scores_))]
    assert bottom.get_ylabel() == label
    assert bottom.get_xlabel() == "epoch" and top.get_xlabel() == ""


def test_several_estimators_differ_in_colour_and_marker_and_are_named_by_what_differs():
    solvers = ("sgd", "adam", "adagrad")
    models = [network(solver=s).fit(X, y, X_val=X_val, y_val=y_val) for s in solvers]
    display = LossCurveDisplay.from_estimator(models)
    assert display.names == list(solvers)
    for of in (lambda line: line.get_color(), lambda line: line.get_marker()):
        assert len({of(line) for line in display.lines_}) == len(models)
        assert [of(line) for line in display.lines_] == [of(v) for v in display.validation_lines_]
    for line, model in zip(display.lines_, models, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), model.loss_curve_)
    kinds = ["training", "validation", "best epoch"]
    assert legend_of(display.axes_[0]) == [*solvers, *kinds]
    names = LossCurveDisplay.from_estimator(models, names=["a", "b", "c"]).names
    assert names == ["a", "b", "c"]


def test_names_hold_the_class_where_classes_differ_and_numbers_where_nothing_does():
    sgd, adam = network(solver="sgd").fit(X, y), network(alpha=0.1).fit(X, y)
    log = LogisticRegression(max_iter=3, alpha=0.1).fit(X, y)

    def names(*models):
        return LossCurveDisplay.from_estimator(list(models)).names

    assert names(sgd, adam) == ["sgd, alpha=0.0001", "adam, alpha=0.1"]
    assert names(adam, log)[0].startswith("MLPClassifier")
    theirs = sklearn.neural_network.MLPClassifier(8, max_iter=2).fit(X, y)
    assert names(sgd, theirs) == ["skopt_est.MLPClassifier", "sklearn.MLPClassifier"]
    assert names(sgd, sgd) == ["MLPClassifier 1", "MLPClassifier 2"]


def test_pipelines_searches_and_scikit_learns_networks_are_taken():
    inner = LogisticRegression(max_iter=5, random_state=0)
    pipe = make_pipeline(StandardScaler(), inner).fit(X, y)
    search = GridSearchCV(pipe, {"logisticregression__alpha": [0.1, 1.0]}, cv=2).fit(X, y)
    theirs = sklearn.neural_network.MLPClassifier(8, early_stopping=True, max_iter=9).fit(X, y)
    display = LossCurveDisplay.from_estimator([pipe, search, theirs], names=list("abc"))
    curves = [m.loss_curve_ for m in (pipe[-1], search.best_estimator_[-1], theirs)]
    for line, curve in zip(display.lines_, curves, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), curve)
    np.testing.assert_array_equal(
        display.validation_lines_[2].get_ydata(), theirs.validation_scores_
    )
    assert display.validation_lines_[:2] == [None, None]
    assert display.axes_[1].get_ylabel() == "validation accuracy"


def test_curves_above_the_lowest_of_all():
    models = [
        LogisticRegression(solver=s, max_iter=30, random_state=0).fit(
            X, y, X_val=X_val, y_val=y_val
        )
        for s in ("adam", "lbfgs")
    ]
    display = LossCurveDisplay.from_estimator(models, above_lowest=True)
    lowest = min(min(model.loss_curve_) for model in models)
    above = np.array(models[0].loss_curve_) - lowest
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), above)
    assert np.nanmin(display.lines_[1].get_ydata()) > 0
    assert np.isnan(display.lines_[1].get_ydata()).sum() == 1
    (axes,) = display.axes_
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert f"{lowest:.4g}" in axes.get_ylabel()
    assert display.validation_lines_ == display.best_markers_ == [None, None]
    display.figure_.canvas.draw()


def test_an_epoch_that_was_not_finite_is_a_gap():
    curve = [3.0, 2.0, np.nan]
    display = LossCurveDisplay(
        loss_curves=[curve, curve], best_epochs=[2, None], names=["a", "b"]
    ).plot()
    display.figure_.canvas.draw()
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), curve)
    assert display.best_markers_[0].get_ydata()[0] == 2.0
    assert display.best_markers_[1] is None


def test_epochs_without_a_score_are_gaps():
    clf = LogisticRegression(max_iter=5, random_state=0)
    clf.partial_fit(X, y, classes=[0, 1]).partial_fit(X, y, X_val=X_val, y_val=y_val)
    display = LossCurveDisplay.from_estimator(clf)
    values = display.validation_lines_[0].get_ydata()
    assert np.isnan(values[0]) and values[1] == -clf.validation_scores_[1]
    assert display.best_epochs == [2]


def test_axes_of_the_user_are_drawn_in_and_divided_for_two_panels():
    by_loss, by_score = network().fit(X, y), network(scoring=None, early_stopping=True).fit(X, y)
    figure, (left, right) = plt.subplots(1, 2)
    assert LossCurveDisplay.from_estimator(by_loss, ax=left).axes_[0] is left
    display = LossCurveDisplay.from_estimator(by_score, ax=right)
    assert display.figure_ is figure and display.axes_.shape == (2,)
    place = right.get_position()
    for panel in display.axes_:
        box = panel.get_position()
        assert place.x0 <= box.x0 + 1e-9 and box.x1 <= place.x1 + 1e-9
    assert not right.axison
    display.axes_[0].set_xscale("log")
    again = display.plot(ax=display.axes_)
    assert again is display and again.axes_[0].get_xscale() == "log"
    with pytest.raises(ValueError, match=r"ax holds 3 axes.*2 panels"):
        display.plot(ax=plt.subplots(3)[1])
    with pytest.raises(ValueError, match="ax holds 1 axes"):
        display.plot(ax=plt.figure().add_axes((0, 0, 1, 1)))


def test_arguments_for_lines_are_passed_on():
    clf = network().fit(X, y)
    display = LossCurveDisplay.from_estimator(clf, names="mine", line_kw={"linewidth": 7})
    assert display.lines_[0].get_linewidth() == 7
    assert legend_of(display.axes_[0])[0] == "mine, training"


def test_loss_curves_are_refused_with_what_was_given():
    fitted = LogisticRegression(max_iter=3).fit(X, y)
    with pytest.raises(NotFittedError, match=r"LogisticRegression\(alpha=7\)"):
        LossCurveDisplay.from_estimator([fitted, LogisticRegression(alpha=7)])
    with pytest.raises(ValueError, match=r"Ridge\(alpha=7\).*has no loss_curve_"):
        LossCurveDisplay.from_estimator(sklearn.linear_model.Ridge(alpha=7).fit(X, y))
    with pytest.raises(TypeError, match="'adam' can't be plotted"):
        LossCurveDisplay.from_estimator("adam")
    with pytest.raises(ValueError, match="estimator is an empty list"):
        LossCurveDisplay.from_estimator([])
    with pytest.raises(ValueError, match="names has 1 entries and loss_curves has 2"):
        LossCurveDisplay.from_estimator([fitted, fitted], names="one")
    with pytest.raises(ValueError, match="Curve 0 has validation_losses and validation_scores"):
        LossCurveDisplay(
            loss_curves=[[1.0]], validation_losses=[[1.0]], validation_scores=[[1.0]]
        ).plot()
    with pytest.raises(ValueError, match="names=None"):
        LossCurveDisplay(loss_curves=[[1.0], [2.0]]).plot()


# -- comparison of solvers ---------------------------------------------------------------------

RATES = [0.003, 0.03, 0.3]
SOLVERS = ["sgd", "adam"]


@pytest.fixture(scope="module")
def search():
    grid = {"solver": SOLVERS, "learning_rate_init": RATES}
    return GridSearchCV(LogisticRegression(max_iter=5, random_state=0), grid, cv=3).fit(X, y)


def column(search, name, solver, prefix=""):
    params = search.cv_results_["params"]
    at = [i for i, p in enumerate(params) if p[f"{prefix}solver"] == solver]
    return search.cv_results_[name][at]


def test_scores_and_times_are_those_of_the_search(search):
    display = SolverComparisonDisplay.from_estimator(search)
    assert [line.get_label() for line in display.lines_] == SOLVERS
    for i, solver in enumerate(SOLVERS):
        line, times, band = display.lines_[i], display.time_lines_[i], display.bands_[i]
        mean, std = (column(search, f"{kind}_test_score", solver) for kind in ("mean", "std"))
        np.testing.assert_array_equal(line.get_xdata(), RATES)
        np.testing.assert_array_equal(line.get_ydata(), mean)
        np.testing.assert_array_equal(times.get_ydata(), column(search, "mean_fit_time", solver))
        edges = {(x, round(h, 9)) for x, h in band.get_paths()[0].vertices.tolist()}
        for x, m, s in zip(RATES, mean, std, strict=True):
            assert {(x, round(m - s, 9)), (x, round(m + s, 9))} <= edges
    scores, times = display.axes_
    assert scores.get_ylabel() == "accuracy" and times.get_ylabel() == "fit time in seconds"
    assert times.get_xlabel() == "learning_rate_init" and times.get_xscale() == "log"
    assert [tick.get_text() for tick in times.get_xticklabels()] == ["0.003", "0.03", "0.3"]
    styles = {(line.get_marker(), line.get_linestyle()) for line in display.lines_}
    assert len(styles) == len(SOLVERS)
    assert display.errorbars_ == [None, None]


def test_the_legend_covers_no_panel(search):
    display = SolverComparisonDisplay.from_estimator(search)
    display.figure_.canvas.draw()
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == SOLVERS
    for panel in display.axes_:
        assert not legend.get_window_extent().overlaps(panel.get_window_extent())


def test_pipeline_and_automatic_rates_stand_apart():
    pipe = Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression(max_iter=5))])
    grid = [
        {"clf__solver": ["sgd"], "clf__learning_rate_init": ["auto", *RATES]},
        {"clf__solver": ["gd", "lbfgs"]},
    ]
    search = GridSearchCV(pipe, grid, cv=3, scoring="neg_log_loss").fit(X, y)
    display = SolverComparisonDisplay.from_estimator(search)
    assert [line.get_label() for line in display.lines_] == ["sgd", "gd", "lbfgs"]
    x, scores = display.lines_[0].get_data()
    np.testing.assert_array_equal(x[2:], RATES)
    assert x[0] < RATES[0] and np.isnan(x[1]) and np.isnan(scores[1])
    sgd = column(search, "mean_test_score", "sgd", "clf__")
    np.testing.assert_array_equal(scores[[0, 2, 3, 4]], sgd)
    places = [line.get_xdata()[0] for line in display.lines_]
    assert len(set(places)) == 3 and max(places) < RATES[0]
    assert display.bands_[0] is not None and display.bands_[1:] == [None, None]
    assert all(bars is not None for bars in display.errorbars_)
    labels = [tick.get_text() for tick in display.axes_[1].get_xticklabels()]
    assert labels == ["auto", "0.003", "0.03", "0.3"]
    assert display.axes_[0].get_ylabel() == "negative log loss"


def test_rates_that_are_all_automatic_are_side_by_side():
    grid = {"solver": ["gd", "adam", "lbfgs"]}
    search = GridSearchCV(LinearRegression(max_iter=9), grid, cv=2).fit(
        *load_diabetes(return_X_y=True)
    )
    display = SolverComparisonDisplay.from_estimator(search)
    places = [line.get_xdata()[0] for line in display.lines_]
    assert sorted(set(places)) == places
    assert display.axes_[0].get_ylabel() == "R²"
    assert display.bands_ == [None] * 3


def test_of_other_parameters_the_best_are_shown():
    grid = {"solver": SOLVERS, "learning_rate_init": [0.03], "alpha": [10.0, 1e-4]}
    search = GridSearchCV(LogisticRegression(max_iter=9, random_state=0), grid, cv=3).fit(X, y)
    display = SolverComparisonDisplay.from_estimator(search)
    for line, times, solver in zip(display.lines_, display.time_lines_, SOLVERS, strict=True):
        scores = column(search, "mean_test_score", solver)
        assert scores.min() < scores.max()
        assert line.get_ydata().tolist() == [scores.max()]
        fit_times = column(search, "mean_fit_time", solver)
        assert times.get_ydata().tolist() == [fit_times[scores.argmax()]]


def test_of_several_metrics_one_is_shown(search):
    grid = {"solver": SOLVERS, "learning_rate_init": RATES}
    several = GridSearchCV(
        LogisticRegression(max_iter=5, random_state=0),
        grid,
        cv=3,
        scoring=["accuracy", "roc_auc"],
        refit="roc_auc",
    ).fit(X, y)
    display = SolverComparisonDisplay.from_estimator(several)
    expected = column(several, "mean_test_roc_auc", "adam")
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), expected)
    assert display.axes_[0].get_ylabel() == "ROC AUC"
    display = SolverComparisonDisplay.from_estimator(several, metric="accuracy")
    expected = column(search, "mean_test_score", "adam")
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), expected)
    several.set_params(refit=False, scoring=lambda est, X, y: {"a": 1.0, "b": est.score(X, y)})
    display = SolverComparisonDisplay.from_estimator(several.fit(X, y), metric="b")
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), expected)
    with pytest.raises(ValueError, match=r"metric=None.*\['a', 'b'\]"):
        SolverComparisonDisplay.from_estimator(several)
    with pytest.raises(ValueError, match=r"metric='f1'.*\['a', 'b'\]"):
        SolverComparisonDisplay.from_estimator(several, metric="f1")
    with pytest.raises(ValueError, match="metric='accuracy', but the search has one"):
        SolverComparisonDisplay.from_estimator(search, metric="accuracy")


def test_a_search_that_halves_is_shown_as_of_the_last_iteration():
    grid = {"solver": SOLVERS, "learning_rate_init": RATES}
    search = HalvingGridSearchCV(
        LogisticRegression(max_iter=5, random_state=0), grid, cv=3, random_state=0
    ).fit(X, y)
    display = SolverComparisonDisplay.from_estimator(search)
    best = search.best_params_
    line = display.lines_[SOLVERS.index(best["solver"])]
    at = line.get_xdata().tolist().index(best["learning_rate_init"])
    assert search.cv_results_["iter"].max() > 0
    assert line.get_ydata()[at] == search.best_score_
    assert sum(len(line.get_xdata()) for line in display.lines_) == 6


def test_many_rates_have_ticks_at_powers_of_ten():
    rates = np.geomspace(2e-4, 0.5, 40)
    search = RandomizedSearchCV(
        LogisticRegression(max_iter=3),
        {"solver": SOLVERS, "learning_rate_init": rates},
        n_iter=30,
        cv=2,
        random_state=0,
    ).fit(X[:60], y[:60])
    display = SolverComparisonDisplay.from_estimator(search)
    labels = [tick.get_text() for tick in display.axes_[1].get_xticklabels()]
    assert labels == ["0.001", "0.01", "0.1"]
    assert all((np.diff(line.get_xdata()) > 0).all() for line in display.lines_)


def test_fits_that_failed_are_gaps():
    grid = {"solver": ["adam"], "learning_rate_init": [0.01, -1.0, 0.1], "alpha": [0.1, 1e-4]}
    with pytest.warns() as raised:
        search = GridSearchCV(LogisticRegression(max_iter=5), grid, cv=2).fit(X, y)
    assert sklearn.exceptions.FitFailedWarning in {warning.category for warning in raised}
    display = SolverComparisonDisplay.from_estimator(search)
    display.figure_.canvas.draw()
    assert display.axes_[1].get_xlim()[0] > 0
    np.testing.assert_array_equal(
        np.isnan(display.lines_[0].get_ydata()), display.lines_[0].get_xdata() < 0
    )
    display = SolverComparisonDisplay(
        solvers=["adam"] * 3,
        learning_rates=[0.01, 0.03, 0.1],
        mean_scores=[0.9, np.nan, 0.8],
        std_scores=[0.1, np.nan, 0.1],
        mean_fit_times=[1.0, 0.1, 9.0],
    ).plot()
    display.figure_.canvas.draw()
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), [0.9, np.nan, 0.8])
    assert display.axes_[1].get_yscale() == "log"


@pytest.mark.parametrize("style", ["errorbar", None])
def test_deviations_as_bars_or_not_at_all(search, style):
    display = SolverComparisonDisplay.from_estimator(search, std_display_style=style)
    assert display.bands_ == [None, None]
    for bars, solver in zip(display.errorbars_, SOLVERS, strict=True):
        if style is None:
            assert bars is None
        else:
            lengths = [np.ptp(segment[:, 1]) / 2 for segment in bars[2][0].get_segments()]
            np.testing.assert_allclose(lengths, column(search, "std_test_score", solver))


def test_a_comparison_in_axes_of_the_user_has_its_legend_there(search):
    figure, axes = plt.subplots(1, 2)
    display = SolverComparisonDisplay.from_estimator(search, ax=axes, line_kw={"linewidth": 7})
    assert list(display.axes_) == list(axes) and not figure.legends
    assert legend_of(axes[0]) == SOLVERS
    assert display.lines_[0].get_linewidth() == 7
    divided = SolverComparisonDisplay.from_estimator(search, ax=plt.subplots(1, 2)[1][0])
    assert divided.axes_.shape == (2,)
    for shown in (display, divided):
        shown.figure_.canvas.draw()
        legend = shown.axes_[0].get_legend().get_window_extent()
        assert not any(legend.overlaps(panel.get_window_extent()) for panel in shown.axes_)


def test_only_panels_above_each_other_share_their_labels(search):
    def labelled(axes):
        SolverComparisonDisplay.from_estimator(search, ax=axes)
        axes[0].figure.canvas.draw()
        return [
            (panel.get_xlabel(), any(t.get_visible() for t in panel.get_xticklabels()))
            for panel in axes
        ]

    there = ("learning_rate_init", True)
    assert labelled(plt.subplots(1, 2)[1]) == [there, there]
    assert labelled(plt.subplots(2, 1)[1]) == [("", False), there]


def test_searches_are_refused_with_what_was_given(search):
    alphas = GridSearchCV(LogisticRegression(max_iter=2), {"alpha": [0.5]}, cv=2).fit(X, y)
    with pytest.raises(ValueError, match=r"has no 'solver' in its grid: it tried \['alpha'\]"):
        SolverComparisonDisplay.from_estimator(alphas)
    with pytest.raises(ValueError, match="has no 'clf__solver' in its grid"):
        SolverComparisonDisplay.from_estimator(search, solver_param="clf__solver")
    with pytest.raises(NotFittedError, match=r"GridSearchCV.*call fit first"):
        SolverComparisonDisplay.from_estimator(GridSearchCV(LogisticRegression(), {"alpha": [1]}))
    with pytest.raises(ValueError, match=r"\['adam'\] is no search"):
        SolverComparisonDisplay.from_estimator(["adam"])
    theirs = sklearn.linear_model.LogisticRegression()
    without = GridSearchCV(theirs, {"solver": ["lbfgs", "newton-cg"]}, cv=2).fit(X, y)
    with pytest.raises(ValueError, match=r"no parameter 'learning_rate_init'"):
        SolverComparisonDisplay.from_estimator(without)
    two = Pipeline(
        [
            ("a", StandardScaler()),
            ("b", sklearn.linear_model.LogisticRegression()),
        ]
    )
    two.set_params(a=SelectFromModel(LogisticRegression(max_iter=2)))
    ambiguous = GridSearchCV(two, {"a__estimator__solver": ["gd"], "b__solver": ["lbfgs"]}, cv=2)
    ambiguous.fit(X, y)
    with pytest.raises(ValueError, match=r"solver_param.*a__estimator__solver.*b__solver"):
        SolverComparisonDisplay.from_estimator(ambiguous)
    chosen = SolverComparisonDisplay.from_estimator(ambiguous, solver_param="a__estimator__solver")
    assert chosen.solvers == ["gd"]
    with pytest.raises(ValueError, match="std_display_style='band'"):
        SolverComparisonDisplay.from_estimator(search, std_display_style="band")
    with pytest.raises(ValueError, match="mean_scores has 2 entries and solvers has 1"):
        SolverComparisonDisplay(
            solvers=["gd"],
            learning_rates=[1.0],
            mean_scores=[1, 2],
            std_scores=[0.0],
            mean_fit_times=[1.0],
        ).plot()


# -- matplotlib --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LossCurveDisplay", "SolverComparisonDisplay"])
def test_a_missing_matplotlib_is_named(name, monkeypatch, search):
    display = LossCurveDisplay(loss_curves=[[1.0]])
    if name != "LossCurveDisplay":
        display = SolverComparisonDisplay.from_estimator(search)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{name}.from_estimator requires matplotlib"):
        type(display).from_estimator(search)
    with pytest.raises(ImportError, match=rf"{name}.plot requires matplotlib"):
        display.plot()
