"""The rows of docs/migrating.md: scikit-learn's estimator and what the page puts in its place."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.datasets import make_regression

import skopt_est

PAGE = Path(__file__).resolve().parent.parent / "docs" / "migrating.md"
EXACT = {"solver": "lbfgs", "tol": 1e-9, "max_iter": 20_000}
RNG = np.random.default_rng(0)
X, NUMBER = make_regression(150, 6, n_informative=4, noise=5.0, random_state=0)
NUMBER = NUMBER / NUMBER.std()
Y = {
    "number": NUMBER,
    "count": RNG.poisson(np.exp(0.5 * NUMBER)).astype(float),
    "positive": np.exp(0.5 * NUMBER + 0.3 * RNG.normal(size=150)),
    "two": (NUMBER + RNG.normal(size=150) > 0).astype(int),
    "three": np.digitize(NUMBER, [-0.5, 0.5]),
}
WEIGHTS = {"unweighted": None, "weighted": RNG.uniform(0.2, 4.0, size=150)}
LR, CLF = skopt_est.LinearRegression, skopt_est.LogisticRegression
SGD = {"max_iter": 3000, "tol": None, "average": 150_000, "random_state": 0}
SGD |= {"learning_rate": "constant", "eta0": 0.002}
# their averages of weights with an L1 penalty diverge
NOT_AVERAGED = SGD | {"average": False, "learning_rate": "invscaling", "eta0": 0.02}


def ours(cls, **params):
    return cls(**(EXACT | params))


# name: target, scikit-learn's, ours as a function of S, n and theirs as fitted, tolerance
CASES = {
    "LogisticRegression": (
        *("three", linear_model.LogisticRegression(C=0.3, tol=1e-9, max_iter=1000)),
        *(lambda S, n, _: ours(CLF, alpha=1 / (0.3 * S)), 1e-4),
    ),
    "LogisticRegression, no penalty": (
        *("two", linear_model.LogisticRegression(C=np.inf, tol=1e-9, max_iter=1000)),
        *(lambda S, n, _: ours(CLF, alpha=0), 1e-3),
    ),
    "LinearRegression": (
        *("number", linear_model.LinearRegression()),
        *(lambda S, n, _: ours(LR, alpha=0), 1e-5),
    ),
    "Ridge": (
        *("number", linear_model.Ridge(alpha=7.0)),
        *(lambda S, n, _: ours(LR, alpha=7.0 / S), 1e-5),
    ),
    "Lasso": (
        *("number", linear_model.Lasso(alpha=0.05, tol=1e-9)),
        *(lambda S, n, _: ours(LR, alpha=0.05, l1_ratio=1.0), 1e-4),
    ),
    "ElasticNet": (
        *("number", linear_model.ElasticNet(alpha=0.1, l1_ratio=0.3, tol=1e-9)),
        *(lambda S, n, _: ours(LR, alpha=0.1, l1_ratio=0.3), 1e-4),
    ),
    "PoissonRegressor": (
        *("count", linear_model.PoissonRegressor(alpha=0.2, tol=1e-8)),
        *(lambda S, n, _: ours(LR, loss="poisson", alpha=0.2), 1e-4),
    ),
    "GammaRegressor": (
        *("positive", linear_model.GammaRegressor(alpha=0.2, tol=1e-8)),
        *(lambda S, n, _: ours(LR, loss="gamma", alpha=0.2), 1e-4),
    ),
    "QuantileRegressor": (
        *("number", linear_model.QuantileRegressor(quantile=0.7, alpha=0.02)),
        *(lambda S, n, _: ours(LR, loss="quantile", quantile=0.7, alpha=0.02, l1_ratio=1), 0.02),
    ),
    "HuberRegressor": (
        *("number", linear_model.HuberRegressor(epsilon=1.2, alpha=3.0, max_iter=5000, tol=1e-9)),
        lambda S, n, r: ours(LR, loss="huber", delta=1.2 * r.scale_, alpha=3.0 * r.scale_ / S),
        1e-3,
    ),
    "SGDClassifier": (
        *("two", linear_model.SGDClassifier(loss="log_loss", alpha=0.02, **SGD)),
        *(lambda S, n, _: ours(CLF, alpha=0.02 * n / S), 0.02),
    ),
    "SGDRegressor": (
        *("number", linear_model.SGDRegressor(alpha=0.1, **SGD)),
        *(lambda S, n, _: ours(LR, alpha=0.1 * n / S), 0.02),
    ),
    "SGDRegressor, huber": (
        *("number", linear_model.SGDRegressor(loss="huber", epsilon=0.3, alpha=0.1, **SGD)),
        *(lambda S, n, _: ours(LR, loss="huber", delta=0.3, alpha=0.1 * n / S), 0.02),
    ),
    "SGDRegressor, elasticnet": (
        "number",
        linear_model.SGDRegressor(penalty="elasticnet", alpha=0.1, l1_ratio=0.4, **NOT_AVERAGED),
        *(lambda S, n, _: ours(LR, alpha=0.1 * n / S, l1_ratio=0.4), 0.02),
    ),
    "SGDRegressor, absolute": (
        "number",
        linear_model.SGDRegressor(loss="epsilon_insensitive", epsilon=0, alpha=0.1, **SGD),
        *(lambda S, n, _: ours(LR, loss="absolute_error", alpha=0.1 * n / S), 0.04),
    ),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", CASES)
def test_the_same_minimum_by_the_converted_parameters(case, weights):
    target, theirs, make, tolerance = CASES[case]
    y, weight = Y[target], WEIGHTS[weights]
    theirs.fit(X, y, sample_weight=weight)
    S = len(y) if weight is None else weight.sum()
    found = make(S, len(y), theirs).fit(X, y, sample_weight=weight)
    size = np.abs(theirs.coef_).max()
    np.testing.assert_allclose(found.coef_, theirs.coef_, rtol=0, atol=tolerance * size)
    if case == "LogisticRegression":  # their intercepts differ by what softmax does not see
        np.testing.assert_allclose(found.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    else:
        np.testing.assert_allclose(found.intercept_, theirs.intercept_, atol=tolerance * size)


@pytest.mark.parametrize("schedule", ["constant", "invscaling"])
@pytest.mark.parametrize("kind", ["SGDClassifier", "SGDRegressor"])
def test_a_step_a_row_is_their_step(kind, schedule):
    """Without a penalty, which they apply before the step and we after it."""
    params = {"alpha": 0.0, "learning_rate": schedule, "power_t": 0.3, "shuffle": False}
    common = params | {"max_iter": 3, "n_iter_no_change": 99}
    here = {"solver": "sgd", "batch_size": 1, "precondition": False, "learning_rate_init": 0.02}
    if kind == "SGDClassifier":
        theirs = linear_model.SGDClassifier(loss="log_loss", eta0=0.02, tol=None, **common)
        found, y = CLF(**here, **common), Y["two"]
    else:
        theirs = linear_model.SGDRegressor(eta0=0.02, tol=None, **common)
        found, y = LR(**here, **common), Y["number"]
    with pytest.warns(UserWarning, match="max_iter"):
        found.fit(X, y)
    theirs.fit(X, y)
    np.testing.assert_allclose(found.coef_, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(found.intercept_, theirs.intercept_, rtol=1e-9)


def sections():
    parts = re.split(r"^## (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("heading", [head for head in sections() if "MLP" not in head])
def test_every_parameter_of_theirs_is_in_a_row(heading):
    classes = [getattr(linear_model, name, None) for name in heading.split(", ")]
    for cls in filter(None, classes):
        missing = [
            name
            for name in inspect.signature(cls).parameters
            if not re.search(rf"\b{name}\b", sections()[heading])
        ]
        assert not missing, cls


def test_what_is_the_same_is_a_parameter_or_method_of_ours():
    rows = re.findall(r"^\| (`.*) \| the same\b[^|]* \|", PAGE.read_text(), flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(names) > 20
    for name in names:
        assert name in inspect.signature(CLF).parameters or hasattr(CLF, name), name
