"""Hypothesis strategies for fits: every estimator, solver, loss, penalty and schedule on rows of
every form, few of them well behaved."""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from by_feature import steps
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

ESTIMATORS = {
    "linear": LinearRegression,
    "logistic": LogisticRegression,
    "network": MLPRegressor,
    "classes": MLPClassifier,
    "labels": MLPClassifier,
}
REGRESSION = ("linear", "network")
LINEAR = ("linear", "logistic")
LOSSES = ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma")
EXACT = ("gd", "sgd", "adagrad")
EPOCHWISE = (*EXACT, "rmsprop", "adam", "nadam", "amsgrad")
ACTIVATIONS = (
    *("identity", "logistic", "tanh", "relu", "leaky_relu"),
    *("elu", "selu", "gelu", "silu", "mish"),
)


def halving(progress):
    return 1 - progress / 2


# Schedules that don't depend on max_iter
STEADY = ("constant", "invscaling", "adaptive")
SCHEDULES = (*STEADY, "cosine", "one_cycle", halving)


# -- forms of an array ---------------------------------------------------------------------------


def strided(array):
    wide = np.zeros([3 * size for size in array.shape], array.dtype)
    view = wide[tuple(slice(1, None, 3) for _ in array.shape)]
    view[...] = array
    return view


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    out = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


FOLDER = tempfile.TemporaryDirectory()


def mapped(array, offset=0):
    if not array.size:
        return array
    place = Path(FOLDER.name, "array")
    place.unlink(missing_ok=True)  # whoever has it mapped keeps it
    place.write_bytes(bytes(offset) + np.ascontiguousarray(array).tobytes())
    return np.memmap(place, array.dtype, "r", offset, array.shape)


# The same numbers elsewhere, in another order or with their bytes turned around
NATIVE = {"little": "<", "big": ">"}[sys.byteorder]
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": strided,
    "reversed": lambda array: array[::-1].copy()[::-1],
    "read-only": read_only,
    "mapped": mapped,
    "mapped from an odd byte": lambda array: mapped(array, 3),
    "misaligned": misaligned,
    "big-endian": lambda array: array.astype(array.dtype.newbyteorder(">")),
    "order of bytes named": lambda array: array.view(array.dtype.newbyteorder(NATIVE)),
    "object": lambda array: array.astype(object),
    "list": lambda array: array.tolist(),
}
INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64, bool)


def with_parts(X, change):
    """A CSR matrix of these parts, changed, without scipy's looking at them."""
    out = sparse.csr_matrix(X.shape, dtype=X.dtype)
    out.data, out.indices, out.indptr = change(X.data), change(X.indices), change(X.indptr)
    return out


def backwards(X):
    X = X.copy()
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop] = X.indices[start:stop][::-1].copy()
        X.data[start:stop] = X.data[start:stop][::-1].copy()
    X.has_sorted_indices = False
    return X


def in_halves(X):
    """Each entry twice, as two halves of it."""
    X = sparse.csr_matrix(
        (np.repeat(X.data / 2, 2), np.repeat(X.indices, 2), 2 * X.indptr), shape=X.shape
    )
    X.has_canonical_format = False
    return X


def of_index_type(dtype):
    return lambda array: array if array.dtype.kind == "f" else array.astype(dtype)


def int64_rows(X):
    X = with_parts(X, lambda part: part)
    X.indptr = X.indptr.astype(np.int64)
    return X


def longlong_rows(X):
    """C's other whole numbers of 64 bits, where it has two."""
    X = with_parts(X, lambda part: part)
    X.indptr = X.indptr.astype(np.longlong)
    return X


def stale(X):
    """Duplicates, in a matrix that was without when it was looked at."""
    X = in_halves(X)
    X.has_canonical_format = True
    return X


def with_room(X):
    """Arrays that are longer than the entries."""
    change = lambda part: np.append(part, part[:1]) if part is not X.indptr else part  # noqa: E731
    return with_parts(X, change)


SPARSE_LAYOUTS = {
    "canonical": lambda X: X,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "int64 indices": lambda X: with_parts(X, of_index_type(np.int64)),
    "int16 indices": lambda X: with_parts(X, of_index_type(np.int16)),
    "uint32 indices": lambda X: with_parts(X, of_index_type(np.uint32)),
    "int64 rows": int64_rows,
    "long long rows": longlong_rows,
    "stale flags": stale,
    "room for more": with_room,
    "big-endian": lambda X: with_parts(X, LAYOUTS["big-endian"]),
    "order of bytes named": lambda X: with_parts(X, LAYOUTS["order of bytes named"]),
    "unsorted": backwards,
    "duplicates": in_halves,
    "read-only": lambda X: with_parts(X, read_only),
    "mapped": lambda X: with_parts(X, mapped),
    "strided": lambda X: with_parts(X, strided),
    "misaligned": lambda X: with_parts(X, misaligned),
}


def with_zeros(X):
    """A canonical matrix with every second zero stored."""
    mask = np.arange(X.shape[0] * X.shape[1]).reshape(X.shape) % 2 == 0
    dense = X.toarray()
    kept = sparse.csr_matrix((dense != 0) | mask)
    kept.sort_indices()
    out = sparse.csr_matrix((dense[kept.nonzero()], kept.indices, kept.indptr), shape=X.shape)
    return out


# -- fits ----------------------------------------------------------------------------------------


@st.composite
def cases(draw, kinds=tuple(ESTIMATORS), solvers=(*EPOCHWISE, "lbfgs"), schedules=SCHEDULES):
    """Settings of an estimator and what its data are like."""
    one_of = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    kind, solver = one_of(*kinds), one_of(*solvers)
    if solver == "adam" and kind not in LINEAR:
        solver = one_of("adam", "adamw")
    params = {
        "solver": solver,
        "alpha": one_of(0.0, 1e-4, 0.1, 100.0),
        "l1_ratio": one_of(0.0, 0.5, 1.0),
        "learning_rate": one_of(*schedules),
        "learning_rate_init": one_of("auto", "auto", 0.01, 1.0),
        "batch_size": one_of(1, 1, 3, 16, 10**6, "auto"),
        "momentum": one_of(0.0, 0.9),
        "average": one_of(False, False, True, 5),
        "shuffle": one_of(True, False),
        "max_iter": draw(st.integers(1, 4)),
        "tol": 0.0,
        "n_iter_no_change": 1000,
        "random_state": draw(st.integers(0, 1000)),
    }
    if kind in REGRESSION:
        params["loss"] = one_of(*LOSSES)
    if kind in LINEAR:
        params.update(precondition=one_of(True, False), fit_intercept=one_of(True, False))
    else:
        params["hidden_layer_sizes"] = tuple(draw(st.lists(st.integers(1, 5), max_size=2)))
        params["activation"] = one_of(*ACTIVATIONS)
        if solver != "lbfgs":
            params["dropout"] = one_of(0.0, 0.0, 0.5)
            params["max_grad_norm"] = one_of(None, 1.0)
        if solver == "adamw":
            params["weight_decay"] = one_of(0.01, 0.5)
    return {
        "kind": kind,
        "params": params,
        "n": one_of(1, 2, 3, 5, 17, 30),
        "d": one_of(1, 2, 6, 17),
        "outputs": one_of(1, 1, 2, 3),
        "density": one_of(0.0, 0.1, 0.5, 1.0),
        "blank": one_of("", "", "rows", "columns"),
        "dtype": one_of(np.float32, np.float64),
        "weights": one_of(None, "ones", "integers", "reals", "tiny", "huge"),
        "seed": draw(st.integers(0, 10**6)),
        "by_feature": one_of(None, True),
    }


def problem(case):
    """Dense rows of small integers and halves, targets, weights. The rows are exact in every type;
    of two classes or more each has a row, where there are enough."""
    rng = np.random.default_rng(case["seed"])
    n, d, k = case["n"], case["d"], case["outputs"]
    X = rng.integers(-6, 7, (n, d)) / 2 * (rng.random((n, d)) < case["density"])
    if case["blank"] == "rows":
        X[rng.random(n) < 0.5] = 0
    if case["blank"] == "columns":
        X[:, rng.random(d) < 0.5] = 0
    z = 0.5 * X @ rng.normal(size=(d, k)) + rng.normal(size=(n, k))
    if case["kind"] == "labels":
        y = np.column_stack([z, -z[:, 0]]) > 0
    elif case["kind"] in ("classes", "logistic"):
        y = np.argmax(np.column_stack([z, -z[:, 0]]), axis=1)
        y[: k + 1] = np.arange(min(k + 1, n))
    else:
        change = {"poisson": lambda: rng.poisson(np.exp(0.3 * z)), "gamma": lambda: np.exp(0.3 * z)}
        y = change.get(case["params"]["loss"], lambda: z)()
        y = y[:, 0] if k == 1 else y
    weight = {
        None: lambda: None,
        "ones": lambda: np.ones(n),
        "integers": lambda: rng.integers(0, 4, n),
        "reals": lambda: rng.random(n),
        "tiny": lambda: 1e-300 * rng.random(n),
        "huge": lambda: 1e300 * rng.random(n),
    }[case["weights"]]()
    if case["weights"] == "integers":
        weight[: k + 1] = 1
    return X.astype(case["dtype"]), y, weight


def fittable(case):
    """Whether there are as many classes as the estimator asks for."""
    return case["kind"] != "logistic" or case["n"] >= 2


def estimator(case, **params):
    est = ESTIMATORS[case["kind"]](**{**case["params"], **params})
    est._by_feature = case["by_feature"]
    return est


def fit(est, X, y, weight):
    with warnings.catch_warnings(), steps(est._by_feature):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(X, y, sample_weight=weight)


def weights_of(est):
    if hasattr(est, "coefs_"):
        return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])
    return np.append(np.ravel(est.coef_), est.intercept_)
