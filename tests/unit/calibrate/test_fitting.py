"""The fit of the cost model, on a made-up device whose costs are known."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the cost model counts the work of torch operators")
pytest.importorskip("scipy", reason="the fit uses its least squares")

from edge_pipeline.calibrate import fitting
from edge_pipeline.calibrate.fitting import fit, quality_of
from edge_pipeline.calibrate.grid import call_of, layer_of
from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.choice import plans_of
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    CostSample,
    load_costs,
    predict,
)
from edge_pipeline.device_profile import load_profile

GRID = (
    (16, 4, 3, 96),
    (16, 16, 3, 96),
    (3, 16, 3, 96),
    (8, 16, 3, 48),
    (16, 8, 3, 48),
    (4, 24, 3, 32),
)
# Cheaper than any algorithm of the made-up device, so that it binds nothing.
LEAST = 1.0
QUALITY = {
    "median_error": 0.0,
    "p90_error": 0.0,
    "held_out_layers": 1,
    "best_found": 0,
    "within_10_percent": 0,
}


def truth():
    """A device on which each algorithm has costs of its own."""
    keys = ("per_gflop", "per_near_gb", "per_far_gb", "per_operator")
    rng = np.random.default_rng(7)
    names = [CONSTANT.algorithm, NATIVE.algorithm, *ALGORITHMS]
    algorithms = {
        n: dict(zip(keys, rng.uniform((5, 20, 40, 0.001), (20, 40, 80, 0.01)), strict=True))
        for n in names
    }
    fields = {"cache_bytes": 1 << 20, "lanes": 16, "forms": algorithms, "tools": {}}
    return BackendCosts.model_validate(fields | {"quality": QUALITY})


def measured(noise=0.0):
    rng = np.random.default_rng(3)
    samples = []
    for layer in GRID:
        call = call_of(layer)
        for plan in [CONSTANT, *plans_of(call, constant=False)]:
            times = predict(truth(), call, plan) * (1 + noise * rng.standard_normal(5))
            fields = {"backend": "onnx", "form": plan.algorithm, "strip_bytes": plan.strip_bytes}
            sizes = {"size": call.size, "weight": call.weight}
            samples.append(CostSample.model_validate(fields | sizes | {"ms": tuple(times)}))
    return samples


@pytest.fixture
def narrow(monkeypatch):
    """Fewer cache sizes and lanes to try; the true ones among them."""
    monkeypatch.setattr(fitting, "CACHES", (1 << 18, 1 << 20))
    monkeypatch.setattr(fitting, "LANES", (1, 16))


def test_a_device_that_is_as_the_model_says_is_found_again(narrow):
    samples = measured()
    model = fit(samples, LEAST)
    quality = quality_of(samples, model, LEAST)
    assert (model.cache_bytes, model.lanes) == (1 << 20, 16)
    assert quality.median_error < 1e-3
    assert quality.held_out_layers == len(GRID)
    assert quality.within_10_percent >= len(GRID) - 1


def test_noise_shows_in_the_error_that_is_reported(narrow):
    samples = measured(noise=0.2)
    assert quality_of(samples, fit(samples, LEAST), LEAST).median_error > 0.02


def test_times_that_follow_no_work_are_not_ranked(narrow):
    """A planted fault: the times of another layer."""
    samples = measured()
    turned = [
        s.model_copy(update={"ms": o.ms}) for s, o in zip(samples, samples[::-1], strict=True)
    ]
    assert quality_of(turned, fit(turned, LEAST), LEAST).median_error > 0.1


def test_instructions_are_fitted_like_times(narrow):
    counts = [
        s.model_copy(update={"ms": (), "instructions": tuple(round(1e6 * v) for v in s.ms)})
        for s in measured()
    ]
    model = fit(counts, LEAST)
    assert quality_of(counts, model, LEAST).median_error < 1e-3
    assert model.forms["im2col"].per_gflop == pytest.approx(
        fit(measured(), LEAST).forms["im2col"].per_gflop, rel=1e-3
    )


def test_no_gflop_costs_less_than_at_the_peak(narrow):
    least = 30.0
    model = fit(measured(), least)
    assert min(each.per_gflop for each in model.forms.values()) >= least


@pytest.mark.parametrize("target", ["x86_epyc"])
def test_the_shipped_models_are_fitted_to_the_shipped_samples(target):
    costs = load_costs(target)
    assert set(costs.backends) <= set(load_profile(target).runtimes)
    for backend, model in costs.backends.items():
        own = [s for s in costs.samples if s.backend == backend]
        assert own
        errors = [
            abs(predict(model, call_of(layer_of(s)), ConvPlan(s.form, s.strip_bytes)) / s.cost - 1)
            for s in own
            if s.cost > 1e-3
        ]
        assert float(np.median(errors)) == pytest.approx(model.quality.median_error, abs=0.02)


def test_the_arm_target_restates_the_costs_of_another_device():
    profile = load_profile("arm64")
    assert profile.costs.basis == "other_device"
    assert "x86_epyc" in profile.costs_note
    assert load_costs("arm64").backends == load_costs("x86_epyc").backends
