"""Results of verification, as data."""

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
    """Result for one output: its error, the tolerance, and a complaint if it failed.

    `doubt` is a message if passing proves little, because the output hardly depends on the input.
    """

    name: str
    difference: Difference
    tolerance: Tolerance
    passed: bool
    complaint: str | None
    doubt: str | None = None


class ProgramReport(_Report):
    """Result for one program on one input.

    `input` is `reference`, `random` with a number, or `reference, eager` for the artifact's graph
    compared with its stored output. `shapes` are the shapes of the inputs. The `program` of a chain
    is the names of its programs, joined by a plus.
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
    """Result for all programs of an artifact. `digest` is the SHA-256 of its manifest.

    `verdict` is `verified` if the programs ran in their runtime and agreed with eager;
    `translation` if another program evaluated them and agreed, which does not prove how they will
    run; `failed`; or `not_run`, which does not count as passed.
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
    """Result for two artifacts on the same inputs; `note` says why if they were not compared."""

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
    """Compare the outputs of a program with the expected outputs.

    Args:
        manifest: Manifest of the program's artifact.
        spec: The program.
        label: Name of the input for the report.
        inputs: Inputs by name.
        outputs: The expected outputs and the program's outputs, each by name.
        tolerance: Largest allowed difference between them.

    Raises:
        VerificationError: If an output is not finite.
    """
    expected, found = outputs
    differences = compare(
        expected,
        found,
        ranges={t.name: t.range for t in spec.outputs if t.range is not None},
        # Only the last program outputs a picture; the outputs of a predictor are filters.
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
