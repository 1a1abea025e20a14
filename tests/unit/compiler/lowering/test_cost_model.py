import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering.choice import choose, plans_of
from edge_pipeline.compiler.lowering.convolution import PLANS, ConvGeometry, ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    NATIVE,
    BackendCosts,
    Call,
    load_costs,
    predict,
    work_of,
)
from edge_pipeline.compiler.lowering.padding import Padding
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import InputError

SAME = ConvGeometry(Padding(1, 1, "zeros"))
QUALITY = {
    "median_error": 0.0,
    "p90_error": 0.0,
    "held_out_layers": 1,
    "best_found": 0,
    "within_10_percent": 0,
}


def call(n_out=16, n_in=16, size=(64, 64), *, bias=False):
    return Call(size, (n_out, n_in, 3, 3), SAME, bias)


def costs(lanes=1, cache_bytes=1 << 20, **algorithms):
    keys = ("per_gflop", "per_near_gb", "per_far_gb", "per_operator")
    each = {name: dict(zip(keys, values, strict=True)) for name, values in algorithms.items()}
    fields = {"cache_bytes": cache_bytes, "lanes": lanes, "forms": each, "tools": {}}
    return BackendCosts.model_validate(fields | {"quality": QUALITY})


@pytest.mark.parametrize("plan", [NATIVE, ConvPlan("im2col", 0)])
def test_flops_are_counted_by_hand(plan):
    work = work_of(call(), plan, 1, 1)
    assert work.flops == 2 * 16 * 16 * 9 * 64 * 64


def test_lanes_that_stay_empty_count():
    assert work_of(call(n_out=3), CONSTANT, 1, 16).flops == work_of(call(), CONSTANT, 1, 1).flops
    # A matrix product has no such lanes.
    plan = ConvPlan("im2col", 0)
    assert work_of(call(n_out=3), plan, 1, 16) == work_of(call(n_out=3), plan, 1, 1)


def test_a_convolution_reads_and_writes_its_maps():
    work = work_of(call(), CONSTANT, 1, 1)
    assert work.operators == 1
    assert work.far_bytes == 4 * (2 * 16 * 64 * 64 + 16 * 16 * 9)
    assert work.near_bytes == 0


@given(st.sampled_from(PLANS), st.integers(1, 1 << 22))
def test_near_and_far_are_all_that_is_moved(plan, cache_bytes):
    work, other = work_of(call(), plan, cache_bytes, 1), work_of(call(), plan, 1, 1)
    assert work.near_bytes + work.far_bytes == other.far_bytes
    assert (work.flops, work.operators) == (other.flops, other.operators)


def test_a_bias_is_cheaper_with_the_product():
    plan = ConvPlan("stacked_columns", 0)
    with_bias, without = (work_of(call(bias=b), plan, 1, 1) for b in (True, False))
    extra = with_bias.far_bytes - without.far_bytes
    assert 0 < extra < 2 * 4 * 16 * 64 * 64  # less than the addition's own map, read and written


def test_a_prediction_is_the_sum_of_its_parts():
    model = costs(native=(3.0, 0.0, 5.0, 7.0), cache_bytes=1)
    work = work_of(call(), NATIVE, 1, 1)
    expected = 3.0 * work.flops / 1e9 + 5.0 * work.far_bytes / 1e9 + 7.0
    assert predict(model, call(), NATIVE) == pytest.approx(expected)


def test_every_plan_can_be_predicted_for_the_shipped_device():
    for backend in load_costs(DEFAULT_TARGET).backends.values():
        found = choose(backend, call(), constant=False)
        assert found in plans_of(call(), constant=False)
        assert predict(backend, call(), found) > 0


@pytest.fixture
def devices(tmp_path, monkeypatch):
    (tmp_path / "phone.toml").touch()
    monkeypatch.setattr("edge_pipeline.device_profile.packaged", lambda folder: tmp_path)
    return tmp_path


def test_a_device_that_was_never_measured_is_told_how(devices):
    with pytest.raises(InputError, match=r"'phone' has no measured costs.*-device -o phone\.toml"):
        load_costs("phone")


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"device": "phone", "backends": 3})])
def test_a_damaged_file_is_named(devices, text):
    (devices / "phone.costs.json").write_text(text)
    with pytest.raises(InputError, match=r"phone\.costs\.json cannot be used"):
        load_costs("phone")
