"""Which CSR rows are trained by dense steps, and which feature by feature; and that it is the same
training."""

import numpy as np
import pytest
from by_feature import steps
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor, _epoch
from skopt_est._core import engine
from skopt_est.solvers import SOLVERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def table(n, d, entries, seed=0):
    """Rows of so many entries each, in random columns; targets."""
    rng = np.random.default_rng(seed)
    X = sparse.csr_matrix(
        (
            rng.normal(size=n * entries),
            np.concatenate([rng.permutation(d)[:entries] for _ in range(n)]).astype(np.int32),
            entries * np.arange(n + 1),
        ),
        shape=(n, d),
    )
    X.sort_indices()
    return X, X @ rng.normal(size=d) + rng.normal(size=n)


@pytest.fixture
def asked(monkeypatch):
    """What the engine was asked for, one answer an epoch."""
    found = []

    class Engine:
        def __getattr__(self, name):
            return getattr(engine, name)

        def run_epoch(self, *args, by_feature, **options):
            found.append(by_feature)
            return engine.run_epoch(*args, by_feature=by_feature, **options)

    monkeypatch.setattr(_epoch, "engine", Engine())
    return found


def pairs(d):
    """60 rows of two features that no other row has, of d; targets."""
    X = sparse.csr_matrix(
        (np.ones(120), np.arange(120, dtype=np.int32), 2 * np.arange(61)), shape=(60, d)
    )
    return X, np.random.default_rng(0).normal(size=60)


# Batches of 10 rows have 20 features. The most columns with which steps are dense:
NETWORK, ONE_OUTPUT, ONE_LAYER, BESIDE_L2, BESIDE_L1 = 320, 640, 1280, 2560, 10240


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({"solver": "adam"}, ONE_OUTPUT),
        ({"solver": "sgd"}, ONE_OUTPUT),
        ({"solver": "sgd", "l1_ratio": 0.5}, ONE_OUTPUT),
        ({"solver": "adam", "l1_ratio": 0.5}, BESIDE_L1),
        ({"solver": "adam", "average": True}, BESIDE_L2),
        ({"solver": "adam", "average": True, "l1_ratio": 0.5}, BESIDE_L1),
        ({"solver": "adam", "average": True, "alpha": 0}, ONE_LAYER),
        ({"solver": "rmsprop", "average": True}, ONE_LAYER),
        ({"solver": "sgd", "average": True}, ONE_LAYER),
        ({"solver": "sgd", "momentum": 0.9, "average": True}, ONE_LAYER),
    ],
)
def test_batches_with_a_share_of_the_features_make_dense_steps(asked, params, most):
    for d in (most, most + 1):
        LinearRegression(**{"batch_size": 10, "max_iter": 1, "random_state": 0} | params).fit(
            *pairs(d)
        )
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("params", "most"),
    [
        ({}, BESIDE_L2),
        ({"alpha": 0}, NETWORK),
        ({"solver": "sgd", "momentum": 0}, NETWORK),
        ({"solver": "sgd", "momentum": 0.5}, NETWORK),
        ({"hidden_layer_sizes": (), "alpha": 0}, ONE_OUTPUT),
        ({"hidden_layer_sizes": (), "alpha": 0, "max_grad_norm": 1.0}, ONE_LAYER),
        ({"hidden_layer_sizes": (), "alpha": 0, "input_dropout": 0.1}, ONE_LAYER),
        (
            {"hidden_layer_sizes": (), "alpha": 0, "solver": "adamw", "weight_decay": 0.1},
            ONE_LAYER,
        ),
    ],
)
def test_networks_have_such_a_rule(asked, params, most):
    for d in (most, most + 1):
        params = {"hidden_layer_sizes": (3,), "batch_size": 10, "max_iter": 1} | params
        MLPRegressor(random_state=0, **params).fit(*pairs(d))
    assert asked == [False, True]


@pytest.mark.parametrize(
    ("params", "most"),
    [({"alpha": 0}, ONE_LAYER), ({}, BESIDE_L2), ({"l1_ratio": 0.5}, BESIDE_L1)],
)
def test_several_outputs_have_one_of_their_own(asked, params, most):
    for d in (most, most + 1):
        X, y = pairs(d)
        est = LinearRegression(batch_size=10, max_iter=1, random_state=0, **params)
        est.fit(X, np.column_stack([y, -y]))
    assert asked == [False, True]


def test_rows_are_looked_at_all_over_the_table(asked):
    X, y = pairs(ONE_OUTPUT + 1)
    X = X.tolil()
    X[:30] = 0
    LinearRegression(solver="sgd", batch_size=20, max_iter=1, random_state=0).fit(X.tocsr(), y)
    assert asked == [True]  # 20 features in 20 rows
    asked.clear()
    LinearRegression(solver="sgd", batch_size=60, max_iter=1, random_state=0).fit(X.tocsr(), y)
    assert asked == [False]  # all rows


def test_single_rows_of_one_output_are_trained_by_feature(asked):
    X, y = table(60, 8, 4)
    LogisticRegression(batch_size=1, max_iter=1, random_state=0).fit(X, y > 0)
    assert asked == [True]
    asked.clear()
    MLPClassifier(hidden_layer_sizes=(3,), batch_size=1, max_iter=1, random_state=0).fit(X, y > 0)
    LogisticRegression(batch_size=10, max_iter=1, random_state=0).fit(X.toarray(), y > 0)
    assert asked == [False, False]


def test_only_rows_that_are_trained_on_count(asked):
    """A row of weight 0 is as if it weren't there, also where its entries would tip the scales."""
    X, y = table(60, 400, 2)
    X = sparse.csr_matrix(X.toarray() * (np.arange(400) < 9))
    full = sparse.csr_matrix(np.ones((60, 400)))
    weight = np.repeat([1.0, 0.0], 60)
    est = LinearRegression(batch_size=10, max_iter=2, random_state=0)
    whole = est.fit(sparse.vstack([X, full]).tocsr(), np.append(y, y), sample_weight=weight).coef_
    np.testing.assert_array_equal(whole, est.fit(X, y).coef_)
    assert set(asked) == {True}


@pytest.mark.parametrize("entries", [0, 1, 7, 8, 9, 40, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("solver", "precondition"),
    [("gd", False), ("sgd", False), ("sgd", True), ("adam", False), ("adam", True)],
)
def test_dense_steps_on_rows_of_any_length(entries, dtype, precondition, solver):
    """And in any order: rows ahead are asked for early, and the last ones have none ahead."""
    X, _ = table(70, 200, entries)
    X = sparse.vstack([X, table(13, 200, 3, seed=1)[0]]).tocsr()
    y = np.random.default_rng(2).normal(size=83)
    rate = {"gd": 0.01, "sgd": 0.001, "adam": 0.001}[solver]
    params = dict(solver=solver, batch_size=16, max_iter=3, precondition=precondition)
    params |= dict(learning_rate_init=rate, polish_iter=0, random_state=0, tol=0.0)
    with steps(False):
        csr = LinearRegression(**params).fit(X.astype(dtype), y)
    with steps(True):  # CSR rows are scaled, not centred
        rows = X if precondition else X.toarray()
        other = LinearRegression(**params).fit(rows.astype(dtype), y)
    bound = 1e-9 if dtype == np.float64 else 1e-4
    bound = max(bound, 1e-2 if precondition and solver == "adam" else 0)
    size = np.linalg.norm(other.coef_)
    assert size > 1e-6
    assert np.linalg.norm(csr.coef_ - other.coef_) <= bound * size


@pytest.mark.parametrize(
    "params",
    [
        {"average": True},
        {"average": 20, "solver": "sgd", "learning_rate": "invscaling"},
        {"l1_ratio": 1.0, "alpha": 0.05},
        {"solver": "adagrad", "learning_rate": "cosine"},
        {"solver": "nadam"},
    ],
)
def test_dense_steps_on_csr_rows_are_those_on_dense_rows(params):
    X, y = table(90, 30, 6)
    given = dict(batch_size=8, max_iter=4, precondition=False, random_state=0) | params
    given |= dict(tol=0.0, n_iter_no_change=100, polish_iter=0)
    with steps(False):
        csr = LinearRegression(**given).fit(X, y)
    dense = LinearRegression(**given).fit(X.toarray(), y)
    np.testing.assert_allclose(csr.coef_, dense.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize(
    "params",
    [
        {"max_grad_norm": 0.1},
        {"solver": "adamw", "weight_decay": 0.1},
        {"dropout": 0.4},
        {"input_dropout": 0.3},
        {"solver": "sgd", "momentum": 0.9, "average": True},
    ],
)
def test_dense_steps_of_networks_on_csr_rows_are_those_on_dense_rows(params):
    X, y = table(90, 30, 6)
    given = dict(batch_size=8, max_iter=4, random_state=0, tol=0.0, n_iter_no_change=100) | params
    with steps(False):
        csr = MLPRegressor(hidden_layer_sizes=(5,), **given).fit(X, y)
    dense = MLPRegressor(hidden_layer_sizes=(5,), **given).fit(X.toarray(), y)
    np.testing.assert_allclose(csr.coefs_[0], dense.coefs_[0], rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(csr.loss_curve_, dense.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "nadam", "amsgrad"])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("hidden", [(), (6,)])
def test_rare_features_beside_a_strong_penalty(hidden, outputs, solver):
    # In their small units the penalty shrinks weights by up to several times in a step, faster
    # than moments fall, over absences from none to most of an epoch.
    X, y = table(400, 900, 3, seed=1)
    X = X.multiply((0.2 + np.arange(900) % 5) / 2).tocsr()
    y = np.digitize(y, np.quantile(y, np.arange(1, outputs + 1) / (outputs + 1)))
    params = dict(solver=solver, batch_size=8, max_iter=6, tol=0, alpha=3e-3, random_state=0)
    params |= dict(learning_rate="constant", learning_rate_init=0.02, early_stopping=False)
    make = (lambda **kw: MLPClassifier(hidden, **kw)) if hidden else LogisticRegression
    found = []
    for by_feature in (True, False):
        with steps(by_feature):
            model = make(**params).fit(X, y)
        found.append(model.coefs_[0] if hidden else model.coef_)
    # one output sums the moves of an absence in closed form, others take its steps
    limit = 1e-5 if hidden or outputs > 1 else 5e-3
    assert np.linalg.norm(found[0] - found[1]) <= limit * np.linalg.norm(found[1])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "rmsprop"])
@pytest.mark.parametrize("outputs", [1, 2, 20])
@pytest.mark.parametrize("rate", [0.01, -0.001, np.nan])  # neither of which is a rate
def test_one_row_of_numbers_is_as_many_alike(rate, outputs, solver, momentum, batch_size):
    X, y = table(60, 40, 3)
    targets = np.repeat(y[:, None], outputs, axis=1)
    data = engine.Data(X, targets, engine.LOSS_CODES["squared_error"])
    network, rule = engine.Network((40, outputs)), SOLVERS[solver](momentum=momentum)
    n_steps = 60 // batch_size
    rates = np.full(n_steps, rate)
    numbers = rule.coefficients(np.arange(n_steps), rates, np.zeros(1))
    options = {"by_feature": True}
    if (goes_on := rule.momentum_of(numbers)) is not None:
        tail = engine.momentum_tail(np.ascontiguousarray(goes_on.weights), goes_on.ratio)
        options |= {"tail": tail} | goes_on._asdict()
        del options["weights"]
    found = []
    for rows in (numbers, numbers[:1]):
        theta = np.ones(network.size)
        slots = np.zeros((rule.n_slots(), network.size))
        penalties = np.full(40 * outputs, 1e-3), np.full(40 * outputs, 0.5)
        model = engine.Model(theta, slots, network, *penalties, rule.hyper())
        scratch, order = engine.Scratch(data, network), np.arange(60, dtype=np.int32)
        sums = engine.run_epoch(data, model, scratch, order, batch_size, rows, **options)
        found.append((theta, slots, sums))
    for of_each, of_all in zip(*found, strict=True):
        np.testing.assert_array_equal(of_each, of_all)
