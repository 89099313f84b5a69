"""Hypothesis' profiles: `pytest --hypothesis-profile=long` for the long run of the property tests
over the product of all settings (tests/test_property_product.py). And the kinds of steps on CSR
rows, for whole files, and where networks start."""

import pytest
from by_feature import steps_everywhere
from hypothesis import HealthCheck, settings
from mlp_fits import flat

COMMON = {
    "deadline": None,
    "database": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
}
settings.register_profile("short", max_examples=200, derandomize=True, **COMMON)
settings.register_profile("long", max_examples=10_000, **COMMON)
settings.load_profile("short")


@pytest.fixture(scope="module", params=[False, True], ids=["dense steps", "by feature"])
def sparse_steps(request):
    with steps_everywhere(request.param):
        yield


@pytest.fixture(scope="module")
def by_feature():
    with steps_everywhere(True):
        yield


@pytest.fixture
def start_at(monkeypatch):
    """Let networks start at given weights, and draw none."""

    def inject(coefs, intercepts):
        def given(rng, layout, activations, dtype):
            theta = flat(coefs, intercepts).astype(dtype)
            assert len(theta) == layout.size
            return theta

        monkeypatch.setattr("skopt_est._mlp.glorot", given)

    return inject
