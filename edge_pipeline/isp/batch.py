"""Develop several captures at once; report each outcome when its job ends."""

from __future__ import annotations

import json
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from edge_pipeline.errors import EdgePipelineError, JobError, PictureExistsError, StoppedError
from edge_pipeline.fault_log import bug_report
from edge_pipeline.isp.colour_spaces import colour_space
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job
from edge_pipeline.isp.output import (
    DEFAULT_QUALITY,
    bits_of,
    format_of,
    refuse_existing,
    sidecar_path,
    write_picture,
)
from edge_pipeline.isp.settings import Settings
from edge_pipeline.isp.sidecar import software

__all__ = ["BatchOptions", "Outcome", "develop_all"]


@dataclass(frozen=True)
class BatchOptions:
    """Options of a batch apart from its settings, on this machine and on a cluster.

    Attributes:
        model: Folder of the artifact; None for the shipped one of each machine.
        jobs: Number of captures at once; None for as many as there are threads for.
        threads: Number of threads that compute one capture; None for the default of the machine
            or of the cluster.
        timeout_s: Time limit for reading one capture, in seconds.
        max_pixels: Largest number of pixels of a capture.
        sidecar: Whether a JSON file is written beside each picture.
        force: Whether existing files may be replaced.
    """

    model: Path | None
    jobs: int | None
    threads: int | None
    timeout_s: float
    max_pixels: int
    sidecar: bool
    force: bool


@dataclass(frozen=True)
class Outcome:
    """The result of a job.

    Attributes:
        job: Job that ended.
        error: Reason why no picture was written; None if it was written or existed.
        existed: Whether the picture existed before and was kept.
        notes: Assumptions that were made about the capture, a sentence each.
    """

    job: Job
    error: EdgePipelineError | None = None
    existed: bool = False
    notes: tuple[str, ...] = ()


def develop_all(
    jobs: Sequence[Job],
    developers: Sequence[Developer],
    settings: Settings,
    *,
    sidecar: bool,
    force: bool,
    stop: threading.Event | None = None,
    on_tile: Callable[[int, int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Develop captures, as many at once as there are developers; a failure stops no other capture.

    If the caller stops early, for example because of an interrupt, no further capture is begun.
    Captures in progress are abandoned at the next tile. No thread and no temporary file remains.

    Args:
        jobs: Jobs from `plan`.
        developers: Developers with open artifacts; each is used by one thread at a time.
        settings: Settings for all captures; their bits and quality are adapted to each format.
        sidecar: Whether a JSON file is written beside each picture.
        force: Whether existing files may be replaced.
        stop: Event with which the developers were created; it is set if the caller stops early.
        on_tile: Function called after each tile with the index of the job and the numbers of its
            finished tiles and of all its tiles, from several threads.

    Yields:
        The outcome of each job when the job ends, in no particular order.
    """
    work = _Work(settings, sidecar, force, stop or threading.Event(), queue.SimpleQueue(), on_tile)
    for developer in developers:
        work.idle.put(developer)
    pool = ThreadPoolExecutor(max_workers=len(developers), thread_name_prefix="develop")
    try:
        for done in as_completed([pool.submit(work.do, *numbered) for numbered in enumerate(jobs)]):
            yield done.result()
    except BaseException:
        work.stop.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Work:
    """The work that the threads of a batch share."""

    settings: Settings
    sidecar: bool
    force: bool
    stop: threading.Event
    idle: queue.SimpleQueue[Developer]
    on_tile: Callable[[int, int, int], None] | None

    def do(self, number: int, job: Job) -> Outcome:
        """Run a job with an idle developer and return its outcome."""
        developer = self.idle.get()
        try:
            return self._outcome(number, job, developer)
        except PictureExistsError as error:
            # Another command may have written it meanwhile.
            existed = job.in_folder and job.picture.is_file()
            return Outcome(job, None if existed else error, existed=existed)
        except EdgePipelineError as error:
            return Outcome(job, error)
        except Exception as error:  # noqa: BLE001 - no error stops the other captures
            details = "".join(traceback.format_exception(error))
            failure = JobError(f"{job.capture}: unexpected error, {bug_report(details)}")
            failure.__cause__ = error
            return Outcome(job, failure)
        finally:
            self.idle.put(developer)

    def _outcome(self, number: int, job: Job, developer: Developer) -> Outcome:
        if job.in_folder and not self.force:
            if _exists(job.picture):
                return Outcome(job, existed=True)
            if self.sidecar:
                _remove_orphan(sidecar_path(job.picture))
        refuse_existing(job.picture, force=self.force)
        if self.sidecar:
            refuse_existing(sidecar_path(job.picture), force=self.force)

        def on_tile(done: int, total: int) -> None:
            self._continue()
            if self.on_tile is not None:
                self.on_tile(number, done, total)

        self._continue()
        settings = _settings_of(self.settings, format_of(job.picture))
        development = developer.begin(job.capture, settings, on_tile=on_tile)
        write_picture(
            job.picture,
            development.bands,
            exif=development.exif,
            software=software(),
            sidecar=development.info if self.sidecar else None,
            force=self.force,
            quality=settings.quality,
            space=colour_space(settings.colour_space),
        )
        return Outcome(job, notes=development.notes)

    def _continue(self) -> None:
        if self.stop.is_set():
            raise StoppedError("the batch was stopped")


def _settings_of(settings: Settings, format_name: str) -> Settings:
    """Return the settings with the bits and the quality of a format."""
    quality = None
    if format_name == "jpg":
        quality = DEFAULT_QUALITY if settings.quality is None else settings.quality
    return replace(settings, bits=bits_of(format_name), quality=quality)


def _exists(picture: Path) -> bool:
    """Return whether a picture exists; if the system refuses its path, it does not."""
    try:
        return picture.is_file()
    except OSError:
        return False


def _remove_orphan(sidecar: Path) -> None:
    """Remove a sidecar without its picture, which a batch leaves if it is killed between the two.

    A file with other contents is kept; then the picture is not written.
    """
    try:
        contents = json.loads(sidecar.read_text(encoding="utf-8"))
        if isinstance(contents, dict) and {"sidecar", "capture", "picture"} <= contents.keys():
            sidecar.unlink()
    except (OSError, ValueError):
        return
