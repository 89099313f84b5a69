"""What holds for any estimator with any settings, on rows of any form.

200 examples a test; `pytest --hypothesis-profile=long tests/test_property_product.py` runs 10,000.
"""

import numpy as np
from hypothesis import assume, event, given
from hypothesis import strategies as st
from product import (
    EXACT,
    INTEGERS,
    LAYOUTS,
    LINEAR,
    SPARSE_LAYOUTS,
    STEADY,
    cases,
    estimator,
    fit,
    fittable,
    problem,
    weights_of,
    with_zeros,
)
from scipy import sparse

from skopt_est._whitening import SQUARED_COLUMNS_PER_PASS

EPOCHWISE = (*EXACT, "rmsprop", "adam", "nadam", "amsgrad")


def parts(array):
    """The bytes of an argument, and what it says of itself."""
    if array is None or isinstance(array, list):
        return repr(array)
    if sparse.issparse(array):
        names = ("data", "indices", "indptr", "row", "col")
        return [parts(getattr(array, name)) for name in names if hasattr(array, name)]
    if isinstance(array, tuple):
        return [parts(part) for part in array]
    return array.tobytes(), array.dtype.str, array.strides, array.flags.writeable


def numbers(value):
    """All numbers in a fitted attribute."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in numbers(item)]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return [value]
    return [np.float64(value)] if isinstance(value, float) else []


def attempt(est, X, y, weight):
    """The fitted estimator, or None if the rate was too high for any epoch."""
    try:
        return fit(est, X, y, weight)
    except ValueError as error:
        if "learning_rate_init" not in str(error) or est.learning_rate_init == "auto":
            raise
    assert not hasattr(est, "n_iter_")
    return None


@given(cases(), st.sampled_from(["dense", "sparse", "zeros"]), st.data())
def test_no_fit_crashes_leaves_nan_or_changes_its_input(case, form, data):
    X, y, weight = problem(case)
    assume(fittable(case))
    layouts = LAYOUTS if form == "dense" else SPARSE_LAYOUTS
    layout = data.draw(st.sampled_from(list(layouts)))
    if form != "dense":
        X = sparse.csr_matrix(X)
        X = with_zeros(X) if form == "zeros" else X
    rows = layouts[layout](X)
    forms = st.sampled_from([name for name in LAYOUTS if name not in ("object", "F")])
    target = y if y.dtype == bool else LAYOUTS[data.draw(forms)](y)
    given_weight = None if weight is None else LAYOUTS[data.draw(forms)](weight)
    before = parts(rows), parts(target), parts(given_weight)
    est = attempt(estimator(case), rows, target, given_weight)
    assert (parts(rows), parts(target), parts(given_weight)) == before
    event("diverged at once" if est is None else "fitted")
    if est is None:
        return
    curve = np.array(est.loss_curve_)
    assert np.isfinite(curve[:-1]).all()
    told = {"history_", "_record"}
    if np.isnan(curve[-1]):  # the epoch that diverged; the weights are those of the best one
        assert est.learning_rate_init != "auto"
        told |= {"loss_curve_", "loss_"}
    for name in vars(est).keys() - told:
        assert all(np.isfinite(array).all() for array in numbers(getattr(est, name))), name
    assert np.isfinite(weights_of(est)).all()
    with np.errstate(over="ignore"):  # exp of what a rate that is too large has led to
        prediction = est.predict(rows)
    assert parts(rows) == before[0]
    assert prediction.shape == y.shape
    if prediction.dtype.kind == "f":
        raw = weights_of(est)
        assert np.isfinite(prediction).all() or np.abs(raw).max() > 30  # exp of it
    if hasattr(est, "predict_log_proba"):
        assert np.isfinite(est.predict_log_proba(rows)).all()


@given(cases(), st.sampled_from(["dense", "integers", "sparse", "sparse integers"]), st.data())
def test_layout_changes_no_bit(case, form, data):
    X, y, weight = problem(case)
    assume(fittable(case))
    if "integers" in form:
        dtype = data.draw(st.sampled_from(INTEGERS))
        X = np.abs(X).astype(dtype) if dtype is bool or dtype(0) - 1 > 0 else X.astype(dtype)
        X = X if form == "integers" else sparse.csr_matrix(X)
        reference, rows = X.astype(np.float64), X
    elif form == "sparse":
        reference = sparse.csr_matrix(X)
        rows = SPARSE_LAYOUTS[data.draw(st.sampled_from(list(SPARSE_LAYOUTS)))](reference)
    else:
        name = data.draw(st.sampled_from(list(LAYOUTS)))
        if name in ("object", "list"):
            X = X.astype(np.float64)
        reference, rows = X, LAYOUTS[name](X)
    a = attempt(estimator(case), reference, y, weight)
    b = attempt(estimator(case), rows, y, weight)
    if a is None or b is None:
        assert a is b
        return
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    np.testing.assert_array_equal(a.loss_curve_, b.loss_curve_)
    with np.errstate(over="ignore"):  # exp of what a rate that is too large has led to
        np.testing.assert_array_equal(a.predict(reference), b.predict(rows))


def assert_close(a, b, tolerance):
    scale = np.linalg.norm(weights_of(a)) + 1e-3
    assert np.abs(weights_of(a) - weights_of(b)).max() <= tolerance * scale
    assert (a.t_, a.n_updates_) == (b.t_, b.n_updates_)
    np.testing.assert_allclose(a.loss_curve_, b.loss_curve_, rtol=tolerance, atol=tolerance)


@given(cases(solvers=EPOCHWISE), st.booleans())
def test_dense_and_csr_rows_are_the_same(case, zeros):
    assume(fittable(case))
    params = case["params"] | {"average": False, "learning_rate_init": 0.01}
    if case["kind"] in LINEAR:
        params |= {"precondition": False, "polish_iter": 0}
    case = case | {"params": params, "dtype": np.float64}
    X, y, weight = problem(case)
    csr = sparse.csr_matrix(X)
    dense = attempt(estimator(case), X, y, weight)
    other = attempt(estimator(case), with_zeros(csr) if zeros else csr, y, weight)
    # what diverges goes wherever its rounding leads it
    assume(all(est is not None and not est._record["diverged"] for est in (dense, other)))
    exact = params["solver"] in EXACT and (params["solver"] != "sgd" or params["momentum"] == 0)
    assert_close(dense, other, 1e-6 if exact else 1e-2)


@given(cases(solvers=("gd", "sgd", "lbfgs", "adam")), st.booleans())
def test_full_batches_see_a_weight_as_that_many_rows(case, as_csr):
    assume(fittable(case))
    params = case["params"] | {"batch_size": 10**6, "average": False, "learning_rate_init": 0.01}
    params |= {"epsilon": 0.1} | ({"polish_iter": 0} if case["kind"] in LINEAR else {"dropout": 0})
    case = case | {"weights": "integers", "params": params, "dtype": np.float64}
    X, y, weight = problem(case)
    # at a kink it is rounding that decides which way to go
    assume(params.get("loss") not in ("absolute_error", "quantile"))
    if params.get("loss") == "poisson":
        # without a count the best constant is minus infinity, and a guess stands in
        assume((np.average(y, axis=0, weights=weight) > 0).all())
    if params["solver"] == "lbfgs" and case["kind"] in LINEAR and not as_csr:
        # with few rows for the columns, it depends on their number whether coordinates are whitened
        assume(X.shape[1] ** 2 <= SQUARED_COLUMNS_PER_PASS * np.count_nonzero(weight))
    form = sparse.csr_matrix if as_csr else np.asarray
    weighted = fit(estimator(case), form(X), y, weight)
    repeated = fit(
        estimator(case), form(np.repeat(X, weight, axis=0)), np.repeat(y, weight, axis=0), None
    )
    np.testing.assert_allclose(weights_of(weighted), weights_of(repeated), rtol=1e-6, atol=1e-8)
    curves = np.array(weighted.loss_curve_), np.array(repeated.loss_curve_)
    if params["solver"] == "lbfgs":
        # at the minimum it is rounding that decides about another iteration
        curves = [curve[: min(map(len, curves))] for curve in curves]
    np.testing.assert_allclose(*curves, rtol=1e-7, atol=1e-10)


@given(cases(), st.booleans())
def test_rows_of_zero_weight_are_absent(case, as_csr):
    assume(fittable(case))
    case = case | {"weights": "integers"}
    X, y, weight = problem(case)
    kept = weight > 0
    form = sparse.csr_matrix if as_csr else np.asarray
    whole = attempt(estimator(case), form(X), y, weight)
    part = attempt(estimator(case), form(X[kept]), y[kept], weight[kept])
    if whole is None or part is None:
        assert whole is part
        return
    np.testing.assert_array_equal(weights_of(whole), weights_of(part))
    np.testing.assert_array_equal(whole.loss_curve_, part.loss_curve_)
    assert (whole.t_, whole.n_updates_) == (part.t_, part.n_updates_)


@given(cases(solvers=EPOCHWISE, schedules=STEADY), st.booleans())
def test_a_run_in_two_parts_is_the_run_in_one(case, as_csr):
    assume(fittable(case))
    params = case["params"] | {"learning_rate_init": 0.01, "warm_start": True}
    if case["kind"] in LINEAR:
        params["polish_iter"] = 0
    case = case | {"params": params}
    X, y, weight = problem(case)
    X = sparse.csr_matrix(X) if as_csr else X
    epochs = params["max_iter"]
    whole = attempt(estimator(case, max_iter=2 * epochs), X, y, weight)
    parts = attempt(estimator(case), X, y, weight)
    assume(parts is not None and whole is not None)
    assume(not parts._record["diverged"] and not whole._record["diverged"])
    fit(parts, X, y, weight)
    assume(not parts._record["diverged"])
    np.testing.assert_array_equal(weights_of(whole), weights_of(parts))
    assert whole.loss_curve_ == parts.loss_curve_
    assert (whole.t_, whole.n_updates_) == (parts.t_, parts.n_updates_)
