"""What an epoch on CSR rows leaves side by side for the next is what that would make anew."""

import numpy as np
import pytest
from by_feature import steps
from scipy import sparse

from skopt_est import LogisticRegression, _epoch
from skopt_est._core import engine
from skopt_est.solvers import SOLVERS

N, D = 60, 45


def problem(dtype, n=N):
    rng = np.random.default_rng(0)
    X = sparse.random(n, D, 0.1, "csr", rng=rng, data_rvs=rng.standard_normal, dtype=np.float64)
    labels = (X @ rng.normal(size=D) > 0).astype(dtype)[:, None]
    return sparse.csr_matrix(X.astype(dtype)), labels


class Training:
    """Epochs of the engine on these rows, whose units differ from column to column."""

    def __init__(self, solver, dtype, batch_size, l1, l2, **hyper):
        X, y = problem(dtype)
        scale = np.geomspace(0.1, 10, D)
        self.data = engine.Data(
            X, y, engine.LOSS_CODES["log_loss_binary"], inv_scale=(1 / scale).astype(dtype)
        )
        self.network = engine.Network((D, 1))
        self.rule, self.batch_size = SOLVERS[solver](**hyper), batch_size
        self.theta = np.zeros(self.network.size, dtype)
        self.slots = np.zeros((self.rule.n_slots(), self.network.size), dtype)
        self.l1, self.l2 = ((strength / scale**2).astype(dtype) for strength in (l1, l2))
        self.model = engine.Model(
            *(self.theta, self.slots, self.network, self.l1, self.l2), self.rule.hyper()
        )
        self.extras = np.zeros(1)
        self.done = 0
        self.scratch = self.new_scratch()

    def new_scratch(self):
        return engine.Scratch(self.data, self.network)

    def penalty(self):
        size = np.abs(self.theta[:D].astype(np.float64))
        return float(np.sum(size * (self.l1 + 0.5 * self.l2 * size)))

    def epoch(self, rates, resumes, n=N):
        """Over n of the rows; rates: one number, or one of each step."""
        n_steps = -(-n // self.batch_size)
        rates = np.broadcast_to(rates, n_steps)
        ages = self.done + 1.0 + np.arange(n_steps)
        numbers = self.rule.coefficients(ages, rates, self.extras)
        momentum, options = self.rule.momentum_of(numbers), {}
        if momentum is not None:
            weights = np.full(n_steps, momentum.weights)
            options = {"tail": engine.momentum_tail(weights, momentum.ratio)}
            options |= momentum._asdict()
            del options["weights"]
        order = np.random.default_rng(self.done).permutation(N)[:n].astype(np.int32)
        self.done += n_steps
        return engine.run_epoch(
            *(self.data, self.model, self.scratch, order, self.batch_size, numbers),
            by_feature=True,
            resumes=resumes,
            **options,
        )


SOLVER_CASES = [
    ("sgd", {"momentum": 0.0}),
    ("sgd", {"momentum": 0.9}),
    ("adagrad", {"epsilon": 1e-8}),
    ("adagrad", {"epsilon": 1e-2}),
    ("rmsprop", {}),
    ("adam", {}),
    ("nadam", {}),
    ("amsgrad", {}),
]


@pytest.mark.parametrize("l1, l2", [(0.0, 0.0), (0.0, 1e-2), (1e-3, 1e-2)])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver, hyper", SOLVER_CASES)
def test_epochs_that_resume_have_the_bits_of_those_that_do_not(
    solver, hyper, dtype, batch_size, l1, l2
):
    kept, anew = (Training(solver, dtype, batch_size, l1, l2, **hyper) for _ in range(2))
    falling = 0.01 / np.sqrt(1.0 + np.arange(-(-N // batch_size)))
    for i, rates in enumerate([0.01, 0.01, 0.01, 0.002, falling, falling, 0.01, 0.01]):
        anew.scratch = anew.new_scratch()
        np.testing.assert_array_equal(kept.epoch(rates, i > 0), anew.epoch(rates, False))
        np.testing.assert_array_equal(kept.theta, anew.theta)
        np.testing.assert_array_equal(kept.slots, anew.slots)
        np.testing.assert_allclose(
            kept.scratch.penalty, kept.penalty(), rtol=1e-6 if dtype == np.float32 else 1e-14
        )
        assert anew.scratch.penalty == kept.scratch.penalty
    assert np.isfinite(kept.theta).all() and kept.theta[:D].any()


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("solver, hyper", SOLVER_CASES)
def test_a_call_of_one_step_in_between_is_not_lost(solver, hyper, batch_size):
    kept, anew = (Training(solver, np.float32, batch_size, 0.0, 1e-2, **hyper) for _ in range(2))
    for i, n in enumerate([N, batch_size, N, N, 1, 8, N]):
        anew.scratch = anew.new_scratch()
        kept.epoch(0.01, i > 0, n)
        anew.epoch(0.01, False, n)
        np.testing.assert_array_equal(kept.theta, anew.theta)
        np.testing.assert_array_equal(kept.slots, anew.slots)


def test_a_penalty_that_steps_do_not_add_up_is_not_told():
    training = Training("sgd", np.float64, 1, 0.0, 1e-2, momentum=0.0)
    l2 = training.l2 * np.linspace(1, 2, D)  # no longer one strength in the data's units
    training.model = engine.Model(
        *(training.theta, training.slots, training.network, training.l1, l2), training.rule.hyper()
    )
    training.epoch(0.01, False)
    assert np.isnan(training.scratch.penalty)
    engine.value_and_gradient(
        training.data, training.theta, training.network, None, scratch=training.scratch
    )
    assert np.isnan(training.scratch.penalty)


@pytest.mark.parametrize("G", [0.0, 1e-44, 1e-40, 1.2e-38, 1.0, 1.6e38, np.inf])
def test_sums_of_any_size_are_kept_as_they_are_left(G):
    kept, anew = (Training("adagrad", np.float32, 1, 0.0, 0.0, epsilon=1e-8) for _ in range(2))
    for training in (kept, anew):
        training.slots[0, :D] = np.float32(G) * np.geomspace(1, 2, D, dtype=np.float32)
        training.slots[0, D] = 1
    for i in range(3):
        anew.scratch = anew.new_scratch()
        kept.epoch(0.01, i > 0)
        anew.epoch(0.01, False)
        np.testing.assert_array_equal(kept.theta, anew.theta)
        np.testing.assert_array_equal(kept.slots, anew.slots)


@pytest.mark.parametrize("l1", [0.0, 1e-5])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver, hyper", SOLVER_CASES)
def test_what_was_written_in_between_counts_unless_epochs_resume(
    solver, hyper, dtype, batch_size, l1
):
    resuming, asked, not_asked = (
        Training(solver, dtype, batch_size, l1, 1e-4, **hyper) for _ in range(3)
    )
    for training in (resuming, asked, not_asked):
        training.epoch(0.01, False)
        training.done = 0  # Adam's numbers are then those of the first epoch, as are its cells
    asked.theta[:D] += 1
    not_asked.theta[:D] += 1
    resuming.epoch(0.01, True)
    asked.epoch(0.01, True)
    not_asked.epoch(0.01, False)
    np.testing.assert_array_equal(asked.theta, resuming.theta)
    assert np.median(np.abs(not_asked.theta[:D] - resuming.theta[:D])) > 0.5


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling"])
@pytest.mark.parametrize("n", [N, N + 1])
def test_a_fit_is_as_many_calls_of_partial_fit(n, learning_rate, solver, batch_size, monkeypatch):
    monkeypatch.setattr(_epoch, "ROWS_AT_ONCE", N // 4)  # so that row N + 1 is a call by itself
    X, y = problem(np.float32, n)
    params = {"solver": solver, "learning_rate": learning_rate, "learning_rate_init": 0.01}
    params |= {"batch_size": batch_size, "random_state": 0, "alpha": 1e-2, "tol": 0.0}
    whole = LogisticRegression(max_iter=5, n_iter_no_change=10, **params)
    parts = LogisticRegression(max_iter=5, **params)
    with steps(by_feature=True):
        with pytest.warns(match="max_iter"):
            whole.fit(X, y.ravel())
        for _ in range(5):
            parts.partial_fit(X, y.ravel(), classes=[0, 1])
    np.testing.assert_array_equal(whole.coef_, parts.coef_)
    assert whole.loss_curve_ == parts.loss_curve_


SIZES = [(n, False) for n in (0, 1, 1_000, 1 << 20, (1 << 21) + 1, 3 << 20, 5_000_001)]


@pytest.mark.parametrize("n_bytes, refused", [*SIZES, (3 << 20, True)])
def test_room_in_large_pages_is_as_long_as_asked_for(n_bytes, refused, monkeypatch):
    if refused:

        def refuse(*args, **kwargs):
            raise OSError("Cannot allocate memory")

        monkeypatch.setattr(engine.mmap, "mmap", refuse)
    room = engine.in_large_pages(n_bytes)
    assert room.shape == (n_bytes,) and room.dtype == np.uint8
    room[:] = 7
    large = n_bytes >= 1 << 20 and not refused and hasattr(engine.mmap, "MADV_HUGEPAGE")
    assert not large or room.ctypes.data % (1 << 21) == 0
    np.testing.assert_array_equal(room, 7)


def test_cells_that_move_to_large_pages_keep_what_they_hold(monkeypatch):
    asked, mapped = [], engine.mmap.mmap

    def count(*args):
        asked.append(args)
        return mapped(*args)

    monkeypatch.setattr(engine.mmap, "mmap", count)
    rng = np.random.default_rng(0)
    X = sparse.random(300, 80_000, 1e-3, "csr", rng=rng, dtype=np.float32)
    y = rng.integers(2, size=300)
    params = {"solver": "adagrad", "learning_rate_init": 1e-3, "batch_size": 1, "random_state": 0}
    whole = LogisticRegression(max_iter=4, **params)
    with pytest.warns(match="max_iter"):
        whole.fit(X, y)
    assert len(asked) == hasattr(engine.mmap, "MADV_HUGEPAGE")
    parts = LogisticRegression(max_iter=4, **params)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1])
    np.testing.assert_array_equal(whole.coef_, parts.coef_)
    assert whole.loss_curve_ == parts.loss_curve_
