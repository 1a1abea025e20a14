"""Saved packages: read right, and noticed when damaged."""

import pytest

pytest.importorskip("coremltools", reason="the coreml extra is not installed")

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from coremltools.proto import Model_pb2
from torch import nn

from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.mil.evaluate import Evaluator
from edge_pipeline.runtime.mil.package import feature_name, read_package
from tests.fakes.coreml import emitted, written

WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
MODEL = "Data/com.apple.CoreML/model.mlmodel"


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        y = F.leaky_relu(self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")), 0.2)
        return F.interpolate(F.max_pool2d(y, 2), scale_factor=2.0, mode="bilinear")


X = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def files(request):
    return emitted(Network(), X, precision=request.param)


@pytest.fixture
def package(files, tmp_path):
    return written(files, tmp_path)


def evaluated(package: Path):
    (y,) = Evaluator(package).run({"x0": X.numpy()}).values()
    return y


def edited(package: Path, change) -> None:
    """Change the saved model with the format's own classes."""
    model = Model_pb2.Model.FromString((package / MODEL).read_bytes())
    function = model.mlProgram.functions["main"]
    change(function.block_specializations[function.opset])
    (package / MODEL).write_bytes(model.SerializeToString())


def constant(block, name):
    """The value of the constant that the first operator takes as `name`."""
    for operation in block.operations:
        if name in operation.inputs:
            expected = operation.inputs[name].arguments[0].name
            break
    (found,) = (o for o in block.operations if o.outputs and o.outputs[0].name == expected)
    return found.attributes["val"].immediateValue.tensor


def test_every_constant_is_read_as_coremltools_own_reader_has_it(package):
    from coremltools.converters.mil.frontend.milproto.load import load

    model = Model_pb2.Model.FromString((package / MODEL).read_bytes())
    other = load(
        model_spec=model,
        specification_version=model.specificationVersion,
        file_weights_dir=str((package / WEIGHTS).parent),
    )
    expected = {
        op.outputs[0].name: op.outputs[0].val
        for op in other.functions["main"].operations
        if op.op_type == "const"
    }
    found = {}
    for op in read_package(package).operations:
        name = op.outputs[0][0]
        if op.kind == "const":
            found[name] = op.attributes["val"]
        elif op.kind.startswith("constexpr_"):
            found |= {f"{name}_{k}_0": v for k, v in op.attributes.items() if k != "name"}
    assert set(found) == set(expected)
    assert len(found) > 5
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def test_changed_weights_change_the_result(files, package):
    before = evaluated(package)
    data = bytearray((package / WEIGHTS).read_bytes())
    # Behind the file's header and the first entry's.
    data[128:192] = bytes(byte ^ 0x40 for byte in data[128:192])
    (package / WEIGHTS).write_bytes(data)
    assert not np.allclose(evaluated(package), before, atol=1e-3)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (64, "has no weights"),
        (68, "has no weights"),
        (72, "at byte 64, got"),
        (80, "begin at"),
        (87, "at byte 64, got"),
    ],
    ids=["sentinel", "type", "size", "place", "place beyond"],
)
def test_a_damaged_entry_of_the_weights_is_noticed(package, at, words):
    data = bytearray((package / WEIGHTS).read_bytes())
    data[at] ^= 0x81
    (package / WEIGHTS).write_bytes(data)
    with pytest.raises(RuntimeFailure, match=f"not a readable ML Program: .*{words}"):
        Evaluator(package)


@pytest.mark.parametrize("size", [0, 100, -40])
def test_weights_cut_short_are_noticed(package, size):
    (package / WEIGHTS).write_bytes((package / WEIGHTS).read_bytes()[:size])
    with pytest.raises(RuntimeFailure, match=r"weight\.bin"):
        Evaluator(package)


def test_missing_weights_are_noticed(package):
    (package / WEIGHTS).unlink()
    with pytest.raises(RuntimeFailure, match=r"weight\.bin' is missing"):
        Evaluator(package)


def test_a_changed_mode_changes_the_result(package):
    before = evaluated(package)

    def change(block):
        constant(block, "mode").strings.values[0] = "replicate"

    edited(package, change)
    assert not np.allclose(evaluated(package), before, atol=1e-3)


def test_a_changed_stride_is_noticed(package):
    def change(block):
        constant(block, "strides").ints.values[0] = 2

    edited(package, change)
    with pytest.raises(RuntimeFailure, match=r"returned the shape .*; the ML Program declares"):
        evaluated(package)


def test_an_unknown_operator_is_named(package):
    def change(block):
        next(o for o in block.operations if o.type == "leaky_relu").type = "lstm"

    edited(package, change)
    with pytest.raises(RuntimeFailure, match=r"has the operator lstm \(.*which the evaluator"):
        Evaluator(package)


def test_an_unknown_parameter_is_named(package):
    def change(block):
        operation = next(o for o in block.operations if o.type == "leaky_relu")
        operation.inputs["gamma"].CopyFrom(operation.inputs["alpha"])

    edited(package, change)
    with pytest.raises(RuntimeFailure, match=r"leaky_relu .*cannot be evaluated: .*gamma"):
        evaluated(package)


def test_operators_out_of_order_are_noticed(package):
    def change(block):
        moved = [o for o in block.operations if o.type == "leaky_relu"]
        rest = [o for o in block.operations if o.type != "leaky_relu"]
        del block.operations[:]
        block.operations.extend([*rest, *moved])

    edited(package, change)
    with pytest.raises(RuntimeFailure, match="which no earlier operator computes"):
        evaluated(package)


class TestWhatIsNoPackage:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(RuntimeFailure, match="is not a Core ML package: No such file"):
            read_package(tmp_path / "absent.mlpackage")

    @pytest.mark.parametrize("content", [b"", b"\xff" * 40, bytes(range(256)), b"\x08\x08"])
    def test_no_model(self, package, content):
        (package / MODEL).write_bytes(content)
        with pytest.raises(RuntimeFailure, match="is not a readable ML Program") as caught:
            read_package(package)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("cut", [1000, -1, -100])
    def test_a_model_cut_short(self, package, cut):
        (package / MODEL).write_bytes((package / MODEL).read_bytes()[:cut])
        with pytest.raises(RuntimeFailure, match="is not a readable ML Program"):
            read_package(package)

    @pytest.mark.parametrize("path", ["/etc/hostname", "../../secret", 5])
    def test_a_list_that_leads_elsewhere(self, package, path):
        content = json.loads((package / "Manifest.json").read_text())
        content["itemInfoEntries"][content["rootModelIdentifier"]]["path"] = path
        (package / "Manifest.json").write_text(json.dumps(content))
        with pytest.raises(RuntimeFailure, match="names an invalid root model"):
            read_package(package)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"rootModelIdentifier": "a"}'])
    def test_a_list_that_is_none(self, package, text):
        (package / "Manifest.json").write_text(text)
        with pytest.raises(RuntimeFailure, match="is not a readable ML Program"):
            read_package(package)


def test_names_are_made_fit():
    assert feature_name("hyper_conv0.weight") == "hyper_conv0_weight"
    assert feature_name("0.bias") == "_0_bias"
    assert feature_name("größe") == "gr__e"
