"""Errors are held against how an output varies over inputs, and one that does not is told."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="compiling to ONNX needs it")

import torch

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import save_checkpoint
from edge_pipeline.proof.verify import Trials, verify_artifact

OPTIONS = {"encoder": "8-16", "decoder": "8", "hidden2": 8}
DEEPER = {"encoder": "8-16-32", "decoder": "16-8", "hidden2": 8}  # lets less of the picture through
CARD = {"name": "n", "description": "d", "training_data": [], "licence": "none"}
CARD |= {"input_space": "srgb", "output_space": "logits"}
FIRST = "network.encoder0.0.weight"


def compiled(folder: Path, source: str | Path = "phi_unet_pets", **changes) -> Artifact:
    fresh = {} if isinstance(source, Path) else {"options": OPTIONS}
    given = {"backend": "onnx", "fixed": {"phi": 0.35}, "size": (32, 48)} | fresh | changes
    return compile_model(CompileRequest(source=source, output=folder, **given))


def checkpoint(path: Path, change=lambda _: None, *, loud: bool = False, options=OPTIONS) -> Path:
    """A checkpoint with the published initialisation, or one that lets the picture through."""
    model = build_model("phi_unet_pets", options)
    if loud:
        model.rescale_weights()
    state = model.state_dict()
    change(state)
    save_checkpoint(path, model="phi_unet_pets", options=options, state=state, card=CARD)
    return path


def with_fault(artifact: Artifact, folder: Path, name: str, factor: float) -> Artifact:
    """A copy whose program, and not its graph, has a weight times `factor`."""
    (spec,) = artifact.manifest.programs
    files = {n: artifact.path(n).read_bytes() for n in artifact.manifest.files}
    (place,) = [c for c in spec.constants if c.name == name and c.file != spec.graph]
    data, (offset,) = bytearray(files[place.file]), place.offsets
    size = 4 * int(np.prod(place.shape))
    values = np.frombuffer(data, "<f4", size // 4, offset) * np.float32(factor)
    data[offset : offset + size] = values.astype("<f4").tobytes()
    return write_artifact(folder, artifact.manifest, files | {place.file: bytes(data)}, force=False)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Artifact:
    return compiled(tmp_path_factory.mktemp("fresh") / "a")


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Artifact:
    """The published initialisation, and a large bias: a thousandth of a percent is signal."""

    def biased(state):
        state["hypernetwork.heads.classify.bias.bias"] += 20

    folder = tmp_path_factory.mktemp("published")
    return compiled(folder / "a", checkpoint(folder / "n.safetensors", biased, options=DEEPER))


def test_fresh_weights_let_the_picture_through(fresh):
    report = verify_artifact(fresh)
    assert report.verdict == "verified"
    assert not [note for note in report.notes + fresh.manifest.notes if "warning" in note]
    (reference,) = [p for p in report.programs if p.input == "reference"]
    assert reference.outputs[0].difference.varied > 0.03


@pytest.mark.parametrize(
    ("name", "factor"), [(FIRST, 0), (FIRST, 1.01), ("network.classify.weight", 1.001)]
)
def test_faults_in_a_fresh_network_are_seen(fresh, tmp_path, name, factor):
    report = verify_artifact(with_fault(fresh, tmp_path / "b", name, factor))
    assert report.verdict == "failed"


def test_a_lost_layer_is_seen_even_if_biases_are_most_of_the_output(published, tmp_path):
    assert verify_artifact(published).verdict == "verified"
    (spec,) = published.manifest.programs
    _, outputs = published.reference("forward")
    assert spec.variation["logits"] < 1e-4 * np.abs(outputs["logits"]).max()
    broken = with_fault(published, tmp_path / "b", FIRST, 0.0)
    report = verify_artifact(broken, trials=Trials(random=0))
    (error,) = report.programs[0].outputs
    assert report.verdict == "failed"
    assert error.difference.max_rel < 1e-4
    assert "error over the output's variation" in error.complaint


def test_a_network_that_ignores_its_input_is_told_and_has_no_loss(tmp_path):
    def mute(state):
        for kind in ("weight", "bias"):
            state[f"hypernetwork.heads.classify.weight.{kind}"].zero_()

    source = checkpoint(tmp_path / "n.safetensors", mute, loud=True)
    artifact = compiled(tmp_path / "a", source, precision="fp16")
    (told,) = [note for note in artifact.manifest.notes if note.startswith("warning")]
    assert "logits does not vary over different inputs" in told
    assert artifact.manifest.losses == ()
    assert told in verify_artifact(artifact).notes


def test_a_lower_precision_tells_less(tmp_path):
    """The published initialisation: float32 sees the picture in the output, int8 cannot."""
    source = checkpoint(tmp_path / "n.safetensors")
    notes = compiled(tmp_path / "a", source, precision="int8").manifest.notes
    assert any("a program that ignores its input would also pass" in note for note in notes)


def test_what_the_manifest_lacks_is_measured(fresh, tmp_path):
    (spec,) = fresh.manifest.programs
    files = {n: fresh.path(n).read_bytes() for n in fresh.manifest.files}
    older = fresh.manifest.model_copy(
        update={"programs": (spec.model_copy(update={"variation": {}}),)}
    )
    report = verify_artifact(write_artifact(tmp_path / "b", older, files, force=False))
    first, again = report.programs[0].outputs[0], verify_artifact(fresh).programs[0].outputs[0]
    assert first.difference.varied == pytest.approx(again.difference.varied, rel=1e-4)


def test_untrained_classes_are_not_compared_with_masks(tmp_path):
    artifact = compiled(tmp_path / "a", precision="fp16")
    (loss,) = artifact.manifest.losses
    assert loss.metric == "psnr_to_before_db"
    assert 40 < loss.after < 100


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_fresh_outputs_depend_on_the_input_for_every_phi(seed):
    from edge_pipeline.models.base import fresh_model

    model = fresh_model("phi_unet_pets", seed=seed)  # making it takes most of the time
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    x = torch.nn.functional.interpolate(x, size=(48, 64), mode="bilinear")
    for phi in (0.01, 0.2, 0.35, 0.6):
        with torch.no_grad():
            y = model(x, phi)
        assert float(y.std(0).mean()) > 0.01 * float(y.abs().max()), phi


def test_training_begins_with_the_published_initialisation():
    from edge_pipeline.models.base import fresh_model

    one, other = build_model("phi_unet_pets", OPTIONS), fresh_model("phi_unet_pets", OPTIONS)
    name = "encoder0.2.weight"
    head = one.hypernetwork.heads.get_submodule(name)
    assert float(head.weight.std()) == pytest.approx(head.out_features**-0.5, rel=0.1)
    assert not torch.equal(head.weight, other.hypernetwork.heads.get_submodule(name).weight)
