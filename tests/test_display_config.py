"""show_config tells which kernels run; the public names."""

import json

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
