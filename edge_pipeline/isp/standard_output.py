"""Write a picture to standard output."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edge_pipeline.errors import InputError, JobError, OutputError
from edge_pipeline.files import disk_failed
from edge_pipeline.gather import Gathered
from edge_pipeline.isp.folder import Job, suffix_of

__all__ = ["STANDARD_OUTPUT", "send", "temporary_jobs"]

# Value of -o for standard output.
STANDARD_OUTPUT = "-"


@contextmanager
def temporary_jobs(
    gathered: Gathered, format_name: str | None, *, sidecar: bool
) -> Iterator[Sequence[Job]]:
    """Yield one job, whose picture is a temporary file for `send`; it is removed afterwards.

    Args:
        gathered: Captures, of which there must be exactly one.
        format_name: Format of the picture; None for JPEG.
        sidecar: Whether a sidecar was requested, which is an error.

    Raises:
        InputError: If there is not exactly one capture, or the format is not known.
        OutputError: If standard output is a terminal, or a sidecar was requested.
        JobError: If temporary files cannot be written.
    """
    suffix = suffix_of(format_name)
    if len(gathered.files) != 1 or gathered.from_folder:
        count = "a folder" if gathered.from_folder else f"{len(gathered.files)} captures"
        raise InputError(f"standard output accepts one picture, got {count}; give one file")
    if sidecar:
        raise OutputError("standard output has no place for a sidecar; give the path of a picture")
    if sys.stdout.isatty():
        raise OutputError("standard output is a terminal; redirect it, or give the path of a file")
    try:
        made = tempfile.TemporaryDirectory(prefix="edge-pipeline-")
    except OSError as error:
        raise JobError(
            f"no folder for temporary files can be created: {error.strerror}; set TMPDIR to a "
            "folder that can be written"
        ) from error
    with made as folder:
        yield [Job(gathered.files[0].path, Path(folder) / f"picture{suffix}")]


def send(picture: Path) -> None:
    """Copy a file to standard output.

    Raises:
        BrokenPipeError: If the reader of standard output has ended.
        JobError: If the disk is full or fails.
        OutputError: If standard output cannot be written.
    """
    try:
        with picture.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = JobError if disk_failed(error) else OutputError
        raise kind(f"standard output cannot be written: {error.strerror}") from error
