"""Develop captures on the workers of a Dask scheduler; each picture is made once.

The name of a picture is the record that it is done, as in `batch`: pictures get their names only
when they are complete. So a task that ran on a lost worker can be run again on another one.
"""

from __future__ import annotations

import queue
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import Any

import edge_pipeline
from edge_pipeline import errors
from edge_pipeline.errors import EdgePipelineError, InputError, JobError
from edge_pipeline.fault_log import keep_details
from edge_pipeline.files import remove_unfinished
from edge_pipeline.isp.batch import BatchOptions, Outcome
from edge_pipeline.isp.cluster_task import BatchTask, develop_one, modified_ns
from edge_pipeline.isp.develop import Developer
from edge_pipeline.isp.folder import Job
from edge_pipeline.isp.output import refuse_existing, sidecar_path
from edge_pipeline.isp.scheduler import (
    EXTRA,
    absolute,
    check_address,
    check_workers,
    connected,
    dask,
    shared_token,
)
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.limits import PixelLimits

__all__ = ["develop_on_cluster"]

_PATIENCE_S = 30.0  # time without any worker
_RESULT_S = 10.0  # time for fetching a result, which may have been lost with its worker
_TICK_S = 1.0  # time between two checks for workers


def develop_on_cluster(
    jobs: Sequence[Job], settings: Settings, options: BatchOptions, address: str
) -> Generator[Outcome, None, None]:
    """Develop captures on the workers of a Dask scheduler.

    The workers must see the captures and the pictures under the same absolute paths. A capture
    whose worker is lost is developed by another; if it was running on several workers that were
    lost, it is tried again alone, and then fails. If the caller closes the iterator, tasks that
    were not begun are cancelled, and workers stop at the next tile.

    Args:
        jobs: Jobs from `plan`.
        settings: Settings for all captures; their bits are replaced by those of each format.
        options: Model and limits. If `jobs` is None, all threads of all workers are used; if
            `threads` is None, one thread computes a capture.
        address: Address of the scheduler, `tcp://HOST:PORT` or `tls://HOST:PORT`.

    Yields:
        The outcome of each job when the job ends, in no particular order.

    Raises:
        InputError: If the address, the model or an option is not valid, or a worker has another
            version, model or file system.
        JobError: If the scheduler does not answer, or has no worker for 30 seconds.
        MissingExtraError: If Dask is not installed.
        OutputError: If the folder of the pictures cannot be written.
    """
    check_address(address)
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"{options.jobs} jobs develop no capture; give --jobs 1 or more")
    model = None if options.model is None else absolute(options.model)
    threads = 1 if options.threads is None else options.threads
    return _outcomes(jobs, settings, replace(options, model=model, threads=threads), address)


def _outcomes(
    jobs: Sequence[Job], settings: Settings, options: BatchOptions, address: str
) -> Generator[Outcome, None, None]:
    if not jobs:
        return
    limits = PixelLimits(options.max_pixels)
    with Developer(
        options.model, threads=options.threads, timeout_s=options.timeout_s, limits=limits
    ) as opened:
        digest = opened.artifact.digest
    with connected(address) as client, shared_token(jobs) as token:
        check_workers(client, address)
        task = BatchTask(edge_pipeline.__version__, digest, token, settings, options)
        yield from _Batch(client, address, jobs, task).outcomes()


class _Batch:
    """Tasks of a batch: those to submit, those that run, and those whose workers were lost."""

    def __init__(self, client: Any, address: str, jobs: Sequence[Job], task: BatchTask) -> None:
        self._client = client
        self._address = address
        self._jobs = jobs
        self._task = task
        self._packed = task.packed()
        self._running: dict[Any, int] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._suspects: deque[int] = deque()
        self._worker_seen = perf_counter()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes; at the end, cancel the tasks that remain."""
        try:
            yield from self._run(deque(range(len(self._jobs))), self._task.options.jobs)
            # Dask blames a lost worker on all its tasks. The cause is the one that loses it alone.
            suspects, self._suspects = self._suspects, deque()
            for number in suspects:
                yield from self._run(deque([number]), 1)
                if self._suspects:
                    self._suspects.clear()
                    yield Outcome(self._jobs[number], self._killed(number))
            self._remove_unfinished()
        finally:
            if self._running:
                with suppress(Exception):
                    self._client.cancel([*self._running], force=True)

    def _run(self, waiting: deque[int], at_once: int | None) -> Iterator[Outcome]:
        while waiting or self._running:
            threads = self._worker_threads()
            while waiting and len(self._running) < (at_once or threads):
                number = waiting.popleft()
                refused = self._refused(self._jobs[number])
                if refused is None:
                    self._submit(number)
                else:
                    yield Outcome(self._jobs[number], refused)
            try:
                future = self._done.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            outcome = self._finished(future)
            if outcome is not None:
                yield outcome

    def _refused(self, job: Job) -> EdgePipelineError | None:
        """Return the reason why a single picture is not written; see `batch` for a folder."""
        if job.in_folder:
            return None
        files = [job.picture, sidecar_path(job.picture)][: 1 + self._task.options.sidecar]
        try:
            for file in files:
                refuse_existing(file, force=self._task.options.force)
        except EdgePipelineError as error:
            return error
        return None

    def _submit(self, number: int) -> None:
        job = self._jobs[number]
        picture = absolute(job.picture)
        before = modified_ns(picture) if self._task.options.force else None
        words = (self._packed, str(absolute(job.capture)), str(picture), before)
        try:
            future = self._client.submit(develop_one, *words, pure=False)
        except Exception as error:
            raise self._lost(error) from error
        self._running[future] = number
        future.add_done_callback(self._done.put)

    def _worker_threads(self) -> int:
        """Return the number of threads of all workers.

        Raises:
            JobError: If there has been no worker for a long time, or the scheduler is lost.
        """
        try:
            threads = int(sum(self._client.nthreads().values()))
        except Exception as error:
            raise self._lost(error) from error
        if threads:
            self._worker_seen = perf_counter()
        elif perf_counter() - self._worker_seen > _PATIENCE_S:
            raise JobError(
                f"the scheduler at {self._address} has had no worker for "
                f"{_PATIENCE_S:g} s; start one with: dask worker {self._address}"
            )
        return threads

    def _finished(self, future: Any) -> Outcome | None:
        """Return the outcome of a task that ended; None if it must be run again."""
        distributed = dask()
        number = self._running[future]
        try:
            answer = future.result(timeout=_RESULT_S)
        except TimeoutError:  # the worker was lost with the result; another one runs the task
            future.add_done_callback(self._done.put)
            return None
        except distributed.KilledWorker:
            self._suspects.append(self._running.pop(future))
            return None
        except distributed.CancelledError as error:
            raise self._lost(error) from error
        except Exception as error:
            keep_details("".join(traceback.format_exception(error)))
            raise JobError(
                f"the scheduler at {self._address} cannot load the task; install "
                f"edge-pipeline {self._task.version} with the extra {EXTRA} there"
            ) from error
        del self._running[future]
        if "refused" in answer:
            raise InputError(answer["refused"])
        return _unpacked(self._jobs[number], answer)

    def _killed(self, number: int) -> JobError:
        return JobError(
            f"{self._jobs[number].capture}: every worker that developed it was lost; develop it "
            "without --scheduler, or give the workers more memory"
        )

    def _lost(self, error: BaseException) -> JobError:
        keep_details("".join(traceback.format_exception(error)))
        return JobError(
            f"the connection to the scheduler at {self._address} was lost; the same "
            "command does the rest"
        )

    def _remove_unfinished(self) -> None:
        """Remove the unfinished files that lost workers left beside the pictures."""
        remove_unfinished({absolute(job.picture).parent for job in self._jobs})


def _unpacked(job: Job, answer: dict[str, Any]) -> Outcome:
    """Return the outcome that a worker reported."""
    error = None
    if answer["error"] is not None:
        kind = getattr(errors, answer["error"]["kind"], JobError)
        error = kind(answer["error"]["text"])
    return Outcome(job, error, answer["existed"], tuple(answer["notes"]))
