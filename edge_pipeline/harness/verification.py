"""Comparison of a device's outputs with the reference outputs of the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compare import TOLERANCES
from edge_pipeline.errors import JobError, RuntimeFailure, VerificationError
from edge_pipeline.proof.reports import judged
from edge_pipeline.record import Verification

__all__ = ["read_outputs", "require_passed", "verification_of"]

_NOT_RUN = Verification(result="not_run")


def verification_of(
    artifact: Artifact,
    program: str,
    found: Mapping[str, NDArray[Any]] | None,
    precision: Precision,
) -> Verification:
    """Compare the outputs of a program with the artifact's reference outputs.

    Args:
        artifact: A checked artifact.
        program: Name of the program.
        found: Outputs for the reference input by name; None if the runner returns none.
        precision: Precision of the computation, which determines the tolerance.
    """
    manifest = artifact.manifest
    # With exchanged weights, the reference is the program's own output.
    if found is None or manifest.checked == "not_run":
        return _NOT_RUN
    spec = artifact.program(program)
    inputs, expected = artifact.reference(program)
    try:
        report = judged(
            manifest,
            spec,
            "reference",
            inputs,
            (expected, dict(found)),
            TOLERANCES[precision],
        )
    except VerificationError as error:
        return Verification(result="failed", complaint=str(error))
    differences = [output.difference for output in report.outputs]
    complaints = [f"{o.name}: {o.complaint}" for o in report.outputs if o.complaint is not None]
    return Verification(
        result="passed" if report.passed else "failed",
        max_abs=max(difference.max_abs for difference in differences),
        max_rel=max(difference.max_rel for difference in differences),
        psnr_db=min((d.psnr_db for d in differences if d.psnr_db is not None), default=None),
        complaint="; ".join(complaints) or None,
    )


def read_outputs(path: Path) -> dict[str, NDArray[Any]]:
    """Read the outputs that a worker wrote as a safetensors file.

    Raises:
        RuntimeFailure: If the file cannot be read.
    """
    try:
        return safetensors.numpy.load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise RuntimeFailure(f"the device's outputs in {path.name} cannot be read") from error


def require_passed(label: str, found: Verification) -> None:
    """Raise an error if the outputs are wrong.

    Raises:
        JobError: If the verification failed.
    """
    if found.result == "failed":
        raise JobError(f"{label} computes wrong outputs on the device: {found.complaint}")
