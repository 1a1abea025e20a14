import shutil

import pytest

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import CheckpointError, InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from tools.ship import SHIPPED, main, ship, size_of

TINY = {"width": 4}
CARD = {
    "name": "tiny",
    "description": "for tests",
    "input_space": "packed_bayer_white_balanced",
    "output_space": "camera_linear",
    "training_data": ["none"],
    "licence": "CC0-1.0",
}


def checkpoint(folder, seed=0, **card):
    path = folder / f"trained{seed}.safetensors"
    state = build_model("small_isp", TINY, seed=seed).state_dict()
    save_checkpoint(path, model="small_isp", options=TINY, state=state, card=CARD | card)
    return path


@pytest.fixture(scope="module")
def shipped_once(small_isp, tmp_path_factory):
    """A shipped checkpoint, and how many bytes it takes."""
    folder = tmp_path_factory.mktemp("shipped")
    shipped = ship(checkpoint(folder, seed=1), folder / "isp_default")
    return shipped, size_of(shipped)


@pytest.fixture
def shipped(shipped_once, tmp_path):
    """A copy of it, and how many bytes it takes."""
    folder, size = shipped_once
    return shutil.copytree(folder, tmp_path / "pretrained" / "isp_default"), size


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_shipped_checkpoint_replaces_the_last_one_with_its_artifact(shipped, tmp_path, capsys):
    folder, _ = shipped
    first = contents(folder)
    assert main([str(checkpoint(tmp_path, seed=2)), "--folder", str(folder)]) == 0
    assert f"{folder} holds " in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["artifact", "checkpoint.safetensors"]
    artifact = Artifact.open(folder / "artifact")
    assert (artifact.manifest.backend, artifact.manifest.filters) == ("onnx", "refolded")
    held = load_checkpoint(folder / "checkpoint.safetensors")
    assert artifact.manifest.source.checkpoint_sha256 == held.sha256
    assert contents(folder) != first


def test_too_large_a_checkpoint_leaves_the_shipped_model_as_it_is(shipped, tmp_path):
    folder, size = shipped
    before = contents(folder)
    assert size == sum(len(data) for data in before.values())
    with pytest.raises(InputError, match=f"at most {size // 2} can be shipped: train a network"):
        ship(checkpoint(tmp_path, seed=2), folder, largest_bytes=size // 2)
    assert contents(folder) == before
    assert size < SHIPPED["camera_linear"].largest_bytes


@pytest.mark.parametrize("words", ["no output space", "damaged", "absent"])
@pytest.mark.usefixtures("small_isp")
def test_what_cannot_be_shipped_is_refused_in_a_sentence(tmp_path, capsys, words):
    path = checkpoint(tmp_path, output_space="srgb")
    if words == "damaged":
        path.write_bytes(b"cut")
    if words == "absent":
        path.unlink()
    folder = tmp_path / "isp_default"
    assert main([str(path), "--folder", str(folder)]) == CheckpointError("").exit_code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert str(path) in error
    assert not folder.exists()
