"""Compiled networks next to eager, through the runtimes, on inputs that nobody compiled for."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.compiler.precision.samples import aligned_mosaic, bundled_files
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.reference import synthetic_capture
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.raw.colour import srgb_encode
from edge_pipeline.raw.windows import VIEW, view
from edge_pipeline.runtime.base import open_session
from tests.compiled import PACKAGES
from tests.programs import lively
from tests.selection import fast_or_slow

TINY = {"n_fwd": 4, "n_embed": 4, "n_hid": 8}
SIZE = (32, 48)
CARD = {"name": "tiny", "description": "test", "training_data": [], "licence": "CC0-1.0"}
TOLERANCE = 1e-4

TINY_ISP = {"width": 8, "coarse": 12, "n_basis": 3}
# By name: the registered network and its options.
NETWORKS = {
    "published": ("hyperconv_unet", TINY | {"head": "published"}),
    "shuffle": ("hyperconv_unet", TINY | {"head": "shuffle"}),
    "isp": ("hyperconv_isp", TINY_ISP),
    "small": ("small_isp", {}),
}

FORMS = ("dynamic", "folded", "split")
REGISTERED = [
    ("onnx", "dynamic", "shuffle"),
    ("onnx", "dynamic", "published"),
    ("onnx", "folded", "published"),
    ("onnx", "split", "shuffle"),
    ("executorch", "dynamic", "published"),
    ("executorch", "folded", "published"),
    ("executorch", "folded", "shuffle"),
    ("executorch", "split", "shuffle"),
    ("litert", "dynamic", "published"),
    ("litert", "folded", "shuffle"),
    ("litert", "split", "published"),
    ("coreml", "dynamic", "shuffle"),
    ("coreml", "folded", "published"),
    *((backend, form, "isp") for backend in PACKAGES for form in FORMS),
]
# The small network in every form on every backend; the registered networks, each compiled for five
# to twenty seconds, in a few. `hyperconv_isp` is compiled for Core ML in test_respecialise.py, and
# its shipped artifact is tested in tests/end_to_end/test_shipped_model.py.
SMALL = [(backend, form, "small") for backend in PACKAGES for form in FORMS]
FAST = [("onnx", "folded", "published")]
CASES = fast_or_slow(REGISTERED + SMALL, FAST + SMALL, uncovered=("isp", "shuffle"))


def srgb(values):
    return srgb_encode(np.clip(values, 0, 1))


@pytest.fixture(scope="module")
def networks(tmp_path_factory, small_isp):
    """Checkpoints whose filters follow the capture."""
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {}
    for name, (model, options) in NETWORKS.items():
        torch.manual_seed(0)
        state = lively(build_model(model, options)).state_dict()
        paths[name] = folder / f"{name}.safetensors"
        save_checkpoint(paths[name], model=model, options=options, state=state, card=CARD)
    return paths


@pytest.fixture(scope="module")
def compiled(networks, shared_artifacts):
    """Artifacts by (backend, form, network), each compiled once."""

    def get(backend, form, network):
        pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
        artifact = shared_artifacts(
            source=networks[network], backend=backend, filters=form, size=SIZE
        )
        return artifact, load_checkpoint(networks[network]).build()

    return get


def run(artifact, packed):
    """The artifact's picture of a packed capture."""
    inputs = {"packed": packed}
    if artifact.manifest.filters == "split":
        with open_session(artifact, "predict_filters", threads=1) as session:
            inputs |= session.run({"packed": packed})
        with open_session(artifact, "apply_filters", threads=1) as session:
            return session.run(inputs)["rgb"]
    with open_session(artifact, "forward", threads=1) as session:
        return session.run(inputs)["rgb"]


def eager(model, packed, filters=None):
    x = torch.from_numpy(packed)
    with torch.no_grad():
        return (model(x) if filters is None else model.apply_filters(x, filters)).numpy()


def folded_filters(artifact, model):
    """For a folded artifact, the filters predicted anew on the bundled captures, by the network."""
    if artifact.manifest.filters != "folded":
        return None
    sets = []
    for path in bundled_files("packed_bayer_white_balanced"):
        mosaic = aligned_mosaic(path, Geometry.of(model))
        seen = view(mosaic, tuple(min(VIEW, side // 2) for side in mosaic.shape))
        with torch.no_grad():
            sets.append(model.predict_filters(torch.from_numpy(seen)))
    return {k: torch.stack([f[k] for f in sets]).mean(0) for k in sets[0]}


@pytest.mark.parametrize(("backend", "form", "network"), CASES)
def test_every_form_agrees_with_eager(compiled, backend, form, network):
    artifact, model = compiled(backend, form, network)
    assert verify_artifact(artifact).passed
    filters = folded_filters(artifact, model)
    sizes = [SIZE, (64, 32)] if backend == "onnx" else [SIZE]
    for height, width in sizes:
        for scale in (1.0, 0.1):
            packed = scale * synthetic_capture(4, height, width)[..., ::-1].copy()
            found, expected = run(artifact, packed), eager(model, packed, filters)
            assert np.abs(srgb(found) - srgb(expected)).max() < TOLERANCE
            assert np.abs(found - expected).max() < TOLERANCE


@pytest.mark.parametrize(("backend", "form", "network"), CASES)
def test_nothing_stays_outside_the_delegate(compiled, backend, form, network):
    artifact, _ = compiled(backend, form, network)
    for program in artifact.manifest.programs:
        assert program.delegation.outside == {}
        kinds = {name.lower() for name in program.delegation.delegated}
        # XNNPACK has no convolution with weights of run time; those are matrix products.
        assert kinds & {"conv", "conv_2d", "convolution", "bmm", "batch_matmul"}
        if backend in ("executorch", "litert") and program.name == "apply_filters":
            assert kinds & {"bmm", "batch_matmul"}


def test_folding_leaves_no_predictor(compiled):
    artifact, _ = compiled("onnx", "folded", "published")
    (program,) = artifact.manifest.programs
    inside = program.delegation.delegated
    assert inside["Conv"] == 11 + 2  # the two means over channels, which keep maps in blocks
    assert not {"Gemm", "MatMul", "ReduceMax", "Abs", "Unsqueeze"} & set(inside)
    assert artifact.path(program.file).stat().st_size < 64 * 1024


def _turned(value):
    """A filter with its rows as columns: of the kernel, or of a square pointwise one."""
    if value.dim() != 5 or value.shape[-1] > 1:
        return value.mT if value.dim() == 5 else value
    return value.transpose(1, 2) if value.shape[1] == value.shape[2] else value


@pytest.mark.parametrize("network", ["shuffle", "isp", "small"])
def test_faults_the_tolerance_has_to_catch(networks, network):
    model = load_checkpoint(networks[network]).build()
    packed = synthetic_capture(4, *SIZE)
    right = eager(model, packed)
    with torch.no_grad():
        filters = model.predict_filters(torch.from_numpy(packed))
        other = model.predict_filters(torch.from_numpy(packed * 0.2))
    turned = {k: _turned(v) for k, v in filters.items()}
    without_bias = {k: v * 0 if k.endswith("bias") else v for k, v in filters.items()}
    faults = {
        "filters of another capture": other,
        "kernels turned": turned,
        "biases lost": without_bias,
    }
    for name, given in faults.items():
        wrong = eager(model, packed, given)
        assert np.abs(srgb(wrong) - srgb(right)).max() > 10 * TOLERANCE, name


def test_an_artifact_reopened_is_the_one_written(compiled):
    artifact, _ = compiled("onnx", "folded", "published")
    assert Artifact.open(artifact.folder).digest == artifact.digest


@pytest.mark.slow
def test_embeddings_of_one_channel_run_in_executorch(tmp_path):
    pytest.importorskip(PACKAGES["executorch"], reason="the extra executorch is not installed")
    request = CompileRequest(
        "hyperconv_unet",
        tmp_path / "a",
        "executorch",
        options={"n_fwd": 2, "n_embed": 2},
        size=(32, 32),
    )
    assert verify_artifact(compile_model(request)).passed
