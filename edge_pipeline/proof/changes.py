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
    """A change of an artifact's programs.

    Attributes:
        values: The new weights by name.
        fixed: The changed programs' fixed inputs.
        words: Description for the manifest.
        sizes: Map sizes and costs, if these change too.
        program: Name of the only program to change; None for all.
    """

    values: Mapping[str, NDArray[np.float32]]
    fixed: Mapping[str, Value]
    words: str
    sizes: Sizes | None = None
    program: str | None = None

    def concerns(self, spec: ProgramSpec) -> bool:
        """Return whether the change is one of this program."""
        return self.program in (None, spec.name)


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
    number = float(value) if isinstance(value, int | float) else None
    if manifest.has_several:
        return _change_of_one(artifact, name, value)
    curve = None
    if manifest.curve is not None:
        curve = WeightCurve.open(artifact.path(manifest.curve), number)
    old = manifest.fixed[name]
    if isinstance(old, str):
        raise InputError(
            f"{artifact.folder} contains weights for {name}={old} only, and respecialise changes "
            f"single numbers only; compile for {name}={value}"
        )
    if curve is None or curve.spec.input != name:
        raise InputError(
            f"{artifact.folder} contains weights for {name}={old} only; compile it with "
            f"--respecialisable to change {name}"
        )
    _check_number(name, value)
    sizes = None
    if curve.table is not None:
        sizes = Sizes(curve.table, float(old), float(value))
    words = f"{name} was changed to {value}"
    return Change(curve.at(float(value)), {**manifest.fixed, name: value}, words, sizes)


def _check_number(name: str, value: Value) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{name}={value} must be a number")


def _change_of_one(artifact: Artifact, name: str, value: Value) -> Change:
    """Return the change of the program in whose range a value lies, among several programs.

    If the value is in several ranges, the program with the nearest value is changed, so the
    programs stay in ascending order.
    """
    _check_number(name, value)
    number = float(value)
    ranges: list[tuple[ProgramSpec, tuple[float, ...]]] = []
    for spec in artifact.manifest.programs:
        if spec.curve is None:
            raise InputError(
                f"{artifact.folder} contains weights for {name}={_values(artifact, name)} only; "
                f"compile it with --respecialisable to change {name}"
            )
        held = WeightCurve.open(artifact.path(spec.curve), number).spec
        if held.input != name:
            raise InputError(
                f"{artifact.folder} contains weights for other values of {held.input}, "
                f"not of {name}"
            )
        knots = held.knots
        ranges.append((spec, (knots[0], knots[-1])))
    able = [spec for spec, (low, high) in ranges if low <= number <= high]
    if not able:
        raise InputError(
            f"{name}={value:g} is in the range of no program of {artifact.folder}: "
            + ", ".join(f"{spec.name} serves {low:g} to {high:g}" for spec, (low, high) in ranges)
            + f"; compile for {value:g}"
        )
    spec = min(able, key=lambda one: abs(float(one.fixed[name]) - number))
    curve = WeightCurve.open(artifact.path(str(spec.curve)), number)
    words = f"{name} of {spec.name} was changed from {spec.fixed[name]} to {value}"
    return Change(curve.at(number), {**spec.fixed, name: value}, words, program=spec.name)


def _values(artifact: Artifact, name: str) -> str:
    return ", ".join(str(spec.fixed[name]) for spec in artifact.manifest.programs)


def changed_files(
    artifact: Artifact, spec: ProgramSpec, change: Change
) -> tuple[dict[str, bytes], ProgramSpec]:
    """Return a program's files with the change, and its description; write nothing to disk.

    Raises:
        InputError: If a weight has the wrong name, shape or type.
        ArtifactError: If the manifest lists a wrong place.
    """
    files = exchanged_files(artifact, spec, change.values)
    if change.program is not None:
        spec = spec.model_copy(update={"fixed": dict(change.fixed)})
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
