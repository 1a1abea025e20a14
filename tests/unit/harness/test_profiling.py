"""Times of operators: their layers, their shares, and devices that cannot time them."""

import json

import pytest

from edge_pipeline.artifact.graph import Call, Graph
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.host import open_device
from edge_pipeline.harness.profiling import layers_in_order, layers_of_calls, operators_of
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
    assert layers_of_calls(graph(), ROWS) == {
        "conv2d": "embed.1",
        "conv2d_1": "embed.10",
        "linear": "mix",
        "conv2d_2": "up",
        "conv2d_3": "leave",
    }


def test_computed_weights_are_not_guessed_if_the_numbers_differ():
    found = layers_of_calls(graph(CALLS[:-1]), ROWS)
    assert "conv2d_2" not in found
    assert found["conv2d"] == "embed.1"


def test_folded_filters_have_the_names_of_their_layers():
    calls = (call("conv2d", "conv2d.default", "x", "c_filter_before_0_widen_weight"),)
    folded = Graph(
        inputs=("x",),
        weights=("c_filter_before_0_widen_weight",),
        calls=calls,
        outputs=("conv2d",),
    )
    rows = (row("before.0.widen", "dynamic_conv2d"), row("before.0", "dynamic_conv2d"))
    assert layers_of_calls(folded, rows) == {"conv2d": "before.0.widen"}


def test_operators_of_a_program_get_their_shares(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_pipeline.harness.profiling.read_graph", lambda _: (graph(), {}))
    monkeypatch.setattr("edge_pipeline.harness.profiling._rows", lambda *_: list(ROWS))
    artifact = make_artifact(tmp_path / "a")
    spec = artifact.program("forward")
    spec = spec.model_copy(update={"graph": spec.file})  # a file that exists
    monkeypatch.setattr(type(artifact), "program", lambda *_: spec)
    found = operators_of(
        artifact,
        "forward",
        [
            ProfiledOperator("conv2d_3_nchwc", "Conv", 100),
            ProfiledOperator("relu_nchwc", "Conv", 600),  # fused, and named after the relu
            ProfiledOperator("node_linear", "Gemm", 200),
            ProfiledOperator("ReorderOutput_token_7", "ReorderOutput", 100),
        ],
    )
    assert [(one.layer, one.share) for one in found] == [
        ("embed.1", 0.6),
        ("mix", 0.2),
        ("leave", 0.1),
        (None, 0.1),
    ]


def test_operators_without_names_are_assigned_in_order():
    found = [
        ProfiledOperator("operator 0", "Convert (NC)", 1),
        ProfiledOperator("operator 1", "Convolution (NHWC, F32) IGEMM", 1),
        ProfiledOperator("operator 2", "Convolution (NHWC, F32) DWConv", 1),
        ProfiledOperator("operator 3", "Fully Connected (NC, F32) GEMM", 1),
        ProfiledOperator("sum", "CONV_2D", 1),
        ProfiledOperator("operator 5", "Deconvolution (NHWC, F32)", 1),
    ]
    named = [None, "embed.1", "embed.10", "mix", "up", "leave"]
    assert layers_in_order(found, ROWS) == named
    assert layers_in_order(found[:-1], ROWS) == [None] * 5
    split = [*found[:3], found[1], *found[4:]]  # a product became a convolution
    assert layers_in_order(split, ROWS) == [None] * 6


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
