"""What the package runs on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from typing import Any

from skopt_est import _core

DEPENDENCIES = ("numpy", "scipy", "scikit-learn", "threadpoolctl")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Tell which build of the compiled engine runs, and beside which versions.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, default="stdout"
        Print, or return a dict.

    Returns
    -------
    dict or None
        With mode="dicts": ``simd`` (the vector unit in use: "avx512", "avx2" or "baseline"),
        ``simd_available``, ``python``, ``machine`` and ``dependencies``.

    Raises
    ------
    ValueError
        If `mode` is neither.

    Notes
    -----
    The environment variable ``SKOPT_EST_SIMD``, set before the first import, chooses another
    build than the best one.

    Examples
    --------
    >>> import skopt_est
    >>> skopt_est.show_config(mode="dicts")["simd_available"][-1]
    'baseline'
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}.")
    config = {
        "simd": _core.simd,
        "simd_available": _core.available(),
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
        "dependencies": {name: version(name) for name in DEPENDENCIES},
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {text}" for key, text in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name:15s} {value}")
    return None
