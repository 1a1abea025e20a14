import pytest

pytest.importorskip("onnx", reason="the onnx extra is not installed")
pytest.importorskip("onnxscript", reason="the onnx extra is not installed")

import onnx
import onnxruntime
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.export import Dim

from edge_pipeline.compiler.backends import onnx as backend
from tests.programs import exported


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        y = self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        return F.interpolate(F.max_pool2d(y, 4), scale_factor=8.0, mode="bilinear")


@pytest.fixture(scope="module")
def program():
    shapes = ({2: 4 * Dim("h", min=1, max=64), 3: 4 * Dim("w", min=1, max=64)},)
    x = torch.rand(1, 3, 8, 12)
    return torch.export.export(Network().eval(), (x,), dynamic_shapes=shapes).run_decompositions({})


@pytest.fixture(scope="module")
def emitted(program):
    return backend.emit(program, ["packed"], ["rgb"])


def test_sizes_stay_free_and_are_named_as_in_the_manifest(emitted):
    session = onnxruntime.InferenceSession(emitted.data)
    assert session.get_inputs()[0].shape == [1, 3, "4*h", "4*w"]
    assert session.get_outputs()[0].shape == [1, 4, "8*h", "8*w"]
    for size in [(4, 4), (20, 8)]:
        (y,) = session.run(None, {"packed": torch.rand(1, 3, *size).numpy()})
        assert y.shape == (1, 4, 2 * size[0], 2 * size[1])


def test_the_runtime_computes_what_torch_does(program, emitted):
    x = torch.rand(1, 3, 16, 24)
    (found,) = onnxruntime.InferenceSession(emitted.data).run(None, {"packed": x.numpy()})
    assert abs(torch.from_numpy(found) - program.module()(x)).max() < 1e-5


def test_two_compilations_give_the_same_bytes(program, emitted):
    assert backend.emit(program, ["packed"], ["rgb"]).data == emitted.data


def test_the_file_says_nothing_about_this_machine(emitted):
    assert str(__file__).encode() not in emitted.data
    assert b"site-packages" not in emitted.data
    model = onnx.load_from_string(emitted.data)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == backend.OPSET


def test_a_tiny_epsilon_is_kept():
    def normalised(x):
        return x / (x.abs().sum((2, 3), keepdim=True) + 1e-12)

    x = torch.zeros(1, 2, 3, 3)
    emitted = backend.emit(exported(normalised, x), ["x"], ["y"])
    # Without it, this is zero by zero.
    (y,) = onnxruntime.InferenceSession(emitted.data).run(None, {"x": x.numpy()})
    assert (y == 0).all()


def test_operators_are_counted(emitted):
    assert emitted.delegation.delegated["Conv"] == 1
    assert emitted.delegation.outside == {}
