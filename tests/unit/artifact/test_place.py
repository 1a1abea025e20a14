"""Artifacts go beside what is there: not inside an artifact or a source, not around a source."""

import pytest

from edge_pipeline.artifact.place import check_output
from edge_pipeline.errors import OutputError
from tests.fakes.artifacts import make_artifact


def test_beside_its_source(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    sources = [tmp_path / "checkpoint", tmp_path / "folder", tmp_path / "absent"]
    check_output(tmp_path / "out", force=False, sources=sources)
    # A name that begins like another is no place inside it.
    check_output(tmp_path / "folder2", force=False, sources=sources)


def test_in_the_place_of_its_source(tmp_path):
    artifact = make_artifact(tmp_path / "a")
    check_output(artifact.folder, force=True, sources=[artifact.folder])


@pytest.mark.parametrize("output", ["source/out", "source/deep/out", "link/out"])
def test_inside_its_source(tmp_path, output):
    (tmp_path / "source").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "source")
    with pytest.raises(OutputError, match="lies inside the source"):
        check_output(tmp_path / output, force=True, sources=[tmp_path / "source"])


@pytest.mark.parametrize("source", ["out/a.dng", "out/deep/a.dng", "link"])
def test_around_its_source(tmp_path, source):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "deep")
    with pytest.raises(OutputError, match=f"the source .*{source} lies inside"):
        check_output(tmp_path / "out", force=True, sources=[tmp_path / source])


def test_inside_a_damaged_artifact(tmp_path):
    artifact = make_artifact(tmp_path / "a")
    (artifact.folder / "forward.onnx").unlink()
    with pytest.raises(OutputError, match="lies inside the artifact"):
        check_output(artifact.folder / "deep" / "out", force=True)
