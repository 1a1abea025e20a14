"""Write artifacts, completely or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import Manifest
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.schema import MANIFEST_FILE, SEAL_FILE, check_file_name
from edge_pipeline.artifact.store import Artifact, seal_of
from edge_pipeline.errors import ArtifactError
from edge_pipeline.files import atomic_folder, sha256_of

__all__ = ["Draft", "drafted_artifact", "reference_bytes", "write_artifact"]


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
        {name: np.asarray(value, order="C") for name, value in tensors.items()}
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
        self._known: dict[str, str] = {}
        self.is_sealed = False

    def add(
        self, files: Mapping[str, bytes | Path], hashes: Mapping[str, str] | None = None
    ) -> None:
        """Write files, which may replace files added before.

        Args:
            files: Content, or the path of a file to copy, by the name in the artifact.
            hashes: SHA-256 by name of files that are copied, if it is known; `seal` compares the
                copies with it.

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
        known = {name: (hashes or {}).get(name) for name in files}
        self._known = {name: one for name, one in self._known.items() if name not in files}
        self._known |= {
            name: one for name, one in known.items() if one and isinstance(files[name], Path)
        }

    def seal(self, manifest: Manifest) -> Artifact:
        """Write the manifest and the seal, and check that the artifact can be opened.

        Args:
            manifest: Manifest of the artifact; its `files` are filled in here.

        Returns:
            The artifact, with its final folder.

        Raises:
            ArtifactError: If the manifest names a file that was not added, or a copy differs from
                its known hash.
        """
        hashes = {
            name: self._known.get(name) or sha256_of(self.folder / name)
            for name in sorted(self._files)
        }
        text = (
            manifest.model_copy(update={"files": hashes}).model_dump_json(indent=2) + "\n"
        ).encode()
        (self.folder / MANIFEST_FILE).write_bytes(text)
        (self.folder / SEAL_FILE).write_bytes(seal_of(text))
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
