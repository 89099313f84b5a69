"""Other libraries, each used where it is installed."""

import importlib
import importlib.util
from functools import cache
from types import ModuleType


@cache
def torch() -> ModuleType | None:
    """PyTorch with one thread."""
    module = _import("torch")
    if module is not None:
        module.set_num_threads(1)
    return module


@cache
def lightning() -> ModuleType | None:
    """sklearn-contrib-lightning's classifiers; another project's package has the same name."""
    return _import("lightning.classification")


@cache
def vowpalwabbit() -> ModuleType | None:
    return _import("vowpalwabbit")


def _import(name: str) -> ModuleType | None:
    """The module, or nothing if its package is not installed; a broken one raises."""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    return None if found is None else importlib.import_module(name)
