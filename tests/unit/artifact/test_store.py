"""An artifact opens only as it was written."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact import store
from edge_pipeline.artifact.draft import reference_bytes, write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError
from tests.fakes.artifacts import FILTER, make_artifact, make_files

FILES = (
    "apply_filters.onnx",
    "apply_filters.safetensors",
    "manifest.json",
    "manifest.sha256",
    "predict_filters.onnx",
    "predict_filters.safetensors",
)
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artifact(tmp_path_factory.mktemp("pristine") / "artifact", filters="split").folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "artifact"))


def _refused(folder: Path) -> str:
    """The message with which `folder` is refused: one line that names it."""
    with pytest.raises(ArtifactError) as caught:
        Artifact.open(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    assert isinstance(caught.value, InputError)
    return message


def _reseal(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and its seal together, as somebody with a purpose would."""
    data = json.loads((folder / "manifest.json").read_text())
    change(data)
    text = json.dumps(data).encode()
    (folder / "manifest.json").write_bytes(text)
    seal = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n"
    (folder / "manifest.sha256").write_text(seal)


class TestOpen:
    def test_as_written(self, pristine: Path) -> None:
        artifact = Artifact.open(str(pristine))
        assert artifact.manifest.backend == "onnx"
        assert sorted({*artifact.manifest.files, "manifest.json", "manifest.sha256"}) == list(FILES)
        manifest = (pristine / "manifest.json").read_bytes()
        assert artifact.digest == hashlib.sha256(manifest).hexdigest()

    @pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
    def test_seal_is_what_sha256sum_checks(self, pristine: Path) -> None:
        subprocess.run(["sha256sum", "-c", "manifest.sha256"], cwd=pristine, check=True)

    def test_moved_folder_and_link_to_it(self, folder: Path, tmp_path: Path) -> None:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        assert Artifact.open(folder).reference("predict_filters")

    @given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
    def test_any_changed_byte(self, pristine: Path, name: str, place: float, mask: int) -> None:
        path = pristine / name
        content = path.read_bytes()
        changed = bytearray(content)
        changed[int(place * len(content))] ^= mask
        path.write_bytes(changed)
        try:
            assert name in _refused(pristine)
        finally:
            path.write_bytes(content)

    @pytest.mark.parametrize("name", FILES)
    def test_first_and_last_byte_one_less_and_one_more(self, folder: Path, name: str) -> None:
        path = folder / name
        content = path.read_bytes()
        first = bytes([content[0] ^ 1]) + content[1:]
        last = content[:-1] + bytes([content[-1] ^ 1])
        for changed in (first, last, content[:-1], content[1:], content + b"\n", b""):
            path.write_bytes(changed)
            assert name in _refused(folder)

    def test_every_byte_of_the_seal(self, folder: Path) -> None:
        path = folder / "manifest.sha256"
        content = path.read_bytes()
        for index in range(len(content)):
            path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
            assert "manifest.sha256" in _refused(folder)

    @pytest.mark.parametrize("name", FILES)
    def test_missing_file(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        assert name in _refused(folder)

    @pytest.mark.parametrize("name", ["weights.bin", "deep/weights.bin", ".hidden"])
    def test_unlisted_file(self, folder: Path, name: str) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
        message = _refused(folder)
        assert name in message
        assert "not listed" in message

    def test_what_a_file_manager_drops(self, folder: Path) -> None:
        (folder / ".DS_Store").write_bytes(b"x")
        Artifact.open(folder)

    @pytest.mark.parametrize("name", FILES)
    def test_link_instead_of_a_file(self, folder: Path, tmp_path: Path, name: str) -> None:
        (folder / name).rename(tmp_path / "same")
        (folder / name).symlink_to(tmp_path / "same")
        message = _refused(folder)
        assert name in message
        assert "link" in message

    def test_linked_folder(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        (folder / "deep").symlink_to(tmp_path / "other")
        assert "deep is a link" in _refused(folder)

    @pytest.mark.parametrize("name", FILES)
    def test_pipe_instead_of_a_file_does_not_hang(self, folder: Path, name: str) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert name in _refused(folder)

    def test_folder_instead_of_the_manifest(self, folder: Path) -> None:
        (folder / "manifest.json").unlink()
        (folder / "manifest.json").mkdir()
        assert "manifest.json" in _refused(folder)

    def test_unreadable(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def deny(path: Path) -> str:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(store, "sha256_of", deny)
        assert "Permission denied" in _refused(folder)


class TestForeign:
    def test_absent(self, tmp_path: Path) -> None:
        assert "does not exist" in _refused(tmp_path / "none")

    @pytest.mark.parametrize("content", [b"", b"{}", bytes(range(100, 200))])
    def test_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        assert "is not a folder" in _refused(tmp_path / "file")

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        assert "does not exist" in _refused(tmp_path / "file" / "artifact")

    def test_empty_folder_and_folder_of_other_things(self, tmp_path: Path) -> None:
        assert "it has no manifest.json" in _refused(tmp_path)
        (tmp_path / "photo.jpg").write_bytes(b"x")
        assert "it has no manifest.json" in _refused(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"not json", bytes(range(256))]
    )
    def test_manifest_that_is_not_json(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "manifest.json").write_bytes(content)
        assert "is not JSON" in _refused(tmp_path)

    @pytest.mark.parametrize("content", [b"{}", b"[]", b"3", b'{"name": "web app", "icons": []}'])
    def test_manifest_of_another_format(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "manifest.json").write_bytes(content)
        assert "has another format" in _refused(tmp_path)

    def test_newer_schema(self, folder: Path) -> None:
        _reseal(folder, lambda data: data.update(schema_version=2, novelty=True))
        message = _refused(folder)
        assert "schema version 2" in message
        assert "update edge-pipeline" in message

    @pytest.mark.parametrize("version", [0, -1, "1", None, 1.5])
    def test_impossible_schema_version(self, folder: Path, version: object) -> None:
        _reseal(folder, lambda data: data.update(schema_version=version))
        assert "schema_version" in _refused(folder)

    @pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/../../x"])
    def test_names_that_leave_the_folder(self, folder: Path, name: str) -> None:
        _reseal(folder, lambda data: data["files"].update({name: "0" * 64}))
        assert name in _refused(folder)

    def test_program_whose_file_is_not_listed(self, folder: Path) -> None:
        (folder / "apply_filters.onnx").unlink()
        _reseal(folder, lambda data: data["files"].pop("apply_filters.onnx"))
        assert "names apply_filters.onnx but does not list its hash" in _refused(folder)

    def test_types_are_not_guessed(self, folder: Path) -> None:
        _reseal(folder, lambda data: data["tile"].update(stride="16"))
        assert "tile.stride" in _refused(folder)


class TestParts:
    def test_program_and_path(self, pristine: Path) -> None:
        artifact = Artifact.open(pristine)
        spec = artifact.program("apply_filters")
        assert artifact.path(spec.file) == pristine / "apply_filters.onnx"
        with pytest.raises(ArtifactError, match="it has predict_filters, apply_filters"):
            artifact.program("forward")
        with pytest.raises(ArtifactError, match="lists no file"):
            artifact.path("../manifest.json")

    def test_reference(self, pristine: Path) -> None:
        inputs, outputs = Artifact.open(pristine).reference("apply_filters")
        assert {name: value.shape for name, value in inputs.items()} == {
            "packed": (1, 4, 32, 32),
            FILTER: (1, 12, 4, 3, 3),
        }
        assert {name: value.shape for name, value in outputs.items()} == {"rgb": (1, 3, 64, 64)}

    def test_reference_bytes_take_views(self) -> None:
        value = np.arange(6, dtype=np.float32).reshape(2, 3).T
        tensors = safetensors.numpy.load(reference_bytes({"a": value}, {"b": value[::-1]}))
        np.testing.assert_array_equal(tensors["input.a"], value)
        np.testing.assert_array_equal(tensors["output.b"], value[::-1])

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not a readable safetensors file"),
            (bytes(range(64, 128)), "not a readable safetensors file"),
            (reference_bytes({}, {}), r"expected .*'input.packed', 'output.rgb'.*, got \[\]"),
            (
                reference_bytes({"packed": np.zeros((1, 4, 32, 32), np.float32)}, {}),
                r"expected .*'output.rgb'.*, got .*'input.packed'",
            ),
            (
                safetensors.numpy.save(
                    {
                        "input.packed": np.zeros((1, 4, 32, 32)),
                        "output.rgb": np.zeros((1, 3, 64, 64), np.float32),
                    }
                ),
                "packed: expected .*, got float64",
            ),
            (
                reference_bytes(
                    {"packed": np.zeros((1, 4, 32, 32), np.float32)},
                    {"rgb": np.zeros((1, 3, 64, 32), np.float32)},
                ),
                r"expected float32 1x3x32\*hx32\*w, got float32 1x3x64x32",
            ),
        ],
    )
    def test_reference_of_another_program_is_not_written(
        self, tmp_path: Path, content: bytes, message: str
    ) -> None:
        manifest, files = make_files(filters="folded")
        changed = {**files, "forward.safetensors": content}
        with pytest.raises(ArtifactError, match=message):
            write_artifact(tmp_path / "artifact", manifest, changed, force=False)
        assert not (tmp_path / "artifact").exists()
