"""One tree of errors.

Every message is one sentence that says what was wrong, the value, and what would be right. The
command line prints the message and exits with `exit_code`: 2 for bad input, 1 for a failed job.
"""

from __future__ import annotations

__all__ = [
    "ArtifactError",
    "CaptureError",
    "CheckpointError",
    "CompileError",
    "DelegationError",
    "EdgePipelineError",
    "InputError",
    "JobError",
    "MissingExtraError",
    "OutputError",
    "RuntimeFailure",
    "UnknownNameError",
    "VerificationError",
    "first_line",
]


class EdgePipelineError(Exception):
    """Any failure that this package foresees."""

    exit_code = 1


class InputError(EdgePipelineError):
    """What the user gave cannot be used."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that no registry has."""


class MissingExtraError(InputError):
    """A package is absent; the message names the extra that installs it."""


class CaptureError(InputError):
    """A RAW capture cannot be read, or is of a kind that is not supported."""


class CheckpointError(InputError):
    """A checkpoint is damaged or belongs to another network."""


class ArtifactError(InputError):
    """An artifact is damaged, or a folder is not an artifact."""


class OutputError(InputError):
    """An output path cannot be written, or exists and may not be replaced."""


class JobError(EdgePipelineError):
    """The input was fine; the work failed."""


class CompileError(JobError):
    """A network could not be compiled."""


class DelegationError(CompileError):
    """An operator stayed outside the delegate that should have taken it."""


class RuntimeFailure(JobError):
    """A runtime could not load or run a compiled model."""


class VerificationError(JobError):
    """A compiled model's output left the tolerance."""


def first_line(error: BaseException) -> str:
    """The first line of another library's message; the error's class if it has none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
