"""What is measured: one program of an artifact, at one input size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError

__all__ = ["Job", "inputs_of"]


@dataclass(frozen=True)
class Job:
    """A program of an artifact.

    Attributes:
        artifact: a checked artifact.
        program: its name there.
        size: height and width of the first input to run at; None for the reference input's.
    """

    artifact: Artifact
    program: str
    size: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """For messages: the folder and the program."""
        return f"{self.artifact.folder}:{self.program}"


def inputs_of(job: Job) -> dict[str, NDArray[np.float32]]:
    """The inputs to measure with: the artifact's reference, repeated or cut to the job's size.

    Raises:
        InputError: the program does not take that size.
        ArtifactError: the reference cannot be read.
    """
    inputs, _ = job.artifact.reference(job.program)
    if job.size is None:
        return inputs
    spec = job.artifact.program(job.program).inputs[0]
    first = inputs[spec.name]
    rows = np.arange(job.size[0]) % first.shape[2]
    columns = np.arange(job.size[1]) % first.shape[3]
    first = np.ascontiguousarray(first[:, :, rows][:, :, :, columns])
    minimum = job.artifact.manifest.tile.minimum
    if not spec.fits(first.shape, {}) or min(job.size) < minimum:
        raise InputError(
            f"{job.label} takes {spec.shape_text()} from {minimum} up, not a size of "
            f"{job.size[0]}x{job.size[1]}"
        )
    return inputs | {spec.name: first}
