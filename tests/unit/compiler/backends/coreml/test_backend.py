import functools
import subprocess
import sys

import pytest

pytest.importorskip("coremltools", reason="the coreml extra is not installed")

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from coremltools.proto import Model_pb2
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.coreml import backend
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.errors import CompileError
from edge_pipeline.models.base import build_model
from edge_pipeline.runtime.mil.evaluate import Evaluator
from edge_pipeline.runtime.mil.package import read_package
from tests.fakes import small_isp
from tests.fakes.coreml import emitted, written
from tests.programs import exported, lively
from tests.selection import fast_or_slow

TINY = {"n_fwd": 4, "n_embed": 4, "n_hid": 8}
# Largest error over the largest value. Eager and NumPy add in other orders; half precision has
# eleven bits, and int8 eight, in each of eleven layers.
TOLERANCES = {"fp32": 5e-6, "fp16": 5e-3, "int8": 0.1}


def evaluated(files, folder, *inputs):
    """Outputs of the package for inputs in the order in which they were given."""
    evaluator = Evaluator(written(files, folder))
    given = {name: x.numpy() for name, x in zip(evaluator.inputs, inputs, strict=True)}
    return evaluator, evaluator.run(given)


def relative(found, expected):
    expected = expected.detach().numpy()
    return float(np.abs(found - expected).max() / np.abs(expected).max())


class Applied(nn.Module):
    """The path with given filters: constants, or inputs when `given` is left out."""

    def __init__(self, network, names, given=None):
        super().__init__()
        self.network, self.names = network, names
        for i, value in enumerate(given or ()):
            self.register_buffer(f"filter_{i}", value)
        self.constant = given is not None

    def forward(self, x, *filters):
        if self.constant:
            filters = [self.get_buffer(f"filter_{i}") for i in range(len(self.names))]
        named = dict(zip(self.names, filters, strict=True))
        return self.network.apply_filters(x, named)


@functools.cache
def network(name):
    """`hyperconv_unet` with a head of this name, or the small network."""
    torch.manual_seed(0)
    if name == "small":
        return lively(small_isp.build(small_isp.Options())).eval()
    return lively(build_model("hyperconv_unet", TINY | {"head": name})).eval()


# Convolutions with predicted weights, and at least so many other layers with weights.
HEAVY = {"published": (11, 14 + 11 * 4), "shuffle": (11, 14 + 11 * 4), "small": (2, 2 + 2 * 4)}
CASES = [(name, precision) for name in HEAVY for precision in TOLERANCES]


class TestHyperConv:
    @staticmethod
    def compare(module, inputs, names, precision, folder):
        program = run_passes(exported(module, *inputs), passes_for("coreml"), inputs)
        options = EmitOptions("forward", names, ["rgb"], precision, [inputs])
        files = backend.emit(program, options)
        evaluator, outputs = evaluated(files, folder, *inputs)
        assert {kind.dtype for kind in evaluator.inputs.values()} == {"float32"}
        with torch.no_grad():
            expected = module(*inputs)
        assert relative(outputs["rgb"], expected) < TOLERANCES[precision]
        return files

    @pytest.mark.parametrize(
        ("head", "precision"),
        # The head with a shuffle is tested folded and with given filters.
        fast_or_slow(
            CASES, [("published", "fp32"), ("small", "int8")], uncovered=("fp16", "shuffle")
        ),
    )
    def test_dynamic(self, head, precision, tmp_path):
        files = self.compare(
            network(head), (torch.rand(1, 4, 32, 48),), ["packed"], precision, tmp_path
        )
        operations = read_package(tmp_path / files.file).operations
        made_by = {op.outputs[0][0]: op.kind for op in operations}
        heavy = [op for op in operations if op.kind in ("conv", "linear")]
        fixed = ("const", "constexpr_affine_dequantize")
        predicted = [op for op in heavy if made_by[op.inputs["weight"][0]] not in fixed]
        computed, constant = HEAVY[head]
        assert len(predicted) == computed
        assert len(heavy) - len(predicted) >= constant
        for op in heavy:
            # An int8 input goes with int8 weights, and not with predicted ones.
            quantised = precision == "int8" and op not in predicted
            assert (made_by.get(op.inputs["x"][0]) == "dequantize") == quantised

    @pytest.mark.parametrize(
        ("head", "precision"),
        fast_or_slow(
            CASES,
            [("small", "fp16"), ("small", "int8")],
            uncovered=("fp32", "published", "shuffle"),
        ),
    )
    def test_folded(self, head, precision, tmp_path):
        x = torch.rand(1, 4, 32, 48)
        with torch.no_grad():
            filters = network(head).predict_filters(x)
        module = Applied(network(head), tuple(filters), tuple(filters.values()))
        files = self.compare(module, (x,), ["packed"], precision, tmp_path)
        assert not {"linear", "real_div", "reduce_max"} & set(files.delegation.delegated)

    @pytest.mark.parametrize("head", [pytest.param("published", marks=pytest.mark.slow), "shuffle"])
    def test_filters_given_at_run_time(self, head, tmp_path):
        x = torch.rand(1, 4, 32, 48)
        with torch.no_grad():
            filters = network(head).predict_filters(x)
        module = Applied(network(head), tuple(filters))
        names = ["packed", *filters]
        files = self.compare(module, (x, *filters.values()), names, "fp32", tmp_path)
        inputs = Evaluator(tmp_path / files.file).inputs
        assert inputs["hyper_conv0_weight"].shape == (1, 4, 4, 3, 3)


def test_a_wrong_translation_would_be_seen():
    """What the tolerance of fp32 has to catch: the other corner rule, the tanh form of GELU."""
    x = torch.rand(1, 2, 6, 6)
    up = [
        F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=corners)
        for corners in (True, False)
    ]
    assert relative(up[0].numpy(), up[1]) > 10 * TOLERANCES["fp32"]
    assert relative(F.gelu(x, approximate="tanh").numpy(), F.gelu(x)) > 10 * TOLERANCES["fp32"]


def test_a_tiny_epsilon_is_kept_in_half_precision(tmp_path):
    def normalised(x):
        return x / (x.abs().sum((2, 3), keepdim=True) + 1e-12)

    x = torch.zeros(1, 2, 3, 3)
    files = emitted(normalised, x, precision="fp16")
    # In half precision alone, this is zero by zero.
    _, outputs = evaluated(files, tmp_path, x)
    assert (outputs["y"] == 0).all()
    assert any(note.startswith("2 operators are kept in single precision") for note in files.notes)


def test_what_half_precision_can_hold_is_half(tmp_path):
    files = emitted(lambda x: x.sigmoid() + 1e-3, torch.rand(1, 2, 3, 3), precision="fp16")
    assert not any("kept in single precision" in note for note in files.notes)
    _, outputs = evaluated(files, tmp_path, torch.rand(1, 2, 3, 3))
    assert (outputs["y"] == outputs["y"].astype(np.float16)).all()


def test_all_samples_count_for_the_ranges(tmp_path):
    """coremltools' own observation keeps the last sample's."""
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 3, 1)
    bright, dark = torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4) / 100
    files = emitted(conv, dark, precision="int8", samples=[(bright,), (dark,)])
    _, outputs = evaluated(files, tmp_path, bright)
    assert relative(outputs["y"], conv(bright)) < 0.03


def test_int8_without_samples_is_refused():
    with pytest.raises(CompileError, match="int8 requires samples"):
        emitted(nn.Conv2d(2, 3, 1), torch.rand(1, 2, 4, 4), precision="int8", samples=[])


def test_int8_is_a_quarter_of_the_weights():
    conv = nn.Conv2d(64, 64, 3)
    sizes = {
        precision: max(
            map(len, emitted(conv, torch.rand(1, 64, 8, 8), precision=precision).files.values())
        )
        for precision in TOLERANCES
    }
    assert sizes["fp16"] < 0.55 * sizes["fp32"]
    assert sizes["int8"] < 0.3 * sizes["fp32"]


@pytest.mark.parametrize("precision", TOLERANCES)
def test_two_compilations_give_the_same_bytes(precision):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1))
    x = torch.rand(1, 2, 6, 6)
    first, second = (emitted(module, x, precision=precision) for _ in range(2))
    assert first.files == second.files
    assert set(first.files) == {
        "forward.mlpackage/Manifest.json",
        "forward.mlpackage/Data/com.apple.CoreML/model.mlmodel",
        "forward.mlpackage/Data/com.apple.CoreML/weights/weight.bin",
    }


def test_the_package_is_what_coremltools_and_core_ml_expect(tmp_path):
    import coremltools as ct

    files = emitted(nn.Conv2d(2, 3, 3), torch.rand(1, 2, 6, 6))
    path = written(files, tmp_path)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    assert model.get_spec().specificationVersion == ct.target.iOS17
    assert model.get_spec().description.input[0].type.multiArrayType.shape == [1, 2, 6, 6]
    data = files.files["forward.mlpackage/Data/com.apple.CoreML/model.mlmodel"]
    assert str(__file__).encode() not in data
    assert not any(
        "date" in k for k in Model_pb2.Model.FromString(data).description.metadata.userDefined
    )


class TestRefusals:
    class Layer(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.block = nn.Sequential(nn.Identity(), TestRefusals.Inner(function))

        def forward(self, *inputs):
            return self.block[1](*inputs)

    class Inner(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, *inputs):
            return self.function(*inputs)

    def test_more_than_five_axes(self):
        def six(x):
            return x.reshape(1, 2, 3, 2, 3, 2).permute(0, 1, 2, 4, 3, 5).reshape(1, 2, 9, 4)

        with pytest.raises(
            CompileError, match=r"block\.1: the operator view .* 6 axes, and Core ML has at most 5"
        ):
            emitted(self.Layer(six), torch.rand(1, 2, 6, 6))

    @pytest.mark.parametrize(
        ("function", "words"),
        [
            (lambda x, w: F.conv_transpose2d(x, w), "a transposed convolution requires constant"),
            (lambda x, w: F.conv2d(x, w, dilation=2), "the dilation must be 1"),
            (lambda x, w: F.conv2d(x, w, w.sum((1, 2, 3))), "the bias must be constant"),
        ],
        ids=["transposed", "dilated", "bias"],
    )
    def test_weights_computed_at_run_time(self, function, words):
        x, weight = torch.rand(1, 2, 8, 8), torch.rand(2, 2, 3, 3)
        with pytest.raises(
            CompileError, match=rf"block\.1: Core ML does not support conv.*{words}"
        ):
            emitted(self.Layer(function), x, weight)

    def test_an_operator_without_a_counterpart(self):
        layer = self.Layer(lambda x: torch.special.i0(x))
        with pytest.raises(
            CompileError,
            match=r"block\.1: coremltools cannot convert the operator special_i0 \(.*add a pass",
        ) as caught:
            emitted(layer, torch.rand(1, 2, 4, 4))
        assert "\n" not in str(caught.value)

    def test_names_that_become_one(self):
        program = exported(lambda a, b: a + b, torch.rand(1, 2), torch.rand(1, 2))
        with pytest.raises(CompileError, match="the same name in Core ML: a_b; rename"):
            backend.emit(program, EmitOptions("forward", ["a.b", "a_b"], ["y"]))


def test_constant_weights_may_be_dilated_and_transposed(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(2, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
    )
    x = torch.rand(1, 2, 9, 8)
    _, outputs = evaluated(emitted(module, x), tmp_path, x)
    assert relative(outputs["y"], module(x)) < TOLERANCES["fp32"]


def test_the_notes_claim_nothing_that_was_not_seen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert backend.checked() == "translation"
    notes = " ".join(emitted(lambda x: x + 1, torch.rand(1, 2)).notes)
    assert "not Core ML's execution, placement or speed" in notes
    assert "iOS 17" in notes
    monkeypatch.setattr(sys, "platform", "darwin")
    assert backend.checked() == "verified"
    assert "evaluating the saved program" not in " ".join(
        emitted(lambda x: x + 1, torch.rand(1, 2)).notes
    )


def test_it_says_nothing():
    """In a process of its own, where everything is imported for the first time."""
    script = """
import warnings
import torch
warnings.simplefilter("ignore")  # torch's own export warns of torch
from edge_pipeline.compiler.backends.coreml import backend as coreml
from edge_pipeline.compiler.backends.base import EmitOptions
x = torch.rand(1, 2, 6, 6)
program = torch.export.export(torch.nn.Conv2d(2, 3, 3), (x,)).run_decompositions({})
coreml.emit(program, EmitOptions("forward", ["x"], ["y"], "int8", [(x,)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_versions_are_told():
    assert set(backend.require()) == {"coremltools", "coreml_target", "torch"}
