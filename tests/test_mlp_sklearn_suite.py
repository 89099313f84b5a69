"""scikit-learn's own tests of its networks, with ours in their place.

The installed ``sklearn/neural_network/tests/test_mlp.py`` is loaded as a module of its own and its
tests are collected here. Those that can't hold are run all the same, and have to fail.
"""

import contextlib
import functools
import importlib.util
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
import sklearn.neural_network
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.fixes import parse_version

import skopt_est

SEED = 0  # of those with which test_preserve_feature_names fails
# Older versions lack some of the tests, and some of their messages are as ours.
RECENT = parse_version(sklearn.__version__) >= parse_version("1.9")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# They look at private attributes of scikit-learn's networks, or set them by hand:
# name -> (the error it ends with, the tests of ours on the same subject).
PRIVATE = {
    "test_fit": (AssertionError, "test_reference_mlp.py: any run, step by step"),
    "test_gradient": (AttributeError, "test_mlp_gradients.py: gradients by differences"),
    "test_learning_rate_warmstart": (
        AttributeError,
        "test_mlp_stopping.py: test_rate_goes_on_in_a_resumed_fit",
    ),
    "test_adaptive_learning_rate": (
        AttributeError,
        "test_mlp_stopping.py: test_adaptive_rate_is_cut_at_every_stall",
    ),
    "test_n_iter_no_change": (
        AttributeError,
        "test_mlp_stopping.py: test_patience_is_exact_on_the_training_loss",
    ),
    "test_n_iter_no_change_inf": (
        AttributeError,
        "test_mlp_stopping.py: test_infinite_patience_goes_to_max_iter",
    ),
}
# They compare the words of a message. They run, and the type of the error counts.
WORDING = (
    "test_nonfinite_params",
    "test_warm_start",
    "test_early_stopping_stratified",
    "test_mlp_partial_fit_after_fit",
    "test_minimum_input_sample_size",
)
# Another behaviour, documented: name -> (the error, what is different). What remains of it is
# tested below.
DIFFERENT = {
    "test_predict_proba_multilabel": (
        AssertionError,
        "log-probabilities are computed in log space; log(1 - 1e-16) has no digit right",
    ),
    "test_verbose_sgd": (AssertionError, "verbose=10 prints every tenth epoch, of two none"),
    "test_early_stopping": (AssertionError, "best_loss_ is there with early stopping too"),
    "test_preserve_feature_names": (
        ConvergenceWarning,
        "early stopping by the validation loss, which goes on falling where accuracy or R² is 1, "
        "to max_iter: for 59 of 60 seeds in the classifier, for 12 in the regressor",
    ),
}


class AnyWords:
    """pytest, with errors told by their type."""

    def __getattr__(self, name):
        return getattr(pytest, name)

    def raises(self, expected, match=None):
        return pytest.raises(expected)


def load():
    """The test module, its networks replaced by ours."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLPClassifier", "MLPRegressor"):
            patch.setattr(sklearn.neural_network, name, getattr(skopt_est, name))
        spec.loader.exec_module(module)
    return module


def fails(test, error):
    """The test, turned round."""

    @functools.wraps(test)
    def turned(**arguments):
        with pytest.raises(error):
            test(**arguments)

    return turned


SUITE, ANY_WORDS = load(), load()
ANY_WORDS.pytest = AnyWords()
TESTS = {name: value for name, value in vars(SUITE).items() if name.startswith("test_")}
FAILING = PRIVATE | DIFFERENT

for name, function in TESTS.items():
    if name in FAILING:
        globals()[f"{name}_differs"] = fails(function, FAILING[name][0])
    else:
        globals()[name] = getattr(ANY_WORDS, name) if name in WORDING else function


@pytest.fixture(autouse=True)
def seed_of_unseeded_networks():
    """Many of the tests leave random_state at None, which is NumPy's own generator."""
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(SEED)  # noqa: NPY002
    yield
    np.random.set_state(state)  # noqa: NPY002


@pytest.fixture
def global_random_seed():
    return 42


def test_the_networks_under_test_are_ours():
    assert SUITE.MLPClassifier is ANY_WORDS.MLPClassifier is skopt_est.MLPClassifier
    assert SUITE.MLPRegressor is ANY_WORDS.MLPRegressor is skopt_est.MLPRegressor
    assert sklearn.neural_network.MLPClassifier is not skopt_est.MLPClassifier


def test_every_listed_test_exists():
    missing = {*FAILING, *WORDING} - TESTS.keys()
    assert not (RECENT and missing)
    assert len(TESTS) > 40


@pytest.mark.parametrize("name", WORDING)
def test_every_test_of_words_compares_words(name):
    if test := TESTS.get(name):
        cases = [skopt_est.MLPClassifier] if name == "test_mlp_partial_fit_after_fit" else []
        words = pytest.raises(AssertionError, match="did not match")
        with words if RECENT else contextlib.suppress(AssertionError):
            test(*cases)


# -- what remains of the behaviour that differs ------------------------------------------------


def test_probabilities_of_labels_and_their_logarithms():
    X, Y = make_multilabel_classification(n_samples=50, random_state=0, return_indicator=True)
    clf = skopt_est.MLPClassifier(solver="lbfgs", hidden_layer_sizes=30, random_state=0).fit(X, Y)
    proba, log_proba = clf.predict_proba(X), clf.predict_log_proba(X)
    assert proba.shape == log_proba.shape == Y.shape
    np.testing.assert_array_equal(proba > 0.5, Y)
    np.testing.assert_array_equal(clf.predict(X), Y)
    assert np.ptp(proba.sum(axis=1)) > 0.5  # no softmax
    assert np.isfinite(log_proba).all() and (log_proba < 0).all()
    np.testing.assert_allclose(np.exp(log_proba), proba, rtol=1e-12)


@pytest.mark.parametrize(("verbose", "epochs"), [(True, 7), (1, 7), (3, 2), (10, 0), (False, 0)])
def test_verbose_prints_every_so_manyth_epoch(verbose, epochs, capsys):
    X, y = [[3, 2], [1, 6]], [1, 0]
    clf = skopt_est.MLPClassifier(2, solver="sgd", max_iter=5, verbose=verbose)
    clf.fit(X, y)
    clf.partial_fit(X, y).partial_fit(X, y)
    assert capsys.readouterr().out.count("Epoch") == epochs


@pytest.mark.parametrize("scoring", ["loss", None])
@pytest.mark.parametrize("cls", [skopt_est.MLPClassifier, skopt_est.MLPRegressor])
def test_early_stopping_keeps_scores_and_losses(cls, scoring):
    X, y = load_digits(n_class=2, return_X_y=True)
    X, y = X[:100] / 16, y[:100]
    est = cls(tol=0.2, max_iter=3000, solver="sgd", early_stopping=True, scoring=scoring)
    est.fit(X, y)
    assert est.n_iter_ < est.max_iter
    assert isinstance(est.validation_scores_, list)
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert est.best_validation_score_ + 0.2 > max(est.validation_scores_[-2:])
    assert est.best_loss_ == min(est.loss_curve_)
    est.set_params(early_stopping=False).fit(X, y)
    assert est.validation_scores_ is None
    assert est.best_validation_score_ is None
    assert est.best_loss_ == min(est.loss_curve_)


@pytest.mark.parametrize("cls", [skopt_est.MLPClassifier, skopt_est.MLPRegressor])
def test_names_of_columns_are_kept_where_the_own_score_decides(cls):
    X = np.random.RandomState(0).randn(10, 2)
    X = pd.DataFrame(X, columns=["colname_a", "colname_b"])
    y = pd.Series(np.full(10, 1), name="colname_y")
    est = cls(early_stopping=True, validation_fraction=0.2, scoring=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        est.fit(X, y)
    assert est.feature_names_in_.tolist() == ["colname_a", "colname_b"]
