"""The task of a Dask worker: develop one capture with an artifact that stays open.

Arguments and results are plain data, so that errors reach the client as sentences and versions can
be compared before anything else is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import edge_pipeline
from edge_pipeline.errors import CaptureError, EdgePipelineError, InputError, JobError, OutputError
from edge_pipeline.isp.batch import BatchOptions, Outcome, develop_all
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job
from edge_pipeline.isp.scheduler import dask
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.limits import PixelLimits

__all__ = ["BatchTask", "develop_one", "modified_ns"]

# Two file systems may store the same time with different precision; that of FAT is 2 s.
_SAME_TIME_NS = 2_000_000_000


@dataclass(frozen=True)
class BatchTask:
    """Part of a task that is the same for all captures of a batch.

    Attributes:
        version: Version of this package in the client.
        digest: Digest of the artifact that the client opened.
        token: Absolute path of a file that exists during the batch, in a folder of the pictures.
        settings: Settings for all captures; their bits are replaced by those of each format.
        options: Options of the batch; the path of the model is absolute.
    """

    version: str
    digest: str
    token: Path
    settings: Settings
    options: BatchOptions

    def packed(self) -> dict[str, Any]:
        """Return the fields as plain data, from which `unpacked` makes an equal task."""
        packed: dict[str, Any] = _TASK.dump_python(self, mode="json")
        return packed

    @staticmethod
    def unpacked(packed: Mapping[str, Any]) -> BatchTask:
        """Return the task of `packed`, which this version of the package made."""
        return _TASK.validate_python(packed)


_TASK = TypeAdapter(BatchTask)


def modified_ns(path: Path) -> int | None:
    """Return the time at which a file was modified, in nanoseconds; None if there is no file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def develop_one(
    packed: Mapping[str, Any], capture: str, picture: str, before_ns: int | None
) -> dict[str, Any]:
    """Develop one capture on a Dask worker.

    If another worker wrote the picture and was lost before it could report, the picture is kept.

    Args:
        packed: Task of the batch, from `BatchTask.packed`.
        capture: Absolute path of the capture.
        picture: Absolute path of the picture.
        before_ns: `modified_ns` of the picture before the batch.

    Returns:
        Either `refused`, a sentence why this worker cannot do any task of the batch; or the fields
        of an outcome: `existed`, `notes`, and `error`, None or the class and message of an error.
    """
    version = edge_pipeline.__version__
    name = _worker().address
    if packed.get("version") != version:
        return {
            "refused": f"worker {name} has edge-pipeline {version}, this machine has "
            f"{packed.get('version')}; install the same version on all machines"
        }
    task = BatchTask.unpacked(packed)
    if not task.token.is_file():
        return {
            "refused": f"worker {name} does not see the folder {task.token.parent} of this "
            "machine; use a folder that all machines share under the same path"
        }
    try:
        with _DEVELOPERS.one(task) as developer:
            outcome = _outcome(task, Path(capture), Path(picture), before_ns, developer)
    except EdgePipelineError as error:  # the artifact cannot be opened
        return {"refused": f"worker {name}: {error}"}
    return _packed(outcome, name)


def _outcome(
    task: BatchTask, capture: Path, picture: Path, before_ns: int | None, developer: Developer
) -> Outcome:
    # All pictures are treated like those in a folder: after a worker was lost, they may exist.
    job = Job(capture, picture, in_folder=True)
    now_ns = modified_ns(picture)
    if before_ns is not None and now_ns is not None and abs(now_ns - before_ns) > _SAME_TIME_NS:
        return Outcome(job, existed=True)
    try:
        os.close(os.open(capture, os.O_RDONLY))
    except OSError as error:
        reason = f"worker {_worker().address} cannot read {capture}: {error.strerror}"
        return Outcome(job, CaptureError(f"{reason}; all machines must see the same files"))
    stop = developer.stop or threading.Event()

    def on_tile(_number: int, _done: int, _total: int) -> None:
        if not task.token.exists():  # the client stopped
            stop.set()

    [outcome] = develop_all(
        [job],
        [developer],
        task.settings,
        sidecar=task.options.sidecar,
        force=task.options.force,
        stop=stop,
        on_tile=on_tile,
    )
    return outcome


def _packed(outcome: Outcome, worker: str) -> dict[str, Any]:
    """Return an outcome as plain data; errors that are caused by the machine name the worker."""
    error = outcome.error
    packed = None
    if error is not None:
        text = str(error)
        if isinstance(error, JobError | OutputError):
            text = f"worker {worker}: {text}"
        packed = {"kind": type(error).__name__, "text": text}
    return {"existed": outcome.existed, "notes": list(outcome.notes), "error": packed}


def _worker() -> Any:
    """Return Dask's object of the worker that runs this task."""
    return dask().get_worker()


class _Developers:
    """Developers of this process that stay open between tasks, one for each task at once.

    They all have the same artifact and options; if a task has others, the idle ones are closed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[object, ...] = ()
        self._idle: list[Developer] = []

    @contextmanager
    def one(self, task: BatchTask) -> Iterator[Developer]:
        """Yield a developer that no other task uses.

        Raises:
            EdgePipelineError: If the artifact cannot be opened, or is not that of the client.
        """
        at_once = int(_worker().state.nthreads)
        same = task.options
        key = (same.model, task.digest, same.threads, same.timeout_s, same.max_pixels, at_once)
        developer = self._take(key) or _opened(task, at_once)
        try:
            yield developer
        finally:
            self._give_back(key, developer)

    def _take(self, key: tuple[object, ...]) -> Developer | None:
        with self._lock:
            if self._key != key:
                old, self._key, self._idle = self._idle, key, []
            else:
                old = []
            found = self._idle.pop() if self._idle else None
        for developer in old:
            developer.close()
        if found is not None and found.stop is not None:
            found.stop.clear()
        return found

    def _give_back(self, key: tuple[object, ...], developer: Developer) -> None:
        with self._lock:
            if self._key == key:
                self._idle.append(developer)
                return
        developer.close()


def _opened(task: BatchTask, at_once: int) -> Developer:
    developer = Developer(
        task.options.model,
        threads=task.options.threads,
        timeout_s=task.options.timeout_s,
        limits=PixelLimits(task.options.max_pixels, at_once),
        stop=threading.Event(),
    )
    if developer.artifact.digest != task.digest:
        developer.close()
        raise InputError(
            f"the model {developer.artifact.folder} is not that of this machine; copy the same "
            "artifact to all machines"
        )
    return developer


_DEVELOPERS = _Developers()
