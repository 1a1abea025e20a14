"""Refolded artifacts: with each input's own filters they give what the network itself gives."""

import importlib.util

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compare import TOLERANCES, compare
from edge_pipeline.compiler.analysis.exchange import Exchange, LostMarker
from edge_pipeline.compiler.compile import CompileRequest, compile_model, compile_module
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.files import packaged
from edge_pipeline.isp.develop import develop
from edge_pipeline.models.base import build_model
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.raw.capture import normalise, read_capture
from edge_pipeline.raw.cfa import align, pack
from edge_pipeline.runtime.base import open_session
from tests.compiled import PACKAGES
from tests.fakes import own_networks as own
from tests.selection import fast_or_slow

CHART = packaged("calibration") / "captures" / "colorchart.dng"
ISP = {"width": 16, "coarse": 16, "n_basis": 2}
UNET = {"n_fwd": 16, "n_embed": 4, "n_hid": 8, "head": "shuffle"}
SMALL = {"width": 16}
FAST = [
    ("small_isp", SMALL, "executorch", "fp32"),
    ("small_isp", SMALL, "litert", "fp32"),
    ("small_isp", SMALL, "onnx", "fp32"),
]
CASES = fast_or_slow(
    [
        *FAST,
        ("small_isp", SMALL, "executorch", "fp16"),
        ("hyperconv_isp", ISP, "onnx", "fp32"),
        ("hyperconv_isp", ISP, "executorch", "fp32"),
        ("hyperconv_isp", ISP, "litert", "fp32"),
        ("hyperconv_unet", UNET, "onnx", "fp32"),
        ("hyperconv_unet", UNET, "executorch", "fp32"),
        ("hyperconv_unet", UNET, "litert", "fp32"),
        ("hyperconv_isp", ISP, "onnx", "fp16"),
        ("hyperconv_isp", ISP, "executorch", "fp16"),
    ],
    FAST,
    # They take five to ten times as long. The shipped artifact is a refolded `hyperconv_isp`, which
    # tests/end_to_end/test_shipped_model.py compares with eager; docs/how-to/compile.md makes one.
    uncovered=("hyperconv_isp", ISP, "hyperconv_unet", UNET, "fp16"),
)
# Networks and backends of comparisons of two forms; the small one takes a third of the time.
PAIRS = fast_or_slow(
    [
        (network, options, backend)
        for network, options in (("small_isp", SMALL), ("hyperconv_isp", ISP))
        for backend in ("onnx", "executorch", "litert")
    ],
    [("small_isp", SMALL, backend) for backend in ("onnx", "executorch", "litert")],
    uncovered=("hyperconv_isp", ISP),
)
SIZE = (32, 48)
pytestmark = pytest.mark.usefixtures("small_isp")


@pytest.fixture
def compiled(shared_artifacts):
    """Artifacts with filters of the chart."""

    def get(network, options, backend, form, precision="fp32") -> Artifact:
        if importlib.util.find_spec(PACKAGES[backend].partition(".")[0]) is None:
            pytest.skip(f"{PACKAGES[backend]} is not installed")
        return shared_artifacts(
            source=network,
            backend=backend,
            options=options,
            seed=0,
            filters=form,
            size=SIZE,
            precision=precision,
            calibration=() if form == "split" else (CHART,),
        )

    return get


def captures() -> list[np.ndarray]:
    """Packed windows of a real capture, of one with four stops less light, and of noise."""
    capture = read_capture(CHART, timeout_s=60)
    mosaic = normalise(capture, capture.wb)
    aligned = align(mosaic, capture.pattern, 32).mosaic
    height, width = (2 * side for side in SIZE)
    window = pack(aligned[256 : 256 + height, 512 : 512 + width])[None]
    noise = np.random.default_rng(0).random(window.shape, dtype=np.float32)
    return [window, window / np.float32(16), noise]


def refolded(artifact: Artifact, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the artifact gives for inputs whose filters it predicts on the same."""
    with open_session(artifact, "predict_filters", threads=1) as session:
        taken = [tensor.name for tensor in artifact.program("predict_filters").inputs]
        filters = session.run({name: inputs[name] for name in taken})
    with open_session(artifact, "forward", threads=1, constants=filters) as session:
        return session.run(
            {tensor.name: inputs[tensor.name] for tensor in artifact.program("forward").inputs}
        )


@pytest.mark.parametrize(("network", "options", "backend", "precision"), CASES)
def test_each_capture_is_developed_with_its_own_filters(
    compiled, network, options, backend, precision
):
    artifact = compiled(network, options, backend, "refolded", precision)
    module = build_model(network, options, seed=0).eval()
    with open_session(artifact, "forward", threads=1) as calibrated:
        for packed in captures():
            with torch.no_grad():
                expected = {"rgb": module(torch.from_numpy(packed)).numpy()}
            found = refolded(artifact, {"packed": packed})
            (difference,) = compare(expected, found).values()
            assert TOLERANCES[precision].complaint(difference) is None
            # The filters of the file are another capture's.
            (other,) = compare(expected, calibrated.run({"packed": packed})).values()
            assert other.max_abs > 3 * difference.max_abs
    assert verify_artifact(artifact).passed


@pytest.mark.parametrize(("network", "options", "backend"), PAIRS)
def test_the_program_in_the_file_is_the_folded_one(compiled, network, options, backend):
    first, second = (compiled(network, options, backend, form) for form in ("folded", "refolded"))
    for name, digest in first.manifest.files.items():
        if name.startswith("forward"):
            assert second.manifest.files[name] == digest
    (folded,), (_, path) = first.manifest.programs, second.manifest.programs
    assert folded == path


def test_develop_gives_what_a_split_artifact_gives(compiled):
    split, own_filters = (
        compiled("small_isp", SMALL, "onnx", form).folder for form in ("split", "refolded")
    )
    expected, found = (develop(CHART, model=model).rgb for model in (split, own_filters))
    assert np.abs(expected.astype(int) - found.astype(int)).max() <= 1


class NormedDynamic(own.DynamicConvolution):
    """Dynamic convolution with batch norm after it, as published networks have it."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.2, 2)

    def forward(self, image):
        share = self.attention(image.mean((2, 3))).softmax(-1)
        weight = (share @ self.kernels).view(8, 3, 3, 3)
        return self.last(F.relu(self.norm(F.conv2d(image, weight, padding=1))))


class Twins(nn.Module):
    """Two computed biases that are equal for the first picture, and a constant that is as well."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 3, 3, padding=1)
        self.kernels = nn.Linear(3, 3 * 3 * 3 * 3)
        self.last = nn.Conv2d(3, 3, 1)
        nn.init.zeros_(self.last.bias)

    def forward(self, image):
        mean = F.relu(self.look(image)).mean((2, 3)) + image.mean((2, 3))
        weight = self.kernels(mean).view(3, 3, 3, 3)
        above = F.relu(mean - 1.5)[0]
        y = F.conv2d(image, weight, above * 2.0, padding=1)
        y = F.conv2d(F.relu(y), weight, above * -3.0, padding=1)
        return self.last(y)


@pytest.mark.parametrize(
    ("network", "backend"),
    fast_or_slow(
        [
            (network, backend)
            for network in (NormedDynamic, Twins, own.Styled)
            for backend in ("onnx", "executorch", "litert")
        ],
        [(NormedDynamic, "executorch"), (Twins, "onnx"), (Twins, "litert"), (own.Styled, "onnx")],
    ),
)
def test_networks_of_users(tmp_path, network, backend):
    pytest.importorskip(PACKAGES[backend], reason="its backend is not installed")
    torch.manual_seed(0)
    module = network().eval()
    shapes = {"image": (1, 3, 16, 24)}
    if network is own.Styled:
        shapes = {"style": (1, 4), "image": (1, 3, 16, 24)}
    drawn = [{name: torch.rand(shape) for name, shape in shapes.items()} for _ in range(3)]
    artifact = compile_module(module, drawn[0], tmp_path / "a", backend=backend, filters="refolded")
    for number, inputs in enumerate(drawn):
        brighter = {name: value * (1 + number) for name, value in inputs.items()}
        with torch.no_grad():
            expected = module(**brighter).numpy()
        (found,) = refolded(artifact, {k: v.numpy() for k, v in brighter.items()}).values()
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


class TestRefusals:
    def asked(self, folder, **changes) -> CompileRequest:
        options = {"width": 4, "coarse": 4, "n_basis": 2}
        return CompileRequest(
            "hyperconv_isp",
            folder / "a",
            changes.pop("backend", "onnx"),
            options=options,
            filters="refolded",
            size=SIZE,
            **changes,
        )

    def test_int8(self, tmp_path):
        with pytest.raises(InputError, match="cannot be combined with int8, whose scales belong"):
            compile_model(self.asked(tmp_path, precision="int8"))

    @pytest.mark.parametrize("backend", ["coreml", "executorch_vulkan"])
    def test_no_loading_from_memory(self, tmp_path, backend):
        with pytest.raises(InputError, match=f"{backend} has none here; give --filters split"):
            compile_model(self.asked(tmp_path, backend=backend))

    def test_a_filter_without_a_place(self, tmp_path, monkeypatch):
        def settle(*_: object) -> None:
            raise LostMarker("conv.weight is not in the program's files")

        monkeypatch.setattr(Exchange, "settle", settle)
        with pytest.raises(
            CompileError, match=r"accept other filters .*conv\.weight is not .*--filters split"
        ):
            compile_module(
                own.DynamicConvolution(),
                [torch.rand(1, 3, 16, 24)],
                tmp_path / "a",
                backend="onnx",
                filters="refolded",
            )
        assert not (tmp_path / "a").exists()
