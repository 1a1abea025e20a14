"""A worker in a separate process of this machine, which runs one job on request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import edge_pipeline.errors as errors_module
from edge_pipeline.errors import EdgePipelineError, RuntimeFailure
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Loaded, TimedRun

__all__ = ["ProcessWorker"]

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_DYING_S = 5.0


class ProcessWorker:
    """A process that runs one job; harness/worker.py describes the messages on its pipes.

    Args:
        job: The job to run.
        threads: Number of threads that compute.
        cpus: Processors to pin to; None if the process is not pinned.

    Raises:
        EdgePipelineError: If the process cannot run the job.
    """

    def __init__(self, job: Job, *, threads: int, cpus: list[int] | None) -> None:
        self._job = job
        self.versions: dict[str, str] = {}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close
        environment = os.environ | dict.fromkeys(_THREAD_VARIABLES, str(threads))
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        # In its own session, the worker gets no Ctrl-C; the parent gets it and closes its workers.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "edge_pipeline.harness.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env=environment,
            start_new_session=True,
        )
        request = {
            "artifact": str(job.artifact.folder.absolute()),
            "program": job.program,
            "size": job.size,
            "threads": threads,
            "cpus": cpus,
        }
        try:
            self.ask(json.dumps(request))
        except BaseException:
            self.close()
            raise

    @property
    def open(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def load(self) -> Loaded:
        """Load the runtime and the program, and return the times."""
        answer = self.ask("load")
        self.versions = answer["versions"]
        return Loaded(answer["import_ns"], answer["init_ns"])

    def run(self) -> TimedRun:
        """Run the program once, and return its time."""
        answer = self.ask("run")
        return TimedRun(answer["run_ns"], answer["preemptions"])

    def ask(self, order: str) -> dict[str, Any]:
        """Send an order to the worker, and return its answer.

        Raises:
            EdgePipelineError: If the worker raised an error; the same error is raised here.
            RuntimeFailure: If the worker ended without an answer.
        """
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeFailure(f"the worker process for {self._job.label} has no pipes")
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            raise RuntimeFailure(self._failure_message())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            kind = getattr(errors_module, answer["error"], RuntimeFailure)
            failure: EdgePipelineError = kind(answer["message"])
            raise failure
        return answer

    def _failure_message(self) -> str:
        try:
            code = self._process.wait(_DYING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        last = f": {lines[-1]}" if lines else ""
        return f"the process that ran {self._job.label} {how}{last}"

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            if pipe is not None and not pipe.closed:
                _close_quietly(pipe)


def _close_quietly(pipe: Any) -> None:
    # Closing a pipe flushes data that the ended process did not read.
    try:
        pipe.close()
    except OSError:
        return
