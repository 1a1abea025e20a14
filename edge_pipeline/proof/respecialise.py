"""Replacement of the weights in a compiled artifact, without the compiler and without torch.

An artifact with folded filters, or specialised for a fixed value, lists the places of those weights
(`ProgramSpec.constants`) in its program file and in its graph file. `respecialise` writes other
weights to these places in a copy of the artifact. The compiler writes weights with the same
function, so the copy's files are identical to those of a new compilation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from edge_pipeline.artifact.draft import drafted_artifact, reference_bytes
from edge_pipeline.artifact.manifest import Manifest, ProgramSpec, WeightsForm
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.provenance import Calibration, CalibrationFile
from edge_pipeline.artifact.schema import Value
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compare import TOLERANCES
from edge_pipeline.errors import (
    InputError,
    MissingExtraError,
    VerificationError,
)
from edge_pipeline.proof.changes import Change, change_to, changed_cost, changed_files
from edge_pipeline.proof.reports import judged
from edge_pipeline.record import COST_FILE
from edge_pipeline.runtime.base import EAGER, runtime_named

__all__ = ["ReferenceFrom", "read_filters", "respecialise"]

Arrays = Mapping[str, NDArray[np.float32]]
ReferenceFrom = Literal["own", "eager", "none"]

_REFERENCE_NOTES: Mapping[ReferenceFrom, str] = {
    "own": "the reference output is this program's own on the machine of respecialise, not eager's",
    "eager": "the reference output is eager's with the new weights",
    "none": "the reference output is unknown and stored as NaN",
}

_COMPUTED: Mapping[WeightsForm, str] = {
    "dynamic": "computes its filters itself",
    "split": "receives its filters as an input",
    "refolded": "computes its filters for each capture",
}


def respecialise(
    artifact: Artifact,
    output: Path,
    *,
    filters: Arrays | None = None,
    fixed: Mapping[str, Value] | None = None,
    reference: ReferenceFrom = "own",
    force: bool = False,
) -> Artifact:
    """Write a copy of an artifact with other weights.

    The old reference output is not valid for the new weights; the manifest notes its replacement.
    `own` stores the output of the copy's own program on this machine, which shows whether another
    machine agrees, but not whether the compiler was correct. `eager` stores the output of the
    network's graph in torch and compares the program with it. `none`, and `own` if the runtime is
    not installed, store NaN, which passes no check.

    Args:
        artifact: A checked artifact, folded or specialised.
        output: Folder of the copy.
        filters: All exchangeable weights by name, float32, in the shapes of the manifest; a folded
            filter has the shape of the convolution's operand.
        fixed: New value of a fixed input, by the input's name; the artifact must have been
            compiled with `respecialisable`.
        reference: Source of the reference output; only `eager` requires torch and takes seconds.
        force: Whether to replace an existing artifact at `output`.

    Returns:
        The copy.

    Raises:
        InputError: If neither or both of `filters` and `fixed` are given, if the artifact's weights
            cannot be exchanged, if a filter has the wrong name, shape or type, or if the fixed
            value is outside the range that the artifact serves.
        ArtifactError: If a file of the artifact is damaged.
        OutputError: If the folder exists, cannot be written, or lies inside an artifact.
        MissingExtraError: If `eager` requires torch or a runtime that is not installed.
        RuntimeFailure: If the copy does not run.
        VerificationError: If the copy's output differs from eager's.
    """
    _check_exchangeable(artifact)
    check_output(output, force=force, sources=[artifact.folder])
    old_fixed = artifact.manifest.fixed
    if filters is not None and artifact.manifest.has_several:
        raise InputError(
            f"{artifact.folder} has programs for several values, whose weights differ; give a new "
            "value, not filters"
        )
    if filters is not None and not fixed:
        change = Change(filters, old_fixed, "its weights were replaced by given ones")
    elif fixed and filters is None:
        change = change_to(artifact, fixed)
    else:
        raise InputError("give either filters or a fixed value, not both or neither")
    old = {name: artifact.folder / name for name in artifact.manifest.files}
    files: dict[str, bytes | Path] = {**old}
    specs: list[ProgramSpec] = []
    for one in artifact.manifest.programs:
        spec = one
        if change.concerns(one):
            exchanged, spec = changed_files(artifact, one, change)
            files |= exchanged
        specs.append(spec)
    if change.fixed and COST_FILE in old and change.concerns(specs[-1]):
        files[COST_FILE] = changed_cost(old[COST_FILE], change)
    if reference == "own" and not _has_runtime(artifact):
        reference = "none"
    changed = [spec for spec in artifact.manifest.programs if change.concerns(spec)]
    for spec in changed:
        files[spec.reference] = _unknown(artifact, spec)

    with drafted_artifact(output, force=force) as draft:
        draft.add(files, artifact.manifest.files)
        if reference != "none":
            for spec in changed:
                content = _rerun(draft.folder, artifact, spec, prove=reference == "eager")
                draft.add({spec.reference: content})
        return draft.seal(_manifest(artifact, specs, change, reference))


def read_filters(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a safetensors file by name.

    Raises:
        InputError: If the file cannot be read, or is not a safetensors file.
    """
    try:
        return safetensors.numpy.load_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}") from error


def _check_exchangeable(artifact: Artifact) -> None:
    """Raise `InputError` if the artifact's weights cannot be exchanged permanently."""
    manifest = artifact.manifest
    if manifest.precision == "int8":
        raise InputError(
            f"{artifact.folder} has precision int8, whose scales fit the old weights only; compile "
            "again"
        )
    if manifest.filters in _COMPUTED:
        raise InputError(
            f"{artifact.folder} is {manifest.filters}: it {_COMPUTED[manifest.filters]}; only "
            "folded and specialised artifacts contain exchangeable weights"
        )
    if not any(spec.constants for spec in manifest.programs):
        why = "; ".join(manifest.notes) or "it was compiled without this list"
        raise InputError(
            f"{artifact.folder} does not list the places of its weights ({why}); compile again"
        )


def _has_runtime(artifact: Artifact) -> bool:
    try:
        runtime_named(artifact.manifest.backend).preload()
    except MissingExtraError:
        return False
    return True


def _unknown(artifact: Artifact, spec: ProgramSpec) -> bytes:
    """Return the reference file with the old inputs, and NaN as outputs."""
    inputs, outputs = artifact.reference(spec.name)
    unknown = {name: np.full_like(value, np.nan) for name, value in outputs.items()}
    return reference_bytes(inputs, unknown)


def _rerun(folder: Path, artifact: Artifact, spec: ProgramSpec, *, prove: bool) -> bytes:
    """Return the reference file with the old inputs, and outputs of the new program or of eager."""
    inputs, _ = artifact.reference(spec.name)
    found = _run(artifact.manifest.backend, folder / spec.file, spec, inputs)
    if not prove:
        return reference_bytes(inputs, found)
    if spec.graph is None:
        raise InputError(
            f"{artifact.folder} does not contain the graph of its network; compile it again"
        )
    expected = _run(EAGER, folder / spec.graph, spec, inputs)
    tolerance = TOLERANCES[artifact.manifest.precision]
    report = judged(artifact.manifest, spec, "reference", inputs, (expected, found), tolerance)
    for output in report.outputs:
        if not output.passed:
            raise VerificationError(
                f"the {output.name} of {spec.name} with its new weights differs from eager's: "
                f"{output.complaint}"
            )
    return reference_bytes(inputs, expected)


def _run(
    runtime: str, path: Path, spec: ProgramSpec, inputs: Arrays
) -> dict[str, NDArray[np.float32]]:
    session = runtime_named(runtime).open_session(path, spec, 1)
    with session:
        return session.run(inputs)


def _manifest(
    artifact: Artifact, specs: Sequence[ProgramSpec], change: Change, reference: ReferenceFrom
) -> Manifest:
    """Return the copy's manifest, without any measurement of the old weights."""
    old = artifact.manifest
    replaced = f"{change.words}; {_REFERENCE_NOTES[reference]}"
    note = f"respecialised from the artifact {artifact.digest}: {replaced}"
    programs = tuple(
        spec.model_copy(update={"variation": {}}) if change.concerns(spec) else spec
        for spec in specs
    )
    return old.model_copy(
        update={
            "programs": programs,
            "fixed": dict(change.fixed) if change.concerns(specs[-1]) else old.fixed,
            "checked": old.checked if reference == "eager" else "not_run",
            "calibration": _calibration(change) if old.filters == "folded" else None,
            "losses": (),
            "notes": (*old.notes, note),
            "created": datetime.now(UTC),
        }
    )


def _calibration(change: Change) -> Calibration:
    """Return a calibration record that lists the new weights in place of captures."""
    content = b"".join(_canonical(change.values))
    record = CalibrationFile(name="filters", sha256=hashlib.sha256(content).hexdigest())
    return Calibration.of([record], "filters given to respecialise; hashed as name and float32 LE")


def _canonical(values: Arrays) -> Iterator[bytes]:
    for name, value in sorted(values.items()):
        yield name.encode()
        yield value.astype("<f4").tobytes()
