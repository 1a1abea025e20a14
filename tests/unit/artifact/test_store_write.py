"""An artifact is written whole or not at all."""

import errno
import hashlib
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_pipeline.artifact import draft
from edge_pipeline.artifact.draft import drafted_artifact, write_artifact
from edge_pipeline.artifact.manifest import Manifest
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, JobError, OutputError
from tests.fakes.artifacts import make_artifact, make_files

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artifact(tmp_path_factory.mktemp("pristine") / "artifact", filters="split").folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "artifact"))


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {p.as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class TestWrite:
    def test_copies_files_given_by_path(self, tmp_path: Path) -> None:
        manifest, files = make_files()
        (tmp_path / "model").write_bytes(files["forward.onnx"])
        given_files: dict[str, bytes | Path] = {
            **files,
            "forward.onnx": tmp_path / "model",
            "extra/data.bin": b"123",
        }
        artifact = write_artifact(tmp_path / "a", manifest, given_files, force=False)
        assert artifact == Artifact.open(tmp_path / "a")
        assert artifact.path("extra/data.bin").read_bytes() == b"123"
        assert (tmp_path / "model").read_bytes() == files["forward.onnx"]

    def test_same_content_same_digest(self, tmp_path: Path) -> None:
        assert make_artifact(tmp_path / "a").digest == make_artifact(tmp_path / "b").digest

    @pytest.mark.parametrize("name", ["../x", "/tmp/x", "manifest.json", "a/../b"])  # noqa: S108
    def test_names_that_leave_the_folder(self, tmp_path: Path, name: str) -> None:
        manifest, files = make_files()
        with pytest.raises(ArtifactError, match="the file name"):
            write_artifact(tmp_path / "a", manifest, {**files, name: b""}, force=False)
        assert _snapshot(tmp_path) == {}

    def test_file_that_is_not_given(self, tmp_path: Path) -> None:
        manifest, files = make_files()
        del files["forward.onnx"]
        with pytest.raises(ArtifactError, match=r"names forward\.onnx"):
            write_artifact(tmp_path / "a", manifest, files, force=False)
        assert _snapshot(tmp_path) == {}

    def test_force(self, folder: Path) -> None:
        before = _snapshot(folder)
        with pytest.raises(OutputError, match="--force"):
            make_artifact(folder, filters="dynamic")
        assert _snapshot(folder) == before
        made = make_artifact(folder, filters="dynamic", force=True)
        assert made == Artifact.open(folder)

    def test_force_replaces_a_damaged_artifact(self, folder: Path) -> None:
        (folder / "apply_filters.onnx").unlink()
        make_artifact(folder, force=True)

    def test_force_does_not_replace_photographs(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"x")
        with pytest.raises(OutputError, match="which is not part of an artifact"):
            make_artifact(tmp_path, force=True)
        assert (tmp_path / "photo.jpg").read_bytes() == b"x"

    @pytest.mark.parametrize("failure", [FULL, KeyboardInterrupt()])
    @pytest.mark.parametrize("exists", [False, True])
    @pytest.mark.parametrize(
        ("owner", "step", "call"),
        [(Path, "write_bytes", call) for call in (1, 2, 3, 4)]
        + [(shutil, "copyfile", 1), (draft, "sha256_of", 1), (draft, "sha256_of", 2)]
        + [(os, "fsync", call) for call in (1, 3, 5)]
        + [(Manifest, "model_validate_json", 1), (Path, "replace", 1)],
    )
    def test_interrupt_or_full_disk_leaves_what_was(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        failure: BaseException,
        exists: bool,
        owner: Any,
        step: str,
        call: int,
    ) -> None:
        manifest, files = make_files()
        (tmp_path / "model").write_bytes(files["forward.onnx"])
        sources: dict[str, bytes | Path] = {**files, "copied": tmp_path / "model", "small": b"x"}
        if exists:
            make_artifact(tmp_path / "a", filters="split")
        before = _snapshot(tmp_path)
        with monkeypatch.context() as patch:
            _fail(patch, owner, step, call, failure)
            with pytest.raises((JobError, ArtifactError, KeyboardInterrupt)):
                write_artifact(tmp_path / "a", manifest, sources, force=True)
        assert _snapshot(tmp_path) == before
        assert {p.name for p in tmp_path.iterdir()} == ({"model", "a"} if exists else {"model"})

    def test_a_disk_that_refuses_leaves_nothing(self, tmp_path: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        try:
            with pytest.raises(JobError, match="File too large"):
                make_artifact(tmp_path / "a")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list(tmp_path.iterdir()) == []


def _fail(
    patch: pytest.MonkeyPatch, owner: Any, step: str, call: int, failure: BaseException
) -> None:
    """Let the `call`-th call of a step fail, and no other."""
    true = getattr(owner, step)
    calls = 0

    def faulty(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise failure
        return true(*arguments, **options)

    patch.setattr(owner, step, faulty)


def test_force_keeps_what_somebody_put_into_an_artifact(tmp_path):
    folder = tmp_path / "artifact"
    make_artifact(folder)
    (folder / "notes").mkdir()
    (folder / "notes" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="contains notes/holiday"):
        make_artifact(folder, force=True)
    assert (folder / "notes" / "holiday.jpg").read_bytes() == b"mine"
    (folder / "notes" / "holiday.jpg").unlink()
    (folder / "manifest.json").write_bytes(b"damaged")
    with pytest.raises(OutputError, match="which is not part of an artifact"):
        make_artifact(folder, force=True)


def test_a_draft_that_is_not_sealed_gets_no_name(tmp_path):
    with (
        pytest.raises(ValueError, match="was not sealed"),
        drafted_artifact(tmp_path / "a", force=False) as draft,
    ):
        draft.add({"forward.onnx": b"model"})
    assert list(tmp_path.iterdir()) == []


def test_a_draft_takes_no_file_outside_its_folder(tmp_path):
    with (
        pytest.raises(ArtifactError),
        drafted_artifact(tmp_path / "a", force=False) as draft,
    ):
        draft.add({"fine": b"", "../outside": b""})
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_compared_with_its_known_hash(tmp_path):
    manifest, files = make_files()
    name = next(iter(files))
    source = tmp_path / "source"
    source.write_bytes(files[name])
    known = hashlib.sha256(files[name]).hexdigest()

    def write(folder, hashes):
        with drafted_artifact(folder, force=False) as one:
            one.add(files | {name: source}, hashes)
            return one.seal(manifest)

    assert write(tmp_path / "right", {name: known}).manifest.files[name] == known
    # A hash for content that is not copied is not used.
    other = next(key for key in files if key != name)
    assert write(tmp_path / "unused", {other: known}).manifest.files[other] != known
    source.write_bytes(files[name] + b"x")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        write(tmp_path / "wrong", {name: known})
    assert not (tmp_path / "wrong").exists()
