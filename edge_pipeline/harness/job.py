"""Jobs of the harness: one program of an artifact at one input size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError

__all__ = ["Job", "inputs_of"]


@dataclass(frozen=True)
class Job:
    """A program of an artifact to measure.

    Attributes:
        artifact: A checked artifact.
        program: Name of the program in the artifact.
        size: Height and width of the first input; None for those of the reference input.
    """

    artifact: Artifact
    program: str
    size: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """The artifact's folder and the program, for messages."""
        return f"{self.artifact.folder}:{self.program}"


def inputs_of(job: Job) -> dict[str, NDArray[np.float32]]:
    """Return a job's inputs: the artifact's reference, repeated or cropped to the job's size.

    Raises:
        InputError: If the program does not support this size.
        ArtifactError: If the reference cannot be read.
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
            f"{job.label}: expected a size that fits {spec.shape_text()} and is at least "
            f"{minimum}, got {job.size[0]}x{job.size[1]}"
        )
    return inputs | {spec.name: first}
