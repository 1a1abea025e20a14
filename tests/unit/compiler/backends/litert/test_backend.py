import numpy as np
import pytest

pytest.importorskip("litert_torch", reason="the litert extra is not installed")

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import EmitOptions, Emitted
from edge_pipeline.compiler.backends.litert import backend
from edge_pipeline.compiler.passes.lower_clamp import LowerClamp
from edge_pipeline.compiler.passes.lower_padding import LowerPadding
from edge_pipeline.compiler.passes.lower_slices import LowerSlices
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import run_program
from edge_pipeline.errors import CompileError, DelegationError
from edge_pipeline.runtime.litert import open_session
from tests.programs import exported

SIZE = (1, 3, 16, 24)
# Those of int8 leave convolutions with constant weights as they are, whatever was measured.
STEPS = passes_for("litert", precision="int8")


class Layer(nn.Module):
    def __init__(self, predicted):
        super().__init__()
        self.mlp = nn.Linear(3, 4 * 3 * 3 * 3) if predicted else None
        self.weight = None if predicted else nn.Parameter(torch.randn(4, 3, 3, 3) / 5)

    def forward(self, x):
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        if self.mlp is None:
            return torch.conv2d(padded, self.weight)
        f = self.mlp(x.amax((2, 3))).view(4, 27)
        f = f / (f.abs().sum(1, keepdim=True) + 1e-12)
        return torch.conv2d(padded, f.reshape(4, 3, 3, 3))


class Network(nn.Module):
    """Every construct of the networks that LiteRT's delegate refuses as it is written."""

    def __init__(self, *, predicted):
        super().__init__()
        self.hyper = Layer(predicted)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x):
        y = F.gelu(self.hyper(x)).clamp(0, 1)
        y = F.interpolate(F.max_pool2d(y, 2), scale_factor=2.0, mode="bilinear", align_corners=True)
        return torch.sigmoid(self.head(y))


def emitted(source, *inputs, steps=STEPS, **options) -> tuple[Emitted, list]:
    """A network through the passes and the backend; with what eager gives."""
    program = exported(source, *inputs)
    lowered = run_passes(program, steps, inputs)
    names = [f"in.{i}" for i in range(len(inputs))]
    return backend.emit(lowered, EmitOptions("forward", names, ["out"], **options)), run_program(
        program, inputs
    )


def run(result: Emitted, tmp_path, *inputs):
    path = tmp_path / result.file
    path.write_bytes(result.files[result.file])

    def spec(name, shape):
        return TensorSpec(name=name, shape=shape, layout="NCHW"[: len(shape)], meaning="a test's")

    found = ProgramSpec.model_construct(
        name="forward",
        inputs=tuple(spec(f"in.{i}", tuple(x.shape)) for i, x in enumerate(inputs)),
        outputs=(spec("out", (1, 3, *inputs[0].shape[2:])),),
    )
    with open_session(path, found, 1) as session:
        values = {f"in.{i}": x.numpy() for i, x in enumerate(inputs)}
        return torch.from_numpy(session.run(values)["out"])


def psnr(found, expected) -> float:
    return float(-10 * torch.log10((found - expected).square().mean()))


@pytest.fixture(scope="module")
def x():
    return torch.rand(SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {predicted: Network(predicted=predicted).eval() for predicted in (False, True)}


@pytest.mark.parametrize("predicted", [False, True])
def test_all_of_it_is_delegated_and_computes_what_torch_does(networks, x, tmp_path, predicted):
    result, (expected,) = emitted(networks[predicted], x)
    assert result.delegation.outside == {}
    assert result.delegation.outside_share is None
    assert float((run(result, tmp_path, x) - expected).abs().max()) < 1e-6
    assert (result.delegation.delegated.get("BATCH_MATMUL", 0) > 0) == predicted


def test_maps_are_turned_only_where_they_go_in_and_out(networks, x):
    result, _ = emitted(networks[False], x)
    assert result.delegation.delegated["TRANSPOSE"] == 2


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (
            (LowerPadding, LowerSlices),
            r"hyper \(.*\): the operator MIRROR_PAD .*lower_padding.*--allow-outside mirror_pad",
        ),
        ((LowerClamp,), r"the operator RELU_0_TO_1 .*lower_clamp"),
    ],
)
def test_without_a_lowering_the_layer_the_operator_and_the_remedy_are_named(
    networks, x, left_out, words
):
    steps = [step for step in STEPS if not isinstance(step, left_out)]
    with pytest.raises(DelegationError, match=words):
        emitted(networks[False], x, steps=steps)


def test_a_convolution_with_computed_weights_is_refused_with_its_reason(networks, x):
    steps = [step for step in STEPS if step.name != "lower_convolution"]
    with pytest.raises(DelegationError, match=r"hyper \(.*\): the operator CONV_2D .*at run time"):
        emitted(networks[True], x, steps=steps)


def test_every_operator_that_stays_outside_is_named(x):
    def masks(x):
        return (torch.where(x > 0.5, x, x * 2) + x.cumsum(1)) * 0.5

    with pytest.raises(DelegationError) as caught:
        emitted(masks, x)
    text = str(caught.value)
    assert all(kind in text for kind in ("GREATER", "SELECT", "CUMSUM"))
    assert "the function programs.py:" in text


def test_a_file_that_the_runtime_cannot_load_is_a_compile_error(x, monkeypatch):
    def broken(data):
        raise RuntimeError("Node number 13 failed to prepare.\nmore")

    monkeypatch.setattr(backend, "place", broken)
    with pytest.raises(CompileError, match=r"LiteRT cannot convert mul; write it") as caught:
        emitted(lambda x: x * 2.0, x)
    assert "Node number" not in str(caught.value)


def test_what_is_allowed_outside_is_counted_and_its_share_of_the_time_measured(x, tmp_path):
    def network(x):
        return torch.sigmoid(x.cumsum(1)) * 2.0

    with pytest.raises(
        DelegationError, match=r"CUMSUM .*has no such operator, or not for inputs of 1x3x16"
    ):
        emitted(network, x)
    result, (expected,) = emitted(network, x, allowed=frozenset({"cumsum"}))
    assert result.delegation.outside == {"CUMSUM": 1}
    assert 0 < result.delegation.outside_share < 1
    assert float((run(result, tmp_path, x) - expected).abs().max()) < 1e-6


def test_half_precision_halves_the_weights_and_permits_arithmetic(networks, x, tmp_path):
    result, (expected,) = emitted(networks[False], x, precision="fp16")
    data = result.files["forward.tflite"]
    weight = networks[False].hyper.weight.detach().permute(0, 2, 3, 1).contiguous().numpy()
    assert weight.astype(np.float16).tobytes() in data
    assert weight.tobytes() not in data
    assert b"reduced_precision_support" in data
    assert b"fp16accfp16" in data
    assert result.delegation.outside == {}
    assert 60 < psnr(run(result, tmp_path, x), expected) < 110
    assert "not run here" in result.notes[0]


def test_half_precision_keeps_float32_arithmetic_where_an_epsilon_would_vanish(networks, x):
    result, _ = emitted(networks[True], x, precision="fp16")
    assert b"reduced_precision_support" not in result.files["forward.tflite"]
    assert "1e-12" in result.notes[0]


def test_eight_bits_are_static_where_weights_are_constants(networks, x, tmp_path):
    samples = tuple((torch.rand(SIZE, generator=torch.Generator().manual_seed(i)),) for i in (1, 2))
    result, (expected,) = emitted(networks[False], x, precision="int8", samples=samples)
    assert result.delegation.outside == {}
    assert result.delegation.delegated["QUANTIZE"] > 0
    assert 35 < psnr(run(result, tmp_path, x), expected) < 90
    assert "ranges observed" in result.notes[0]


def test_a_range_observed_on_the_wrong_samples_shows(networks, x, tmp_path):
    dark = ((torch.rand(SIZE) * 0.01,),)
    result, (expected,) = emitted(networks[False], x, precision="int8", samples=dark)
    assert psnr(run(result, tmp_path, x), expected) < 35


def test_ranges_are_the_widest_of_all_samples_and_no_average_of_them(networks, x, tmp_path):
    dark = tuple((x * 0.01,) for _ in range(4))
    result, (expected,) = emitted(networks[False], x, precision="int8", samples=(*dark, (x,)))
    assert psnr(run(result, tmp_path, x), expected) > 35


def test_eight_bits_are_of_dynamic_range_where_weights_are_computed(networks, x, tmp_path):
    result, (expected,) = emitted(networks[True], x, precision="int8")
    assert result.delegation.outside == {}
    assert "QUANTIZE" not in result.delegation.delegated
    assert 35 < psnr(run(result, tmp_path, x), expected) < 90
    assert "(the first is hyper)" in result.notes[0]


def test_an_inverse_root_stays_float_in_int8(x, tmp_path):
    """XNNPACK has no RSQRT in integers; a group normalisation has one."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(x.shape[1], 8, 3, padding=1), nn.GroupNorm(4, 8), nn.ReLU())
    network = nn.Sequential(*layers, nn.Conv2d(8, 3, 1)).eval()
    samples = tuple((torch.rand_like(x),) for _ in range(4))
    result, (expected,) = emitted(network, x, precision="int8", samples=samples)
    assert result.delegation.outside == {}
    assert psnr(run(result, tmp_path, x), expected) > 30


@pytest.mark.parametrize(
    "function", [F.hardswish, lambda y: y / (y.abs() + 1), lambda y: F.relu(y[:, 1:])]
)
def test_operators_without_integer_kernels_stay_float_in_int8(function, x, tmp_path):
    torch.manual_seed(0)
    first, last = nn.Conv2d(x.shape[1], 4, 3, padding=1), nn.LazyConv2d(3, 1)

    class Between(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = first, last

        def forward(self, x):
            return self.last(function(self.first(x)))

    network = Between().eval()
    network(x)
    result, (expected,) = emitted(network, x, precision="int8", samples=((x,),))
    assert result.delegation.outside == {}
    assert any(kind.endswith("QUANTIZE") for kind in result.delegation.delegated)
    assert psnr(run(result, tmp_path, x), expected) > 30


def test_eight_bits_without_samples_are_refused(networks, x):
    with pytest.raises(CompileError, match="int8 requires samples to observe value ranges on"):
        emitted(networks[False], x, precision="int8")


def test_constants_lie_in_the_file_as_they_are(networks, x):
    """Another weight can be written over them; axes are out, rows, columns, in."""
    result, _ = emitted(networks[False], x)
    weight = networks[False].hyper.weight.detach().permute(0, 2, 3, 1).contiguous().numpy()
    assert result.files["forward.tflite"].count(weight.tobytes()) == 1


def test_two_compilations_give_the_same_bytes_which_tell_nothing_of_this_machine(networks, x):
    first, _ = emitted(networks[True], x)
    second, _ = emitted(networks[True], x)
    assert first.files == second.files
    data = first.files["forward.tflite"]
    for trace in (b"/work", b".py", b"edge_pipeline", b"site-packages", b"torch.nn"):
        assert trace not in data


def test_what_cannot_be_converted_is_one_sentence(x):
    message = r"litert-torch cannot convert linalg_qr; write it with other operators"
    with pytest.raises(CompileError, match=message) as caught:
        emitted(lambda x: torch.linalg.qr(x)[0], x)
    assert "\n" not in str(caught.value)


def test_nothing_is_printed(networks, x, capfd):
    backend.require()
    capfd.readouterr()
    emitted(networks[False], x, precision="fp16")
    assert capfd.readouterr() == ("", "")


def test_the_versions_are_told():
    assert set(backend.require()) == {
        "litert-torch",
        "ai-edge-litert",
        "ai-edge-quantizer",
        "torch",
    }
