"""Runners: programs on another machine that run artifacts there."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.harness.devices.base import Worker
from edge_pipeline.harness.devices.link import Link, pull_checked, push_checked, run_checked
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.process import ANSWER_S, ProcessWorker, worker_request
from edge_pipeline.record import MemoryDetail

__all__ = [
    "MeasuresMemory",
    "Place",
    "ProcessRunner",
    "Runner",
    "choose_runner",
    "install_executable",
]


@dataclass(frozen=True)
class Place:
    """A job on another machine.

    Attributes:
        link: Connection to the machine.
        job: The job.
        artifact: Folder of the artifact on the machine.
        scratch: Folder on the machine for outputs.
        tools: Folder on the machine into which runners are installed.
        threads: Number of threads that compute.
        cpus: Processors to pin to; None for no pinning.
    """

    link: Link
    job: Job
    artifact: str
    scratch: str
    tools: str
    threads: int
    cpus: Sequence[int] | None


@runtime_checkable
class MeasuresMemory(Protocol):
    """A worker that can measure the peak memory of its job, before it is loaded."""

    def memory(self) -> MemoryDetail | None:
        """Load and run the job, and return its peak memory; None if the machine does not tell."""
        ...


class Runner(Protocol):
    """A program that runs artifacts on another machine.

    Attributes:
        name: Name of the program with its version, for the record.
        backends: Backends whose artifacts it runs.
        pins: Whether it can be pinned to processors.
    """

    name: str
    backends: frozenset[str]
    pins: bool

    def refusal(self, artifact: Artifact, size: tuple[int, int] | None) -> str | None:
        """Return the reason why the program cannot run an artifact; None if it can."""
        ...

    def install(self, link: Link, folder: str) -> None:
        """Copy the program into a folder of the machine; do nothing if it is on the machine."""
        ...

    def start(self, place: Place) -> Worker:
        """Start the program, and return its worker.

        Raises:
            RuntimeFailure: If it cannot be started.
        """
        ...


def choose_runner(
    runners: Sequence[Runner],
    device: str,
    artifact: Artifact,
    size: tuple[int, int] | None,
    cores: str | None = None,
) -> Runner:
    """Return the first runner that can run an artifact.

    Args:
        runners: The runners of the device.
        device: Name of the device, for messages.
        artifact: The artifact.
        size: Packed height and width of its input; None for those of the reference input.
        cores: Processors that the user gave; None if any will do.

    Raises:
        InputError: If none can; the message has the reason of each.
    """
    reasons = []
    for runner in runners:
        if cores is not None and not runner.pins:
            reason: str | None = "cannot be pinned to processors; omit --cores"
        else:
            reason = runner.refusal(artifact, size)
        if reason is None:
            return runner
        reasons.append(f"{runner.name} {reason}")
    listed = "; ".join(reasons) or "it has no runner"
    raise InputError(
        f"{artifact.folder} ({artifact.manifest.backend}) cannot run on {device}: {listed}"
    )


class ProcessRunner:
    """A program that speaks the protocol of `harness/worker.py` on its stdin and stdout.

    Args:
        name: Name of the program with its version.
        words: Command that starts it on the machine; the arguments only, if there is a file.
        backends: Backends whose artifacts it runs.
        executable: File of this machine to copy to the other one and to start there.
        answer_s: Longest time that the program may take for an answer, in seconds.
    """

    pins = True

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        backends: frozenset[str],
        executable: Path | None = None,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.name = name
        self.backends = backends
        self._words = list(words)
        self._executable = executable
        self._answer_s = answer_s

    def refusal(self, artifact: Artifact, _size: tuple[int, int] | None) -> str | None:
        """Return the reason why the program cannot run an artifact; None if it can."""
        if artifact.manifest.backend in self.backends:
            return None
        return f"runs {', '.join(sorted(self.backends)) or 'nothing'}"

    def install(self, link: Link, folder: str) -> None:
        """Copy the executable into a folder of the machine, if there is one."""
        if self._executable is not None:
            install_executable(link, self._executable, folder)

    def start(self, place: Place) -> ProcessWorker:
        """Start the program, and return its worker."""
        request = worker_request(place.job, place.artifact, threads=place.threads, cpus=place.cpus)
        words = self._words
        if self._executable is not None:
            words = [f"{place.tools}/{self._executable.name}", *words]
        return ProcessWorker(
            place.job.label,
            lambda stderr: place.link.start(words, stderr),
            request,
            runner=self.name,
            far=_Far(place.link, f"{place.scratch}/outputs.safetensors", words[-1]),
            answer_s=self._answer_s,
        )


def install_executable(link: Link, source: Path, folder: str) -> None:
    """Copy an executable into a folder that exists on the machine, unless an equal one is there.

    Raises:
        JobError: If it cannot be copied.
    """
    target = f"{folder}/{source.name}"
    push_checked(link, {target: source})
    run_checked(link, ["chmod", "755", target], "making the runner executable")


# Ends a process only if its command line contains the program's name: after a restart of the
# machine, its number can be that of another process.
_KILL = 'tr "\\0" " " < "/proc/$1/cmdline" | grep -qF -- "$2" && kill -9 "$1"'


class _Far:
    """The machine of a worker, for the files and signals that its pipe does not carry."""

    def __init__(self, link: Link, outputs: str, program: str) -> None:
        self._link = link
        self._program = program
        self.outputs = outputs

    def fetch(self, target: Path) -> None:
        """Copy the outputs to this machine, and remove them there."""
        pull_checked(self._link, self.outputs, target)
        self._link.run(["rm", "-f", self.outputs])

    def kill(self, process_id: int) -> None:
        """End the process, if it still runs; a lost connection is made again for this."""
        with contextlib.suppress(EdgePipelineError):
            self._link.connect()
            self._link.run(["sh", "-c", _KILL, "sh", str(process_id), self._program])

    def check(self) -> None:
        """Raise DeviceLostError if the connection ended."""
        self._link.run(["true"])
