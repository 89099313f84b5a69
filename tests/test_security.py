"""What SECURITY.md promises: no text is evaluated, nothing is pickled, and a file that was tampered
with ends in an error."""

import ast
import copy
import os
import re
from pathlib import Path

import numpy as np
import pytest
import skops.io
from scipy import sparse
from skops.io.exceptions import UntrustedTypesFoundException

import skopt_est
from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PACKAGE = Path(skopt_est.__file__).parent
CALLS = {"eval", "exec", "compile", "__import__", "open", "input", "breakpoint"}
MODULES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "runpy"}
MODULES |= {
    "subprocess",
    "socket",
    "ssl",
    "http",
    "urllib",
    "requests",
    "ctypes",
    "multiprocessing",
}
# the choice of the engine's build: module, what it uses there
ALLOWED = {("_core/__init__.py", "importlib"), ("_core/__init__.py", "importlib.util")}
ALLOWED |= {("_core/__init__.py", "os.environ"), ("_config.py", "importlib.metadata")}
# a child process must not inherit a lock that a thread of its parent held
ALLOWED |= {("_threads.py", "os.register_at_fork")}


def findings(text):
    """What a Python source does that it shouldn't."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None)
            if name in CALLS:
                yield name
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                if name.partition(".")[0] in MODULES | {"importlib"}:
                    yield name
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) == "os":
            yield f"os.{node.attr}"
        if isinstance(node, ast.Name) and node.id in {"__builtins__", "__loader__"}:
            yield node.id


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_python_sources_evaluate_and_pickle_nothing(path):
    where = path.relative_to(PACKAGE).as_posix()
    found = {(where, what) for what in findings(path.read_text("utf-8"))}
    assert found <= ALLOWED


@pytest.mark.parametrize(
    "path",
    sorted(path for path in PACKAGE.rglob("*.p[yx]*") if path.suffix in (".pyx", ".pxd", ".pxi")),
    ids=lambda path: path.name,
)
def test_cython_sources_evaluate_and_pickle_nothing(path):
    code = re.sub(r"#.*", "", path.read_text("utf-8"))
    assert not re.search(rf"\b({'|'.join(CALLS)}|system)\s*\(", code)
    assert not re.search(rf"^\s*(c?import|from)\s+({'|'.join(MODULES)}|os|sys)\b", code, re.M)


def test_the_search_finds_what_it_looks_for():
    bad = ["eval('1')", "import pickle", "from joblib import load", "import os; os.system('x')"]
    bad += ["def f():\n    exec(x)", "import a, subprocess as b", "import importlib.util"]
    assert all(list(findings(text)) for text in bad)
    assert not list(findings("evaluate(x); from skopt_est import linear; opened = 1"))


@pytest.mark.parametrize(
    "name",
    [
        *("solver", "loss", "activation", "learning_rate", "learning_rate_init", "scoring"),
        *("dtype", "class_weight", "batch_size", "tol", "hidden_layer_sizes", "dropout"),
        "polish_iter",
    ],
)
def test_text_in_parameters_is_looked_up_and_not_evaluated(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "__import__('pathlib').Path('made').touch()"
    taken = 0
    for cls in (LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor):
        est = cls(max_iter=2, early_stopping=True)
        if name in est.get_params():
            taken += 1
            with pytest.raises(ValueError):
                est.set_params(**{name: text}).fit(np.eye(30), np.arange(30) % 2)
    assert taken and not list(tmp_path.iterdir())


# -- files ---------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(40, 4))
SIGNAL = X @ [1.0, -2.0, 0.5, 0.0]
THREE = np.digitize(SIGNAL, [-1, 1])
FITTED = [
    LinearRegression(average=True).partial_fit(X, SIGNAL),
    LogisticRegression(solver="sgd", momentum=0.5).partial_fit(X, THREE, classes=[0, 1, 2]),
    MLPClassifier((4, 3), average=True).partial_fit(X, THREE, classes=[0, 1, 2]),
    MLPRegressor(hidden_layer_sizes=(3,), solver="nadam").partial_fit(X, SIGNAL),
]
each = pytest.mark.parametrize("est", FITTED, ids=lambda est: type(est).__name__)


def own(est):
    return f"{type(est).__module__}.{type(est).__name__}"


@each
def test_skops_names_a_function_that_was_smuggled_in(est):
    est = copy.deepcopy(est).set_params(learning_rate=os.system)
    data = skops.io.dumps(est)
    foreign = set(skops.io.get_untrusted_types(data=data)) - {own(est)}
    assert len(foreign) == 1 and "system" in foreign.pop()
    with pytest.raises(UntrustedTypesFoundException):
        skops.io.loads(data, trusted=[own(est)])


def test_the_example_of_the_document_runs(tmp_path, monkeypatch):
    document = Path(__file__).parents[1] / "SECURITY.md"
    (block,) = re.findall(r"```python\n(.*?)```", document.read_text("utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    skops.io.dump(FITTED[1], "model.skops")
    names = {}
    exec(block, names)
    np.testing.assert_array_equal(names["model"].predict(X), FITTED[1].predict(X))


def places(value, path=()):
    """Paths to the arrays, and to the numbers and names of the training's state."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        state = path[:1] == ("_state",) and isinstance(item, int | float | str)
        if isinstance(item, np.ndarray) or state:
            yield (*path, key)
        elif isinstance(item, dict | list):
            yield from places(item, (*path, key))


def at(root, path):
    for key in path:
        root = root[key]
    return root


def wrong(value):
    """Replacements of a stored value that aren't fit to be used."""
    if not isinstance(value, np.ndarray):
        return [-1, 2**62, -(2**70), float("nan"), "text", None]
    out = [None, value[:0], value[:-1], np.concatenate([value] * 3), value[None], np.array(1.0)]
    out += [value.astype(object), np.repeat(value, 2, axis=-1)[..., ::2]]
    out += [value.astype(kind) for kind in ("float16", "int8", ">f8", "float32")]
    if value.dtype.kind == "f":
        out.append(value * np.nan)
    if value.ndim == 2:
        out += [value.T, value[:, :-1], np.asfortranarray(value)]
    return out


def predict(est, rows, y):
    est.predict(rows)
    getattr(est, "predict_proba", est.predict)(rows)


def train_on(est, rows, y):
    est.partial_fit(rows, y)


def train_warm(est, rows, y):
    est.set_params(warm_start=True, max_iter=1).fit(rows, y)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "use, form",
    [
        (predict, np.asarray),
        (train_on, np.asarray),
        (train_on, sparse.csr_matrix),
        (train_warm, np.asarray),
    ],
    ids=["predict", "train on", "train on CSR", "train warm"],
)
@each
def test_wrong_arrays_in_a_file_end_in_an_error(est, use, form):
    """Or in numbers; a crash would end this process."""
    rows, y = form(X), SIGNAL
    if hasattr(est, "classes_"):
        y = THREE
    if form is not np.asarray:
        est = copy.deepcopy(est).set_params(max_iter=1).fit(rows, y)
    errors = 0
    for path in places(vars(est)):
        for value in wrong(at(vars(est), path)):
            changed = copy.deepcopy(est)
            at(vars(changed), path[:-1])[path[-1]] = value
            try:
                use(changed, rows, y)
            except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError):
                errors += 1
    assert errors >= 5
