"""Develop several captures; check before any work that each picture has a path of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edge_pipeline.errors import EdgePipelineError, InputError, JobError, OutputError
from edge_pipeline.isp.develop import Developer, Settings
from edge_pipeline.isp.output import (
    FORMATS,
    bits_of,
    format_of,
    refuse_existing,
    sidecar_path,
    write_picture,
)
from edge_pipeline.isp.sidecar import software

__all__ = ["Job", "Outcome", "develop_all", "exit_code", "plan"]

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


@dataclass(frozen=True)
class Job:
    """The paths of a capture and of the picture to write."""

    capture: Path
    picture: Path


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        job: Job that ended.
        error: Reason why no picture was written; None if it was written.
        notes: Assumptions that were made about the capture, a sentence each.
    """

    job: Job
    error: EdgePipelineError | None = None
    notes: tuple[str, ...] = ()


def plan(captures: Sequence[Path], output: str, *, format_name: str | None = None) -> list[Job]:
    """Return a job for each capture, with the path of its picture.

    `output` is treated as a folder if such a folder exists, or if the text ends with a slash or has
    no extension.

    Args:
        captures: Paths of the captures.
        output: Path of a picture, for a single capture, or of a folder.
        format_name: Format of the pictures in a folder: `jpg` (if None), `png` or `tiff`.

    Raises:
        InputError: If there is no capture, or the format is not known or contradicts the extension.
        OutputError: If several captures are given with one file, the extension is not known, two
            captures would have the same picture, or a picture would replace a capture.
    """
    if not captures:
        raise InputError("there is no capture to develop; give at least one file")
    if not output.strip():
        raise OutputError("the output has no name; give the path of a picture or a folder with -o")
    if format_name is not None and format_name not in FORMATS.values():
        known = ", ".join(sorted(set(FORMATS.values())))
        raise InputError(f"no picture format is called {format_name!r}; expected one of {known}")
    target = Path(output)
    if output.endswith(_SEPARATORS) or _is_folder(target) or not target.suffix:
        jobs = _into_folder(captures, target, format_name or "jpg")
    else:
        jobs = [_into_file(captures, target, format_name)]
    _refuse_to_replace_captures(jobs)
    return jobs


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


def _into_file(captures: Sequence[Path], target: Path, format_name: str | None) -> Job:
    if len(captures) > 1:
        raise OutputError(
            f"{len(captures)} captures cannot go into the one file {target}; "
            f"give a folder, with a slash at the end if it does not exist"
        )
    found = format_of(target)
    if format_name is not None and format_name != found:
        raise InputError(
            f"{target} is a {found} by its extension but --format is {format_name}; give only one"
        )
    return Job(captures[0], target)


def _into_folder(captures: Sequence[Path], folder: Path, format_name: str) -> list[Job]:
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder; give another name or an extension")
    suffix = next(suffix for suffix, name in FORMATS.items() if name == format_name)
    jobs = [Job(capture, folder / f"{capture.stem}{suffix}") for capture in captures]
    first: dict[str, Job] = {}
    for job in jobs:
        # Case is ignored, because on some file systems X.jpg and x.jpg are the same file.
        other = first.setdefault(job.picture.name.casefold(), job)
        if other is not job:
            raise OutputError(
                f"{other.capture} and {job.capture} would both become {job.picture}; "
                f"develop them into different folders"
            )
    return jobs


def _real(path: Path) -> str:
    return os.path.realpath(path)  # Path.resolve raises if links form a cycle


def _refuse_to_replace_captures(jobs: Sequence[Job]) -> None:
    captures = {_real(job.capture) for job in jobs}
    for job in jobs:
        for written in (job.picture, sidecar_path(job.picture)):
            if _real(written) in captures:
                raise OutputError(
                    f"{written} is a capture to develop and cannot be written; give another -o"
                )


def develop_all(
    jobs: Sequence[Job],
    developer: Developer,
    settings: Settings,
    *,
    sidecar: bool,
    force: bool,
    on_tile: Callable[[int, int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Develop captures one after the other; a failure of one does not stop the rest.

    Args:
        jobs: Jobs from `plan`.
        developer: Developer with an open artifact.
        settings: Settings for all captures; their bits are replaced by those of each format.
        sidecar: Whether a JSON file is written beside each picture.
        force: Whether existing files may be replaced.
        on_tile: Function called after each tile with the index of the job and the numbers of its
            finished tiles and of all its tiles.

    Yields:
        The outcome of each job, in order, when the job ends.
    """
    for number, job in enumerate(jobs):

        def on_tile_of_job(done: int, total: int, number: int = number) -> None:
            if on_tile is not None:
                on_tile(number, done, total)

        try:
            notes = _develop_one(
                job, developer, settings, sidecar=sidecar, force=force, on_tile=on_tile_of_job
            )
        except EdgePipelineError as error:
            yield Outcome(job, error)
        except Exception as error:  # noqa: BLE001 - no error stops the other captures
            failure = JobError(f"unexpected {type(error).__name__} at {job.capture}: {error}")
            failure.__cause__ = error
            yield Outcome(job, failure)
        else:
            yield Outcome(job, notes=notes)


def _develop_one(
    job: Job,
    developer: Developer,
    settings: Settings,
    *,
    sidecar: bool,
    force: bool,
    on_tile: Callable[[int, int], None],
) -> tuple[str, ...]:
    refuse_existing(job.picture, force=force)
    if sidecar:
        refuse_existing(sidecar_path(job.picture), force=force)
    bits = bits_of(format_of(job.picture))
    picture = developer.develop(job.capture, replace(settings, bits=bits), on_tile=on_tile)
    write_picture(
        job.picture,
        picture.rgb,
        exif=picture.exif,
        software=software(),
        sidecar=picture.info if sidecar else None,
        force=force,
    )
    return tuple(picture.info["notes"])


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if every picture was written, 1 if processing failed, 2 if only inputs were bad."""
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error is not None}
    if not codes:
        return 0
    return 1 if 1 in codes else 2
