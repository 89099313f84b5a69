"""Errors that say what was given and what would work, where no other test meets them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skopt_est import LinearRegression, LogisticRegression
from skopt_est._core import available, get_engine

X = np.random.default_rng(0).normal(size=(30, 2))
Y = X @ [1.0, -2.0]


@pytest.mark.parametrize(
    "learning_rate, message",
    [
        (lambda progress: "fast", "learning_rate, a callable, must return numbers"),
        (lambda progress: None, "learning_rate, a callable, must return numbers"),
        (lambda progress: 0.5 - progress, r"returned -0\.\d+ at progress 0\.\d+: it must return"),
        (lambda progress: np.nan, "returned nan at progress 0: it must return finite factors"),
    ],
)
def test_a_schedule_of_bad_factors(learning_rate, message):
    reg = LinearRegression(learning_rate=learning_rate, max_iter=10, n_iter_no_change=np.inf)
    with pytest.raises(ValueError, match=message):
        reg.fit(X, Y)


def test_targets_beyond_the_precision_of_training():
    with pytest.raises(ValueError, match="y has values too large for float32"):
        LinearRegression(dtype="float32").fit(X, np.where(Y > 0, 1e39, 0.0))


def test_class_weights_that_leave_no_sample():
    weight = (Y > 0).astype(float)
    with pytest.raises(ValueError, match="sample_weight times class_weight is zero for every"):
        LogisticRegression(class_weight={True: 0.0}).fit(X, Y > 0, weight)


def test_more_sparse_columns_than_indices():
    wide = sp.csr_matrix(([1.0, 2.0], ([0, 1], [0, 2**31])), shape=(2, 2**31 + 1))
    with pytest.raises(ValueError, match=r"X has 2147483649 columns; at most 2\*\*31 - 1"):
        LinearRegression().fit(wide, [0.0, 1.0])


def test_a_text_column_without_a_frame():
    bad = X.astype(object)
    bad[3, 1] = "seven"
    with pytest.raises(ValueError, match=r"Column 1 of X is not numeric.*seven"):
        LinearRegression().fit(bad, Y)


def test_a_vector_unit_that_is_not_there():
    assert get_engine().__name__.startswith("skopt_est._core.engine_")
    with pytest.raises(
        ValueError, match=f"'sse9' is not available here; choose from .*{available()[-1]}"
    ):
        get_engine("sse9")


def test_rates_of_columns_without_any_entry():
    """Nothing bends the objective, so any rate will do; the fit is the mean."""
    reg = LinearRegression(solver="gd", fit_intercept=False).fit(np.zeros((4, 2)), np.ones(4))
    np.testing.assert_array_equal(reg.coef_, 0.0)


def test_missing_values_of_a_frame_are_named():
    frame = pd.DataFrame(X, columns=["a", "b"])
    frame.loc[2, "b"] = np.nan
    with pytest.raises(ValueError, match="NaN") as caught:
        LinearRegression().fit(frame, Y)
    assert "b" in str(caught.value)


@pytest.mark.parametrize("simd", available())
def test_what_the_engine_works_on_is_made_whole_and_once(simd):
    """Its objects hold addresses: none may lack them, or lose what they belong to."""
    engine = get_engine(simd)
    for kind in (engine.Data, engine.Network, engine.Scratch, engine.Model):
        with pytest.raises(TypeError, match="argument"):
            kind.__new__(kind)
    network = engine.Network((3, 1))
    network.__init__((5, 1))
    assert network.units == (3, 1)
