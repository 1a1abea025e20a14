import json

import numpy as np
import pytest

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
from tools import fit_cost_model
from tools.fit_cost_model import call_of, fit, main, measure, quality_of

GRID = (
    (16, 4, 3, 96),
    (16, 16, 3, 96),
    (3, 16, 3, 96),
    (8, 16, 3, 48),
    (16, 8, 3, 48),
    (4, 24, 3, 32),
)
# Cheaper than any algorithm of the made-up device, so that it binds nothing.
PEAK = 1e3
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
    monkeypatch.setattr(fit_cost_model, "_CACHES", (1 << 18, 1 << 20))
    monkeypatch.setattr(fit_cost_model, "_LANES", (1, 16))


def test_a_device_that_is_as_the_model_says_is_found_again(narrow):
    samples = measured()
    model = fit(samples, PEAK)
    quality = quality_of(samples, model, PEAK)
    assert (model.cache_bytes, model.lanes) == (1 << 20, 16)
    assert quality.median_error < 1e-3
    assert quality.held_out_layers == len(GRID)
    assert quality.within_10_percent >= len(GRID) - 1


def test_noise_shows_in_the_error_that_is_reported(narrow):
    samples = measured(noise=0.2)
    assert quality_of(samples, fit(samples, PEAK), PEAK).median_error > 0.02


def test_times_that_follow_no_work_are_not_ranked(narrow):
    """A planted fault: the times of another layer."""
    samples = measured()
    turned = [
        s.model_copy(update={"ms": o.ms}) for s, o in zip(samples, samples[::-1], strict=True)
    ]
    assert quality_of(turned, fit(turned, PEAK), PEAK).median_error > 0.1


def test_the_algorithms_of_a_layer_are_measured_in_their_runtime():
    samples = measure("onnx", [(2, 3, 3, 12)], rounds=2)
    assert {s.form for s in samples} == {CONSTANT.algorithm, NATIVE.algorithm, *ALGORITHMS}
    assert all(len(s.ms) == 2 and np.isfinite(s.ms).all() for s in samples)


def test_an_algorithm_that_computes_something_else_is_not_measured(monkeypatch, capsys):
    wrong = ALGORITHMS["im2col"]
    monkeypatch.setitem(
        ALGORITHMS,
        "im2col",
        type(wrong)(lambda *a: wrong.compute(*a).flip(2), wrong.channels, True),
    )

    def few_plans(call, *, constant):
        names = (CONSTANT.algorithm, NATIVE.algorithm, "im2col", "stacked_rows")
        return [plan for plan in plans_of(call, constant=constant) if plan.algorithm in names]

    monkeypatch.setattr(fit_cost_model, "plans_of", few_plans)
    samples = measure("onnx", [(2, 3, 3, 12)], rounds=1)
    assert {s.form for s in samples} == {CONSTANT.algorithm, NATIVE.algorithm, "stacked_rows"}
    assert "im2col" in capsys.readouterr().err


def test_refitting_gives_the_same_file_and_keeps_the_samples(narrow, tmp_path, monkeypatch):
    path = tmp_path / "x86_epyc.costs.json"
    monkeypatch.setattr(fit_cost_model, "profile_file", lambda *_: path)
    old = load_costs("x86_epyc").model_copy(update={"samples": tuple(measured())})
    monkeypatch.setattr(fit_cost_model, "load_costs", lambda _: old)
    path.touch()
    texts = []
    for _ in range(2):
        assert main(["--refit", "--backend", "onnx"]) == 0
        texts.append(path.read_text())
    assert texts[0] == texts[1]
    written = json.loads(texts[0])
    assert len(written["samples"]) == len(measured())
    assert written["backends"]["onnx"]["quality"]["held_out_layers"] == len(GRID)


def test_an_unknown_device_is_an_error_with_exit_code_2(capsys):
    assert main(["--target", "abacus", "--refit"]) == 2
    assert "no device profile is called 'abacus'" in capsys.readouterr().err


def test_the_shipped_models_are_fitted_to_the_shipped_samples():
    costs = load_costs("x86_epyc")
    for backend, model in costs.backends.items():
        own = [s for s in costs.samples if s.backend == backend]
        assert own
        errors = [
            abs(predict(model, fit_cost_model._call(s), ConvPlan(s.form, s.strip_bytes)) - t) / t
            for s in own
            if (t := float(np.median(s.ms))) > 1e-3
        ]
        assert float(np.median(errors)) == pytest.approx(model.quality.median_error, abs=0.02)
