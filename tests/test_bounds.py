"""The loops in C that the benchmark `bounds` times: they compute what they are timed for."""

import os
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

# By its path: the benchmarks are not installed, and the clone's root is not to be importable.
PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "bounds_loops.py"
Loops = runpy.run_path(str(PATH))["Loops"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loops_agree_with_numpy(dtype):
    if shutil.which(os.environ.get("CC", "cc")) is None:
        with pytest.raises(SystemExit, match="no C compiler"):
            Loops(dtype, 20)
    else:
        Loops(dtype, 20).check()


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit, match="no C compiler"):
        Loops(np.float32, 20)
