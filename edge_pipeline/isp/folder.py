"""Plan several captures: check before any work that each picture has a path of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_pipeline.errors import InputError, OutputError
from edge_pipeline.gather import Found, refuse_clashes, refuse_to_replace
from edge_pipeline.isp.output import FORMATS, format_of, sidecar_path

__all__ = ["Job", "check_quality", "folder_of", "plan", "suffix_of"]

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


@dataclass(frozen=True)
class Job:
    """The paths of a capture and of the picture to write.

    Attributes:
        capture: Path of the capture.
        picture: Path of the picture.
        in_folder: Whether the output is a folder, in which existing pictures are kept.
    """

    capture: Path
    picture: Path
    in_folder: bool = False


def suffix_of(format_name: str | None) -> str:
    """Return the suffix of a picture format, with its dot; that of JPEG for None.

    Raises:
        InputError: If the format is not known.
    """
    suffix = f".{format_name or 'jpg'}".lower()
    if suffix not in FORMATS:
        known = ", ".join(sorted(name.removeprefix(".") for name in FORMATS))
        raise InputError(f"no picture format is called {format_name!r}; expected one of {known}")
    return suffix


def folder_of(output: str) -> Path | None:
    """Return the output folder; None if the output is a picture.

    `output` is treated as a folder if such a folder exists, or if the text ends with a slash or has
    no extension.

    Raises:
        OutputError: If the output has no name, or the system refuses it.
    """
    if not output.strip():
        raise OutputError("the output has no name; give the path of a picture or a folder with -o")
    target = Path(output)
    if output.endswith(_SEPARATORS) or _is_folder(target) or not target.suffix:
        return target
    return None


def plan(captures: Sequence[Found], output: str, *, format_name: str | None = None) -> list[Job]:
    """Return a job for each capture, with the path of its picture.

    Args:
        captures: Captures from `gather`.
        output: Path of a picture, for a single capture, or of a folder (see `folder_of`).
        format_name: Format of the pictures in a folder: `jpg` (if None), `png`, `tiff`, or another
            spelling of these; it is also their suffix.

    Raises:
        InputError: If there is no capture, or the format is not known or contradicts the extension.
        OutputError: If several captures are given with one file, the extension is not known, two
            captures would have the same picture, or a picture would replace a capture.
    """
    if not captures:
        raise InputError("there is no capture to develop; give at least one file")
    suffix = suffix_of(format_name)
    folder = folder_of(output)
    if folder is not None:
        jobs = _into_folder(captures, folder, suffix)
    else:
        jobs = [_into_file(captures, Path(output), None if format_name is None else suffix)]
    written = [path for job in jobs for path in (job.picture, sidecar_path(job.picture))]
    refuse_to_replace([job.capture for job in jobs], written, "a capture to develop")
    return jobs


def check_quality(jobs: Sequence[Job], quality: int | None) -> None:
    """Raise an InputError if a JPEG quality is given for a picture of another format."""
    formats = {format_of(job.picture) for job in jobs} - {"jpg"}
    if quality is not None and formats:
        raise InputError(
            f"--quality {quality} applies to JPEG, but the format is {formats.pop()}; leave out "
            "--quality, or write .jpg"
        )


def _is_folder(path: Path) -> bool:
    """Return whether `path` is an existing folder.

    Raises:
        OutputError: If the name is only an extension, or the system refuses the path.
    """
    try:
        if path.is_dir():
            return True
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    if path.name.lower() in FORMATS:
        raise OutputError(f"{path} is an extension without a name; give picture{path.name}")
    return False


def _into_file(captures: Sequence[Found], target: Path, suffix: str | None) -> Job:
    if len(captures) > 1:
        raise OutputError(
            f"{len(captures)} captures cannot go into the one file {target}; "
            f"give a folder, with a slash at the end if it does not exist"
        )
    found = format_of(target)
    if suffix is not None and FORMATS[suffix] != found:
        raise InputError(
            f"{target} is a {found} by its extension but --format is {FORMATS[suffix]}; give only "
            "one"
        )
    return Job(captures[0].path, target)


def _into_folder(captures: Sequence[Found], folder: Path, suffix: str) -> list[Job]:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder; give another name or an extension")
    jobs = [
        Job(found.path, folder / found.folder / f"{found.path.stem}{suffix}", in_folder=True)
        for found in captures
    ]
    pairs = [(job.capture, job.picture) for job in jobs]
    refuse_clashes(pairs, "develop them into different folders")
    return jobs
