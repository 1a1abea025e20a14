"""What verifying found, as data."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from edge_pipeline.artifact.manifest import Checked, Manifest, ProgramSpec
from edge_pipeline.compare import Difference, Tolerance, compare

__all__ = ["OutputReport", "PairReport", "ProgramReport", "VerifyReport", "judged"]

Arrays = dict[str, NDArray[np.float32]]


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputReport(_Report):
    """One output: its error, what was allowed, and what is wrong with it, if anything.

    `doubt` says so if passing means little, since the output hardly depends on the input.
    """

    name: str
    difference: Difference
    tolerance: Tolerance
    passed: bool
    complaint: str | None
    doubt: str | None = None


class ProgramReport(_Report):
    """One program on one input: `reference`, or `random` with a number.

    `reference, eager` is the graph that the artifact carries, against the output kept beside it.
    `shapes` are the inputs'. A chain of programs is called by their names with a plus between.
    """

    program: str
    input: str
    shapes: dict[str, tuple[int, ...]]
    outputs: tuple[OutputReport, ...]

    @property
    def passed(self) -> bool:
        """Whether every output is within tolerance."""
        return all(output.passed for output in self.outputs)


class VerifyReport(_Report):
    """All programs of an artifact. `digest` is the SHA-256 of its manifest.

    `verdict` is `failed`; or `verified` where programs ran in their runtime and agreed with eager;
    or `translation` where another program evaluated them and agreed, which does not prove how they
    will run; or `not_run`, which is no pass.
    """

    artifact: str
    digest: str
    backend: str
    precision: str
    threads: int
    verdict: Checked | Literal["failed"]
    programs: tuple[ProgramReport, ...]
    passed: bool
    notes: tuple[str, ...] = ()


class PairReport(_Report):
    """Two artifacts on the same inputs; `note` says why where they were not compared."""

    pair: tuple[str, str]
    programs: tuple[ProgramReport, ...] = ()
    passed: bool
    note: str | None = None


def judged(
    manifest: Manifest,
    spec: ProgramSpec,
    label: str,
    inputs: Arrays,
    outputs: tuple[Arrays, Arrays],
    tolerance: Tolerance,
) -> ProgramReport:
    """Compare what came out of a program with what should have.

    Args:
        manifest: of the program's artifact.
        spec: the program.
        label: which input it was.
        inputs: by name.
        outputs: what should come out, and what did.
        tolerance: how far they may be apart.

    Raises:
        VerificationError: an output is not finite.
    """
    expected, found = outputs
    differences = compare(
        expected,
        found,
        ranges={t.name: t.range for t in spec.outputs if t.range is not None},
        # The network's own output is the last program's; filters are no pictures.
        pictures={manifest.programs[-1].outputs[0].name: manifest.card.output_space},
        variations=spec.variation,
    )
    return ProgramReport(
        program=spec.name,
        input=label,
        shapes={name: value.shape for name, value in inputs.items()},
        outputs=tuple(
            _judge(name, difference, tolerance) for name, difference in differences.items()
        ),
    )


def _judge(name: str, difference: Difference, tolerance: Tolerance) -> OutputReport:
    complaint = tolerance.complaint(difference)
    return OutputReport(
        name=name,
        difference=difference,
        tolerance=tolerance,
        passed=complaint is None,
        complaint=complaint,
        doubt=tolerance.doubt(difference),
    )
