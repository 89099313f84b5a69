"""The order in which an epoch visits the rows: every row once, blocks of neighbours in windows, and
as good as a full permutation on sorted data."""

import numpy as np
import pytest
from hostile import misaligned
from scipy import sparse

from skopt_est import LinearRegression, LogisticRegression, _epoch, _order
from skopt_est._core import engine, moments
from skopt_est._rows import AllRows

pytestmark = pytest.mark.usefixtures("by_feature")


def generator(seed=0):
    return np.array([seed], np.uint64)


ONE, TEN = np.zeros(1, np.int32), np.arange(10, dtype=np.int32)


def shuffled(rows, state, block=1, window=None):
    """The whole order on two levels."""
    blocks = np.arange(-(-len(rows) // block), dtype=np.int32)
    if block > 1:
        blocks = engine.shuffled(blocks, state)
    window = max(len(rows), 1) if window is None else window
    order = np.empty(len(rows), np.int32)
    engine.visit(rows, blocks, block, window, 0, order, state)
    return order


@pytest.mark.parametrize("block", [1, 3, 16])
@pytest.mark.parametrize("window", [1, 5, 64, 10**6])
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 1000])
def test_every_row_comes_once(n, window, block):
    rows = np.arange(7, 7 + 3 * n, 3, dtype=np.int32)
    order = shuffled(rows, generator(), block, window)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(np.sort(order), rows)


def test_windows_hold_whole_blocks_of_neighbours():
    order = shuffled(np.arange(1600, dtype=np.int32), generator(), 16, 160)
    firsts = []
    for window in order.reshape(10, 160):
        blocks, counts = np.unique(window // 16, return_counts=True)
        assert len(blocks) == 10 and set(counts) == {16}
        assert (np.diff(window) != 1).mean() > 0.9
        firsts.append(blocks[0])
    assert firsts != sorted(firsts)


@pytest.mark.parametrize("block, window", [(1, None), (16, 64)])
def test_every_place_is_as_likely(block, window):
    state, n = generator(3), 128
    places = np.zeros((n, n))
    for _ in range(4000):
        order = shuffled(np.arange(n, dtype=np.int32), state, block, window)
        places[order, np.arange(n)] += 1
    # counts with mean 31.25 and deviation 5.6
    assert abs(places - 4000 / n).max() < 6 * np.sqrt(4000 / n)


@pytest.mark.parametrize("block, window", [(0, 4), (-1, 4), (16, 0)])
def test_impossible_sizes_are_refused(block, window):
    with pytest.raises(ValueError, match="block and window must be positive"):
        engine.visit(TEN, ONE, block, window, 0, TEN.copy(), generator())


@pytest.mark.parametrize("n", [1, 7, 8, 801, 10_000, 10_010])
@pytest.mark.parametrize("size", [1000, 1024, 12_000])
def test_parts_make_the_whole_order(n, size):
    rows, state, whole = np.arange(n, dtype=np.int32), generator(), generator()
    parts = [part.copy() for part, _ in _order.visiting_order(rows, 1000, state, size, 1)]
    assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
    order = shuffled(rows, whole, *((8, 64 * 8) if n * 1000 > _order.IN_CACHE else ()))
    np.testing.assert_array_equal(np.concatenate(parts), order)
    assert state == whole


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"start": 3}, "no 10 places from 3"),
        ({"order": np.empty(11, np.int32)}, "no 11 places"),
        ({"start": -16}, "no 10 places from -16"),
        ({"order": ONE, "blocks": ONE}, "must not lie over"),
        ({"order": TEN, "rows": TEN}, "must not lie over"),
        ({"blocks": np.zeros(2, np.int32)}, "2 blocks of 10"),
        ({"blocks": np.ones(1, np.int32)}, "order of all blocks"),
        ({"blocks": np.zeros(5, np.int32), "block": 2}, "order of all blocks"),
    ],
)
def test_impossible_orders_are_refused(changes, message):
    valid = dict(rows=TEN, blocks=ONE, block=16, window=16, start=0, order=TEN.copy())
    with pytest.raises(ValueError, match=message):
        engine.visit(state=generator(), **(valid | changes))


def whole_order(rows, n_columns, batch_size=1):
    (part,) = _order.visiting_order(rows, n_columns, generator(), len(rows), batch_size)
    return part[0]


def test_small_data_are_mixed_fully_and_large_ones_in_windows():
    few, many = np.arange(1000, dtype=np.int32), np.arange(100_000, dtype=np.int32)
    np.testing.assert_array_equal(whole_order(few, 100), shuffled(few, generator()))
    # longer rows: larger blocks and smaller windows, at last of smaller blocks; larger batches:
    # larger windows
    for batch, columns, block, blocks in [
        (1, 6, 8, 256),
        (16, 20, 10, 160),
        (1, 28, 14, 80),
        (1, 100, 16, 16),
        (20, 100, 16, 20),
        (256, 100, 16, 64),
        (256, 20, 10, 256),
        (1, 200, 10, 16),
        (1, 256, 8, 16),
        (1, 257, 8, 64),
        (64, 1000, 8, 64),
    ]:
        np.testing.assert_array_equal(
            whole_order(many, columns, batch), shuffled(many, generator(), block, block * blocks)
        )


@pytest.mark.parametrize("columns, block, blocks", [(20, 10, 160), (100, 16, 16), (1000, 8, 64)])
@pytest.mark.parametrize("n", [801, 30_010, 60_000])
@pytest.mark.parametrize("size", [1000, 12_000])
@pytest.mark.parametrize("listed", [False, True])
def test_memory_is_asked_for_the_next_window_as_it_lies(n, size, listed, columns, block, blocks):
    rows = np.arange(3, 3 + n, dtype=np.int32) if listed else AllRows(n)
    parts = [
        (order.copy(), coming if coming is None else coming.copy())
        for order, coming in _order.visiting_order(rows, columns, generator(), size, 1, ask=True)
    ]
    order = np.concatenate([part for part, _ in parts])
    plain = [part.copy() for part, _ in _order.visiting_order(rows, columns, generator(), size, 1)]
    np.testing.assert_array_equal(order, np.concatenate(plain))
    if n * columns <= _order.IN_CACHE:
        assert all(coming is None for _, coming in parts)
        return
    coming = np.concatenate([coming for _, coming in parts])
    window = block * blocks
    for start in range(0, n - window, window):
        asked, following = coming[start:][:window], order[start + window :][:window]
        n_following = len(following)  # fewer in the last window
        np.testing.assert_array_equal(np.sort(asked[:n_following]), np.sort(following))
        assert (np.diff(asked[:n_following]) == 1).sum() >= n_following * (1 - 1 / block) - 2
        np.testing.assert_array_equal(asked[n_following:], order[start:][n_following:window])
    last = (n - 1) // window * window
    np.testing.assert_array_equal(coming[last:], order[last:])


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_asking_memory_early_changes_no_bit(loss, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30_000, 20))
    y = X @ rng.standard_normal(20) + rng.logistic(size=30_000)
    model = LinearRegression(solver="sgd", batch_size=1, max_iter=2, learning_rate="constant")
    if loss == "log_loss":
        model, y = LogisticRegression(solver="sgd", batch_size=1, max_iter=2), y > 0
    model.set_params(tol=0.0, random_state=0, learning_rate="constant")
    asked = []
    visit = engine.visit

    def watched(*args):
        asked.append(args[-1] is not None)
        visit(*args)

    monkeypatch.setattr(engine, "visit", watched)
    early = model.fit(X, y).coef_.copy()
    assert set(asked) == {True}
    monkeypatch.setattr(_epoch, "ASK_EARLY_BYTES", 0)
    asked.clear()
    np.testing.assert_array_equal(model.fit(X, y).coef_, early)
    assert set(asked) == {False}


@pytest.mark.parametrize(
    "changes",
    [
        *({"l1_ratio": 0.5, "alpha": 0.1}, {"average": True}),
        *({"solver": "adagrad"}, {"batch_size": 2}, {"momentum": 0.9}, {"classes": 3}),
        *({"learning_rate": "cosine"}, {"sparse": True}, {"columns": 300}),
    ],
)
def test_others_ask_memory_for_rows_that_are_near(changes, monkeypatch):
    rng = np.random.default_rng(0)
    changes = dict(changes)
    X = rng.standard_normal((30_000, changes.pop("columns", 20)))
    y = rng.integers(changes.pop("classes", 2), size=len(X))
    X = sparse.csr_matrix(X) if changes.pop("sparse", False) else X
    asked = []

    def watched(*args):
        asked.append(args[-1])
        visit(*args)

    visit = engine.visit
    monkeypatch.setattr(engine, "visit", watched)
    model = LogisticRegression(solver="sgd", batch_size=1, max_iter=1, learning_rate="constant")
    model.set_params(tol=0.0, random_state=0, momentum=0.0).set_params(**changes).fit(X, y)
    assert asked
    assert all(coming is None for coming in asked)


def test_what_is_to_come_needs_places_of_its_own():
    rows, order, blocks = np.arange(10, dtype=np.int32), TEN.copy(), np.arange(10, dtype=np.int32)
    for coming, message in [
        (np.empty(9, np.int32), "coming must have 10 places"),
        (misaligned(order), "aligned"),
        *((array, "coming must not lie over") for array in (order, blocks, rows)),
    ]:
        with pytest.raises(ValueError, match=message):
            engine.visit(rows, blocks, 1, 16, 0, order, generator(), coming)


@pytest.mark.parametrize("solver", ["sgd", "adagrad", "adam"])
@pytest.mark.parametrize("d, batch", [(10, 8), (20, 8), (32, 8), (32, 1), (100, 1), (100, 64)])
def test_windows_converge_like_a_full_permutation_on_sorted_rows(d, batch, solver, monkeypatch):
    rng = np.random.default_rng(0)
    n = 60_000  # 600,000 elements and more: in windows
    X = rng.standard_normal((n, d))
    y = (X @ rng.standard_normal(d) + rng.logistic(size=n) > 0).astype(int)
    by_label = np.lexsort((X[:, 0], y))
    X, y = X[by_label], y[by_label]
    model = LogisticRegression(solver=solver, batch_size=batch, learning_rate="cosine", alpha=1e-3)
    model.set_params(tol=0.0, n_iter_no_change=10**6, max_iter=4, random_state=0)

    def objective():
        w = model.fit(X, y).coef_[0]
        f = X @ w + model.intercept_
        return np.mean(np.logaddexp(0, f) - y * f) + 5e-4 * w @ w

    model.set_params(solver="lbfgs", tol=1e-8, max_iter=200)
    best = objective()
    model.set_params(solver=solver, tol=0.0, max_iter=4)
    windows = objective() / best - 1
    monkeypatch.setattr(_order, "IN_CACHE", n * d)
    full = objective() / best - 1
    assert windows < max(3 * full, 5e-4), (windows, full)


def test_windows_are_those_of_the_batches(monkeypatch):
    windows = []

    def watched(rows, blocks, block, window, *args):
        windows.append((block, window))
        visit(rows, blocks, block, window, *args)

    visit = engine.visit
    monkeypatch.setattr(engine, "visit", watched)
    X = np.random.default_rng(0).standard_normal((6000, 100))
    model = LinearRegression(solver="sgd", max_iter=1, tol=0.0, random_state=0)
    for batch, blocks in [(1, 16), (30, 30), (500, 64)]:
        windows.clear()
        model.set_params(batch_size=batch).fit(X, X[:, 0])
        assert set(windows) == {(16, 16 * blocks)}


def test_dense_and_csr_rows_of_either_type_come_in_the_same_order():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30_000, 20)) * (rng.random((30_000, 20)) < 0.3)
    y = (X.sum(axis=1) > 0).astype(int)
    model = LogisticRegression(solver="adagrad", batch_size=8, max_iter=2, precondition=False)
    model.set_params(tol=0.0, learning_rate="constant", random_state=0)
    dense = model.fit(X, y).coef_.copy()
    np.testing.assert_allclose(model.fit(sparse.csr_matrix(X), y).coef_, dense, rtol=1e-6)
    np.testing.assert_allclose(model.fit(X.astype(np.float32), y).coef_, dense, rtol=1e-2)


def test_all_rows_come_in_the_order_of_their_positions():
    n, columns = 20_000, 100
    whole, state = generator(), generator()
    positions = np.arange(n, dtype=np.int32)
    expected = [
        part.copy() for part, _ in _order.visiting_order(positions, columns, whole, 3000, 1)
    ]
    parts = [part.copy() for part, _ in _order.visiting_order(AllRows(n), columns, state, 3000, 1)]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(expected))
    np.testing.assert_array_equal(whole, state)
    few = [part for part, _ in _order.visiting_order(AllRows(50), 2, generator(), 30, 1)]
    np.testing.assert_array_equal(
        np.concatenate(few), shuffled(np.arange(50, dtype=np.int32), generator())
    )


@pytest.mark.parametrize("rows", [range(1, 9), range(0, 16, 2)])
def test_other_ranges_are_refused(rows):
    with pytest.raises(ValueError, match="range"):
        engine.visit(rows, ONE, 8, 8, 0, np.empty(8, np.int32), generator())


def test_moments_of_a_range_are_those_of_its_positions():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(5000, 3)), rng.random(5000)
    positions = np.arange(5000, dtype=np.int32)
    for w in (None, weight, weight.astype(np.float32)):
        for centre in (True, False):
            np.testing.assert_array_equal(
                moments.column_moments(X, range(5000), w, centre),
                moments.column_moments(X, positions, w, centre),
            )
        rows = sparse.csr_matrix(X)
        np.testing.assert_array_equal(
            moments.column_squares(rows, range(5000), w),
            moments.column_squares(rows, positions, w),
        )
    with pytest.raises(ValueError, match="begin at 0"):
        moments.column_moments(X, range(1, 5000), None, True)
