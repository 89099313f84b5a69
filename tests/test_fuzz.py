"""What fuzzing the engine's entry points found, each as a case of its own, and a short run of the
fuzzer (tests/fuzz_engine.py)."""

import importlib
from pathlib import Path

import fuzz_engine
import numpy as np
import pytest
from hostile import CSR, misaligned
from product import mapped
from scipy import sparse

from skopt_est import LinearRegression
from skopt_est._core import available, engine, get_engine, simd

moments = importlib.import_module(f"skopt_est._core.moments_{simd}")
SQUARED_ERROR, SOFTMAX = (
    engine.LOSS_CODES[name] for name in ("squared_error", "log_loss_multinomial")
)


def read_only(array):
    array.flags.writeable = False
    return array


def rows(n=6, d=3):
    return np.arange(1.0, n * d + 1).reshape(n, d)


def csr(**changes):
    X = sparse.csr_matrix(rows())
    given = {"data": X.data, "indices": X.indices, "indptr": X.indptr, "shape": X.shape}
    return CSR(**(given | changes))


def data(X=None, Y=None, loss=SQUARED_ERROR, **more):
    X, Y = rows() if X is None else X, np.zeros((6, 1)) if Y is None else Y
    return engine.Data(X, Y, loss, **more)


def of_classes(number):
    """Buffers for a softmax over four classes, of rows that are all of this one."""
    Y = np.full((6, 1), float(number))
    return engine.Scratch(data(Y=Y, loss=SOFTMAX), engine.Network((3, 4)))


def model(code="sgd", network=None, n_slots=0, **changes):
    network = engine.Network((3, 1)) if network is None else network
    hyper = dict(momentum=0.0, nesterovs_momentum=False, beta_1=0.9, beta_2=0.9, rho=0.9)
    hyper |= {"epsilon": 1e-8, "weight_decay": 0.0, "code": engine.SOLVER_CODES.get(code, code)}
    given = {
        "theta": np.zeros(4),
        "slots": np.zeros((n_slots, 4)),
        "network": network,
        "l1": np.zeros(3),
        "l2": np.zeros(3),
        "hyper": hyper,
    }
    return engine.Model(**(given | changes))


def epoch(X=None, code="sgd", batch_size=1, **changes):
    d, network = data(X), engine.Network((3, 1))
    order, steps = np.arange(6, dtype=np.int32), -(-6 // min(batch_size, 6))
    given = {"order": order, "batch_size": batch_size, "coefficients": np.full((steps, 4), 0.01)}
    m = model(code, network)
    return engine.run_epoch(d, m, engine.Scratch(d, network), **(given | changes))


def gradient(**changes):
    network = engine.Network((3, 1))
    given = {"theta": np.zeros(4), "network": network, "grad": np.empty(4)}
    return engine.value_and_gradient(data(), **(given | changes))


def predict(X=None, **changes):
    given = {"coefs": [np.ones((3, 1))], "intercepts": [np.ones(1)], "activations": []}
    return engine.predict(rows() if X is None else X, **(given | changes))


ORDER = np.arange(6, dtype=np.int32)
INDICES = sparse.csr_matrix(rows()).indices
INDPTR = sparse.csr_matrix(rows()).indptr
WORD = np.zeros(1, np.uint64)
FAR, BEFORE = INDICES.copy(), INDICES.copy()
FAR[4], BEFORE[4] = 3, -1
FALLS, BEYOND = INDPTR.copy(), INDPTR.copy()
FALLS[2], BEYOND[-1] = 10, 100

NEGATIVE = {
    shape: CSR(np.ones(0), INDICES[:0], INDPTR[: max(shape[0], -1) + 1].astype(np.int64), shape)
    for shape in ((6, -1), (-1, 3), (-1, -1), (-2, 3))
}
for X in NEGATIVE.values():
    X.indptr[:] = 0

REFUSED = {
    "a column that is not there": (lambda: data(csr(indices=FAR)), "X.indices"),
    "a negative column": (lambda: data(csr(indices=BEFORE)), "X.indices"),
    "rows that end before they begin": (lambda: data(csr(indptr=FALLS)), "indptr"),
    "rows beyond the entries": (lambda: data(csr(indptr=BEYOND)), "indptr"),
    "fewer indices than entries": (lambda: data(csr(indices=INDICES[:-1].copy())), "X.indices"),
    "a narrower matrix": (lambda: data(csr(shape=(6, 2))), "X.indices"),
    "a bad column in predict": (lambda: predict(csr(indices=FAR)), "X.indices"),
    "a bad column in column_squares": (
        lambda: moments.column_squares(csr(indices=FAR), ORDER, None),
        "X.indices",
    ),
    **{
        f"a shape of {n, d} in {name}": (
            lambda call=call, X=X: call(X),
            "negative|one entry a row|array of shape",
        )
        for (n, d), X in NEGATIVE.items()
        for name, call in {
            "Data": data,
            "predict": predict,
            "column_squares": lambda X: moments.column_squares(X, ORDER, None),
            "squared_norms": lambda X: moments.squared_norms(X, ORDER),
        }.items()
    },
    "a shape of (6, -1) in squared_norms, with scales": (
        lambda: moments.squared_norms(csr(shape=(6, -1)), ORDER, np.zeros(3), np.ones(3)),
        "shift and inv_scale",
    ),
    "bad rows in squared_norms": (
        lambda: moments.squared_norms(csr(indptr=BEYOND), ORDER),
        "indptr",
    ),
    "one dimension": (lambda: moments.squared_norms(np.ones(7), ORDER), "two dimensions"),
    "one dimension in column_moments": (
        lambda: moments.column_moments(np.ones(7), ORDER, None, True),
        "two dimensions",
    ),
    "a short shift": (
        lambda: moments.squared_norms(rows(), ORDER, np.zeros(2), np.ones(3)),
        "shift and inv_scale",
    ),
    "a far row in squared_norms": (
        lambda: moments.squared_norms(rows(), np.array([0, 99], np.int32)),
        "not a row",
    ),
    "no such loss": (lambda: data(loss=99), "no loss"),
    "no such solver": (lambda: model(99), "no solver"),
    "no such activation": (lambda: engine.Network((3, 2, 1), (99,)), "no activation"),
    "no such activation in predict": (
        lambda: predict(
            coefs=[np.ones((3, 2)), np.ones((2, 1))],
            intercepts=[np.ones(2), np.ones(1)],
            activations=[-1],
        ),
        "no activation",
    ),
    "a layer without units": (
        lambda: predict(
            coefs=[np.ones((3, 0)), np.ones((0, 1))],
            intercepts=[np.ones(0), np.ones(1)],
            activations=[0],
        ),
        "not empty",
    ),
    "less than no inputs": (lambda: engine.Network((-1, 1)), "units"),
    "a class that is not there": (lambda: of_classes(4), "class indices from 0 to 3"),
    "a class that is NaN": (lambda: of_classes(np.nan), "class indices"),
    "no parameters": (lambda: gradient(theta=None), "theta"),
    "a gradient that can't be written": (lambda: gradient(grad=read_only(np.empty(4))), "writable"),
    "parameters that can't be written": (lambda: model(theta=read_only(np.zeros(4))), "writable"),
    "a state that can't be written": (
        lambda: model("adagrad", slots=read_only(np.zeros((1, 4)))),
        "writable",
    ),
    "misaligned rows": (lambda: data(misaligned(rows())), "aligned"),
    "misaligned parameters": (lambda: gradient(theta=misaligned(np.zeros(4))), "aligned"),
    "misaligned rows to come": (lambda: epoch(coming=misaligned(ORDER)), "aligned"),
    "fewer rows to come": (lambda: epoch(coming=ORDER[:5].copy()), "coming.*shape .6"),
    "a row to come that is not there": (lambda: epoch(coming=ORDER + 1), "coming holds"),
    "misaligned rows in predict": (lambda: predict(misaligned(rows())), "aligned"),
    "misaligned weights in predict": (
        lambda: predict(coefs=[misaligned(np.ones((3, 1)))]),
        "layer 0",
    ),
    "weights of the other order of bytes in predict": (
        lambda: predict(coefs=[np.ones((3, 1)).astype(np.dtype(float).newbyteorder())]),
        "layer 0",
    ),
    "complex weights in predict": (lambda: predict(coefs=[np.ones((3, 1), complex)]), "layer 0"),
    "every other intercept in predict": (
        lambda: predict(coefs=[np.ones((3, 2))], intercepts=[np.ones(4)[::2]]),
        "intercepts of layer 0",
    ),
    "misaligned predictions": (lambda: predict(result=misaligned(np.empty((6, 1)))), "result"),
    "misaligned order": (lambda: epoch(order=misaligned(ORDER)), "aligned"),
    "misaligned rows in column_moments": (
        lambda: moments.column_moments(misaligned(rows()), ORDER, None, True),
        "aligned",
    ),
    "batches of sparse rows for gd": (
        lambda: epoch(csr(), "gd", batch_size=3, by_feature=True),
        "gd takes all 6 rows in one step",
    ),
    "too little of what weight decay leaves": (
        lambda: epoch(csr(), kept=np.full(2, 0.9), by_feature=True),
        "kept",
    ),
    "too little of a tail": (
        lambda: epoch(csr(), tail=np.full(6, 0.9), by_feature=True),
        "tail",
    ),
    "a momentum that has no slot": (
        lambda: epoch(
            csr(), batch_size=3, tail=np.full(3, 0.9), ratio=0.5, decay_1=0.5, by_feature=True
        ),
        "ratio=0.5 is of a momentum",
    ),
    "dense rows by feature": (lambda: epoch(by_feature=True), "CSR"),
    "some steps' numbers by feature": (
        lambda: epoch(csr(), coefficients=np.full((2, 4), 0.01), by_feature=True),
        "2 steps do not fit",
    ),
    "features of rows that are not there": (
        lambda: data(csr()).n_features_of(np.array([0, 6], np.int32)),
        "not a row",
    ),
    "features of misaligned rows": (
        lambda: data(csr()).n_features_of(misaligned(ORDER)),
        "aligned",
    ),
    "features of dense rows": (lambda: data().n_features_of(ORDER), "CSR"),
    "the same of its tail": (
        lambda: engine.momentum_tail(np.ones(5), 0.5, np.full(2, 0.9)),
        "kept",
    ),
    "a penalty of too few weights": (
        lambda: engine.penalty(np.ones(3), 4, 0.1, 0.1),
        "theta must hold 4",
    ),
    "a penalty of whole numbers": (
        lambda: engine.penalty(np.ones(3, int), 3, 0.1, 0.1),
        "float32 or float64",
    ),
    "a penalty of too few strengths": (
        lambda: engine.penalty(np.ones(3), 3, np.ones(3), np.ones(2)),
        "half_l2",
    ),
    "whether whole numbers are finite": (
        lambda: engine.all_finite(np.ones(3, int)),
        "float32 or float64",
    ),
    "a generator without a state": (lambda: engine.next_word(WORD[:0]), "one word"),
    "an order from no generator": (lambda: engine.shuffled(ORDER, WORD[:0]), "one word"),
    "numbers of no size": (lambda: engine.zeros(3, "S0"), "size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_is_divided_by_zero():
    none, no_rows = np.zeros(6), np.empty((0, 3))
    for X in (rows(), np.ones((6, 0), np.float32)):
        zeros = np.zeros(X.shape[1])
        for centre in (False, True):
            for order, weight in ((ORDER, none), (ORDER[:0], None)):
                mean, square = moments.column_moments(X, order, weight, centre)
                np.testing.assert_array_equal([mean, square], [zeros, zeros])
    for X in (csr(), sparse.csr_matrix((6, 3)), sparse.csr_matrix((6, 0))):
        for order, weight in ((ORDER, none), (ORDER[:0], None)):
            square = moments.column_squares(X, order, weight)
            np.testing.assert_array_equal(square, np.zeros(X.shape[1]))
    for X in (np.ones((6, 0)), sparse.csr_matrix((6, 0)), no_rows, sparse.csr_matrix(no_rows)):
        np.testing.assert_array_equal(
            moments.squared_norms(X, ORDER[: X.shape[0]]), np.zeros(X.shape[0])
        )
    for X in (no_rows, sparse.csr_matrix(no_rows)):
        assert predict(X).shape == (0, 1)


def test_huge_batches_and_blocks_are_all_rows():
    np.testing.assert_array_equal(epoch(batch_size=2**63 - 1), epoch(batch_size=6))
    orders = np.empty((2, 6), np.int32)
    for size, order in zip((6, 2**63 - 1), orders, strict=True):
        engine.visit(ORDER, ORDER[:1], size, size, 0, order, np.ones(1, np.uint64))
    np.testing.assert_array_equal(*orders)


def test_rows_of_another_width_leave_nothing_behind():
    """Buffers of a model are made for its first rows, which must be of its width."""
    network = engine.Network((3, 1))
    m, wide = model(network=network), sparse.csr_matrix(np.ones((6, 1)))
    d, table = data(csr()), np.full((6, 4), 0.01)
    other = engine.Data(wide, np.zeros((6, 1)), SQUARED_ERROR)
    with pytest.raises(ValueError, match="1 columns, the model 3 inputs"):
        engine.run_epoch(other, m, engine.Scratch(d, network), ORDER, 1, table)
    assert np.isfinite(engine.run_epoch(d, m, engine.Scratch(d, network), ORDER, 1, table)).all()


def test_rows_in_a_file_from_an_odd_byte_on_are_taken():
    X, y = rows(), np.arange(6.0)
    est = LinearRegression(solver="lbfgs", max_iter=50, random_state=0)
    expected = est.fit(X, y).coef_
    found = est.fit(mapped(X, 3), mapped(y, 3)).coef_
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(est.predict(mapped(X, 5)), est.predict(X))


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_hostile_arguments_end_in_an_error_or_a_result(first):
    ended = {fuzz_engine.run(seed)[0] for seed in range(first, first + 100)}
    assert ended == {target.__name__ for target in fuzz_engine.TARGETS}


def test_every_function_of_the_engine_is_fuzzed():
    source = Path(fuzz_engine.__file__).read_text()
    for module in (*map(get_engine, available()), moments):
        names = [
            name
            for name, value in vars(module).items()
            if type(value).__name__ == "cython_function_or_method" and not name.startswith("_")
        ]
        assert names
        for name in names:
            assert name in source, f"{name} of {module.__name__} is not fuzzed"


def test_no_steps_are_made_without_targets():
    d, network = engine.Data(rows(), None, SQUARED_ERROR), engine.Network((3, 1))
    order, table = np.arange(6, dtype=np.int32), np.full((6, 4), 0.01)
    with pytest.raises(ValueError, match="without targets"):
        engine.run_epoch(d, model(network=network), engine.Scratch(d, network), order, 1, table)
    assert engine.value_and_gradient(d, np.ones(4), network, np.empty(4)) > 0
