"""When training stops, what it records on the way, and which weights it leaves behind."""

import _thread
import gc
import signal
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from exact import Objective
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    balanced_accuracy_score,
    get_scorer,
    log_loss,
    make_scorer,
    mean_absolute_error,
)
from sklearn.model_selection import train_test_split

from skopt_est import LinearRegression, LogisticRegression
from skopt_est._validation import hold_out

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")
NEVER = {"tol": 0.0, "n_iter_no_change": 10**6}  # no stall is long enough to stop


def data(kind, n=120, seed=0):
    """Rows, targets and weights; no two values of column 0 are equal, so it names a row."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    z = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=n)
    weight = rng.uniform(0.5, 3, size=n)
    if kind == "regression":
        return X, z + 3, weight
    if kind == "count":
        return X, rng.poisson(np.exp(0.3 * z)).astype(float), weight
    cuts, labels = {"binary": ([0], ["no", "yes"]), "three": ([-1, 1], ["a", "b", "c"])}[kind]
    return X, np.array(labels)[np.digitize(z, cuts)], weight


def model(kind, **params):
    params = {"random_state": 0, "batch_size": 16, "learning_rate": "constant"} | params
    if kind == "count":
        return LinearRegression(loss="poisson", **params)
    return (LinearRegression if kind == "regression" else LogisticRegression)(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def stopping_epoch(losses, tol, patience):
    """The epoch that completes `patience` in a row without loss < best - tol."""
    best, stalled = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        stalled = 0 if loss < best - tol else stalled + 1
        best = min(best, loss)
        if stalled == patience:
            return epoch


@pytest.mark.parametrize("patience", [1, 2, 5, 9])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_patience_is_exact_on_the_training_loss(solver, tol, patience):
    X, y, _ = data("regression")
    est = model("regression", solver=solver, tol=tol, n_iter_no_change=patience, max_iter=3000)
    est.set_params(learning_rate_init="auto" if solver == "gd" else 0.03).fit(X, y)
    curve = est.loss_curve_
    assert est.n_iter_ == len(curve) == stopping_epoch(curve, tol, patience) < 3000
    assert est.loss_ == curve[-1]
    assert est.best_loss_ == min(curve)
    assert est.best_iter_ == np.argmin(curve) + 1
    assert est.validation_scores_ is None and est.best_validation_score_ is None


@pytest.mark.parametrize("patience", [1, 4])
@pytest.mark.parametrize("tol", [0.0, 1e-3, "auto"])
@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_patience_is_exact_on_the_validation_score(solver, scoring, tol, patience):
    X, y, _ = data("three")
    est = model("three", solver=solver, tol=tol, n_iter_no_change=patience, max_iter=3000)
    est.set_params(early_stopping=True, validation_fraction=0.3, scoring=scoring).fit(X, y)
    scores = np.array(est.validation_scores_)
    if not (scoring == "loss" and tol == "auto"):
        expected = stopping_epoch(-scores, 1e-4 if tol == "auto" else tol, patience)
        assert est.n_iter_ == expected < 3000
    assert est.n_iter_ == len(scores) == len(est.loss_curve_)
    assert est.best_validation_score_ == scores.max()
    assert est.best_iter_ == np.argmax(scores) + 1


def test_automatic_tol_follows_the_scale_of_the_objective():
    X, y, _ = data("regression")
    # A power of two scales every number of the run without rounding.
    small, large = (model("regression", solver="gd").fit(X, y * scale) for scale in (1, 1024))
    assert small.n_iter_ == large.n_iter_ < 1000


def test_validation_scores_alone_stop_nothing():
    X, y, _ = data("binary")
    est = model("binary", max_iter=200, tol=1e-3)
    watched = fit(clone(est), X, y, X_val=X[:9], y_val=y[:9])
    fit(est, X, y)
    assert watched.loss_curve_ == est.loss_curve_
    assert len(watched.validation_scores_) == est.n_iter_ < 200
    np.testing.assert_array_equal(watched.coef_, est.coef_)


@pytest.mark.parametrize("solver", EPOCHWISE)
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["regression", "count", "three"])
def test_full_batch_loss_curve_is_the_objective_before_each_step(
    kind, l1_ratio, precondition, solver
):
    X, y, weight = data(kind)
    est = model(kind, solver=solver, batch_size=10**6, precondition=precondition, polish_iter=0)
    est.set_params(alpha=0.3, l1_ratio=l1_ratio, learning_rate_init=0.05, **NEVER)
    loss = {"regression": "squared_error", "count": "poisson", "three": "log_loss"}[kind]
    F = Objective(X, y, loss, alpha=0.3, l1_ratio=l1_ratio, sample_weight=weight)
    expected = [F.of(fit(clone(est).set_params(max_iter=k), X, y, weight)) for k in (1, 2, 3, 4)]
    curve = fit(est.set_params(max_iter=5), X, y, weight).loss_curve_
    np.testing.assert_allclose(curve[1:], expected, rtol=1e-11)
    if not precondition:
        zeros = np.zeros((F.outputs, F.features)), np.zeros(F.outputs)
        np.testing.assert_allclose(curve[0], F(*zeros), rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_mini_batch_loss_curve_is_the_mean_of_the_losses_met_plus_the_final_penalty(batch):
    X, y, s = data("regression")
    n, rate, alpha, l1_ratio = len(y), 0.02, 0.1, 0.3
    w, b, expected = np.zeros(4), 0.0, []
    for _ in range(3):
        met = 0.0
        for start in range(0, n, batch):
            rows = slice(start, start + batch)
            residual = X[rows] @ w + b - y[rows]
            met += s[rows] @ residual**2 / 2
            slope = s[rows] * residual * n / s.sum() / len(residual)
            w, b = w - rate * X[rows].T @ slope, b - rate * slope.sum()
            w = np.sign(w) * np.maximum(np.abs(w) - rate * alpha * l1_ratio, 0)
            w /= 1 + rate * alpha * (1 - l1_ratio)
        penalty = alpha * (l1_ratio * np.abs(w).sum() + (1 - l1_ratio) / 2 * w @ w)
        expected.append(met / s.sum() + penalty)
    est = model("regression", solver="sgd", learning_rate_init=rate, alpha=alpha, max_iter=3)
    est.set_params(l1_ratio=l1_ratio, polish_iter=0, shuffle=False, precondition=False, **NEVER)
    fit(est.set_params(batch_size=batch), X, y, s)
    np.testing.assert_allclose(est.loss_curve_, expected, rtol=1e-12)
    np.testing.assert_allclose(np.append(est.coef_, est.intercept_), np.append(w, b), rtol=1e-11)


def plain_callable(est, X, y):
    return float(np.mean(est.predict(X) == y)) - 0.125 * float(np.mean(X[:, 0] > 0))


MAE = make_scorer(mean_absolute_error, greater_is_better=False)
BALANCED = make_scorer(balanced_accuracy_score, adjusted=True)
SCORINGS = {
    "regression": ["loss", None, "r2", "neg_mean_absolute_error", MAE, plain_callable],
    "count": ["loss", None, "neg_mean_poisson_deviance"],
    "binary": ["loss", None, "accuracy", "roc_auc", "neg_log_loss", BALANCED, plain_callable],
    "three": ["loss", None, "accuracy", "roc_auc_ovr", "neg_log_loss", plain_callable],
}
EVERY_SCORING = [
    pytest.param(kind, scoring, id=f"{kind}-{i}-{scoring if isinstance(scoring, str) else 'other'}")
    for kind, scorings in SCORINGS.items()
    for i, scoring in enumerate(scorings)
]


def score(scoring, kind, est, X, y, weight=None):
    """What scikit-learn says of a fitted estimator on these rows."""
    if scoring == "loss" and kind in ("regression", "count"):
        f = est.predict(X)
        losses = (y - f) ** 2 / 2 if kind == "regression" else f - y * np.log(f)
        return -np.average(losses, weights=weight)
    if scoring == "loss":
        return -log_loss(y, est.predict_proba(X), sample_weight=weight, labels=est.classes_)
    if callable(scoring) and weight is None:
        return scoring(est, X, y)
    weights = {} if weight is None else {"sample_weight": weight}
    scorer = get_scorer(scoring) if scoring is not None else type(est).score
    return scorer(est, X, y, **weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind, scoring", EVERY_SCORING)
def test_scores_on_given_validation_rows_are_those_of_the_scorer(kind, scoring, weighted):
    X, y, _ = data(kind)
    X_val, y_val, w_val = data(kind, n=60, seed=1)
    weighted = weighted and scoring is not plain_callable  # it takes no weights
    w_val = w_val if weighted else None
    est = model(kind, max_iter=5, learning_rate_init=0.3, scoring=scoring, **NEVER)
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": w_val}
    partial = [fit(clone(est).set_params(max_iter=k), X, y, **given) for k in range(1, 6)]
    expected = [score(scoring, kind, each, X_val, y_val, w_val) for each in partial]
    np.testing.assert_allclose(partial[-1].validation_scores_, expected, rtol=1e-12)
    # The best epoch comes back when these scores decide.
    est.set_params(early_stopping=True, max_iter=300, tol=0.0, n_iter_no_change=3)
    est.fit(X, y, **given)
    assert est.best_iter_ == est.n_iter_ - 3
    assert est.best_validation_score_ == max(est.validation_scores_)
    restored = score(scoring, kind, est, X_val, y_val, w_val)
    np.testing.assert_allclose(restored, est.best_validation_score_, rtol=1e-12)
    alone = fit(clone(est).set_params(max_iter=est.best_iter_), X, y, **given)
    np.testing.assert_array_equal(alone.coef_, est.coef_)
    np.testing.assert_array_equal(alone.intercept_, est.intercept_)


def held_out(est, X, y, **kwargs):
    """Rows and targets that fit sets aside, as a scorer sees them each epoch."""
    seen = []

    def scorer(_, X_val, y_val):
        seen.append((np.array(X_val), np.array(y_val)))
        return float(len(seen))

    fit(clone(est).set_params(early_stopping=True, scoring=scorer, max_iter=4), X, y, **kwargs)
    assert len(seen) == 4
    for X_val, y_val in seen:
        np.testing.assert_array_equal(X_val, seen[0][0])
        np.testing.assert_array_equal(y_val, seen[0][1])
    rows = [int(np.flatnonzero(X[:, 0] == value)[0]) for value in seen[0][0][:, 0]]
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(X[rows], seen[0][0])
    np.testing.assert_array_equal(y[rows], seen[0][1])
    return rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind, scoring", EVERY_SCORING)
def test_scores_on_held_out_rows_are_those_of_the_scorer(kind, scoring, weighted):
    X, y, weight = data(kind)
    weight = weight if weighted and scoring is not plain_callable else None
    est = model(kind, validation_fraction=0.25, tol=0.0, n_iter_no_change=3)
    rows = held_out(est, X, y, sample_weight=weight)
    est.set_params(early_stopping=True, scoring=scoring).fit(X, y, sample_weight=weight)
    w_val = None if weight is None else weight[rows]
    expected = score(scoring, kind, est, X[rows], y[rows], w_val)
    np.testing.assert_allclose(est.best_validation_score_, expected, rtol=1e-12)
    assert est.best_iter_ == est.n_iter_ - 3
    assert est.t_ == est.n_iter_ * (len(y) - len(rows))


def test_held_out_rows_take_no_part_in_training():
    X, y, weight = data("binary")
    est = model("binary", solver="gd", max_iter=6, early_stopping=True, validation_fraction=0.3)
    rows = held_out(est, X, y)
    rest = np.setdiff1d(np.arange(len(y)), rows)
    val = {"X_val": X[rows], "y_val": y[rows], "sample_weight_val": weight[rows]}
    apart = fit(clone(est), X[rest], y[rest], weight[rest], **val)
    fit(est, X, y, weight)
    np.testing.assert_allclose(est.loss_curve_, apart.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(est.validation_scores_, apart.validation_scores_, rtol=1e-9)
    np.testing.assert_allclose(est.coef_, apart.coef_, rtol=1e-9)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("targets", [1, 2])
def test_hold_out_has_the_asked_size(fraction, targets):
    X, y, _ = data("regression", n=200)
    y = y if targets == 1 else np.column_stack([y, -y])
    assert len(held_out(model("regression", validation_fraction=fraction), X, y)) == 200 * fraction


@pytest.mark.parametrize("seed", range(100))
def test_as_many_are_held_out_of_each_class_as_by_scikit_learn(seed):
    """But for one more or less where shares are not whole; and without labels the same rows."""
    rng = np.random.default_rng(seed)
    n, n_classes = int(rng.integers(30, 400)), int(rng.integers(1, 6))
    fraction = float(rng.choice([0.1, 0.25, 0.5, rng.uniform(0.2, 0.9)]))
    labels = np.arange(n) % n_classes if seed % 2 else rng.integers(0, n_classes, n)
    labels = rng.permutation(np.append(labels[:-2], labels[:2])).astype(np.float32)
    rows, order = np.arange(n), labels.astype(int)
    _, held = train_test_split(rows, test_size=fraction, stratify=labels, random_state=seed)
    ours = hold_out(n, labels, fraction, seed)
    assert ours.sum() == len(held)
    difference = np.bincount(order[ours], minlength=n_classes) - np.bincount(
        order[held], minlength=n_classes
    )
    assert np.abs(difference).max() <= 1
    _, held = train_test_split(rows, test_size=fraction, random_state=seed)
    np.testing.assert_array_equal(np.flatnonzero(hold_out(n, None, fraction, seed)), np.sort(held))


def test_equal_remainders_are_drawn():
    labels = np.repeat(np.arange(4.0), 5)
    held = [hold_out(20, labels, 0.3, seed) for seed in range(50)]  # 1.5 of each class
    counts = np.array([np.bincount(labels[rows].astype(int), minlength=4) for rows in held])
    assert set(counts.ravel()) == {1, 2} and (counts.sum(axis=1) == 6).all()
    assert (counts.mean(axis=0) > 1.2).all() and (counts.mean(axis=0) < 1.8).all()


@pytest.mark.parametrize(
    "labels, fraction, why",
    [
        (None, 0.99, "None would be left"),
        ([0, 0, 0, 0, 1], 0.4, "one row only"),
        ([0, 0, 1, 1, 2, 2], 0.3, "each of the 3 classes"),
        ([0, 0, 1, 1, 2, 2], 0.7, "each of the 3 classes"),
    ],
)
def test_a_hold_out_that_cannot_be_is_refused_as_by_scikit_learn(labels, fraction, why):
    labels = None if labels is None else np.array(labels)
    n = 6 if labels is None else len(labels)
    with pytest.raises(ValueError):
        train_test_split(np.arange(n), test_size=fraction, stratify=labels, random_state=0)
    with pytest.raises(ValueError, match=f"validation_fraction={fraction} of {n} rows.*{why}"):
        hold_out(n, labels, fraction, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [[180, 20], [100, 50, 30, 15, 5], [20] * 10])
def test_hold_out_has_every_class_in_proportion(sizes, seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(200, 4)), rng.permutation(np.repeat(np.arange(len(sizes)) + 3, sizes))
    est = model("binary", validation_fraction=0.2, random_state=seed)
    _, counts = np.unique(y[held_out(est, X, y)], return_counts=True)
    np.testing.assert_array_equal(counts, np.array(sizes) // 5)


@pytest.mark.parametrize(
    "scoring", ["loss", None, "roc_auc", BALANCED, lambda e, X, y: e.score(X, y)]
)
@pytest.mark.parametrize("given", [True, False])
def test_frames_are_scored_without_a_warning(scoring, given):
    X, y, _ = data("binary")
    frame = pd.DataFrame(X, columns=["age", "height", "weight", "income"])
    val = {"X_val": frame[:40], "y_val": y[:40]} if given else {}
    est = model("binary", early_stopping=True, scoring=scoring, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(frame, y, **val)
    assert list(est.feature_names_in_) == list(frame.columns)


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_adaptive_rate_is_cut_at_every_stall_and_stops_below_its_floor(solver, early):
    X, y, _ = data("binary")
    est = model("binary", solver=solver, learning_rate="adaptive", learning_rate_init=0.5)
    est.set_params(early_stopping=early, validation_fraction=0.3, tol=1e-4, n_iter_no_change=3)
    est.set_params(max_iter=3000).fit(X, y)
    rate, best, stalled, rates = 0.5, np.inf, 0, []
    for loss in -np.array(est.validation_scores_) if early else est.loss_curve_:
        rates.append(rate)
        stalled = 0 if loss < best - 1e-4 else stalled + 1
        best = min(best, loss)
        if stalled == 3:
            rate, stalled = rate / 5, 0
    np.testing.assert_allclose([h["learning_rate"] for h in est.history_], rates, rtol=1e-12)
    # Training ends with the stall after which a cut would lead further below the floor.
    assert stalled == 0 and rates[-1] / 5 < 1e-6 <= rates[-1] * 5


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", [*EPOCHWISE, "lbfgs"])
def test_only_a_run_that_reaches_max_iter_warns(solver, early):
    X, y, _ = data("binary")
    est = model("binary", solver=solver, early_stopping=early, tol=1e-4, n_iter_no_change=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y)
        # Patience that runs out in the last epoch allowed has been reached first.
        again = clone(est).set_params(max_iter=est.n_iter_).fit(X, y)
    assert again.n_iter_ == est.n_iter_ < 1000
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        est.set_params(max_iter=2).fit(X, y)
    assert est.n_iter_ == len(est.loss_curve_) == 2


def test_exploding_run_ends_with_its_last_finite_best_weights():
    X, y, _ = data("regression")
    est = model("regression", solver="sgd", alpha=0.0, batch_size=1, max_iter=50, **NEVER)
    # A rate that suits the first epochs and multiplies the error in every later step.
    est.set_params(learning_rate=lambda p: 1.0 if p < 0.1 else 1e4, learning_rate_init=0.01)
    with pytest.warns(ConvergenceWarning, match="learning_rate"):
        est.fit(X, y)
    curve = np.array(est.loss_curve_)
    assert np.isnan(curve[-1]) and np.isfinite(curve[:-1]).all() and len(curve) == est.n_iter_ < 50
    # a function, too: steps at a rate that is known to be constant are rounded in another way
    best = clone(est).set_params(max_iter=est.best_iter_, learning_rate=lambda p: 1.0)
    np.testing.assert_array_equal(est.coef_, fit(best, X, y).coef_)
    assert est.best_iter_ == np.nanargmin(curve) + 1 <= 5
    with pytest.raises(ValueError, match="learning_rate_init"):
        est.set_params(learning_rate_init=1e250).fit(X, y)


def test_interrupt_leaves_the_epochs_that_were_completed():
    X, y, _ = data("regression")
    calls = []

    def interrupted_scorer(est, X_val, y_val):
        calls.append(est)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return len(calls)

    est = model("regression", solver="gd", max_iter=50, scoring=interrupted_scorer, **NEVER)
    with pytest.raises(KeyboardInterrupt):
        est.fit(X, y, X_val=X, y_val=y)
    assert est.n_iter_ == len(est.loss_curve_) == len(est.history_)
    assert est.n_iter_ in (3, 4)  # the interrupted epoch had been trained, but not scored
    assert est.t_ == est.n_iter_ * len(y)
    clean = clone(est).set_params(scoring="loss")
    completed = [fit(clean.set_params(max_iter=k), X, y).coef_ for k in range(1, est.n_iter_ + 1)]
    assert any(np.array_equal(est.coef_, coef) for coef in completed)


def test_interrupt_from_the_keyboard_is_heard_between_epochs():
    X, y, _ = data("regression")
    est = model("regression", batch_size=1, max_iter=10**6, **NEVER)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    # A shell that starts the tests in the background has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python ignores what is raised in a callback of its collector; hypothesis has one.
    gc.disable()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            est.fit(X, y)
    finally:
        gc.enable()
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert 0 < est.n_iter_ == len(est.loss_curve_) == len(est.history_) < 10**6
    assert est.t_ == est.n_iter_ * len(y)
    assert est.score(X, y) > 0.5


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warning_points_at_the_line_that_called_fit(solver):
    X, y, _ = data("binary")
    with pytest.warns(ConvergenceWarning) as caught:
        model("binary", solver=solver, max_iter=1).fit(X, y)
    assert [w.filename for w in caught] == [__file__]
