"""Every constructor parameter does what it says where it applies, and nothing elsewhere."""

import inspect
import re
import warnings
from typing import NamedTuple

import joblib
import numpy as np
import pytest
import sklearn.neural_network
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

LINEAR = (LinearRegression, LogisticRegression)
NETWORKS = (MLPClassifier, MLPRegressor)
EVERY = (*LINEAR, *NETWORKS)
ALL = ("gd", "sgd", "adagrad", "rmsprop", "adam", "adamw", "nadam", "amsgrad", "lbfgs")
LINEAR_SOLVERS = tuple(s for s in ALL if s != "adamw")
STEPS = tuple(s for s in ALL if s != "lbfgs")  # those with a learning rate
MINI_BATCH = tuple(s for s in STEPS if s != "gd")
ADAM_LIKE = ("adam", "adamw", "nadam", "amsgrad")

SHARED_DEFAULTS = (
    dict(solver="adam", alpha=1e-4, l1_ratio=0.0, batch_size="auto", learning_rate="adaptive")
    | dict(learning_rate_init="auto", power_t=0.5, max_iter=1000, shuffle=True, tol="auto")
    | dict(random_state=None, verbose=False, warm_start=False, momentum=0.0, rho=0.9)
    | dict(nesterovs_momentum=True, beta_1=0.9, beta_2=0.999, epsilon=1e-8, average=False)
    | dict(early_stopping=False, validation_fraction=0.1, n_iter_no_change=5, scoring="loss")
    | dict(dtype="auto", precondition=True, polish_iter="auto", fit_intercept=True)
)
NETWORK_DEFAULTS = (
    {k: v for k, v in SHARED_DEFAULTS.items() if k not in ("precondition", "polish_iter")}
    | dict(hidden_layer_sizes=(100,), activation="relu", learning_rate="constant", max_iter=200)
    | dict(tol=1e-4, momentum=0.9, n_iter_no_change=10, max_fun=15000, weight_decay=0.01)
    | dict(max_grad_norm=None, dropout=0.0, input_dropout=0.0, n_init=1)
)
del NETWORK_DEFAULTS["fit_intercept"]
DEFAULTS = {
    LinearRegression: SHARED_DEFAULTS | dict(loss="squared_error", delta=1.35, quantile=0.5),
    LogisticRegression: SHARED_DEFAULTS | dict(class_weight=None),
    MLPClassifier: NETWORK_DEFAULTS | dict(class_weight=None, label_smoothing=0.0),
    MLPRegressor: NETWORK_DEFAULTS
    | dict(loss="squared_error", delta=1.35, quantile=0.5, standardize_target=False),
}
BASE = dict(max_iter=6, tol=0.0, random_state=0, batch_size=8)
NETWORK_BASE = dict(hidden_layer_sizes=(4,), learning_rate_init=0.01)


class Case(NamedTuple):
    """Changing the parameter from `start` to `value` matters to `solvers`, and to no other; those
    of `refusing` don't take it."""

    start: object
    value: object
    solvers: tuple = ALL
    given: dict = {}
    repeats: int = 1
    refusing: tuple = ()


def same_score(est, X, y):
    """A validation score that never improves, whatever `tol` means to the solver."""
    return 0.0


SPARSE_MODEL = dict(l1_ratio=0.9, alpha=0.05)
STOPPING = dict(early_stopping=True)
CASES = {
    "solver": Case("sgd", "adagrad"),
    "alpha": Case(1e-4, 1.0),
    "l1_ratio": Case(0.0, 0.7, given=dict(alpha=0.1)),
    "batch_size": Case(8, 16, MINI_BATCH),
    "learning_rate": Case("constant", "cosine", STEPS),
    "learning_rate_init": Case(0.01, 0.02, STEPS),
    "power_t": Case(0.5, 0.25, STEPS, dict(learning_rate="invscaling")),
    "max_iter": Case(1, 6),
    "shuffle": Case(True, False, MINI_BATCH),
    "random_state": Case(0, 1, MINI_BATCH),
    "tol": Case(0.0, 1e3, given=dict(n_iter_no_change=2)),
    "verbose": Case(False, True, ()),
    "warm_start": Case(False, True, repeats=2),
    "momentum": Case(0.0, 0.8, ("sgd",)),
    "nesterovs_momentum": Case(True, False, ("sgd",), dict(momentum=0.8)),
    "beta_1": Case(0.9, 0.5, ADAM_LIKE),
    "beta_2": Case(0.999, 0.9, ADAM_LIKE),
    "rho": Case(0.9, 0.5, ("rmsprop",)),
    "epsilon": Case(1e-8, 0.1, ("adagrad", "rmsprop", *ADAM_LIKE)),
    "early_stopping": Case(False, True),
    "validation_fraction": Case(0.1, 0.3, given=STOPPING),
    "n_iter_no_change": Case(1, 3, given=dict(early_stopping=True, scoring=same_score)),
    "scoring": Case("loss", None, given=STOPPING),
    "average": Case(False, True, STEPS),
    "dtype": Case("float64", "float32"),
    "precondition": Case(True, False),
    "polish_iter": Case(0, 5, given=SPARSE_MODEL),
    "fit_intercept": Case(True, False),
    "loss": Case("squared_error", "huber"),
    "delta": Case(1.35, 0.2, given=dict(loss="huber")),
    "quantile": Case(0.5, 0.9, given=dict(loss="quantile")),
    "class_weight": Case(None, {0: 1.0, 1: 3.0}),
    "hidden_layer_sizes": Case((4,), (3, 2)),
    "activation": Case("relu", "tanh"),
    "max_fun": Case(15000, 2, ("lbfgs",)),
    "weight_decay": Case(0.01, 0.5, ("adamw",)),
    "max_grad_norm": Case(None, 0.01, STEPS, refusing=("lbfgs",)),
    "dropout": Case(0.0, 0.4, STEPS, refusing=("lbfgs",)),
    "input_dropout": Case(0.0, 0.4, STEPS, refusing=("lbfgs",)),
    "n_init": Case(1, 6),
    "label_smoothing": Case(0.0, 0.2),
    "standardize_target": Case(False, True),
}
# The initial weights are random.
NETWORK_CASES = CASES | {"random_state": Case(0, 1)}


def case_of(cls, name):
    return (NETWORK_CASES if cls in NETWORKS else CASES)[name]


def solvers_of(cls):
    return ALL if cls in NETWORKS else LINEAR_SOLVERS


GRID = [
    pytest.param(cls, name, solver, id=f"{cls.__name__}-{name}-{solver}")
    for cls in EVERY
    for name in inspect.signature(cls).parameters
    for solver in (solvers_of(cls) if name != "solver" else ("sgd",))
]
# Settings under which a parameter has nothing to act on: (estimators, name, values, the rest).
IDLE = [
    (EVERY, "power_t", (0.5, 0.9), dict(learning_rate="cosine")),
    (EVERY, "nesterovs_momentum", (True, False), dict(solver="sgd", momentum=0.0)),
    (LINEAR, "random_state", (0, 1), dict(shuffle=False)),
    (EVERY, "batch_size", (60, 100), dict()),
    (EVERY, "validation_fraction", (0.1, 0.4), dict()),
    (EVERY, "scoring", ("loss", None), dict()),
    (EVERY, "average", (True, 1), dict()),
    (EVERY, "average", (False, 10**6), dict()),
    (LINEAR, "polish_iter", ("auto", 0), dict(l1_ratio=0.0)),
    (LINEAR, "polish_iter", ("auto", 5), dict(early_stopping=True, **SPARSE_MODEL)),
    (EVERY, "dtype", ("auto", "float64"), dict()),
    (EVERY, "warm_start", (False, True), dict()),
    ((LinearRegression, MLPRegressor), "delta", (1.35, 0.2), dict(loss="squared_error")),
    ((LinearRegression, MLPRegressor), "quantile", (0.5, 0.9), dict(loss="absolute_error")),
    ((LogisticRegression, MLPClassifier), "class_weight", (None, {0: 1.0, 1: 1.0}), dict()),
    (NETWORKS, "hidden_layer_sizes", ((4,), 4), dict()),
    (NETWORKS, "activation", ("relu", "tanh"), dict(hidden_layer_sizes=())),
    (NETWORKS, "activation", ("tanh", ["tanh"] * 2), dict(hidden_layer_sizes=(4, 3))),
    (NETWORKS, "dropout", (0.3, (0.3, 0.3)), dict(hidden_layer_sizes=(4, 3))),
    (NETWORKS, "dropout", (0.0, 0.3), dict(hidden_layer_sizes=())),
    (NETWORKS, "dropout", (0.0, [0.0]), dict(solver="lbfgs")),
    (NETWORKS, "max_grad_norm", (None, 1e9), dict()),
    (NETWORKS, "momentum", (0.9, 0.1), dict(solver="adam")),
    (NETWORKS, "scoring", ("loss", None), dict(n_init=3)),
]


def data(cls):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) * [1.0, 3.0, 0.5, 1.0] + 1.0
    y = X @ [1.0, -1.0, 0.5, 0.0] + rng.normal(size=60)
    return X, (y > np.median(y) + 0.7).astype(int) if is_classifier(cls()) else y


def weights_of(est):
    if isinstance(est, NETWORKS):
        return np.concatenate([np.ravel(array) for array in est.coefs_ + est.intercepts_])
    return np.append(est.coef_, est.intercept_)


def run(cls, repeats=1, **params):
    """Fit and collect every number that a parameter could move."""
    est = cls(**{**BASE, **(NETWORK_BASE if cls in NETWORKS else {}), **params})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(repeats):
            est.fit(*data(cls))
    return {
        "weights": weights_of(est).astype(float),
        "loss_curve_": np.array(est.loss_curve_),
        "validation_scores_": np.array(est.validation_scores_ or []),
        "counters": np.array([est.n_iter_, est.t_, est.n_updates_]),
    }


def same_bits(one, other):
    return all(one[k].tobytes() == other[k].tobytes() for k in one)


@pytest.mark.parametrize(("cls", "name", "solver"), GRID)
def test_parameter_acts_on_its_solvers_and_on_no_other(cls, name, solver):
    case = case_of(cls, name)
    settings = {"solver": solver, **case.given}
    before = run(cls, case.repeats, **settings | {name: case.start})
    if solver in case.refusing:
        with pytest.raises(ValueError, match=rf"solver='{solver}'.*{name}.*{case.value}"):
            run(cls, **settings | {name: case.value})
        return
    after = run(cls, case.repeats, **settings | {name: case.value})
    if solver in case.solvers:
        assert not same_bits(before, after), f"{name} does nothing to {solver}"
    else:
        for key in before:
            np.testing.assert_array_equal(before[key], after[key], err_msg=f"{name} moves {key}")


@pytest.mark.parametrize(
    ("cls", "name", "values", "settings"),
    [(cls, *rest) for classes, *rest in IDLE for cls in classes],
)
def test_parameter_is_idle_where_it_has_nothing_to_act_on(cls, name, values, settings):
    one, other = (run(cls, **settings | {name: value}) for value in values)
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


@pytest.mark.parametrize("cls", EVERY)
def test_scoring_and_validation_fraction_do_not_compete_with_given_rows(cls):
    X, y = data(cls)
    curves = []
    for fraction in (0.1, 0.4):
        est = cls(**BASE, early_stopping=True, validation_fraction=fraction)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            est.fit(X, y, X_val=X[::2], y_val=y[::2])
        curves.append((weights_of(est).tobytes(), est.validation_scores_))
    assert curves[0] == curves[1]


@pytest.mark.parametrize(("cls", "solver"), [(c, s) for c in EVERY for s in solvers_of(c)])
def test_verbose_prints_and_silence_does_not(cls, solver, capfd):
    run(cls, solver=solver)
    silent = capfd.readouterr()
    assert silent.out == silent.err == ""
    run(cls, solver=solver, verbose=True)
    assert "loss" in capfd.readouterr().out.lower()


@pytest.mark.parametrize("cls", EVERY)
def test_signature_has_the_documented_names_and_defaults(cls):
    parameters = inspect.signature(cls).parameters
    if cls in LINEAR:
        assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    found = {name: p.default for name, p in parameters.items()}
    assert found == DEFAULTS[cls]
    types = {name: type(value) for name, value in found.items()}
    assert types == {name: type(value) for name, value in DEFAULTS[cls].items()}


@pytest.mark.parametrize("cls", NETWORKS)
def test_networks_have_the_signature_of_scikit_learn_first(cls):
    theirs = inspect.signature(getattr(sklearn.neural_network, cls.__name__)).parameters
    ours = inspect.signature(cls).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].kind == parameter.kind, name
        if name != "learning_rate_init":
            assert ours[name].default == parameter.default, name
    new = [ours[name] for name in list(ours)[len(theirs) :]]
    assert {parameter.kind for parameter in new} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("cls", NETWORKS)
def test_automatic_rate_is_the_default_of_scikit_learn(cls, solver):
    default = inspect.signature(getattr(sklearn.neural_network, cls.__name__)).parameters
    rate = default["learning_rate_init"].default
    auto, given = (run(cls, solver=solver, learning_rate_init=r) for r in ("auto", rate))
    assert rate == 0.001
    assert same_bits(auto, given)


@pytest.mark.parametrize("cls", EVERY)
def test_every_parameter_is_described(cls):
    text = inspect.getdoc(cls)
    section = text.split("Parameters\n")[1].split("Attributes\n")[0]
    for name in inspect.signature(cls).parameters:
        entry = section.partition(f"\n{name} : ")[2].partition("\n\n")[0]
        assert len(entry.split()) > 4, name
    for documented in (cls, cls.fit, cls.partial_fit):
        assert not re.search(r"^ *\{\w+\}", documented.__doc__, re.MULTILINE)


@pytest.mark.parametrize("cls", EVERY)
def test_init_sets_the_parameters_as_given_and_nothing_else(cls):
    given = {name: object() for name in DEFAULTS[cls]}
    est = cls(**given)
    assert vars(est) == given
    assert est.get_params() == given


@pytest.mark.parametrize("cls", EVERY)
def test_fit_leaves_the_parameters_alone(cls):
    # numbers, names and containers that a careless fit would replace by resolved ones
    rng = np.random.RandomState(3)
    given = dict(random_state=rng, max_iter=2, learning_rate_init="auto", batch_size=1000)
    if cls in NETWORKS:
        given |= dict(hidden_layer_sizes=[3, 2], activation=["relu", "tanh"], dropout=[0.1, 0.0])
    if is_classifier(cls()):
        given["class_weight"] = {0: 1.0, 1: 2.0}
    est = cls(**given)
    params = est.get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(*data(cls))
    assert all(est.get_params()[name] is value for name, value in params.items())


@pytest.mark.parametrize("cls", EVERY)
def test_get_set_and_clone_are_round_trips(cls):
    names = set(DEFAULTS[cls]) - {"solver"}
    values = {name: case_of(cls, name).value for name in names} | {"solver": "nadam"}
    est = cls().set_params(**values)
    assert est.get_params() == values
    copy = clone(est)
    assert copy is not est
    assert copy.get_params() == values
    assert cls(**copy.get_params()).get_params() == values
    assert clone(cls()).get_params() == DEFAULTS[cls]


BAD = {
    "solver": ("newton", None, "Adam"),
    "alpha": (-1.0, np.nan, np.inf, "1", None),
    "l1_ratio": (-0.1, 1.1, np.nan, "half"),
    "batch_size": (0, -3, 2.5, "full", None),
    "learning_rate": ("fast", 0.1, None),
    "learning_rate_init": (0.0, -0.1, np.nan, np.inf, "big", None),
    "power_t": (-0.5, np.nan, np.inf, "half"),
    "max_iter": (0, -1, 2.5, "many", None),
    "shuffle": ("yes", 2),
    "random_state": ("seed", -1, 0.5),
    "tol": (-1e-3, np.nan, "small", None),
    "verbose": ("loud",),
    "warm_start": ("yes", 2),
    "momentum": (-0.1, 1.0, 1.5, np.nan, None),
    "nesterovs_momentum": ("yes", 2),
    "beta_1": (-0.1, 1.0, np.nan, "high"),
    "beta_2": (-0.1, 1.0, np.nan, "high"),
    "rho": (-0.1, 1.0, np.nan, "high"),
    "epsilon": (0.0, -1e-8, np.nan, np.inf, "tiny"),
    "early_stopping": ("yes", 2),
    "validation_fraction": (0.0, 1.0, -0.1, np.nan, 5),
    "n_iter_no_change": (0, -1, 2.5, None),
    "scoring": ("no_such_score", 3),
    "average": (-1, 2.5, "yes"),
    "dtype": ("float16", "int", 3),
    "precondition": ("yes", 2),
    "polish_iter": (-1, 1.5, "always", None),
    "fit_intercept": ("yes", 2),
    "loss": ("hinge", None),
    "delta": (0.0, -1.0, np.nan, np.inf, None),
    "quantile": (0.0, 1.0, -0.5, np.nan, None),
    "class_weight": ("auto", {0: -1.0}, {0: np.nan}),
    "hidden_layer_sizes": (0, -1, 2.5, True, None, "many", (4, 0), (4, 2.5), [True], (4, "2")),
    "activation": ("step", None, 3, ["step"], ["relu", "relu"], [], [None]),
    "max_fun": (0, -1, 2.5, None),
    "weight_decay": (-0.1, np.nan, "strong", None),
    "max_grad_norm": (0.0, -1.0, np.nan, "long"),
    "dropout": (-0.1, 1.0, np.nan, "half", None, [1.0], [0.1, 0.1], [], [None], ["half"]),
    "input_dropout": (-0.1, 1.0, np.nan, "half", None, [0.1]),
    "n_init": (0, -1, 2.5, None),
    "label_smoothing": (-0.1, 1.0, np.nan, None),
    "standardize_target": ("yes", 2),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("cls", "name"), [(cls, n) for cls in EVERY for n in inspect.signature(cls).parameters]
)
def test_value_out_of_range_is_named_with_what_came(cls, name, method):
    est = cls(max_iter=2, random_state=0, **(NETWORK_BASE if cls in NETWORKS else {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(*data(cls))
    for value in BAD[name] + (("auto",) if name == "tol" and cls in NETWORKS else ()):
        est.set_params(**{name: value})
        before = {k: joblib.hash(v) for k, v in vars(est).items()}
        with pytest.raises(ValueError) as caught:
            getattr(est, method)(*data(cls))
        shown = "-1|nan" if isinstance(value, dict) else re.escape(repr(value))
        assert re.search(rf"\b{name}\b.*({shown})", str(caught.value), re.DOTALL)
        assert {k: joblib.hash(v) for k, v in vars(est).items()} == before
