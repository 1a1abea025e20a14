"""Times of operators: their layers, their shares, and devices that cannot time them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edge_pipeline.artifact.graph import Call, Graph
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.files import packaged
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.cost import multiplying_rows, recorded_cost
from edge_pipeline.harness.devices.host import open_device
from edge_pipeline.harness.profiling import (
    layers_in_onnx,
    layers_in_order,
    layers_of_uses,
    operators_of,
    uses_in_graph,
)
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.record import LayerCost
from edge_pipeline.runtime import onnx
from edge_pipeline.runtime.base import ProfiledOperator, profile_program
from tests.fakes.artifacts import make_artifact
from tests.fakes.devices import FakeDevice

SETTINGS = Settings(plan=Plan(runs=30, seconds=0, warmup=0), memory=False, profile=True)


def row(name, op):
    return LayerCost(
        name=name, op=op, params=0, macs=1, flops=2, output_shape=(1, 1, 1, 1), part="path"
    )


def call(name, target, *used):
    return Call(name=name, target=f"aten.{target}", args=tuple({"node": one} for one in used))


ROWS = (
    row("embed.1", "conv2d"),
    row("embed.10", "conv2d"),
    row("mix", "linear"),
    row("up", "dynamic_conv2d"),
    row("leave", "dynamic_conv2d"),
)
CALLS = (
    call("conv2d", "conv2d.default", "x", "p_network_embed_1_weight"),
    call("relu", "relu.default", "conv2d"),
    call("conv2d_1", "conv2d.default", "relu", "p_network_embed_10_weight"),
    call("linear", "linear.default", "conv2d_1", "p_network_mix_weight"),
    call("matmul", "matmul.default", "linear", "p_network_up_basis"),
    call("conv2d_2", "conv2d.default", "x", "matmul"),
    call("conv2d_3", "conv2d.default", "conv2d_2", "matmul"),
)
WEIGHTS = (
    "p_network_embed_1_weight",
    "p_network_embed_10_weight",
    "p_network_mix_weight",
    "p_network_up_basis",
)


def graph(calls=CALLS):
    return Graph(inputs=("x",), weights=WEIGHTS, calls=calls, outputs=(calls[-1].name,))


def test_layers_are_known_by_weights_and_by_order():
    assert layers_of_uses(uses_in_graph(graph()), ROWS) == [
        "embed.1", "embed.10", "mix", None, "up", "leave",
    ]  # fmt: skip


def test_computed_weights_are_not_guessed_if_the_numbers_differ():
    found = layers_of_uses(uses_in_graph(graph(CALLS[:-1])), ROWS)
    assert found == ["embed.1", "embed.10", "mix", None, None]


@pytest.mark.parametrize(
    ("weight", "layer"),
    [
        ("p_network_embed_1_weight", "embed.1"),
        ("p_network_embed_1_weight", "network.embed.1"),
        ("c_fixed_network_embed_1_weight", "network.embed.1"),
        ("c_fixed_embed_1_weight", "embed.1"),
        ("c_filter_embed_1_weight", "embed.1"),
        ("p_filter_embed_weight", "filter.embed"),
        ("b_embed_1_kernel", "embed.1"),
    ],
)
def test_the_name_of_a_weight_tells_its_layer(weight, layer):
    made = Graph(
        inputs=("x",),
        weights=(weight,),
        calls=(call("conv2d", "conv2d.default", "x", weight),),
        outputs=("conv2d",),
    )
    rows = (row(layer, "conv2d"), row("embed.10", "conv2d"))
    assert layers_of_uses(uses_in_graph(made), rows) == [layer]


def test_folded_filters_have_the_names_of_their_layers():
    calls = (call("conv2d", "conv2d.default", "x", "c_filter_before_0_widen_weight"),)
    folded = Graph(
        inputs=("x",),
        weights=("c_filter_before_0_widen_weight",),
        calls=calls,
        outputs=("conv2d",),
    )
    rows = (row("before.0.widen", "dynamic_conv2d"), row("before.0", "dynamic_conv2d"))
    assert layers_of_uses(uses_in_graph(folded), rows) == ["before.0.widen"]


def _operators(*kinds):
    return [ProfiledOperator(f"operator {k}", kind, 100 * k) for k, kind in enumerate(kinds, 1)]


def test_operators_of_a_program_get_their_shares(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_pipeline.harness.profiling.read_graph", lambda _: (graph(), {}))
    monkeypatch.setattr("edge_pipeline.harness.profiling.multiplying_rows", lambda *_: list(ROWS))
    monkeypatch.setattr("edge_pipeline.harness.profiling.recorded_cost", lambda _: True)
    artifact = make_artifact(tmp_path / "a")
    spec = artifact.program("forward")
    spec = spec.model_copy(update={"graph": spec.file})  # a file that exists
    monkeypatch.setattr(type(artifact), "program", lambda *_: spec)
    manifest = artifact.manifest.model_copy(update={"backend": "litert"})
    artifact = replace(artifact, manifest=manifest)
    kinds = ("CONV_2D", "ADD", "CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_2D", "CONV_2D")
    found = operators_of(artifact, "forward", _operators(*kinds))
    assert [(one.layer, one.share) for one in found] == [
        ("leave", 7 / 28), ("up", 6 / 28), (None, 5 / 28), ("mix", 4 / 28), ("embed.10", 3 / 28),
        (None, 2 / 28), ("embed.1", 1 / 28),
    ]  # fmt: skip


WEIGHTS_IN_ONNX = (
    "network.embed.1.weight", "network.embed.10.weight", "network.leave.weight"
)  # fmt: skip


def _onnx_file(path):
    """Two branches, of which the second is the first in the file, and a sum that reads both."""
    onnx = pytest.importorskip("onnx", reason="ONNX files are read with it")
    make = onnx.helper
    maps = [make.make_tensor_value_info(n, 1, [1, 2, 4, 4]) for n in ("x", "y")]
    weights = [
        make.make_tensor(name, 1, [2, 2, 1, 1], [0.5 + k] * 4)
        for k, name in enumerate(WEIGHTS_IN_ONNX)
    ]
    nodes = [
        make.make_node("Conv", ["x", "network.embed.10.weight"], ["conv2d_1"], "node_conv2d_1"),
        make.make_node("Conv", ["x", "network.embed.1.weight"], ["a"], "node_conv2d"),
        make.make_node("Relu", ["a"], ["r"], "node_relu"),
        make.make_node("Conv", ["r", "network.leave.weight"], ["c"], "node_conv2d_2"),
        make.make_node("Add", ["conv2d_1", "c"], ["s"], "node_add"),
        make.make_node("Relu", ["s"], ["y"], "node_relu_1"),
    ]
    graph_ = make.make_graph(nodes, "g", maps[:1], maps[1:], weights)
    opset = make.make_opsetid("", 18)
    path.write_bytes(
        make.make_model(graph_, opset_imports=[opset], ir_version=10).SerializeToString()
    )
    return path


def test_operators_of_onnx_runtime_are_found_by_the_nodes_that_they_join(tmp_path):
    path = _onnx_file(tmp_path / "m.onnx")
    found = [
        ProfiledOperator("relu_nchwc", "Conv", 1),
        ProfiledOperator("conv2d_1_nchwc", "Conv", 1),
        ProfiledOperator("y_nchwc", "Conv", 1),  # conv2d_2, the sum with conv2d_1, and a relu
        ProfiledOperator("ReorderOutput_token_7", "ReorderOutput", 1),
        ProfiledOperator("unknown", "Conv", 1),
    ]
    rows = tuple(row(name, "conv2d") for name in ("embed.1", "embed.10", "leave"))
    assert layers_in_onnx(found, path, rows) == ["embed.1", "embed.10", "leave", None, None]


def test_the_layers_of_a_real_profile_are_those_of_its_nodes(tmp_path):
    path = _onnx_file(tmp_path / "m.onnx")
    tensor = TensorSpec(name="x", shape=(1, 2, 4, 4), layout="NCHW", meaning="a test's")
    spec = ProgramSpec.model_construct(
        name="forward", inputs=(tensor,), outputs=(tensor.model_copy(update={"name": "y"}),)
    )
    found = onnx.profile(path, spec, 1, {"x": np.ones((1, 2, 4, 4), np.float32)}, 2)
    rows = tuple(row(name, "conv2d") for name in ("embed.1", "embed.10", "leave"))
    layers = [layer for layer in layers_in_onnx(found, path, rows) if layer]
    assert sorted(layers) == ["embed.1", "embed.10", "leave"]


def test_without_the_package_no_layer_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_pipeline.harness.profiling.find_spec", lambda _: None)
    assert layers_in_onnx(_operators("Conv"), tmp_path / "m.onnx", ROWS) == [None]


def test_operators_are_assigned_in_order_if_their_kinds_agree():
    uses = uses_in_graph(graph())
    kinds = (
        "Convert (NC)", "Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) DWConv",
        "Fully Connected (NC, F32) GEMM", "BATCH_MATMUL", "CONV_2D", "Deconvolution (NHWC, F32)",
    )  # fmt: skip
    named = [None, "embed.1", "embed.10", "mix", None, "up", "leave"]
    assert layers_in_order(_operators(*kinds), uses, ROWS) == named
    assert layers_in_order(_operators(*kinds[:-1]), uses, ROWS) == [None] * 6
    split = (*kinds[:3], kinds[1], *kinds[4:])  # a product became a convolution
    assert layers_in_order(_operators(*split), uses, ROWS) == [None] * 7


@pytest.mark.parametrize("name", ["isp_default", "phi_unet_nuclei"])
def test_every_convolution_of_a_shipped_program_has_its_layer(name):
    pytest.importorskip("onnx", reason="ONNX files are read with it")
    artifact = Artifact.open(packaged("calibration") / "pretrained" / name / "artifact")
    inputs, _ = artifact.reference("forward")
    found = profile_program(artifact, "forward", inputs, threads=1, runs=1)
    operators = operators_of(artifact, "forward", found)
    cost = recorded_cost(artifact)
    rows = multiplying_rows(cost, artifact.program("forward").macs)
    assert {one.layer for one in operators if one.kind == "Conv"} == {row.name for row in rows}


def test_nothing_was_timed_if_all_times_are_0(tmp_path):
    artifact = make_artifact(tmp_path / "a")
    assert operators_of(artifact, "forward", [ProfiledOperator("a", "Conv", 0)]) == ()


def test_this_machine_times_the_operators_of_an_onnx_program(tmp_path):
    (record,) = bench([make_artifact(tmp_path / "a").folder], open_device(), SETTINGS)
    assert record.operators
    assert sum(one.share for one in record.operators) == pytest.approx(1)
    shares = [one.share for one in record.operators]
    assert shares == sorted(shares, reverse=True)
    assert record.verification.result == "passed"


@pytest.mark.parametrize(
    ("emulated", "reason"),
    [(True, "the device is emulated"), (False, "fake has no profiler")],
)
def test_a_device_that_cannot_time_says_why(tmp_path, emulated, reason):
    device = FakeDevice("made-up")
    device.emulated = emulated
    (record,) = bench([make_artifact(tmp_path / "a").folder], device, SETTINGS)
    assert record.operators == ()
    assert any(reason in warning for warning in record.warnings)


def test_a_runtime_without_profiler_says_why(tmp_path, monkeypatch):
    monkeypatch.delattr(onnx, "profile")
    monkeypatch.setattr(onnx, "NO_PROFILER", "it was left out", raising=False)
    artifact = make_artifact(tmp_path / "a")
    with pytest.raises(InputError, match="it was left out"):
        profile_program(artifact, "forward", {}, threads=1, runs=1)


def test_first_runs_do_not_count():
    events = [{"name": "model_run", "ts": 100 * run} for run in range(5)]
    events += [
        {"name": "a_kernel_time", "ts": 100 * run + 1, "dur": 10**run, "args": {"op_name": "Conv"}}
        for run in range(5)
    ]
    assert onnx._operators(events) == [ProfiledOperator("a", "Conv", 1000 * (10**3 + 10**4))]


@pytest.mark.parametrize("text", ["{", json.dumps([{"name": "model_run"}])])
def test_a_profile_that_cannot_be_read_is_an_error(tmp_path, monkeypatch, text):
    artifact = make_artifact(tmp_path / "a")
    monkeypatch.setattr(onnx.Path, "read_text", lambda *_args, **_kwargs: text)
    inputs, _ = artifact.reference("forward")
    spec = artifact.program("forward")
    with pytest.raises(RuntimeFailure, match="profile of ONNX Runtime cannot be read"):
        onnx.profile(artifact.path(spec.file), spec, 1, inputs, 1)
