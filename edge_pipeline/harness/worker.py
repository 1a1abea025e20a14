"""The process in which a measured program runs; it reads orders from stdin, one per line.

Each program has its own process, which separates the libraries, threads and memory of the runtimes,
and a crash of one program does not end the others. The time of a run is measured in this process,
around the call of the runtime, so it does not include the pipe.

The first line is the request as JSON. The orders are:

- `load`, `run COUNT` and `memory`;
- `outputs PATH` runs the program on the artifact's reference input, and writes its outputs to a
  safetensors file;
- `profile COUNT` runs the program with its runtime's profiler;
- `count` runs the program, with system calls before and after it, at which an emulator's plugin
  (devices/emulator/count_instructions.c) counts instructions.

Answers are JSON lines on the original stdout. The process then redirects stdout to stderr, so that
text that a runtime prints does not mix with the answers. `devices/runner` contains a worker without
Python that speaks the same protocol.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
import safetensors.numpy

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.harness.job import Job, inputs_of
from edge_pipeline.harness.resident import METHODS, peak_bytes, reset_peak, resident_bytes
from edge_pipeline.record import MemoryDetail
from edge_pipeline.runtime.base import (
    ProfiledOperator,
    Session,
    open_session,
    profile_program,
    runtime_named,
)

__all__ = ["Answering", "Server", "job_of", "serve"]

# The first run allocates a runtime's arena, and the second can still change it; later ones do not.
_RUNS_TO_PEAK = 3
# No policy of the scheduler has this number, so the call of `_mark` fails.
_MARK = 0x45504D52


class Answering(Protocol):
    """An object that executes the orders for one job."""

    def answer(self, order: str) -> dict[str, Any]:
        """Execute an order, and return the result."""
        ...


def job_of(request: Mapping[str, Any]) -> Job:
    """Return the job of a request, which `process.worker_request` made.

    Raises:
        EdgePipelineError: If the artifact cannot be opened.
    """
    size = request["size"]
    artifact = Artifact.open(Path(request["artifact"]))
    return Job(artifact, request["program"], None if size is None else (size[0], size[1]))


class Server:
    """Executes orders for one job.

    Args:
        request: `artifact`, `program`, `size` (packed height and width, or None) and `threads`.

    Raises:
        EdgePipelineError: If the artifact cannot be opened, or does not support the size.
    """

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._job = job_of(request)
        self._threads: int = request["threads"]
        self._inputs = inputs_of(self._job)
        self._session: Session | None = None

    def answer(self, order: str) -> dict[str, Any]:
        """Execute an order, and return the result.

        Raises:
            EdgePipelineError: If the runtime is not installed, or fails.
        """
        word, _, rest = order.partition(" ")
        if word == "load":
            return self._load()
        if word == "run":
            return {"runs": [self._timed_run() for _ in range(int(rest))]}
        if word == "outputs":
            return {"outputs": self._write_outputs(Path(rest))}
        if word == "count":
            self._marked_run()
            return {"counted": 1}
        if word == "memory":
            return {"memory": self._memory().model_dump()}
        if word == "profile":
            return {"operators": self._profile(int(rest))}
        raise RuntimeError(f"unknown order {word!r}")

    def _import(self) -> int:
        """Load the runtime's libraries without a program, and return the time in ns."""
        start = time.perf_counter_ns()
        runtime_named(self._job.artifact.manifest.backend).preload()
        return time.perf_counter_ns() - start

    def _load(self) -> dict[str, Any]:
        import_ns = self._import()
        start = time.perf_counter_ns()
        self._session = open_session(self._job.artifact, self._job.program, threads=self._threads)
        init_ns = time.perf_counter_ns() - start
        # Python's garbage collector could otherwise start in the middle of a timed run.
        gc.collect()
        gc.disable()
        return {"import_ns": import_ns, "init_ns": init_ns, "versions": _versions()}

    def _loaded(self) -> Session:
        if self._session is None:
            raise RuntimeError("run before load")
        return self._session

    def _timed_run(self) -> tuple[int, int]:
        """Run once; return the time in ns and the number of preemptions."""
        session = self._loaded()
        before = _preemptions()
        start = time.perf_counter_ns()
        session.run(self._inputs)
        return time.perf_counter_ns() - start, _preemptions() - before

    def _marked_run(self) -> None:
        """Set two marks, with nothing between them but the call, then run, and set a third."""
        session = self._loaded()
        _mark()
        _mark()
        session.run(self._inputs)
        _mark()

    def _write_outputs(self, path: Path) -> str:
        inputs, _ = self._job.artifact.reference(self._job.program)
        outputs = self._loaded().run(inputs)
        safetensors.numpy.save_file(
            {name: np.asarray(value, order="C") for name, value in outputs.items()}, path
        )
        return str(path)

    def _profile(self, runs: int) -> list[ProfiledOperator]:
        job = self._job
        return profile_program(
            job.artifact, job.program, self._inputs, threads=self._threads, runs=runs
        )

    def _memory(self) -> MemoryDetail:
        gc.collect()
        baseline = resident_bytes()
        self._import()
        imported = resident_bytes()
        reset = reset_peak()
        self._load()
        for _ in range(_RUNS_TO_PEAK):
            self._timed_run()
        peak = peak_bytes()
        return MemoryDetail(
            baseline_bytes=baseline,
            runtime_bytes=max(imported - baseline, 0),
            program_bytes=max(peak - max(imported, baseline), 0),
            peak_rss_bytes=peak,
            method=METHODS[reset],
        )


def _preemptions() -> int:
    """Return the number of involuntary context switches of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _mark() -> None:
    """Make a system call that does nothing, but that an emulator's plugin recognises."""
    with contextlib.suppress(OSError):
        os.sched_get_priority_max(_MARK)


def _versions() -> dict[str, str]:
    """Return the versions of Python and of the relevant packages that are loaded."""
    versions = {"python": platform.python_version()}
    for module in ("numpy", "onnxruntime", "executorch", "ai_edge_litert", "coremltools", "torch"):
        if module in sys.modules:
            versions[module] = importlib.metadata.version(module.replace("_", "-"))
    return versions


def _pin(cpus: list[int] | None) -> None:
    if cpus is not None and sys.platform == "linux":
        os.sched_setaffinity(0, cpus)


def _answer_all(make: Callable[[Any], Answering], orders: Iterator[str], answers: TextIO) -> None:
    def send(answer: Mapping[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        request = json.loads(next(orders))
        # Threads inherit the processor mask, so it is set before any library starts threads.
        _pin(request["cpus"])
        server = make(request)
        send({"ready": True, "process_id": os.getpid()})
        for order in orders:
            send(server.answer(order.strip()))
    except EdgePipelineError as error:
        send({"error": type(error).__name__, "message": str(error)})
    except StopIteration:
        return


def serve(make: Callable[[Any], Answering]) -> None:
    """Execute orders until stdin ends.

    Args:
        make: Function that returns what answers the orders, for the request.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        _answer_all(make, iter(sys.stdin), answers)


if __name__ == "__main__":
    serve(Server)
