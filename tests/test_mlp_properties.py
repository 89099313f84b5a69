"""Identities that hold for networks with any combination of settings, on random problems."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skopt_est import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.usefixtures("sparse_steps")

settings.register_profile(
    "networks",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
CI = settings.get_profile("networks")

EPOCHWISE = ("gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad")
ACTIVATIONS = (
    *("identity", "logistic", "tanh", "relu", "leaky_relu"),
    *("elu", "selu", "gelu", "silu", "mish"),
)
REGRESSION = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")


def halving(progress):
    return 1 - progress / 2


@st.composite
def cases(draw):
    """Constructor parameters of any combination, a kind of target, a form of the rows."""
    solver = draw(st.sampled_from((*EPOCHWISE, "lbfgs")))
    kind = draw(st.sampled_from((*REGRESSION, "classes", "classes", "labels")))
    sizes = draw(st.lists(st.integers(1, 5), max_size=3))
    rates = st.sampled_from([0.0, 0.2, 0.5])
    one = draw(st.booleans())

    def layer(values):
        return draw(values) if one else [draw(values) for _ in sizes]

    schedules = ["constant", "invscaling", "adaptive", "cosine", "one_cycle", halving]
    params = {
        "solver": solver,
        "hidden_layer_sizes": tuple(sizes),
        "activation": layer(st.sampled_from(ACTIVATIONS)),
        "alpha": draw(st.sampled_from([0.0, 1e-4, 0.1])),
        "l1_ratio": draw(st.sampled_from([0.0, 0.5, 1.0])),
        "learning_rate": draw(st.sampled_from(schedules)),
        "learning_rate_init": draw(st.sampled_from(["auto", 0.01])),
        "momentum": draw(st.sampled_from([0.0, 0.9])),
        "nesterovs_momentum": draw(st.booleans()),
        "batch_size": draw(st.sampled_from([1, 3, 16, 10**6, "auto"])),
        "shuffle": draw(st.booleans()),
        "average": draw(st.sampled_from([False, False, True, 20])),
        "n_init": draw(st.sampled_from([1, 1, 2])),
        "early_stopping": draw(st.booleans()),
        "scoring": draw(st.sampled_from(["loss", None])),
        "max_iter": draw(st.integers(1, 5)),
        "tol": 0.0,
        "n_iter_no_change": 1000,
        "random_state": draw(st.integers(0, 1000)),
    }
    if solver != "lbfgs":
        params["dropout"] = layer(rates)
        params["input_dropout"] = draw(rates)
        params["max_grad_norm"] = draw(st.sampled_from([None, 0.1, 10.0]))
    if kind in REGRESSION:
        params["loss"] = kind
        if kind not in ("poisson", "gamma"):
            params["standardize_target"] = draw(st.booleans())
    else:
        params["label_smoothing"] = draw(st.sampled_from([0.0, 0.1]))
    return {
        "kind": kind,
        "params": params,
        "outputs": draw(st.integers(1, 3)),
        "shape": (draw(st.integers(12, 40)), draw(st.integers(1, 6))),
        "density": draw(st.sampled_from([0.2, 0.6, 1.0])),
        "dtype": draw(st.sampled_from([np.float32, np.float64])),
        "form": draw(st.sampled_from([np.asarray, sparse.csr_matrix])),
        "weighted": draw(st.booleans()),
    }


def problem(case):
    """Rows, targets, and integer weights of which some are zero, or None."""
    rng = np.random.default_rng(case["params"]["random_state"])
    (n, d), k = case["shape"], case["outputs"]
    X = rng.normal(size=(n, d)) * (rng.random((n, d)) < case["density"])
    z = X @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))
    weight = rng.integers(0, 4, size=n)
    if case["kind"] == "classes":
        y = np.argmax(np.column_stack([z, -z[:, 0]]), axis=1)
        y[: 3 * k + 3] = np.tile(np.arange(k + 1), 3)  # enough of each to hold some out
        weight[: 3 * k + 3] = 1
    elif case["kind"] == "labels":
        y = np.column_stack([z, -z[:, 0]]) > 0
        weight[:3] = 1
    else:
        change = {"poisson": lambda: rng.poisson(np.exp(0.3 * z)), "gamma": lambda: np.exp(0.3 * z)}
        y = change.get(case["kind"], lambda: z)()
        y = y[:, 0] if k == 1 else y
    weight[-8:] = 2
    return case["form"](X.astype(case["dtype"])), y, weight if case["weighted"] else None


def fit(case, X, y, weight):
    cls = MLPRegressor if case["kind"] in REGRESSION else MLPClassifier
    est = cls(**case["params"], **({"validation_fraction": 0.3}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(X, y, sample_weight=weight)


def weights_of(est):
    return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


@CI
@given(cases())
def test_any_network_is_finite_counts_right_and_leaves_its_input(case):
    X, y, weight = problem(case)
    kept = dense(X).copy(), y.copy(), None if weight is None else weight.copy()
    est = fit(case, X, y, weight)
    for given_array, copied in zip((dense(X), y, weight), kept, strict=True):
        np.testing.assert_array_equal(given_array, copied)

    params = case["params"]
    assert weights_of(est).dtype == case["dtype"]
    assert np.isfinite(weights_of(est)).all()
    assert np.isfinite(est.loss_curve_).all()
    assert np.isfinite(est.predict(X)).all()
    assert est.predict(X).shape == y.shape
    if hasattr(est, "predict_proba"):
        proba, log_proba = est.predict_proba(X), est.predict_log_proba(X)
        assert ((proba >= 0) & (proba <= 1)).all()
        np.testing.assert_allclose(np.exp(log_proba), proba, rtol=1e-4, atol=1e-6)
        if case["kind"] == "classes":
            np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-5)

    sizes = [X.shape[1], *params["hidden_layer_sizes"], est.n_outputs_]
    assert [W.shape for W in est.coefs_] == list(itertools.pairwise(sizes))
    assert [b.shape for b in est.intercepts_] == [(size,) for size in sizes[1:]]
    assert est.n_layers_ == len(sizes)

    epochs = est.n_iter_
    assert [record["epoch"] for record in est.history_] == list(range(1, epochs + 1))
    assert [record["loss"] for record in est.history_] == est.loss_curve_
    assert (est.loss_, est.best_loss_) == (est.loss_curve_[-1], min(est.loss_curve_))
    assert 1 <= est.best_iter_ <= epochs
    scores = [record["validation_score"] for record in est.history_]
    if params["early_stopping"]:
        assert est.validation_scores_ == scores
        assert est.best_validation_score_ == max(scores) == scores[est.best_iter_ - 1]
    else:
        assert est.validation_scores_ is None and scores == [None] * epochs
    if params["solver"] == "lbfgs":
        assert epochs <= params["max_iter"]
        return
    used = est.t_ // epochs
    present = len(y) if weight is None else np.count_nonzero(weight)
    held = math.ceil(0.3 * present) if params["early_stopping"] else 0
    assert (epochs, used) == (params["max_iter"], present - held)
    batch = {"auto": 200}.get(params["batch_size"], params["batch_size"])
    steps = 1 if params["solver"] == "gd" else math.ceil(used / min(batch, used))
    assert est.n_updates_ == epochs * steps


@CI
@given(cases())
def test_same_seed_gives_the_same_bits(case):
    X, y, weight = problem(case)
    a, b = (fit(case, X, y, weight) for _ in range(2))
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert (a.loss_curve_, a.validation_scores_) == (b.loss_curve_, b.validation_scores_)


@CI
@given(cases())
def test_a_row_alone_is_predicted_as_among_others(case):
    X, y, weight = problem(case)
    est = fit(case, X, y, weight)
    answer = "predict_log_proba" if hasattr(est, "predict_log_proba") else "predict"
    together = getattr(est, answer)(X)
    tolerance = 1e-4 if case["dtype"] is np.float32 else 1e-11
    for i in range(0, X.shape[0], 5):
        for rows in (X[i : i + 1], dense(X)[i : i + 1], sparse.csr_matrix(X)[i : i + 1]):
            alone = getattr(est, answer)(rows)
            assert alone.shape == together[:1].shape and alone.dtype == together.dtype
            np.testing.assert_allclose(alone, together[i : i + 1], tolerance, atol=tolerance)
