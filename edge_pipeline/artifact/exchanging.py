"""Replacement of the exchangeable weights in a program's files, with checks.

`respecialise` stores the result in a copy of the artifact. A session uses it from memory
(`runtime/base.py`): this is how a refolded artifact receives the filters of a capture.
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

__all__ = ["checked_content", "exchanged_files"]


def exchanged_files(
    artifact: Artifact, spec: ProgramSpec, values: Mapping[str, NDArray[np.float32]]
) -> dict[str, bytes]:
    """Return a program's files with their exchangeable weights replaced; write nothing to disk.

    Args:
        artifact: A checked artifact.
        spec: One of its programs.
        values: All exchangeable weights of the program by name, float32, in the shapes of
            `spec.constants`.

    Returns:
        Contents of the program's files and of its graph file, by their names in the artifact.

    Raises:
        InputError: If the program has no exchangeable weights or no graph, or if a value has the
            wrong name, shape or type.
        ArtifactError: If a file was changed after the artifact was opened, or if a weight is not
            stored at the place that the manifest lists.
    """
    if not spec.constants:
        raise InputError(
            f"{spec.name} of {artifact.folder} lists no exchangeable weights; compile it "
            "with --filters refolded or folded"
        )
    if spec.graph is None:
        raise InputError(
            f"{artifact.folder} does not contain the graph of its network; compile it again"
        )
    check_values(spec.constants, values)
    names = {spec.graph, *(constant.file for constant in spec.constants)}
    held = {name: checked_content(artifact, name) for name in sorted(names)}
    try:
        check_places(held, spec.constants, spec.graph)
    except ArtifactError as error:
        raise ArtifactError(f"{artifact.folder}: {error}") from error
    return patch(held, spec.constants, values)


def checked_content(artifact: Artifact, name: str) -> bytes:
    """Return a listed file's content after checking it against the hash in the manifest.

    Raises:
        ArtifactError: If the file cannot be read, or was changed.
    """
    path = artifact.path(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != artifact.manifest.files[name]:
        raise ArtifactError(f"{path} was changed after it was written; compile the artifact again")
    return content
