"""Artifacts whose manifest or graph file is wrong about a weight are refused unchanged."""

import hashlib
import json

import pytest

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import (
    ArtifactError,
    InputError,
)
from edge_pipeline.proof.respecialise import respecialise
from tests.fakes.artifacts import FILTER
from tests.fakes.constants import GRAPH, NEW, files_with_constants, with_constants


@pytest.fixture
def folded(tmp_path) -> Artifact:
    return with_constants(tmp_path / "folded", notes=("an old note",))


def resealed(artifact, **changes):
    """The artifact with a change to the place of its weight in the program, sealed again."""
    path = artifact.folder / "manifest.json"
    data = json.loads(path.read_bytes())
    (program,) = data["programs"]
    for constant in program["constants"]:
        if constant["file"] == changes.get("file", "forward.onnx"):
            constant.update(changes)
    text = json.dumps(data).encode()
    path.write_bytes(text)
    seal = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n"
    (artifact.folder / "manifest.sha256").write_text(seal)
    return Artifact.open(artifact.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": [0]},
        {"offsets": [10**9]},
        {"file": GRAPH, "offsets": [0]},
        {"file": GRAPH, "offsets": [8]},
        {"scale": 0.0},
        {"dtype": "float16"},
        {"axes": [0, 2, 1, 3, 4]},
        {"rounded": True, "scale": 2.0},
    ],
)
def test_a_manifest_that_tells_other_places_is_refused(folded, tmp_path, changes):
    artifact = resealed(folded, **changes)
    with pytest.raises(
        ArtifactError, match=f"lists {FILTER} at byte .*, where the file does not contain it"
    ):
        respecialise(artifact, tmp_path / "copy", filters=NEW)
    assert not (tmp_path / "copy").exists()


def test_a_second_place_is_checked_too(folded, tmp_path):
    (true,) = (c for c in folded.manifest.programs[0].constants if c.file == "forward.onnx")
    artifact = resealed(folded, offsets=[*true.offsets, 4])
    with pytest.raises(ArtifactError, match=r"at byte 4 of forward\.onnx"):
        respecialise(artifact, tmp_path / "copy", filters=NEW)


def test_without_its_graph_no_place_can_be_checked(tmp_path):
    manifest, files = files_with_constants()
    (program,) = manifest.programs
    inside = tuple(c for c in program.constants if c.file != GRAPH)
    for name, changes, complaint in [
        ("none", {"graph": None, "constants": inside}, "does not contain the graph"),
        ("unlisted", {"constants": inside}, f"lists no place for {FILTER} in {GRAPH}"),
    ]:
        changed = manifest.model_copy(update={"programs": (program.model_copy(update=changes),)})
        artifact = write_artifact(tmp_path / name, changed, files, force=False)
        with pytest.raises(InputError, match=complaint):
            respecialise(artifact, tmp_path / "copy", filters=NEW)


def test_a_graph_file_that_is_none(tmp_path):
    manifest, files = files_with_constants()
    for number, content in enumerate([b"", bytes(300), b"\xff" * 300]):
        changed = files | {GRAPH: content}
        artifact = write_artifact(tmp_path / str(number), manifest, changed, force=False)
        with pytest.raises(ArtifactError, match="not a readable graph file"):
            respecialise(artifact, tmp_path / "copy", filters=NEW)
