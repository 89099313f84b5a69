"""When the training of a network stops, what it scores on the way, which weights it leaves."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import get_scorer, log_loss

from skopt_est import MLPClassifier, MLPRegressor

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad")
EVERY_SOLVER = (*EPOCHWISE, "lbfgs")
KINDS = ("regression", "targets", "count", "binary", "three", "labels")
NEVER = {"tol": 0.0, "n_iter_no_change": np.inf}


def data(kind, n=120, seed=0):
    """Rows, targets and weights; no two values of column 0 are equal, so it names a row."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    z = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=n)
    targets = {
        "regression": z,
        "targets": np.column_stack([z, np.abs(z)]),
        "count": rng.poisson(np.exp(0.3 * z)).astype(float),
        "binary": np.array(["no", "yes"])[(z > 0).astype(int)],
        "three": np.array(["a", "b", "c"])[np.digitize(z, [-1, 1])],
        "labels": np.column_stack([z > 0, z > 1, np.abs(z) > 1]).astype(int),
    }
    return X, targets[kind], rng.uniform(0.5, 3, size=n)


def model(kind, **params):
    params = {"hidden_layer_sizes": (5,), "batch_size": 16, "learning_rate_init": 0.03} | params
    params = {"random_state": 0} | params
    if kind in ("regression", "targets", "count"):
        return MLPRegressor(**{"loss": "poisson" if kind == "count" else "squared_error"} | params)
    return MLPClassifier(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])


def stopping_epoch(losses, tol, patience):
    """The epoch that completes `patience` in a row without loss < best - tol."""
    best, stalled = np.inf, 0
    for epoch, loss in enumerate(losses, 1):
        stalled = 0 if loss < best - tol else stalled + 1
        best = min(best, loss)
        if stalled == patience:
            return epoch


@pytest.mark.parametrize("patience", [1, 3, 10])
@pytest.mark.parametrize("tol", [1e-4, 1e-2])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_patience_is_exact_on_the_training_loss(solver, tol, patience):
    X, y, _ = data("regression")
    est = model("regression", solver=solver, tol=tol, n_iter_no_change=patience, max_iter=3000)
    curve = est.fit(X, y).loss_curve_
    assert est.n_iter_ == len(curve) == stopping_epoch(curve, tol, patience) < 3000
    assert (est.loss_, est.best_loss_) == (curve[-1], min(curve))
    assert est.best_iter_ == np.argmin(curve) + 1
    assert est.validation_scores_ is None and est.best_validation_score_ is None


@pytest.mark.parametrize("patience", [1, 4])
@pytest.mark.parametrize("scoring", ["loss", None, "accuracy"])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_patience_is_exact_on_the_validation_score(solver, scoring, patience):
    X, y, _ = data("three")
    est = model("three", solver=solver, tol=1e-3, n_iter_no_change=patience, max_iter=3000)
    est.set_params(early_stopping=True, validation_fraction=0.3, scoring=scoring).fit(X, y)
    scores = np.array(est.validation_scores_)
    stop = stopping_epoch(-scores, 1e-3, patience)
    assert est.n_iter_ == stop or (solver == "lbfgs" and stop is None)
    assert est.n_iter_ == len(scores) == len(est.loss_curve_) == len(est.history_) < 3000
    assert est.best_validation_score_ == scores.max()
    assert est.best_iter_ == np.argmax(scores) + 1
    assert est.best_loss_ == min(est.loss_curve_)


def test_infinite_patience_goes_to_max_iter():
    X, y, _ = data("binary")
    est = model("binary", tol=1e9, n_iter_no_change=np.inf, max_iter=200)
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        est.fit(X, y)
    assert est.n_iter_ == 200
    assert est.set_params(n_iter_no_change=7).fit(X, y).n_iter_ == 8


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_only_a_run_that_reaches_max_iter_warns(solver, early):
    X, y, _ = data("binary")
    est = model("binary", solver=solver, early_stopping=early, tol=1e-3, n_iter_no_change=2)
    est.set_params(max_iter=3000, learning_rate_init=0.3 if solver == "gd" else 0.01)
    if solver == "lbfgs":  # it ends where the gradient is small, before F stops to fall
        est.set_params(activation="tanh", alpha=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y)
        # Patience that runs out in the last epoch allowed has been reached first.
        again = clone(est).set_params(max_iter=est.n_iter_).fit(X, y)
    assert again.n_iter_ == est.n_iter_ < 3000
    with pytest.warns(ConvergenceWarning, match="max_iter") as caught:
        est.set_params(max_iter=2).fit(X, y)
    assert est.n_iter_ == len(est.loss_curve_) == 2
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_adaptive_rate_is_cut_at_every_stall(solver, early):
    X, y, _ = data("binary")
    est = model("binary", solver=solver, learning_rate="adaptive", learning_rate_init=0.1)
    est.set_params(early_stopping=early, validation_fraction=0.3, tol=1e-4, n_iter_no_change=3)
    est.set_params(max_iter=3000).fit(X, y)
    rate, best, stalled, rates = 0.1, np.inf, 0, []
    for loss in -np.array(est.validation_scores_) if early else est.loss_curve_:
        rates.append(rate)
        stalled = 0 if loss < best - 1e-4 else stalled + 1
        best = min(best, loss)
        if stalled == 3:
            rate, stalled = rate / 5, 0
    np.testing.assert_allclose([h["learning_rate"] for h in est.history_], rates, rtol=1e-12)
    # Training ends with the stall after which a cut would lead further below the floor.
    assert stalled == 0 and rates[-1] / 5 < 1e-6 <= rates[-1]


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
def test_rate_goes_on_in_a_resumed_fit(learning_rate):
    X, y, _ = data("binary")
    est = model("binary", solver="sgd", learning_rate=learning_rate, power_t=0.25, batch_size=40)
    est.set_params(warm_start=True, max_iter=2, **NEVER)
    fit(fit(est, X, y), X, y)
    rates = [record["learning_rate"] for record in est.history_]
    steps = np.array([3, 6, 9, 12])  # the last of each epoch
    expected = 0.03 / steps**0.25 if learning_rate == "invscaling" else np.full(4, 0.03)
    np.testing.assert_allclose(rates, expected, rtol=1e-14)


# -- scores --------------------------------------------------------------------------------------


def plain_callable(est, X, y):
    return float(np.mean(est.predict(X) == y)) - 0.125 * float(np.mean(X[:, 0] > 0))


SCORINGS = {
    "regression": ["loss", None, "r2", "neg_mean_absolute_error", plain_callable],
    "targets": ["loss", None],
    "count": ["loss", None, "neg_mean_poisson_deviance"],
    "binary": ["loss", None, "roc_auc", "neg_log_loss", plain_callable],
    "three": ["loss", None, "roc_auc_ovr", plain_callable],
    "labels": ["loss", None, "f1_macro"],
}
EVERY_SCORING = [
    pytest.param(kind, scoring, id=f"{kind}-{scoring if isinstance(scoring, str) else i}")
    for kind, scorings in SCORINGS.items()
    for i, scoring in enumerate(scorings)
]


def score(scoring, kind, est, X, y, weight=None):
    """What scikit-learn says of a fitted estimator on these rows."""
    if callable(scoring):
        return scoring(est, X, y)
    if scoring == "loss":
        if kind in ("binary", "three"):
            proba = est.predict_proba(X)
            return -log_loss(y, proba, sample_weight=weight, labels=est.classes_)
        f = est.predict(X)
        if kind == "labels":
            log_p = est.predict_log_proba(X)
            losses = -(y * log_p + (1 - y) * np.log1p(-np.exp(log_p))).sum(axis=1)
        elif kind == "count":
            losses = f - y * np.log(f)
        else:
            losses = ((y - f) ** 2 / 2).reshape(len(y), -1).mean(axis=1)
        return -np.average(losses, weights=weight)
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
    smoothing = {"label_smoothing": 0.1} if kind in ("binary", "three", "labels") else {}
    est = model(kind, max_iter=4, scoring=scoring, dropout=0.1, **smoothing, **NEVER)
    given = {"X_val": X_val, "y_val": y_val, "sample_weight_val": w_val}
    partial = [fit(clone(est).set_params(max_iter=k), X, y, **given) for k in range(1, 5)]
    expected = [score(scoring, kind, each, X_val, y_val, w_val) for each in partial]
    np.testing.assert_allclose(partial[-1].validation_scores_, expected, rtol=1e-10)
    # The best epoch comes back when these scores decide.
    est.set_params(early_stopping=True, max_iter=300, tol=0.0, n_iter_no_change=3)
    fit(est, X, y, **given)
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert est.best_iter_ == np.argmax(est.validation_scores_) + 1
    restored = score(scoring, kind, est, X_val, y_val, w_val)
    np.testing.assert_allclose(restored, est.best_validation_score_, rtol=1e-10)
    alone = fit(clone(est).set_params(max_iter=est.best_iter_), X, y, **given)
    np.testing.assert_array_equal(weights_of(alone), weights_of(est))


def held_out(est, X, y, **kwargs):
    """Rows that fit sets aside, as a scorer sees them each epoch."""
    seen = []

    def scorer(_, X_val, y_val):
        seen.append((np.array(X_val), np.array(y_val)))
        return float(len(seen))

    fit(clone(est).set_params(early_stopping=True, scoring=scorer, max_iter=2), X, y, **kwargs)
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    rows = [int(np.flatnonzero(X[:, 0] == value)[0]) for value in seen[0][0][:, 0]]
    assert len(set(rows)) == len(rows)
    np.testing.assert_array_equal(y[rows], seen[0][1])
    return rows


@pytest.mark.parametrize("kind, scoring", EVERY_SCORING)
def test_scores_on_held_out_rows_are_those_of_the_scorer(kind, scoring):
    X, y, weight = data(kind)
    weight = weight if scoring is not plain_callable else None
    est = model(kind, validation_fraction=0.25, tol=0.0, n_iter_no_change=3)
    rows = held_out(est, X, y, sample_weight=weight)
    assert len(rows) == 30
    fit(est.set_params(early_stopping=True, scoring=scoring), X, y, sample_weight=weight)
    w_val = None if weight is None else weight[rows]
    expected = score(scoring, kind, est, X[rows], y[rows], w_val)
    np.testing.assert_allclose(est.best_validation_score_, expected, rtol=1e-10)
    assert est.t_ == est.n_iter_ * 90


@pytest.mark.parametrize("sizes", [[180, 20], [100, 50, 30, 15, 5], [20] * 10])
def test_hold_out_has_every_class_in_proportion(sizes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 4)), rng.permutation(np.repeat(np.arange(len(sizes)) + 3, sizes))
    for seed in range(3):
        est = model("binary", validation_fraction=0.2, random_state=seed)
        _, counts = np.unique(y[held_out(est, X, y)], return_counts=True)
        np.testing.assert_array_equal(counts, np.array(sizes) // 5)


def test_hold_out_of_several_labels_is_not_stratified():
    X, y, _ = data("labels")
    y[:, 0] = 0
    y[7, 0] = 1  # a label that one row has
    rows = held_out(model("labels", validation_fraction=0.25), X, y)
    assert len(rows) == 30


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind, scoring", EVERY_SCORING)
def test_frames_are_scored_without_a_warning(kind, scoring, given):
    if scoring is plain_callable:

        def scoring(est, X, y):
            return est.score(X, y)

    X, y, _ = data(kind)
    frame = pd.DataFrame(X, columns=["age", "height", "weight", "income"])
    val = {"X_val": frame[:40], "y_val": y[:40]} if given else {}
    est = model(kind, early_stopping=True, scoring=scoring, max_iter=500, tol=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(frame, y, **val)
    assert list(est.feature_names_in_) == list(frame.columns)


def test_validation_scores_alone_stop_nothing():
    X, y, _ = data("binary")
    est = model("binary", max_iter=200, tol=1e-3)
    watched = fit(clone(est), X, y, X_val=X[:9], y_val=y[:9])
    fit(est, X, y)
    assert watched.loss_curve_ == est.loss_curve_
    assert len(watched.validation_scores_) == est.n_iter_
    np.testing.assert_array_equal(weights_of(watched), weights_of(est))


@pytest.mark.parametrize("kind", ["regression", "three", "labels"])
def test_start_with_the_best_score_is_kept(kind):
    X, y, _ = data(kind)
    X_val, y_val, _ = data(kind, seed=1)
    est = model(kind, n_init=4, early_stopping=True, max_iter=15, scoring="loss")
    fit(est, X, y, X_val=X_val, y_val=y_val)
    single = fit(clone(est).set_params(n_init=1), X, y, X_val=X_val, y_val=y_val)
    assert est.best_validation_score_ >= single.best_validation_score_
    assert est.best_validation_score_ == max(est.validation_scores_)
    expected = score("loss", kind, est, X_val, y_val)
    np.testing.assert_allclose(est.best_validation_score_, expected, rtol=1e-10)


# -- divergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("rate", [1e1, 1e3, 1e30])
@pytest.mark.parametrize("solver", EPOCHWISE)
def test_huge_rate_never_leaves_nan(solver, rate, early, dtype):
    X, y, _ = data("regression")
    est = model("regression", solver=solver, learning_rate_init=rate, early_stopping=early)
    est.set_params(dtype=dtype, alpha=0.0, weight_decay=0.0, max_iter=30, **NEVER)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        message = None
        try:
            est.fit(X, y)
        except ValueError as error:
            message = str(error)
    if message is not None:
        assert "learning_rate_init" in message
        assert vars(est) == est.get_params()
        return
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert np.isfinite(weights_of(est)).all()
    assert np.isfinite(est.predict(X[:5])).all()


def explodes_halfway(progress):
    return 1.0 if progress < 0.5 else 1e300


@pytest.mark.parametrize("solver", EPOCHWISE)
def test_last_finite_weights_come_back_when_training_explodes(solver):
    X, y, _ = data("regression")
    est = model("regression", solver=solver, learning_rate=explodes_halfway, max_iter=20)
    est.set_params(alpha=0.0, weight_decay=0.0)
    with pytest.warns(ConvergenceWarning, match="learning_rate_init"):
        est.set_params(**NEVER).fit(X, y)
    curve = np.array(est.loss_curve_)
    assert 10 <= est.n_iter_ == len(curve) < 20
    assert np.isnan(curve[-1]) and np.isnan(est.history_[-1]["loss"])
    assert np.isfinite(curve[:-1]).all()
    assert est.best_loss_ == curve[:-1].min()
    assert np.abs(weights_of(est)).max() < 20  # the weights from before the explosion
