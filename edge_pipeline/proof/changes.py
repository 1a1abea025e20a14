"""Changes of an artifact by `respecialise`: new weights, and for another fixed value new sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edge_pipeline.artifact.exchanging import checked_content, exchanged_files
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.moving import moved
from edge_pipeline.artifact.schema import Value
from edge_pipeline.artifact.size_table import SizeTable
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.errors import ArtifactError, InputError
from edge_pipeline.proof.costs import cost_at
from edge_pipeline.record import CostRecord

__all__ = ["Change", "Sizes", "change_to", "changed_cost", "changed_files"]


@dataclass(frozen=True)
class Sizes:
    """Map sizes and costs as functions of a fixed input, its old value and its new value."""

    table: SizeTable
    old: float
    new: float


@dataclass(frozen=True)
class Change:
    """New weights, their fixed inputs, and their description for the manifest."""

    values: Mapping[str, NDArray[np.float32]]
    fixed: Mapping[str, Value]
    words: str
    sizes: Sizes | None = None


def change_to(artifact: Artifact, fixed: Mapping[str, Value]) -> Change:
    """Return the change to another value of the artifact's fixed input.

    Args:
        artifact: A checked artifact.
        fixed: New value by the input's name.

    Raises:
        InputError: If the artifact does not contain the weights for the value.
        ArtifactError: If the file of the weights is damaged.
    """
    manifest = artifact.manifest
    if len(fixed) != 1:
        raise InputError(f"{', '.join(fixed)}: change one fixed input at a time")
    ((name, value),) = fixed.items()
    if name not in manifest.fixed:
        known = ", ".join(manifest.fixed) or "none"
        raise InputError(f"{artifact.folder} has no fixed input {name}; its fixed inputs: {known}")
    curve = None
    if manifest.curve is not None:
        curve = WeightCurve.open(artifact.path(manifest.curve))
    old = manifest.fixed[name]
    if curve is None or curve.spec.input != name:
        raise InputError(
            f"{artifact.folder} contains weights for {name}={old} only; compile it with "
            f"--respecialisable to change {name}"
        )
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{name}={value} must be a number")
    sizes = None
    if curve.table is not None:
        sizes = Sizes(curve.table, float(old), float(value))
    words = f"{name} was changed to {value}"
    return Change(curve.at(value), {**manifest.fixed, name: value}, words, sizes)


def changed_files(
    artifact: Artifact, spec: ProgramSpec, change: Change
) -> tuple[dict[str, bytes], ProgramSpec]:
    """Return a program's files with the change, and its description; write nothing to disk.

    Raises:
        InputError: If a weight has the wrong name, shape or type.
        ArtifactError: If the manifest lists a wrong place.
    """
    files = exchanged_files(artifact, spec, change.values)
    if change.sizes is None:
        return files, spec
    if spec.sizes is None:
        raise ArtifactError(
            f"{artifact.folder} does not list the places of its map sizes; compile it again"
        )
    if spec.file not in files:
        files[spec.file] = checked_content(artifact, spec.file)
    table = change.sizes.table
    old, new = table.at(change.sizes.old), table.at(change.sizes.new)
    try:
        files, spec = moved(files, spec, old, new)
    except ArtifactError as error:
        raise ArtifactError(f"{artifact.folder}: {error}") from error
    macs = spec.macs if table.spec.macs is None else new[table.spec.macs]
    return files, spec.model_copy(update={"macs": macs, "flops": 2 * macs})


def changed_cost(path: Path, change: Change) -> bytes:
    """Return the cost record with the change; without other map sizes, all counts stay the same.

    Raises:
        ArtifactError: If the file is not a cost record.
    """
    try:
        record = CostRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} is not a cost record; compile the artifact again") from error
    if change.sizes is None:
        return record.model_copy(update={"fixed": dict(change.fixed)}).json_text().encode()
    made = cost_at(record, change.sizes.table, change.sizes.new, change.fixed)
    return made.json_text().encode()
