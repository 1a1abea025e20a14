"""Artifacts on disk: written completely or not at all, and checked byte by byte when opened.

An artifact is a folder that contains `manifest.json`, the seal `manifest.sha256` (in the format of
`sha256sum`), the files that the manifest lists with their hashes, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError

from edge_pipeline.artifact.manifest import FORMAT, SCHEMA_VERSION, Manifest, ProgramSpec
from edge_pipeline.artifact.place import IGNORED, check_output
from edge_pipeline.artifact.schema import MANIFEST_FILE, SEAL_FILE, check_file_name
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import ArtifactError, first_fault
from edge_pipeline.files import atomic_folder, sha256_of

__all__ = ["Artifact", "Draft", "drafted_artifact", "reference_bytes", "write_artifact"]

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Artifact:
    """An artifact whose manifest and files have been checked.

    Attributes:
        folder: Folder of the artifact.
        manifest: Content of `manifest.json`.
        digest: SHA-256 of `manifest.json`. It identifies the artifact, because the manifest
            contains the hashes of all other files.
    """

    folder: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, folder: Path | str) -> Artifact:
        """Open the artifact in `folder` after checking its schema and every byte.

        Raises:
            ArtifactError: If the folder is not an artifact, has a newer schema, or is damaged; the
                message names the file.
        """
        folder = Path(folder)
        try:
            present = _list_files(folder)
            content = _read_manifest(folder, present)
            manifest = _parse(content, folder)
            _check_files(folder, manifest, present)
        except OSError as error:
            where = error.filename or folder
            raise ArtifactError(f"cannot read {where}: {error.strerror or error}") from error
        return cls(folder, manifest, hashlib.sha256(content).hexdigest())

    def program(self, name: str) -> ProgramSpec:
        """Return the program called `name`.

        Raises:
            ArtifactError: If the artifact has no program of that name.
        """
        for program in self.manifest.every_program():
            if program.name == name:
                return program
        names = ", ".join(program.name for program in self.manifest.every_program())
        raise ArtifactError(f"{self.folder} has no program {name!r}; it has {names}")

    def path(self, file: str) -> Path:
        """Return the path of a listed file, or of a folder of listed files.

        Raises:
            ArtifactError: If the manifest does not list it.
        """
        if file not in self.manifest.files and not self.manifest.folder(file):
            raise ArtifactError(f"{self.folder} lists no file {file!r}")
        return self.folder / file

    def reference(self, program: str) -> tuple[Arrays, Arrays]:
        """Return the reference inputs and the eager outputs of a program, by tensor name.

        Raises:
            ArtifactError: If the file is not a safetensors file, or if its tensors do not match
                the program's inputs and outputs.
        """
        spec = self.program(program)
        path = self.path(spec.reference)
        try:
            tensors = safetensors.numpy.load_file(path)
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise ArtifactError(f"{path} is not a readable safetensors file: {error}") from error
        names = [f"input.{t.name}" for t in spec.inputs] + [
            f"output.{t.name}" for t in spec.outputs
        ]
        if sorted(names) != sorted(tensors):
            raise ArtifactError(f"{path}: expected {sorted(names)}, got {sorted(tensors)}")
        sizes: dict[str, int] = {}
        inputs = {t.name: _fitting(tensors[f"input.{t.name}"], t, sizes, path) for t in spec.inputs}
        outputs = {
            t.name: _fitting(tensors[f"output.{t.name}"], t, sizes, path) for t in spec.outputs
        }
        return inputs, outputs


def reference_bytes(
    inputs: Mapping[str, NDArray[np.float32]], outputs: Mapping[str, NDArray[np.float32]]
) -> bytes:
    """Return the bytes of a reference file, in the format that `Artifact.reference` reads.

    Args:
        inputs: Inputs of the program by tensor name.
        outputs: Outputs of eager for these inputs, by tensor name.
    """
    tensors = {f"input.{name}": value for name, value in inputs.items()}
    tensors |= {f"output.{name}": value for name, value in outputs.items()}
    # safetensors writes raw memory, so a transposed view must be made contiguous first.
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    )


def write_artifact(
    folder: Path | str,
    manifest: Manifest,
    files: Mapping[str, bytes | Path],
    *,
    force: bool,
) -> Artifact:
    """Write an artifact from its manifest and files, or nothing; see `drafted_artifact`."""
    with drafted_artifact(folder, force=force) as draft:
        draft.add(files)
        return draft.seal(manifest)


class Draft:
    """An artifact in a temporary folder: add its files, verify them, and seal it.

    Args:
        folder: Temporary folder of the files.
        output: Final folder of the artifact.
    """

    def __init__(self, folder: Path, output: Path) -> None:
        self.folder = folder
        self._output = output
        self._files: set[str] = set()
        self.is_sealed = False

    def add(self, files: Mapping[str, bytes | Path]) -> None:
        """Write files, which may replace files added before.

        Args:
            files: Content, or the path of a file to copy, by the name in the artifact.

        Raises:
            ArtifactError: If a name leaves the folder; nothing is written in this case.
        """
        for name in files:
            try:
                check_file_name(name)
            except ValueError as error:
                raise ArtifactError(str(error)) from error
        for name, content in files.items():
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                target.write_bytes(content)
            else:
                shutil.copyfile(content, target)
        self._files |= files.keys()

    def seal(self, manifest: Manifest) -> Artifact:
        """Write the manifest and the seal, and check that the artifact can be opened.

        Args:
            manifest: Manifest of the artifact; its `files` are filled in here.

        Returns:
            The artifact, with its final folder.

        Raises:
            ArtifactError: If the manifest names a file that was not added.
        """
        hashes = {name: sha256_of(self.folder / name) for name in sorted(self._files)}
        text = (
            manifest.model_copy(update={"files": hashes}).model_dump_json(indent=2) + "\n"
        ).encode()
        (self.folder / MANIFEST_FILE).write_bytes(text)
        (self.folder / SEAL_FILE).write_bytes(_seal(text))
        # Opened here, so that an artifact that cannot be opened is never moved to its final folder.
        written = Artifact.open(self.folder)
        for program in written.manifest.every_program():
            written.reference(program.name)
        self.is_sealed = True
        return Artifact(self._output, written.manifest, written.digest)


@contextmanager
def drafted_artifact(folder: Path | str, *, force: bool) -> Iterator[Draft]:
    """Yield a draft, and move it to `folder` when the block ends without an error.

    If the block raises, nothing is written.

    Args:
        folder: Output folder. It must not exist; with `force` it may be empty or an artifact.
        force: Whether an existing artifact in `folder` may be replaced.

    Raises:
        OutputError: If `folder` may not be replaced, or cannot be written.
        ValueError: If the block did not seal the draft.
    """
    folder = Path(folder)
    check_output(folder, force=force)
    with atomic_folder(folder, replace=force) as temporary:
        draft = Draft(temporary, folder)
        yield draft
        if not draft.is_sealed:
            raise ValueError(f"the draft of {folder} was not sealed")


def _seal(manifest: bytes) -> bytes:
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n".encode()


def _list_files(folder: Path) -> set[str]:
    """Return the names of all files under `folder`, which must be plain files in plain folders."""
    if not folder.exists():
        raise ArtifactError(f"{folder} does not exist; an artifact is a folder with a manifest")
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not a folder; an artifact is a folder with a manifest")
    if not (folder / MANIFEST_FILE).exists():
        raise ArtifactError(f"{folder} is not an artifact: it has no {MANIFEST_FILE}")
    names: set[str] = set()
    for parent, folders, files in os.walk(folder, onerror=_reraise):
        for name in folders + files:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise ArtifactError(f"{path} is a link; an artifact must contain plain files only")
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ArtifactError(
                    f"{path} is not a plain file; an artifact must contain plain files only"
                )
        names.update(
            Path(parent, name).relative_to(folder).as_posix()
            for name in files
            if name not in IGNORED
        )
    return names


def _reraise(error: OSError) -> None:
    raise error


def _read_manifest(folder: Path, present: set[str]) -> bytes:
    """Return the manifest's bytes after checking them against the seal."""
    path = folder / MANIFEST_FILE
    if MANIFEST_FILE not in present:
        raise ArtifactError(f"{path} is not a file")
    content = path.read_bytes()
    if SEAL_FILE not in present:
        _parse(content, folder)
        raise ArtifactError(
            f"{folder / SEAL_FILE} is missing, so {MANIFEST_FILE} cannot be trusted"
        )
    if (folder / SEAL_FILE).read_bytes() != _seal(content):
        raise ArtifactError(
            f"{path} does not match its hash in {SEAL_FILE}: one of them was changed after it was "
            "written; compile the artifact again"
        )
    return content


def _parse(content: bytes, folder: Path) -> Manifest:
    path = folder / MANIFEST_FILE
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ArtifactError(f"{folder} is not an artifact: {MANIFEST_FILE} has another format")
    version = data.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ArtifactError(
            f"{path} has schema version {version}, and this edge-pipeline reads versions up to "
            f"{SCHEMA_VERSION}; update edge-pipeline"
        )
    try:
        return Manifest.model_validate_json(content, strict=True)
    except ValidationError as error:
        where, reason = first_fault(error, "the manifest")
        raise ArtifactError(f"{path} does not match the schema at {where}: {reason}") from error


def _check_files(folder: Path, manifest: Manifest, present: set[str]) -> None:
    unlisted = present - manifest.files.keys() - {MANIFEST_FILE, SEAL_FILE}
    if unlisted:
        raise ArtifactError(f"{folder / min(unlisted)} is not listed in {MANIFEST_FILE}; remove it")
    for name in manifest.named_files():
        if name not in manifest.files and not manifest.folder(name):
            raise ArtifactError(f"{folder / MANIFEST_FILE} names {name} but does not list its hash")
    for name, expected in manifest.files.items():
        path = folder / name
        if name not in present:
            raise ArtifactError(f"{path} is missing; compile the artifact again")
        found = sha256_of(path)
        if found != expected:
            raise ArtifactError(
                f"{path} was changed after it was written: expected the SHA-256 "
                f"{expected[:12]}..., got {found[:12]}...; compile the artifact again"
            )


def _fitting(
    value: NDArray[np.float32], spec: TensorSpec, sizes: dict[str, int], path: Path
) -> NDArray[np.float32]:
    if not spec.accepts(value, sizes):
        raise ArtifactError(
            f"{path}: {spec.name}: expected {spec.text()}, "
            f"got {value.dtype} {'x'.join(map(str, value.shape))}"
        )
    return value
