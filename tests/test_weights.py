"""Weights are repetitions, and alpha means one thing: F is divided by the sum of the weights."""

import warnings

import numpy as np
import pandas as pd
import pytest
from exact import Objective
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression

pytestmark = pytest.mark.usefixtures("by_feature")

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad")
EVERY_SOLVER = (*EPOCHWISE, "lbfgs")
CLASS_WEIGHT = {"a": 0.5, "b": 2.0, "c": 3.0}


def data(kind, n=60, seed=0):
    """Sparse-ish rows, targets, and integer weights from 0 to 3."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)) * (rng.random((n, 5)) < 0.6)
    z = X @ [1.0, -2.0, 0.5, 1.5, 0.0] + rng.normal(size=n)
    weight = rng.integers(0, 4, size=n)
    y = {
        "regression": lambda: z + 1,
        "count": lambda: rng.poisson(np.exp(0.3 * z)).astype(float),
        "two": lambda: np.array(["a", "b"])[(z > 0).astype(int)],
        "three": lambda: np.array(["a", "b", "c"])[np.digitize(z, [-1, 1])],
        "targets": lambda: np.column_stack([z, X[:, 0] - z]),
    }[kind]()
    return X, y, weight


def model(kind, **params):
    params = {"random_state": 0, "max_iter": 20, "learning_rate": "constant"} | params
    params = {"tol": 0.0, "n_iter_no_change": 10**6} | params
    if kind == "count":
        return LinearRegression(loss="poisson", **params)
    return (LogisticRegression if kind in ("two", "three") else LinearRegression)(**params)


def fit(est, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(*args, **kwargs)


def weights_of(est):
    return np.append(np.ravel(est.coef_), est.intercept_)


def assert_same(a, b, rtol):
    """The same run: weights (relative to their norm) and losses agree."""
    assert a.n_iter_ == b.n_iter_
    scale = np.linalg.norm(weights_of(a))
    assert scale > 0
    np.testing.assert_allclose(weights_of(a) / scale, weights_of(b) / scale, rtol=0, atol=rtol)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=rtol)


def assert_same_bits(a, b):
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert a.loss_curve_ == b.loss_curve_
    assert a.validation_scores_ == b.validation_scores_
    if a.solver != "lbfgs":
        assert a.learning_rate_init_ == b.learning_rate_init_
    assert (a.n_iter_, a.t_, a.n_updates_) == (b.n_iter_, b.t_, b.n_updates_)


def full_batch(kind, solver, **params):
    """A run whose path rounding does not bend: where a gradient is zero but for rounding, as an
    intercept's at the best constant model, a small epsilon would make whole steps of it."""
    params = {"epsilon": 0.1, "polish_iter": 0} | params
    if solver == "lbfgs":  # where it has converged, rounding decides on the last iteration
        params = {"max_iter": 6} | params
    rate = "auto" if solver == "gd" else 0.02
    return model(kind, solver=solver, batch_size=10**6, learning_rate_init=rate, **params)


@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("penalty", [(0.1, 0.0), (0.1, 0.5)])
@pytest.mark.parametrize("kind", ["regression", "count", "two", "three", "targets"])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_integer_weights_are_repeated_rows(solver, kind, penalty, precondition, as_rows):
    X, y, weight = data(kind)
    alpha, l1_ratio = penalty
    est = full_batch(kind, solver, alpha=alpha, l1_ratio=l1_ratio, precondition=precondition)
    weighted = fit(clone(est), as_rows(X), y, sample_weight=weight)
    repeated = fit(est, as_rows(np.repeat(X, weight, axis=0)), np.repeat(y, weight, axis=0))
    assert_same(weighted, repeated, rtol=1e-9)


@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("kind", ["regression", "count", "two", "three", "targets"])
@pytest.mark.parametrize("solver", ["gd", "adam"])
def test_polish_sees_integer_weights_as_repeated_rows(solver, kind, precondition, as_rows):
    X, y, weight = data(kind)
    est = full_batch(kind, solver, alpha=0.05, l1_ratio=1.0, polish_iter=3, max_iter=2)
    est.set_params(precondition=precondition)
    weighted = fit(clone(est), as_rows(X), y, sample_weight=weight)
    repeated = fit(est, as_rows(np.repeat(X, weight, axis=0)), np.repeat(y, weight, axis=0))
    assert_same(weighted, repeated, rtol=1e-9)


@pytest.mark.parametrize("class_weight", [CLASS_WEIGHT, "balanced"], ids=["dict", "balanced"])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_integer_weights_are_repeated_rows_under_class_weights(solver, precondition, class_weight):
    X, y, weight = data("three")
    est = full_batch("three", solver, precondition=precondition, class_weight=class_weight)
    weighted = fit(clone(est), X, y, sample_weight=weight)
    repeated = fit(est, np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_same(weighted, repeated, rtol=1e-9)


@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_integer_weights_are_repeated_rows_for_automatic_rates_of_the_optimum(solver):
    # Whatever path a solver takes with its own rates, both problems have one minimiser.
    X, y, weight = data("regression")
    est = model("regression", solver=solver, alpha=0.05, batch_size=20, max_iter=600)
    est.set_params(learning_rate="constant" if solver in ("gd", "lbfgs") else "cosine")
    F = Objective(X, y, "squared_error", alpha=0.05, sample_weight=weight)
    best = F.minimise().value
    for given in (
        fit(clone(est), X, y, sample_weight=weight),
        fit(clone(est), np.repeat(X, weight, axis=0), np.repeat(y, weight)),
    ):
        assert 0 <= F.of(given) - best + 1e-14 <= (1e-6 if solver in ("gd", "lbfgs") else 1e-3)


@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_rows_of_zero_weight_are_absent(solver, kind, batch_size, precondition, as_rows):
    X, y, weight = data(kind)
    weight = weight * np.random.default_rng(1).uniform(0.5, 2, size=len(weight))
    X[weight == 0] *= 1e6  # a trace of these rows would show
    est = model(kind, solver=solver, batch_size=batch_size, precondition=precondition, max_iter=4)
    kept = weight > 0
    absent = fit(clone(est), as_rows(X[kept]), y[kept], sample_weight=weight[kept])
    assert_same_bits(fit(est, as_rows(X), y, sample_weight=weight), absent)
    if solver != "lbfgs":
        assert est.t_ == est.n_iter_ * kept.sum()


@pytest.mark.parametrize(
    "params",
    [
        {"average": True},
        {"average": 30},
        {"momentum": 0.9, "solver": "sgd"},
        {"learning_rate": "invscaling"},
        {"learning_rate": "one_cycle"},
        {"l1_ratio": 1.0, "alpha": 0.05},
        {"early_stopping": True},
        {"early_stopping": True, "validation_fraction": 0.4, "scoring": None},
        {"class_weight": "balanced"},
        {"class_weight": CLASS_WEIGHT},
        {"fit_intercept": False},
        {"dtype": "float32"},
    ],
    ids=str,
)
def test_rows_of_zero_weight_are_absent_whatever_the_settings(params):
    X, y, weight = data("three", n=100)
    X[weight == 0] *= 1e6
    est = model("three", batch_size=7, max_iter=5, **params)
    kept = weight > 0
    absent = fit(clone(est), X[kept], y[kept], sample_weight=weight[kept])
    assert_same_bits(fit(est, X, y, sample_weight=weight), absent)


def test_validation_rows_of_zero_weight_are_absent():
    X, y, weight = data("three", n=100)
    kept = weight > 0
    est = model("three", early_stopping=True, max_iter=5)
    all_rows = fit(clone(est), X, y, X_val=X, y_val=y, sample_weight_val=weight)
    val = {"X_val": X[kept], "y_val": y[kept], "sample_weight_val": weight[kept]}
    fit(est, X, y, **val)
    np.testing.assert_allclose(all_rows.validation_scores_, est.validation_scores_, rtol=1e-12)


def test_partial_fit_skips_rows_of_zero_weight():
    X, y, weight = data("regression")
    kept = weight > 0
    skipping, absent = model("regression", batch_size=7), model("regression", batch_size=7)
    for _ in range(3):
        skipping.partial_fit(X, y, sample_weight=weight)
        absent.partial_fit(X[kept], y[kept], sample_weight=weight[kept])
    assert_same_bits(skipping, absent)


@pytest.mark.parametrize("kind", ["two", "three"])
@pytest.mark.parametrize("batch_size", [7, 10**6])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_class_weights_multiply_sample_weights(solver, batch_size, kind):
    X, y, weight = data(kind)
    est = full_batch(kind, solver).set_params(batch_size=batch_size)
    classes, index = np.unique(y, return_inverse=True)
    total = np.array([weight[y == c].sum() for c in classes])
    factors = {
        "dict": np.array([CLASS_WEIGHT[c] for c in classes]),
        "balanced": weight.sum() / (len(classes) * total),
    }
    for name, factor in factors.items():
        given = "balanced" if name == "balanced" else dict(zip(classes, factor, strict=True))
        by_class = fit(clone(est).set_params(class_weight=given), X, y, sample_weight=weight)
        by_row = fit(clone(est), X, y, sample_weight=weight * factor[index])
        assert_same(by_class, by_row, rtol=1e-9)


@pytest.mark.parametrize("constant", [2.0**-40, 3.0, 1e12])
@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("batch_size", [7, 10**6])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_scale_of_the_weights_does_not_matter(solver, batch_size, kind, constant):
    X, y, weight = data(kind)
    est = full_batch(kind, solver, max_iter=6).set_params(batch_size=batch_size)
    scaled = fit(clone(est), X, y, sample_weight=weight * constant)
    assert_same(scaled, fit(est, X, y, sample_weight=weight), rtol=1e-9)


@pytest.mark.parametrize("batch_size", [1, 16, 10**6])
def test_unit_weights_are_no_weights(batch_size):
    X, y, _ = data("regression")
    est = model("regression", batch_size=batch_size)
    weighted = fit(clone(est), X, y, sample_weight=np.ones(len(y)))
    assert_same_bits(weighted, fit(est, X, y))


@pytest.mark.parametrize("copies", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 8, 50])
@pytest.mark.parametrize("kind", ["regression", "three"])
@pytest.mark.parametrize("solver", EVERY_SOLVER)
def test_alpha_means_the_same_for_every_batch_size_and_number_of_rows(
    solver, kind, batch_size, copies
):
    X, y, _ = data(kind)
    loss = "squared_error" if kind == "regression" else "log_loss"
    F = Objective(X, y, loss, alpha=0.2)
    est = model(kind, solver=solver, alpha=0.2, batch_size=batch_size, max_iter=400)
    if solver not in ("gd", "lbfgs"):
        est.set_params(learning_rate="cosine")
        # Noise of single rows needs small steps, a few large batches need large ones.
        rate = 0.02 if batch_size == 1 else 0.1
        est.set_params(learning_rate_init={"adagrad": 1.0, "sgd": "auto"}.get(solver, rate))
    fit(est, np.tile(X, (copies, 1)), np.tile(y, copies))
    gap = F.of(est) - F.minimise().value
    # The bias of rmsprop's short memory under noise is its own, not alpha's.
    bound = 1e-6 if solver in ("gd", "lbfgs") else 2e-2 if solver == "rmsprop" else 1e-3
    assert -1e-12 <= gap <= bound


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("form", ["array", "read only", "Series", "memmap", "strided"])
def test_weights_are_left_as_they_were(form, class_weight, early_stopping, tmp_path):
    """They are scaled in place for training, in whatever holds them."""
    X, y, _ = data("three")
    expected = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    weight = np.repeat(expected, 2)[::2] if form == "strided" else expected.copy()
    if form == "Series":
        weight = pd.Series(weight)
    elif form == "memmap":
        weight = np.memmap(tmp_path / "weights", np.float64, "w+", shape=expected.shape)
        weight[:] = expected
    elif form == "read only":
        weight.flags.writeable = False
    est = LogisticRegression(
        class_weight=class_weight, early_stopping=early_stopping, max_iter=3, random_state=0
    )
    fit(est, X, y, sample_weight=weight)
    fit(est, X, y, sample_weight=weight, X_val=X, y_val=y, sample_weight_val=weight)
    np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("balanced", [None, "balanced"])
def test_rows_held_out_weigh_as_if_they_were_given(balanced, monkeypatch):
    X, y, _ = data("two", n=200)
    weight = np.random.default_rng(2).random(200) + 0.1
    held = np.random.default_rng(3).random(200) < 0.3
    monkeypatch.setattr("skopt_est._base.hold_out", lambda *_: held)
    factors = {"a": 0.3, "b": 4.0} if balanced else None
    est = model("two", early_stopping=True, max_iter=5, class_weight=factors)
    alone = fit(clone(est), X, y, weight)
    rest = X[~held], y[~held], weight[~held]
    given = dict(X_val=X[held], y_val=y[held], sample_weight_val=weight[held])
    assert_same(alone, fit(clone(est), *rest, **given), 1e-12)
    np.testing.assert_allclose(
        alone.validation_scores_, fit(clone(est), *rest, **given).validation_scores_, rtol=1e-12
    )


def test_validation_rows_that_are_those_of_training_have_weights_of_their_own():
    X, y, _ = data("two")
    X = np.ascontiguousarray(X)
    weight, other = np.random.default_rng(2).random((2, len(X))) + 0.1
    est = model("two", early_stopping=True, max_iter=5)
    same = fit(clone(est), X, y, weight, X_val=X, y_val=y, sample_weight_val=other)
    copied = fit(clone(est), X, y, weight, X_val=X.copy(), y_val=y, sample_weight_val=other)
    assert_same_bits(same, copied)


@pytest.mark.parametrize("scoring", [None, "r2", "loss"])
def test_scores_are_summed_in_double_precision(scoring):
    X, y, _ = data("regression", n=400)
    X, y = X.astype(np.float32), y.astype(np.float32)
    weight = np.random.default_rng(2).uniform(0.5, 1.5, 400)
    est = model("regression", early_stopping=True, scoring=scoring, max_iter=5)
    plain = fit(clone(est), X, y, weight)
    large = fit(clone(est), X, y, (1e37 * weight).astype(np.float32))
    np.testing.assert_allclose(large.validation_scores_, plain.validation_scores_, rtol=1e-4)


@pytest.mark.parametrize("weight", [2, True, np.float32(3)])
def test_one_number_weighs_all_rows_alike(weight):
    X, y, _ = data("two")
    assert_same_bits(fit(model("two"), X, y, sample_weight=weight), fit(model("two"), X, y))
