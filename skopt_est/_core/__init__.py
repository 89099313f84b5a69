"""The compiled core, and the choice of its build for this processor.

The engine is compiled once for each vector unit. The best one that the processor supports is
taken at import; the environment variable ``SKOPT_EST_SIMD`` ("baseline", "avx2", "avx512")
overrides that choice, for tests and for comparing machines.
"""

import importlib
import importlib.util
import os
from types import ModuleType

from skopt_est._core.cpu import supported


def available() -> list[str]:
    """Names of the engine's builds that are installed and can run here, best first."""
    return [
        name
        for name in supported()
        if importlib.util.find_spec(f"skopt_est._core.engine_{name}") is not None
    ]


def get_engine(name: str | None = None) -> ModuleType:
    """The engine built for the vector unit `name`, or the one in use if None."""
    if name is None:
        return engine
    choices = available()
    if name not in choices:
        raise ValueError(f"SIMD level {name!r} is not available here; choose from {choices}")
    return importlib.import_module(f"skopt_est._core.engine_{name}")


simd: str = os.environ.get("SKOPT_EST_SIMD") or available()[0]
if simd not in available():
    raise ImportError(
        f"SKOPT_EST_SIMD={simd!r}: no such build runs here; choose from {available()}."
    )
engine: ModuleType = get_engine(simd)
moments: ModuleType = importlib.import_module(f"skopt_est._core.moments_{simd}")
