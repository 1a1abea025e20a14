"""Segment several pictures into files, one after another; a failure stops no other picture."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edge_pipeline.errors import EdgePipelineError, InputError, JobError, OutputError
from edge_pipeline.fault_log import bug_report
from edge_pipeline.files import atomic_file
from edge_pipeline.gather import Found, Kind, refuse_clashes, refuse_to_replace
from edge_pipeline.segmentation.output import write_mask, write_overlay
from edge_pipeline.segmentation.reading import PICTURE_SUFFIXES, read_picture
from edge_pipeline.segmentation.segmenter import Segmenter

__all__ = ["PICTURES", "Job", "Outcome", "plan", "segment_all"]

_MASK, _OVERLAY = ".mask.png", ".overlay.jpg"

# Masks and overlays are not taken from folders, so that pictures and outputs can share one.
PICTURES = Kind(
    PICTURE_SUFFIXES,
    "picture (.png .jpg .tiff .bmp .webp)",
    InputError,
    ignored=(_MASK, _OVERLAY),
)


@dataclass(frozen=True)
class Job:
    """The paths of a picture and of the files to write.

    Attributes:
        picture: Path of the picture.
        mask: Path of its mask.
        overlay: Path of its overlay; None if there is none.
    """

    picture: Path
    mask: Path
    overlay: Path | None

    def files(self) -> tuple[Path, ...]:
        """Return the paths of the files to write."""
        return (self.mask,) if self.overlay is None else (self.mask, self.overlay)


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        number: Position of the job.
        job: Job that ended.
        error: Reason why a file was not written; None if all files were written or existed.
        existed: Whether all files existed before and were kept.
        shares: Share of the pixels with each label except the background, by name.
        notes: Statements about this picture, a sentence each.
        general: Statements that hold for other pictures, too.
    """

    number: int
    job: Job
    error: EdgePipelineError | None = None
    existed: bool = False
    shares: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    general: tuple[str, ...] = ()


def plan(pictures: Sequence[Found], folder: Path, *, overlays: bool) -> list[Job]:
    """Return a job for each picture: `NAME.mask.png` and `NAME.overlay.jpg` in the output folder.

    Args:
        pictures: Pictures from `gather`; those of sub-folders get the same sub-folders.
        folder: Output folder.
        overlays: Whether overlays are written.

    Raises:
        OutputError: If the folder is a file, two pictures would have the same mask, or a file to
            write is one of the pictures.
    """
    if _exists(folder) and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder; give another -o")
    jobs = []
    for found in pictures:
        place = folder / found.folder
        overlay = place / f"{found.path.stem}{_OVERLAY}" if overlays else None
        jobs.append(Job(found.path, place / f"{found.path.stem}{_MASK}", overlay))
    remedy = "segment them into different folders"
    refuse_clashes([(job.picture, job.mask) for job in jobs], remedy)
    written = [path for job in jobs for path in job.files()]
    refuse_to_replace([job.picture for job in jobs], written, "a picture to segment")
    return jobs


def segment_all(
    jobs: Sequence[Job],
    segmenter: Segmenter,
    *,
    opacity: float,
    force: bool,
    on_tile: Callable[[int, int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Segment pictures and write their masks and overlays.

    Existing files are kept, and pictures whose files all exist are skipped, except if `force`. Each
    file is complete before it gets its name, the mask last.

    Args:
        jobs: Jobs from `plan`.
        segmenter: The open artifact.
        opacity: Share of the labels' colours in overlays, 0 to 1.
        force: Whether existing files are replaced.
        on_tile: Function called after each tile with the index of the job and the numbers of its
            finished tiles and of all its tiles.

    Yields:
        The outcome of each job, in order.
    """
    for number, job in enumerate(jobs):
        try:
            missing = [path for path in job.files() if force or not _exists(path)]
            if not missing:
                yield Outcome(number, job, existed=True)
                continue

            def report(done: int, total: int, number: int = number) -> None:
                if on_tile is not None:
                    on_tile(number, done, total)

            outcome = _segmented(number, job, missing, segmenter, (opacity, report))
        except EdgePipelineError as error:
            outcome = Outcome(number, job, error)
        except MemoryError:
            words = f"not enough memory to segment {job.picture}; close other programs, or cut it"
            outcome = Outcome(number, job, JobError(f"{words} into smaller pictures"))
        except Exception as error:  # noqa: BLE001 - no error stops the other pictures
            details = "".join(traceback.format_exception(error))
            failure = JobError(f"{job.picture}: unexpected error, {bug_report(details)}")
            outcome = Outcome(number, job, failure)
        yield outcome


def _segmented(
    number: int,
    job: Job,
    missing: Sequence[Path],
    segmenter: Segmenter,
    how: tuple[float, Callable[[int, int], None]],
) -> Outcome:
    """Segment a picture and write the missing files."""
    opacity, report = how
    picture = read_picture(job.picture)
    notes = picture.notes
    with ExitStack() as stack:
        # Created now, so that a folder that cannot be written is found before the work is done.
        temporary = {path: stack.enter_context(atomic_file(path)) for path in missing}
        labels, names, general = segmenter.segment(picture, on_tile=report)
        if job.mask in temporary:
            write_mask(temporary[job.mask], labels, names)
        if job.overlay in temporary:
            drawn = temporary[job.overlay]
            notes += write_overlay(drawn, picture, labels, names, opacity)
    return Outcome(number, job, shares=names.shares(labels), notes=notes, general=general)


def _exists(path: Path) -> bool:
    """Return whether a path exists; if the system refuses it, writing reports the fault."""
    try:
        return path.exists()
    except OSError:
        return False
