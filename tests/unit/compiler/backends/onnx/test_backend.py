import pytest

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("onnxscript", reason="the onnx extra is not installed")

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.export import Dim

from edge_pipeline.artifact.constants import locate, patch
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.onnx import backend
from edge_pipeline.errors import CompileError
from tests.programs import exported


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        y = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return F.interpolate(F.max_pool2d(y, 4), scale_factor=8.0, mode="bilinear")


OPTIONS = EmitOptions("forward", ["packed"], ["rgb"])


def session_of(emitted, folder):
    for name, content in emitted.files.items():
        (folder / name).write_bytes(content)
    return onnxruntime.InferenceSession(folder / emitted.file)


def run(emitted, **feed):
    with tempfile.TemporaryDirectory() as folder:
        values = {name: np.asarray(value) for name, value in feed.items()}
        return session_of(emitted, Path(folder)).run(None, values)[0]


@pytest.fixture(scope="module")
def program():
    torch.manual_seed(0)
    shapes = ({2: 4 * Dim("h", min=1, max=64), 3: 4 * Dim("w", min=1, max=64)},)
    x = torch.rand(1, 3, 8, 12)
    return torch.export.export(Network().eval(), (x,), dynamic_shapes=shapes).run_decompositions({})


@pytest.fixture(scope="module")
def emitted(program):
    return backend.emit(program, OPTIONS)


def of_precision(program, precision, samples=()):
    options = EmitOptions("forward", ["packed"], ["rgb"], precision, samples)
    return backend.emit(program, options)


@pytest.mark.parametrize("precision", backend.PRECISIONS)
def test_sizes_stay_free_and_are_named_as_in_the_manifest(program, tmp_path, precision):
    emitted = of_precision(program, precision, [(torch.rand(1, 3, 8, 12),)])
    session = session_of(emitted, tmp_path)
    assert session.get_inputs()[0].shape == [1, 3, "4*h", "4*w"]
    assert session.get_outputs()[0].shape == [1, 4, "8*h", "8*w"]
    for size in [(4, 4), (20, 8)]:
        (y,) = session.run(None, {"packed": torch.rand(1, 3, *size).numpy()})
        assert y.shape == (1, 4, 2 * size[0], 2 * size[1])
        assert y.dtype == np.float32


@pytest.mark.parametrize(
    ("precision", "bound", "finer"), [("fp32", 1e-5, 0), ("fp16", 2e-3, 1e-5), ("int8", 3e-2, 2e-3)]
)
def test_the_runtime_computes_what_torch_does(program, precision, bound, finer):
    torch.manual_seed(1)
    x = torch.rand(1, 3, 16, 24)
    emitted = of_precision(program, precision, [(x,), (x / 2,)])
    error = abs(torch.from_numpy(run(emitted, packed=x)) - program.module()(x)).max()
    # It does what it is called: a coarser precision errs more than the finer one may.
    assert finer <= error < bound


@pytest.mark.parametrize("precision", backend.PRECISIONS)
def test_two_compilations_give_the_same_bytes(program, precision):
    samples = [(torch.ones(1, 3, 8, 12),)]
    first, second = (of_precision(program, precision, samples) for _ in range(2))
    assert first.files == second.files


@pytest.mark.parametrize("precision", backend.PRECISIONS)
def test_the_file_says_nothing_about_this_machine(program, precision, tmp_path):
    emitted = of_precision(program, precision, [(torch.rand(1, 3, 8, 12),)])
    assert not any(b"site-packages" in content for content in emitted.files.values())
    assert str(__file__).encode() not in emitted.files["forward.onnx"]
    session_of(emitted, tmp_path)
    onnx.checker.check_model(str(tmp_path / "forward.onnx"), full_check=precision != "int8")
    model = onnx.load(tmp_path / "forward.onnx")
    assert model.opset_import[0].version == backend.OPSET


def test_int8_leaves_no_file_behind(program, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    of_precision(program, "int8", [(torch.rand(1, 3, 8, 12),)])
    assert list(tmp_path.iterdir()) == []


def test_int8_without_samples(program):
    with pytest.raises(CompileError, match="int8 requires samples to observe value ranges on"):
        of_precision(program, "int8")


def test_int8_sees_saturation(program):
    """Ranges observed on inputs a hundredth as large cut off what is larger."""
    x = torch.rand(1, 3, 16, 24)
    right = of_precision(program, "int8", [(x,)])
    wrong = of_precision(program, "int8", [(x / 100,)])
    expected = program.module()(x)
    errors = [
        float(abs(torch.from_numpy(run(one, packed=x)) - expected).max()) for one in (right, wrong)
    ]
    assert errors[1] > 10 * errors[0]


def test_int8_leaves_computed_weights_alone():
    def computed(x, weight):
        return torch.conv2d(torch.conv2d(x, torch.ones(3, 3, 1, 1)), weight)

    inputs = torch.rand(1, 3, 8, 8), torch.rand(4, 3, 3, 3)
    options = EmitOptions("forward", ["x", "w"], ["y"], "int8", [inputs])
    emitted = backend.emit(exported(computed, *inputs), options)
    model = onnx.load_from_string(emitted.files["forward.onnx"])
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    first, second = (node for node in model.graph.node if node.op_type == "Conv")
    assert made_by[first.input[1]] == "DequantizeLinear"
    assert second.input[1] == "w"
    assert any("computed at run time stay in float32" in note for note in emitted.notes)


def normalised(x):
    return x / (x.abs().sum((2, 3), keepdim=True) + 1e-12)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_tiny_epsilon_is_kept(precision):
    x = torch.zeros(1, 2, 3, 3)
    emitted = backend.emit(exported(normalised, x), EmitOptions("forward", ["x"], ["y"], precision))
    # Without it, this is zero by zero.
    assert (run(emitted, x=x) == 0).all()


def test_fp16_refuses_a_weight_beyond_its_range():
    def large(x):
        return torch.conv2d(x, torch.full((2, 2, 1, 1), 1e5))

    x = torch.rand(1, 2, 4, 4)
    with pytest.raises(CompileError, match="the largest float16 is 65504"):
        backend.emit(exported(large, x), EmitOptions("forward", ["x"], ["y"], "fp16"))


def test_an_input_may_be_an_output_and_an_output_be_used_again():
    def both(x):
        y = x * 2.0
        return y, y + x, x * 1.0

    x = torch.rand(1, 2, 4, 4)
    options = EmitOptions("forward", ["x"], ["a", "b", "c"], "fp16")
    emitted = backend.emit(exported(both, x), options)
    with tempfile.TemporaryDirectory() as folder:
        found = session_of(emitted, Path(folder)).run(None, {"x": x.numpy()})
    for one, expected in zip(found, both(x), strict=True):
        np.testing.assert_allclose(one, expected, rtol=2e-3)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_weights_lie_beside_the_model_and_can_be_exchanged(precision):
    class One(nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(2, 3, 3)
            self.last = nn.Conv2d(3, 1, 1)

        def forward(self, x):
            return self.last(self.conv(x))

    x = torch.rand(1, 2, 8, 8)
    options = EmitOptions("forward", ["x"], ["y"], precision)
    networks = One(1), One(2)
    first, second = (backend.emit(exported(network, x), options) for network in networks)
    old, new = (
        {name: value.detach().numpy() for name, value in network.named_parameters()}
        for network in networks
    )
    assert first.files["forward.onnx"] == second.files["forward.onnx"]
    found = locate(first.files, old)
    assert {constant.file for constant in found.constants} == {"forward.onnx.data"}
    patched = patch(first.files, found.constants, new)
    assert patched["forward.onnx.data"] == second.files["forward.onnx.data"]


def test_operators_are_counted(emitted):
    assert emitted.delegation.delegated["Conv"] == 1
    assert emitted.delegation.outside == {}


def clamped(x, weight):
    return torch.conv2d(x, weight).clamp(0.0, 1.0) + torch.conv2d(x, weight).clamp(-1.0, 1.0)


def test_a_clamp_stays_in_blocks():
    weight = torch.randn(2, 3, 1, 1)
    x = torch.randn(1, 3, 4, 5)
    emitted = backend.emit(
        exported(lambda x: clamped(x, weight), x), EmitOptions("f", ["x"], ["y"])
    )
    counts = emitted.delegation.delegated
    assert (counts["HardSigmoid"], counts["Clip"]) == (1, 1)
    np.testing.assert_allclose(run(emitted, x=x), clamped(x, weight), atol=1e-6)
    # A convolution with computed weights is not done in blocks.
    options = EmitOptions("f", ["x", "w"], ["y"])
    delegation = backend.emit(exported(clamped, x, weight), options).delegation
    assert "HardSigmoid" not in delegation.delegated


@pytest.mark.parametrize("limits", [(0.0, 6.0), (0.0, 2.0), (0.5, 1.0), (-1.0, 1.0)])
def test_a_clamp_to_other_limits_is_no_hard_sigmoid(limits):
    def network(x):
        return torch.conv2d(x, torch.ones(2, 3, 1, 1)).clamp(*limits)

    x = torch.linspace(-4, 4, 60).reshape(1, 3, 4, 5)
    emitted = backend.emit(exported(network, x), EmitOptions("f", ["x"], ["y"]))
    assert "HardSigmoid" not in emitted.delegation.delegated
    np.testing.assert_allclose(run(emitted, x=x), network(x), atol=1e-5)


def test_every_operator_that_onnx_lacks_is_named_at_once():
    class Special(nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x) + torch.special.i1(x)

    x = torch.rand(1, 3, 4, 4)
    with pytest.raises(CompileError) as caught:
        backend.emit(exported(nn.Sequential(Special()), x), EmitOptions("forward", ["x"], ["y"]))
    heading, *lines = str(caught.value).splitlines()
    assert heading == "torch's ONNX exporter cannot convert 2 operators:"
    assert "bessel_j0" in lines[0]
    assert "i1" in lines[1]
    assert all("0 (test_backend.py:" in line for line in lines)
