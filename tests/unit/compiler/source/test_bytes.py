"""Networks whose inputs and outputs are 8-bit integers, on every runtime of this machine."""

import numpy as np
import pytest
import torch
from torch import nn

import edge_pipeline
from edge_pipeline.cli.main import main
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.compiler.precision.like_example import samples_like
from edge_pipeline.compiler.source.foreign import drawn_inputs
from edge_pipeline.compiler.source.naming import InputShape
from edge_pipeline.errors import CompileError, DelegationError, InputError
from edge_pipeline.runtime.base import open_session

BACKENDS = ("onnx", "executorch", "litert")
CASTS = {"_to_dim_order_copy", "round", "CAST", "TRANSPOSE"}


class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image):
        return self.layer(image.float() / 255)


class Picture(Scores):
    def forward(self, image):
        bright = 255 * (0.5 + super().forward(image))
        return bright.clamp(0, 255).round().to(torch.uint8)


class Logits(Scores):
    def forward(self, image):
        return (64 * super().forward(image)).clamp(-128, 127).round().to(torch.int8)


class Between(Scores):
    """Converts to integers between two convolutions, which is a computation in integers."""

    def forward(self, image):
        inner = (100 * super().forward(image)).to(torch.int32).float()
        return torch.relu(inner) * 2 + inner


class Halved(Scores):
    def forward(self, image):
        return super().forward(image).half()


NETWORK = """
import torch
from torch import nn


class Net(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 3, 3, padding=1)

    def forward(self, image):
        return (255 * super().forward(image / 255)).clamp(0, 255).round().to(torch.uint8)
"""


def picture():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 16, 20), np.uint8))


def compiled(kind, folder, backend, **options):
    torch.manual_seed(0)
    network = kind().eval()
    inputs = {"image": picture()}
    artifact = edge_pipeline.compile(network, inputs, folder, backend=backend, **options)
    return network, artifact


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("kind", "dtype"), [(Scores, "float32"), (Picture, "uint8"), (Logits, "int8")]
)
def test_bytes_are_inputs_and_outputs(kind, dtype, backend, tmp_path):
    network, artifact = compiled(kind, tmp_path / "artifact", backend)
    spec = artifact.program("forward")
    assert (spec.inputs[0].dtype, spec.outputs[0].dtype) == ("uint8", dtype)
    assert set(spec.delegation.outside) <= CASTS
    assert bool(spec.delegation.outside) == (backend != "onnx")
    other = picture().flip(-1)
    with open_session(artifact, "forward", threads=1) as session:
        found = next(iter(session.run({"image": other.numpy()}).values()))
        with pytest.raises(InputError, match="as uint8, got float32"):
            session.run({"image": other.float().numpy()})
    expected = network(other).detach().numpy()
    assert found.dtype == expected.dtype == np.dtype(dtype)
    assert np.abs(found.astype(float) - expected).max() <= (1e-5 if dtype == "float32" else 1)
    assert len(np.unique(expected)) > 20


@pytest.mark.parametrize("backend", ["executorch", "litert"])
def test_a_conversion_inside_the_network_is_refused(backend, tmp_path):
    with pytest.raises(DelegationError, match=r"_to_dim_order_copy|CAST"):
        compiled(Between, tmp_path / "artifact", backend)
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_precisions_are_measured_on_bytes(precision, tmp_path):
    _, artifact = compiled(Scores, tmp_path / "artifact", "onnx", precision=precision)
    (loss,) = artifact.manifest.losses
    assert loss.after > 25
    assert "example inputs" in loss.on.method


def test_half_is_refused_with_the_types_that_are_taken(tmp_path):
    with pytest.raises(CompileError, match=r"an output is float16; .* float32, .*uint8, int8"):
        compiled(Halved, tmp_path / "artifact", "litert")


def test_drawn_bytes_fill_their_range():
    drawn = drawn_inputs({"a": InputShape((4000,), "uint8"), "b": InputShape((4000,), "int8")})
    assert (int(drawn["a"].min()), int(drawn["a"].max())) == (0, 255)
    assert (int(drawn["b"].min()), int(drawn["b"].max())) == (-128, 127)
    with pytest.raises(InputError, match="the range of a is 0 to 300; uint8 has values from 0"):
        drawn_inputs({"a": InputShape((2,), "uint8")}, 0, {"a": (0.0, 300.0)})


def test_samples_of_bytes_are_dark_and_bright():
    samples, _ = samples_like((picture(),))
    assert {x.dtype for (x,) in samples} == {torch.uint8}
    assert int(samples[2][0].max()) == 31
    assert int(samples[0][0].max()) == 255


def difference(expected, found):
    return compare({"y": np.asarray(expected)}, {"y": np.asarray(found)})["y"]


def test_one_step_in_few_pixels_is_rounding_and_a_wrong_label_is_not():
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 255, 1000, np.uint8)
    near = numbers + (np.arange(1000) < 10).astype(np.uint8)
    assert TOLERANCES["fp32"].complaint(difference(numbers, near)) is None
    every = numbers + np.uint8(1)
    assert TOLERANCES["fp32"].complaint(difference(numbers, every)) is not None
    labels = rng.integers(0, 2, 1000, np.uint8)
    wrong = labels.copy()
    wrong[0] = 1 - wrong[0]
    assert difference(labels, wrong).max_rel == 1e-3
    assert TOLERANCES["fp32"].complaint(difference(labels, wrong)) is not None
    noise = rng.integers(0, 255, 1000, np.uint8)
    assert "PSNR" in str(TOLERANCES["int8"].complaint(difference(numbers, noise)))
    assert difference(np.uint8([0, 255]), np.uint8([1, 254])).max_abs == 1  # no overflow


def test_the_command_line_draws_verifies_and_measures_bytes(tmp_path, monkeypatch, capsys):
    (tmp_path / "bytenet.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    source = ["bytenet:Net", "--input", "image=1x3x16x16:uint8"]
    assert main(["compile", *source, "--backend", "onnx", "-o", "artifact"]) == 0
    assert main(["verify", "artifact"]) == 0
    capsys.readouterr()
    assert main(["compile", *source, "--backend", "onnx", "--free-sizes", "-o", "free"]) == 2
    assert "image is uint8 1x3x16x16" in capsys.readouterr().err
    rest = ["--backend", "onnx", "-o", "x"]
    assert main(["compile", "bytenet:Net", "--input", "image=1x3x16x16:uint16", *rest]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert "uint16" in said
    assert "float32, int64, int32, uint8, int8, bool" in said
