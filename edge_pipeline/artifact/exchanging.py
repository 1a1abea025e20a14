"""A program's files with other weights in them, checked and written in one way.

`respecialise` puts the result into a copy of the artifact; a session takes it from memory
(`runtime/base.py`), which is how a refolded artifact gets the filters of a capture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.constants import check_values, patch
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.places import check_places
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError

__all__ = ["exchanged_files"]


def exchanged_files(
    artifact: Artifact, spec: ProgramSpec, values: Mapping[str, NDArray[np.float32]]
) -> dict[str, bytes]:
    """Read a program's files that hold exchangeable weights, and write other weights into them.

    Args:
        artifact: a checked artifact.
        spec: one of its programs.
        values: all exchangeable weights of the program by name, float32, in the shapes of
            `spec.constants`.

    Returns:
        Content by name in the artifact: of the program's files and of its graph's. Nothing is
        written to disk.

    Raises:
        InputError: the program has no exchangeable weights or no graph, or a value does not fit.
        ArtifactError: a file was changed after the artifact was opened, or a weight does not lie
            where the manifest says.
    """
    if not spec.constants:
        raise InputError(
            f"{spec.name} of {artifact.folder} lists no weights that can be exchanged; compile it "
            "with --filters refolded or folded"
        )
    if spec.graph is None:
        raise InputError(f"{artifact.folder} carries no graph of its network; compile again")
    check_values(spec.constants, values)
    names = {spec.graph, *(constant.file for constant in spec.constants)}
    held = {name: _read(artifact, name) for name in sorted(names)}
    try:
        check_places(held, spec.constants, spec.graph)
    except ArtifactError as error:
        raise ArtifactError(f"{artifact.folder}: {error}") from error
    return patch(held, spec.constants, values)


def _read(artifact: Artifact, name: str) -> bytes:
    """A listed file's content, which must still have the hash that the manifest gives."""
    path = artifact.path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != artifact.manifest.files[name]:
        raise ArtifactError(f"{path} was changed after it was written; compile the artifact again")
    return content
