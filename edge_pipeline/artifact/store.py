"""Artifacts on disk, checked byte by byte when they are opened.

An artifact is a folder that contains `manifest.json`, the seal `manifest.sha256` (in the format of
`sha256sum`), the files that the manifest lists with their hashes, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError

from edge_pipeline.artifact.manifest import FORMAT, SCHEMA_VERSION, Manifest, ProgramSpec
from edge_pipeline.artifact.place import IGNORED
from edge_pipeline.artifact.schema import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import ArtifactError, first_fault
from edge_pipeline.files import sha256_of

__all__ = ["Artifact", "seal_of"]

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

    def program_bytes(self, spec: ProgramSpec) -> int:
        """Return the size of a program: its file or the files of its folder, and its extra ones."""
        own = self.manifest.folder(spec.file) or (spec.file,)
        return sum(self.path(name).stat().st_size for name in (*own, *spec.extra))

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


def seal_of(manifest: bytes) -> bytes:
    """Return the content of the seal, `manifest.sha256`, for that of `manifest.json`."""
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
    if (folder / SEAL_FILE).read_bytes() != seal_of(content):
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
