"""Checking an artifact on this machine: does the runtime give what eager gave?"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compare import TOLERANCES, Difference, Tolerance, compare
from edge_pipeline.runtime.base import open_session

__all__ = ["OutputReport", "ProgramReport", "VerifyReport", "verify_artifact"]

_PICTURE = "rgb"


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputReport(_Report):
    """One output: its error, what was allowed, and what is wrong with it, if anything."""

    name: str
    difference: Difference
    tolerance: Tolerance
    passed: bool
    complaint: str | None


class ProgramReport(_Report):
    """One program, run on its reference input."""

    program: str
    outputs: tuple[OutputReport, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within tolerance."""
        return all(output.passed for output in self.outputs)


class VerifyReport(_Report):
    """All programs of an artifact. `digest` is the SHA-256 of its manifest."""

    artifact: str
    digest: str
    backend: str
    precision: str
    threads: int
    programs: tuple[ProgramReport, ...]
    passed: bool


def verify_artifact(artifact: Artifact, *, threads: int = 1) -> VerifyReport:
    """Run each program on its reference input and compare with the eager output kept beside it.

    Args:
        artifact: a checked artifact.
        threads: how many threads the runtime may use.

    Raises:
        VerificationError: an output is not finite.
        InputError, MissingExtraError, RuntimeFailure: as `open_session` and `Session.run`.
    """
    programs = tuple(
        ProgramReport(program=spec.name, outputs=_check(artifact, spec, threads))
        for spec in artifact.manifest.programs
    )
    return VerifyReport(
        artifact=str(artifact.folder),
        digest=artifact.digest,
        backend=artifact.manifest.backend,
        precision=artifact.manifest.precision,
        threads=threads,
        programs=programs,
        passed=all(program.passed for program in programs),
    )


def _check(artifact: Artifact, spec: ProgramSpec, threads: int) -> tuple[OutputReport, ...]:
    inputs, expected = artifact.reference(spec.name)
    with open_session(artifact, spec.name, threads=threads) as session:
        outputs = session.run(inputs)
    differences = compare(
        expected,
        outputs,
        ranges={t.name: t.range for t in spec.outputs if t.range is not None},
        pictures={_PICTURE: artifact.manifest.card.output_space},
    )
    tolerance = TOLERANCES[artifact.manifest.precision]
    return tuple(_judge(name, difference, tolerance) for name, difference in differences.items())


def _judge(name: str, difference: Difference, tolerance: Tolerance) -> OutputReport:
    complaint = tolerance.complaint(difference)
    return OutputReport(
        name=name,
        difference=difference,
        tolerance=tolerance,
        passed=complaint is None,
        complaint=complaint,
    )
