"""Rooflines: traffic and bounds of layers against what torch stores, and shares of time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.files import packaged
from edge_pipeline.harness.cost import recorded_cost
from edge_pipeline.harness.devices.named import peaks_of
from edge_pipeline.harness.roofline import (
    attainable_gflops,
    bandwidth_gb_s,
    intensity_of,
    layers_of,
    speeds_of,
)
from edge_pipeline.record import Cost, CostRecord, Layer, LayerCost, OperatorTime, Peaks
from tests.fakes.records import make_record

PEAKS = Peaks(gflops=100, copy_gb_s=10, how="made up")


def _row(name="a", macs=1152, part="path", op="conv2d", shape=(1, 8, 4, 4)):
    return LayerCost(
        name=name, op=op, params=80, macs=macs, flops=2 * macs, output_shape=shape, part=part
    )


def _cost(*rows):
    return CostRecord.build(Cost.of(rows), model="m", options={}, input=(1, 4, 4))


def _layer(**changes):
    fields = {
        "name": "a", "op": "conv2d", "macs": 10**6, "flops": 2 * 10**6, "params": 1,
        "weight_bytes": 1000, "activation_bytes": 9000,
    }  # fmt: skip
    return Layer(**(fields | changes))


def test_traffic_of_a_layer_by_hand():
    # 8 filters of 1 x 3 x 3 on 4 x 4 places: 72 weights, 1152 multiply-accumulates, 128 outputs.
    found = layers_of(_cost(_row()), 1152, "fp16")
    assert [(layer.weight_bytes, layer.activation_bytes) for layer in found] == [(144, 512)]
    assert intensity_of(found[0]) == 2304 / 656
    # 16 values of a map of one channel are read, and 128 are written.
    counted = _row().model_copy(update={"activations": 16 + 128})
    found = layers_of(_cost(counted), 1152, "fp16")
    assert [(layer.weight_bytes, layer.activation_bytes) for layer in found] == [(144, 288)]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_weights_are_those_that_torch_stores(groups):
    torch = pytest.importorskip("torch", reason="networks need torch")
    from edge_pipeline.models.cost import cost_of

    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 8, 3, groups=groups, bias=False),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 36, 5, bias=False),
    )
    cost = CostRecord.build(cost_of(network, (1, 4, 8, 8)), model="m", options={}, input=(4, 8, 8))
    found = layers_of(cost, cost.macs, "fp32")
    assert [layer.weight_bytes for layer in found] == [4 * layer.params for layer in found]
    assert [layer.activation_bytes for layer in found] == [
        4 * (4 * 64 + 8 * 36), 4 * (8 * 36 + 5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("macs", "names"), [(30, ["p", "u"]), (20, ["u"]), (10, ["p"]), (11, []), (0, [])]
)
def test_the_operations_of_a_program_say_which_layers_it_runs(macs, names):
    cost = _cost(_row("p", 10, "predictor"), _row("u", 20), _row("norm", 0, op="BatchNorm2d"))
    assert [layer.name for layer in layers_of(cost, macs, "fp32")] == names


def test_an_unknown_precision_has_no_traffic():
    assert layers_of(_cost(_row()), 1152, "int4") == ()


@pytest.mark.parametrize("name", ["isp_default", "phi_unet_nuclei"])
def test_all_operations_of_a_shipped_program_are_in_its_layers(name):
    artifact = Artifact.open(packaged("calibration") / "pretrained" / name / "artifact")
    cost = recorded_cost(artifact)
    assert cost is not None
    for program in artifact.manifest.programs:
        layers = layers_of(cost, program.macs, "fp32")
        assert sum(layer.flops for layer in layers) == program.flops > 0


def test_shares_are_summed_by_layer():
    operators = [
        OperatorTime(name="1", kind="Conv", layer="a", share=0.25),
        OperatorTime(name="2", kind="Relu", layer="a", share=0.5),
        OperatorTime(name="3", kind="Add", layer=None, share=0.25),
    ]
    assert layers_of(_cost(_row()), 1152, "fp32", operators)[0].share == 0.75
    assert layers_of(_cost(_row("b")), 1152, "fp32", operators)[0].share is None


@given(st.floats(1e-3, 1e6), st.floats(1, 1e5), st.floats(1e-2, 1e3))
def test_no_speed_is_above_either_roof(intensity, gflops, copy):
    peaks = Peaks(gflops=gflops, copy_gb_s=copy, how="")
    found = attainable_gflops(intensity, peaks)
    assert found <= gflops
    assert found <= intensity * bandwidth_gb_s(peaks)
    assert found == pytest.approx(min(gflops, intensity * 2 * copy))


def test_speeds_of_a_record():
    low, high = _layer(name="low", flops=20_000), _layer(name="high", share=0.5)
    record = make_record().model_copy(update={"layers": (low, high), "peaks": PEAKS})
    first, second = speeds_of(record)
    assert (first.intensity, first.attainable_gflops, first.limit) == (2, 40, "memory")
    assert (second.intensity, second.attainable_gflops, second.limit) == (200, 100, "arithmetic")
    assert first.gflops is None
    # 2e6 operations in half of 10.1 ms.
    assert second.gflops == pytest.approx(2e6 / 5.05e-3 / 1e9)


def test_shares_of_operators_are_used_if_layers_have_none():
    operator = OperatorTime(name="1", kind="Conv", layer="a", share=0.5)
    update = {"layers": (_layer(),), "operators": (operator,)}
    (found,) = speeds_of(make_record().model_copy(update=update))
    assert found.gflops == pytest.approx(2e6 / 5.05e-3 / 1e9)
    assert (found.attainable_gflops, found.limit) == (None, None)


def test_a_layer_without_traffic_is_limited_by_arithmetic():
    layer = _layer(weight_bytes=0, activation_bytes=0)
    assert intensity_of(layer) == math.inf
    assert attainable_gflops(math.inf, PEAKS) == 100


def test_peaks_are_those_of_a_named_profile():
    found = peaks_of("x86_epyc")
    assert found is not None
    assert (found.gflops, found.copy_gb_s) == (114.0, 24.0)
    assert peaks_of("host") is None
    assert peaks_of("adb:1") is None


def test_shares_are_shares():
    with pytest.raises(ValueError, match="less than or equal to 1"):
        _layer(share=1.5)
