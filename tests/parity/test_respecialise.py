"""Weights written into a compiled artifact, next to the artifact that compiling anew gives."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import safetensors.numpy

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.files import packaged
from edge_pipeline.proof.respecialise import respecialise
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.registry import BACKENDS
from tests.fakes.dng import write_dng
from tests.selection import fast_or_slow

SMALL_PHI = {"encoder": "4-6", "decoder": "4", "hidden2": 40}
# XNNPACK's constants are keyed by their hash, but in a narrower network none of them is its own.
UNET = ("hyperconv_unet", {"n_fwd": 16, "n_embed": 4, "n_hid": 8})
ISP = ("hyperconv_isp", {"width": 16, "coarse": 16, "n_basis": 2})
SMALL = ("small_isp", {"width": 16})
FAST = [
    (SMALL, "onnx", "fp32"),
    (SMALL, "litert", "fp32"),
    (SMALL, "executorch", "fp32"),
    (SMALL, "coreml", "fp32"),
]
CASES = fast_or_slow(
    [
        *FAST,
        (SMALL, "onnx", "fp16"),
        (UNET, "coreml", "fp32"),
        (UNET, "onnx", "fp32"),
        (UNET, "onnx", "fp16"),
        (UNET, "litert", "fp32"),
        (UNET, "executorch", "fp32"),
        (ISP, "coreml", "fp32"),
        (ISP, "onnx", "fp32"),
        (ISP, "litert", "fp32"),
        (ISP, "executorch", "fp32"),
    ],
    FAST,
    uncovered=(UNET, ISP, "fp16"),
)
pytestmark = pytest.mark.usefixtures("small_isp")


CHART = packaged("calibration") / "captures" / "colorchart.dng"


def compiled(shared_artifacts, folder, network, backend, precision, number) -> Artifact:
    """One of two artifacts of a network, which differ in the filters that are folded alone.

    All convolutions of the UNet have computed filters, so another seed gives other ones. Others of
    the other networks are constant, so their filters are predicted from another capture.
    """
    if backend not in BACKENDS:
        pytest.skip(f"{backend} is not a backend here")
    capture = CHART
    if network is not UNET and number:
        noise = np.random.default_rng(0).integers(64, 4096, (256, 256), dtype=np.uint16)
        capture = write_dng(folder / "noise.dng", noise)
    return shared_artifacts(
        source=network[0],
        backend=backend,
        options=network[1],
        filters="folded",
        size=(32, 48),
        seed=number if network is UNET else 0,
        precision=precision,
        calibration=(capture,),
    )


def weights_of(artifact: Artifact) -> dict[str, np.ndarray]:
    """What the network's graph holds, in float32 whatever the program's precision."""
    (program,) = artifact.manifest.programs
    held = [constant for constant in program.constants if constant.file == program.graph]
    data = artifact.path(program.graph).read_bytes()
    return {
        c.name: np.frombuffer(data, "<f4", int(np.prod(c.shape)), c.offsets[0]).reshape(c.shape)
        for c in held
    }


@pytest.mark.parametrize(("network", "backend", "precision"), CASES)
def test_files_are_those_of_compiling_anew(shared_artifacts, tmp_path, network, backend, precision):
    first, second = (
        compiled(shared_artifacts, tmp_path, network, backend, precision, number)
        for number in (0, 1)
    )
    weights = weights_of(second)
    copy = respecialise(first, tmp_path / "copy", filters=weights, reference="eager")
    differing = {
        name
        for name in second.manifest.files
        if copy.manifest.files[name] != second.manifest.files[name]
    }
    # Not even the reference differs: eager has the same graph.
    assert differing == set()
    assert verify_artifact(copy).passed
    # And it was worth doing: the programs are not the same.
    assert first.manifest.files != second.manifest.files


@pytest.fixture
def at_phi(shared_artifacts):
    """Artifacts of a phi network at one phi."""

    def get(phi, backend, precision="fp32", **further) -> Artifact:
        return shared_artifacts(
            source="phi_unet_pets",
            backend=backend,
            options=SMALL_PHI,
            fixed={"phi": phi},
            size=(32, 48),
            precision=precision,
            **further,
        )

    return get


@pytest.mark.parametrize(
    ("backend", "precision", "bound"),
    # In half precision the single class's bias is two bytes.
    [
        ("onnx", "fp32", 1e-5),
        pytest.param("litert", "fp32", 1e-5, marks=pytest.mark.slow),
        pytest.param("executorch", "fp16", 2e-3, marks=pytest.mark.slow),
    ],
)
def test_another_phi_is_what_the_network_gives_there(at_phi, tmp_path, backend, precision, bound):
    if backend not in BACKENDS:
        pytest.skip(f"{backend} is not a backend here")
    first = at_phi(0.35, backend, precision, respecialisable=True)
    second = at_phi(0.351, backend, precision)
    copy = respecialise(first, tmp_path / "copy", fixed={"phi": 0.351}, reference="eager")
    assert verify_artifact(copy).passed
    mine, theirs = (one.reference("forward")[1]["logits"] for one in (copy, second))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=bound * abs(theirs).max())
    (program,) = first.manifest.programs
    old = safetensors.numpy.load_file(first.path(program.graph))
    new = safetensors.numpy.load_file(copy.path(program.graph))
    expected = safetensors.numpy.load_file(second.path(program.graph))
    for name, value in new.items():
        largest = abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=4e-6 * largest)
    assert any(not np.array_equal(new[name], old[name]) for name in new)


@pytest.mark.slow  # test_every_phi.py compares such a copy of the same network
def test_a_copy_is_what_compiling_anew_with_the_curve_gives(at_phi, tmp_path):
    first, second = (at_phi(phi, "onnx", respecialisable=True) for phi in (0.35, 0.351))
    copy = respecialise(first, tmp_path / "copy", fixed={"phi": 0.351}, reference="eager")
    differing = {n for n, h in second.manifest.files.items() if copy.manifest.files[n] != h}
    assert differing == set()
    same = respecialise(copy, tmp_path / "same", fixed={"phi": 0.35}, reference="eager")
    assert same.manifest.files == first.manifest.files


def test_the_hypernetwork_travels_in_no_artifact(at_phi):
    """It is forty times the network, which is in the program and in the graph."""
    small = at_phi(0.35, "onnx")
    large = at_phi(0.35, "onnx", respecialisable=True)
    sizes = [sum(a.path(n).stat().st_size for n in a.manifest.files) for a in (small, large)]
    (program,) = small.manifest.programs
    weights = 4 * sum(np.prod(c.shape) for c in program.constants if c.file == program.graph)
    assert small.manifest.curve is None
    assert sizes[0] < 3 * weights + 100_000
    path = large.path(large.manifest.curve)
    curve = WeightCurve.open(path)
    size, table = path.stat().st_size, curve.table.numbers.nbytes + curve.table.breaks.nbytes
    assert sizes[1] - sizes[0] <= size + 4000
    assert size < len(curve.spec.knots) * weights + table + 20_000
