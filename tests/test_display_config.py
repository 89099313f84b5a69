"""show_config tells which kernels run; importing the package changes nothing in the process."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy
import sklearn

import skopt_est


def test_show_config_prints_the_simd_level_and_returns_nothing(capsys):
    assert skopt_est.show_config() is None
    printed = capsys.readouterr().out
    config = skopt_est.show_config(mode="dicts")
    assert "simd" in printed.lower()
    assert str(config["simd"]) in printed
    assert np.__version__ in printed
    assert sklearn.__version__ in printed


def test_config_as_a_dict_prints_nothing_and_is_plain_data(capsys):
    config = skopt_est.show_config(mode="dicts")
    assert capsys.readouterr().out == ""
    assert {"simd", "simd_available", "dependencies"} <= set(config)
    assert json.loads(json.dumps(config)) == json.loads(json.dumps(skopt_est.show_config("dicts")))
    assert config["simd"] in config["simd_available"]
    versions = set(config["dependencies"].values())
    assert {np.__version__, scipy.__version__, sklearn.__version__} <= versions


def test_available_simd_levels_are_those_that_numpy_sees_too():
    features = np._core._multiarray_umath.__cpu_features__
    available = [level.lower() for level in skopt_est.show_config(mode="dicts")["simd_available"]]
    assert ("avx2" in available) == bool(features.get("AVX2") and features.get("FMA3"))
    assert any("avx512" in level for level in available) <= bool(features.get("AVX512F"))


def test_unknown_mode_is_named():
    with pytest.raises(ValueError, match=r"mode.*xml"):
        skopt_est.show_config(mode="xml")


def test_public_names_are_few():
    estimators = {"LinearRegression", "LogisticRegression", "MLPClassifier", "MLPRegressor"}
    displays = {"LossCurveDisplay", "SolverComparisonDisplay"}
    assert set(skopt_est.__all__) - {"__version__"} == {*estimators, *displays, "show_config"}
    assert isinstance(skopt_est.__version__, str)


# Everything that scikit-learn changes by itself is in place before the first look.
PROBE = """
    import json, warnings
    import numpy as np, scipy.optimize, scipy.sparse
    import sklearn.linear_model, sklearn.metrics, sklearn.model_selection
    import sklearn.utils.estimator_checks, sklearn.exceptions

    def mode():
        tiny64 = np.full(64, np.finfo(np.float64).tiny)
        tiny32 = np.full(64, np.finfo(np.float32).tiny, np.float32)
        nan = np.full(64, np.nan)
        python_tiny = 2.2250738585072014e-308
        return {
            "python subnormal": python_tiny / 4,
            "array subnormal": (tiny64 / 4).tolist(),
            "array subnormal, float32": (tiny32 / np.float32(4)).tolist(),
            "smallest": [float(np.nextafter(0.0, 1.0)), float(np.nextafter(0.0, 1.0)) * 1.0],
            "product with a subnormal": ((tiny64 / 4) * 4).tolist(),
            "NaN is equal": (nan == nan).tolist(),
            "NaN is not equal": (nan != nan).tolist(),
            "NaN is less": (nan < 1).tolist(),
            "isnan": np.isnan(nan).tolist(),
            "signed zero": str(np.float64(-0.0) + np.float64(-0.0)),
            "rounding": [0.1 + 0.2, float(np.rint(2.5)), float(np.sqrt(np.float64(2)))],
            "errstate": np.geterr(),
            "print options": {k: str(v) for k, v in np.get_printoptions().items()},
            "warning filters": [str(f) for f in warnings.filters],
            "sklearn config": {k: str(v) for k, v in sklearn.get_config().items()},
            "random": str(np.random.get_state()[1][:5]) + str(np.random.get_state()[2]),
        }

    before = mode()
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        import skopt_est
    after_import = mode()
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(60, 4)), np.ones(60)
    y = X[:, 0] + 0.1 * rng.normal(size=60)
    fits = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        for solver in ("gd", "sgd", "adagrad", "rmsprop", "adam", "nadam", "amsgrad", "lbfgs"):
            for dtype in (np.float32, np.float64):
                for rows in (X.astype(dtype), scipy.sparse.csr_matrix(X.astype(dtype))):
                    settings = dict(solver=solver, max_iter=3, l1_ratio=0.5, random_state=0)
                    skopt_est.LinearRegression(**settings).fit(rows, y)
                    model = skopt_est.LogisticRegression(**settings).fit(rows, y > 0)
                    model.predict_log_proba(rows)
                    fits += 2
    print(json.dumps({
        "before": before,
        "after import": after_import,
        "after fits": mode(),
        "raised": [str(w.message) for w in raised],
        "fits": fits,
    }))
"""


@pytest.fixture(scope="module")
def probe():
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(PROBE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_process_starts_with_ieee_arithmetic(probe):
    before = probe["before"]
    assert before["array subnormal"] == [2.0**-1024] * 64
    assert before["array subnormal, float32"] == [2.0**-128] * 64
    assert not any(before["NaN is equal"])
    assert all(before["NaN is not equal"])


@pytest.mark.parametrize("moment", ["after import", "after fits"])
def test_package_leaves_the_process_as_it_found_it(probe, moment):
    for name, value in probe["before"].items():
        assert probe[moment][name] == value, name


def test_import_is_silent_and_the_probe_did_fit(probe):
    assert probe["raised"] == []
    assert probe["fits"] == 64


def test_import_does_not_load_what_is_not_a_dependency():
    # scikit-learn itself may bring some of them along
    names = "{'pandas', 'matplotlib', 'torch'}"
    code = f"import sys, sklearn.linear_model as _; old = {names} & set(sys.modules); "
    code += f"import skopt_est; print(sorted({names} & set(sys.modules) - old))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
