"""Importing and running the package leaves the process as it was."""

import ctypes
import json
import os
import platform
import subprocess
import sys
import sysconfig

import hygiene_probe
import pytest

from skopt_est._core import available

UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}  # the argument of fesetround


def run(*arguments, **environment):
    """What a new process prints, which is JSON."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=available())
def probe(request):
    return run(hygiene_probe.__file__, SKOPT_EST_SIMD=request.param, LC_ALL="C.UTF-8")


@pytest.mark.parametrize("moment", ["after import", "after fits", "after failures"])
def test_package_leaves_the_process_as_it_found_it(probe, moment):
    assert probe["before"].keys() == probe[moment].keys()
    for name, value in probe["before"].items():
        assert probe[moment][name] == value, name


def test_process_starts_with_ieee_arithmetic(probe):
    before = probe["before"]
    assert before["python subnormal"] == 2.0**-1024
    assert before["subnormals"] == [2.0**-1024] * 64
    assert before["subnormals, float32"] == [2.0**-128] * 64
    equal, unequal, less = before["NaN is equal, unequal, less"]
    assert all(unequal) and not any(equal) and not any(less)


def test_import_is_silent_and_the_probe_did_fit_and_fail(probe):
    assert probe["raised"] == []
    assert probe["fits"] == 4 * (8 + 8 + 9 + 9)
    assert probe["failures"] == ["KeyboardInterrupt", "OSError", "ValueError", "ValueError"] * 2


@pytest.mark.parametrize(
    "change, name",
    [
        ("warnings.simplefilter('ignore', UserWarning)", "warning filters"),
        ("setattr(warnings, 'showwarning', print)", "showwarning"),
        ("numpy.seterr(all='raise')", "numpy's errors"),
        ("os.environ.update(OMP_NUM_THREADS='3')", "environment"),
    ],
)
def test_probe_sees_what_fits_would_change(change, name):
    found = run(
        "-c",
        "import numpy, os, sys, warnings\n"
        f"sys.path.insert(0, {os.path.dirname(hygiene_probe.__file__)!r})\n"
        "import hygiene_probe\n"
        f"hygiene_probe.make_fits = lambda: str({change})\n"
        "hygiene_probe.make_failures = lambda: []\n"
        "hygiene_probe.main()",
    )
    before, after = found["before"], found["after fits"]
    assert [key for key in before if before[key] != after[key]] == [name]


def test_probe_sees_the_control_register():
    """Rounding upward changes what is read, so that an unchanged value tells something."""
    libc = ctypes.CDLL(None)
    nearest = hygiene_probe.control_register()
    try:
        assert libc.fesetround(UPWARD[platform.machine()]) == 0
        upward = hygiene_probe.control_register()
    finally:
        libc.fesetround(0)
    assert upward != nearest == hygiene_probe.control_register()


def test_import_does_not_load_what_is_not_a_dependency():
    # scikit-learn itself may bring some of them along
    names = "{'dask', 'distributed', 'matplotlib', 'pandas', 'pyarrow', 'torch'}"
    loaded = run(
        "-c",
        f"import json, sys, sklearn.linear_model; old = {names} & set(sys.modules); "
        f"import skopt_est; print(json.dumps(sorted({names} & set(sys.modules) - old)))",
    )
    assert loaded == []


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="the interpreter always has a GIL"
)
def test_import_does_not_turn_the_gil_on():
    before, after = run(
        "-c",
        "import importlib, json, sys, sklearn.neural_network\n"
        "before = sys._is_gil_enabled()\n"
        "from skopt_est._core import available\n"
        "for unit in available():\n"
        "    for name in 'engine', 'moments':\n"
        "        importlib.import_module(f'skopt_est._core.{name}_{unit}')\n"
        "print(json.dumps([before, sys._is_gil_enabled()]))",
        PYTHON_GIL="",  # as if not set: with 0, no module could turn it on
    )
    if before:
        pytest.skip("scikit-learn, or what it imports, turns the GIL on")
    assert not after
