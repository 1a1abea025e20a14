"""The exceptions that this package raises.

Every message is one sentence that names the fault, the value that caused it, and a remedy. The
command line prints the message and exits with `exit_code`: 2 for bad input, 1 for a failed job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError

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
    "PictureExistsError",
    "RuntimeFailure",
    "StoppedError",
    "UnknownNameError",
    "VerificationError",
    "exit_code",
    "first_fault",
    "first_line",
]


class EdgePipelineError(Exception):
    """Base class of all errors that this package raises on purpose."""

    exit_code = 1


class InputError(EdgePipelineError):
    """The user's input is invalid or cannot be used."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name is not registered."""


class MissingExtraError(InputError):
    """A required package is not installed; the message names the extra that installs it."""


class CaptureError(InputError):
    """A RAW capture cannot be read, or its kind is not supported."""


class CheckpointError(InputError):
    """A checkpoint is damaged or belongs to another network."""


class ArtifactError(InputError):
    """An artifact is damaged, or a folder is not an artifact."""


class OutputError(InputError):
    """An output path cannot be written, or exists and may not be replaced."""


class PictureExistsError(OutputError):
    """An output file exists and may not be replaced."""


class JobError(EdgePipelineError):
    """The input is valid, but processing it failed."""


class StoppedError(JobError):
    """The work was stopped before its end, by the user or the system."""


class CompileError(JobError):
    """A network could not be compiled."""


class AccuracyError(CompileError):
    """A compiled program's outputs are out of the tolerance of its precision."""


class TooManyInFloatError(CompileError):
    """Int8 would be exact enough only with most of the weights in float32."""


class DelegationError(CompileError):
    """An operator was left outside the delegate that was expected to run it."""


class RuntimeFailure(JobError):
    """A runtime could not load or run a compiled model."""


class VerificationError(JobError):
    """A compiled model's output is outside the tolerance."""


def exit_code(errors: Sequence[EdgePipelineError]) -> int:
    """Return 0 if there is no error, 1 if processing failed, 2 if only inputs were bad."""
    codes = {error.exit_code for error in errors}
    if not codes:
        return 0
    return 1 if 1 in codes else 2


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the error's class if it has no message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def first_fault(error: ValidationError, whole: str) -> tuple[str, str]:
    """Return the field of the first fault that pydantic found, and its message with the value.

    Args:
        error: The validation error.
        whole: The name of the validated object, for faults of no single field.
    """
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or whole
    message = first["msg"].removeprefix("Value error, ")
    if message.startswith("Input should") and isinstance(first["input"], str | int | float):
        message += f", not {first['input']!r}"
    return field, message
