"""A worker in a process that runs one job on request, here or on another machine over a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from numpy.typing import NDArray

import edge_pipeline.errors as errors_module
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.errors import EdgePipelineError, RuntimeFailure
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Loaded, TimedRun
from edge_pipeline.harness.verification import read_outputs
from edge_pipeline.record import MemoryDetail
from edge_pipeline.runtime.base import ProfiledOperator

__all__ = [
    "ANSWER_S",
    "PYTHON_WORKER",
    "THREAD_VARIABLES",
    "Far",
    "ProcessWorker",
    "Start",
    "start_piped",
    "worker_request",
]

PYTHON_WORKER = "edge_pipeline.harness.worker"
"""Module of the worker, which is also its name as a runner."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables with the number of threads of the libraries that a worker uses."""

Start = Callable[[IO[bytes]], subprocess.Popen[str]]
"""Function that starts the process with pipes as stdin and stdout, and the given file as stderr."""


def start_piped(
    words: Sequence[str], stderr: IO[bytes], variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a process with pipes as stdin and stdout, in a session of its own.

    There it gets no Ctrl-C; the harness gets it, and closes its workers.

    Args:
        words: Program and arguments; no shell interprets them.
        stderr: File for the process's stderr.
        variables: Environment variables in addition to those of this process.

    Raises:
        OSError: If there is no such program.
    """
    return subprocess.Popen(  # noqa: S603 - the harness's own words, without a shell
        list(words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | (variables or {}),
        start_new_session=True,
    )


class Far(Protocol):
    """The part of a worker on another machine that its pipe does not reach.

    Attributes:
        outputs: Path on that machine to which the worker writes outputs.
    """

    outputs: str

    def fetch(self, target: Path) -> None:
        """Copy the file of outputs to `target` on this machine, and remove it there."""
        ...

    def kill(self, process_id: int) -> None:
        """End a process there, which can outlive the pipe; never raises."""
        ...

    def check(self) -> None:
        """Raise DeviceLostError if the connection to that machine ended."""
        ...


def worker_request(
    job: Job, folder: str, *, threads: int, cpus: Sequence[int] | None
) -> dict[str, Any]:
    """Return the first message to a worker.

    Args:
        job: The job.
        folder: Folder of the artifact on the worker's machine.
        threads: Number of threads that compute.
        cpus: Processors to pin the process to; None for no pinning.
    """
    return {
        "artifact": folder,
        "program": job.program,
        "size": job.size,
        "threads": threads,
        "cpus": None if cpus is None else list(cpus),
    }


_DYING_S = 5.0
ANSWER_S = 600.0
"""Longest time that a worker may take for an answer, in seconds."""


class ProcessWorker:
    """A process that runs one job; harness/worker.py describes the messages on its pipes.

    Args:
        label: Name of the job, for messages.
        start: Function that starts the process.
        request: First message to the process.
        runner: Name of the program that runs the job, for the record.
        far: The other machine; None if the process runs on this one.
        precision: Precision of the computation, if it is not that of the artifact.
        answer_s: Longest time that the process may take for an answer, in seconds.

    Raises:
        EdgePipelineError: If the process cannot run the job.
    """

    block = 1

    def __init__(
        self,
        label: str,
        start: Start,
        request: dict[str, Any],
        *,
        runner: str,
        far: Far | None = None,
        precision: Precision | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.runner = runner
        self.precision = precision
        self.versions: dict[str, str] = {}
        self._label = label
        self._far = far
        self._far_id: int | None = None
        self._answer_s = answer_s
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        self._process = start(self._stderr)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._far_id = self.ask(json.dumps(request)).get("process_id")
        except BaseException:
            self.close()
            raise

    @property
    def open(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    @property
    def process_id(self) -> int:
        """Identifier of the process on this machine."""
        return self._process.pid

    def load(self) -> Loaded:
        """Load the runtime and the program, and return the times."""
        answer = self.ask("load")
        self.versions = answer["versions"]
        return Loaded(answer["import_ns"], answer["init_ns"])

    def run(self, count: int) -> list[TimedRun]:
        """Run the program `count` times, and return the time of each run."""
        return [TimedRun(elapsed, hits) for elapsed, hits in self.ask(f"run {count}")["runs"]]

    def profile(self, runs: int) -> list[ProfiledOperator]:
        """Run the program with its runtime's profiler, and return the time of each operator.

        The program need not be loaded.

        Raises:
            EdgePipelineError: If the runtime or the runner has no profiler.
        """
        found = self.ask(f"profile {runs}")["operators"]
        return [ProfiledOperator(str(name), str(kind), int(ns)) for name, kind, ns in found]

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Run the program on the artifact's reference input, and return its outputs by name."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "outputs.safetensors"
            self.ask(f"outputs {path if self._far is None else self._far.outputs}")
            if self._far is not None:
                self._far.fetch(path)
            return read_outputs(path)

    def memory(self) -> MemoryDetail:
        """Load and run the job, and return its peak memory; for a process that does only this."""
        return MemoryDetail.model_validate(self.ask("memory")["memory"])

    def ask(self, order: str) -> dict[str, Any]:
        """Send an order to the worker, and return its answer.

        Raises:
            EdgePipelineError: If the worker raised an error; the same error is raised here.
            RuntimeFailure: If the worker ended without an answer, or does not answer in time.
            DeviceLostError: If the connection to its machine ended.
        """
        line = self._answer(order)
        if not line:
            message = self._failure_message()
            if self._far is not None:
                self._far.check()
            raise RuntimeFailure(message)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise RuntimeFailure(f"the process that ran {self._label} answered {line.strip()!r}")
        if "error" in answer:
            raise _error_named(str(answer["error"]), str(answer.get("message")))
        return answer

    def _answer(self, order: str) -> str:
        """Return the line that answers an order; an empty one if the process ended."""
        if self._process.stdin is None:
            return ""
        # A process that ended can have written the reason before it could read the order.
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=self._answer_s)
        except queue.Empty:
            self._process.kill()
            raise RuntimeFailure(
                f"the process that ran {self._label} did not answer in {self._answer_s:g} s"
            ) from None
        if not line:
            self._lines.put("")  # the end remains the end
        return line

    def _read(self) -> None:
        """Put the lines of the process's stdout into the queue, and an empty one at its end."""
        if self._process.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                for line in self._process.stdout:
                    self._lines.put(line)
        self._lines.put("")

    def _failure_message(self) -> str:
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        if self._far is not None and code > 128:  # a shell says so of a signal
            code = 128 - code
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        last = f": {lines[-1]}" if lines else ""
        return f"the process that ran {self._label} {how}{last}"

    def close(self) -> None:
        """End the process, also on another machine."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._far is not None and self._far_id is not None:
            with contextlib.suppress(EdgePipelineError):  # the device may be lost
                self._far.kill(self._far_id)
            self._far_id = None
        self._reader.join(_DYING_S)
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None and not pipe.closed:
                # Closing a pipe flushes data that the ended process did not read.
                with contextlib.suppress(OSError):
                    pipe.close()


def _error_named(name: str, message: str) -> EdgePipelineError:
    """Return the error of this package with a name; a RuntimeFailure if there is none."""
    kind = getattr(errors_module, name, None)
    if isinstance(kind, type) and issubclass(kind, EdgePipelineError):
        return kind(message)
    return RuntimeFailure(message)
