"""The device in which the harness itself runs; each job runs in its own pinned process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from typing import IO

import psutil

from edge_pipeline.errors import InputError
from edge_pipeline.harness import machine
from edge_pipeline.harness.devices.base import DeviceStateError, Placement, State, Worker
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.process import (
    PYTHON_WORKER,
    THREAD_VARIABLES,
    ProcessWorker,
    start_piped,
    worker_request,
)
from edge_pipeline.record import Environment, Instructions, MemoryDetail, Sensors
from edge_pipeline.registry import RUNTIMES

__all__ = ["ThisMachine", "host_worker", "start_python", "system_text"]

_BUSY_PERCENT = 20.0


def host_worker(job: Job, *, threads: int, cpus: Sequence[int] | None) -> ProcessWorker:
    """Start a process of this machine that runs a job.

    Args:
        job: The job.
        threads: Number of threads that compute.
        cpus: Processors to pin the process to; None for no pinning.

    Raises:
        EdgePipelineError: If the process cannot run the job.
    """
    folder = str(job.artifact.folder.absolute())
    request = worker_request(job, folder, threads=threads, cpus=cpus)
    start = partial(start_python, PYTHON_WORKER, threads)
    return ProcessWorker(job.label, start, request, runner=PYTHON_WORKER)


def start_python(module: str, threads: int, stderr: IO[bytes]) -> subprocess.Popen[str]:
    """Start a module of this package in a process with pipes as stdin and stdout.

    Args:
        module: Name of the module.
        threads: Number of threads that compute.
        stderr: File for the process's stderr.
    """
    path = os.pathsep.join(path for path in sys.path if path)
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"PYTHONPATH": path}
    return start_piped([sys.executable, "-P", "-m", module], stderr, variables)


def system_text() -> str:
    """Return the name and version of the operating system, and the architecture."""
    return f"{platform.system()} {platform.release()} {platform.machine()}"


class ThisMachine:
    """This machine as a device.

    A GPU of the machine is a subclass: its process is another one, and the rest is the same.

    Args:
        name: Name of the device.
    """

    emulated = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._threads = 0
        self._cpus: list[int] | None = None
        self._busy: dict[int, float] = {}
        self._load_average = 0.0
        self._workers: list[ProcessWorker] = []

    @property
    def state(self) -> State:
        """Current state of the device."""
        if any(worker.open for worker in self._workers):
            return State.ACTIVE
        return State.HELD if self._threads else State.IDLE

    def _demand(self, *states: State) -> None:
        if self.state not in states:
            required = " or ".join(state.value for state in states)
            raise DeviceStateError(
                f"device {self.name} is {self.state.value}; this requires it to be {required}"
            )

    def acquire(self, placement: Placement) -> None:
        """Choose one processor per thread, idle ones first, each on its own core if possible.

        Raises:
            InputError: If the number of threads is below 1, or above that of the processors that
                this process may use, or if these cores do not exist.
            DeviceStateError: If the device is not idle.
        """
        self._demand(State.IDLE)
        allowed = machine.cores_named(placement.cores, machine.allowed_cpus())
        if not 1 <= placement.threads <= len(allowed):
            raise InputError(
                f"the number of threads must be from 1 to {len(allowed)} on this machine, got "
                f"{placement.threads}"
            )
        self._load_average = psutil.getloadavg()[0]
        self._busy = machine.busy_percent(allowed)
        pinned = machine.choose_cpus(self._busy, machine.cores_of(allowed), placement.threads)
        self._cpus = pinned if machine.can_pin() else None
        self._threads = placement.threads

    def describe(self) -> Environment:
        """Return a description of the machine, with its load before the measurement."""
        self._demand(State.HELD, State.ACTIVE)
        return Environment(
            system_name=machine.system_name(),
            host_processor_model_name=machine.cpu_name(),
            host_processor_core_count=machine.logical_cpus(),
            host_memory_bytes=psutil.virtual_memory().total,
            operating_system=system_text(),
            pinned_cpus=None if self._cpus is None else tuple(self._cpus),
            governor=machine.governor(self._cpus or [0]),
            turbo=machine.turbo(),
            load_average_1min=self._load_average,
        )

    def sensors(self) -> Sensors:
        """Return the temperatures and the battery's charge, as far as the system reports them."""
        self._demand(State.HELD, State.ACTIVE)
        return machine.sensors(self._cpus or [])

    def warnings(self) -> list[str]:
        """Return a sentence on each possible disturbance of a measurement."""
        info = self.describe()
        found = [
            f"CPU {cpu} was {self._busy[cpu]:.0f} % busy before the measurement"
            for cpu in self._cpus or []
            if self._busy[cpu] > _BUSY_PERCENT
        ]
        if self._cpus is None:
            found.append("processors cannot be pinned on this system")
        cpus = info.host_processor_core_count
        if self._load_average > cpus - self._threads + 0.5:
            found.append(f"the load average was {self._load_average:.1f} on {cpus} CPUs")
        if info.governor not in (None, "performance"):
            found.append(f"the frequency governor is {info.governor}, not performance")
        if info.turbo:
            found.append("turbo is on, so the clock depends on temperature")
        return found

    def refusal(self, job: Job) -> str | None:
        """Return a sentence if this machine has no runtime for a job's artifact, or None."""
        self._demand(State.HELD)
        backend = job.artifact.manifest.backend
        if backend in RUNTIMES:
            return None
        return f"{job.artifact.folder} cannot run on host: no runtime here runs {backend} artifacts"

    def place(self, job: Job) -> Worker:
        """Start a pinned process for the job, and return its worker.

        Raises:
            DeviceStateError: If the device is not held or active.
            InputError: If the program does not support the job's size.
            RuntimeFailure: If the process cannot be started.
        """
        self._demand(State.HELD, State.ACTIVE)
        worker = self._worker(job)
        self._workers.append(worker)
        return worker

    def peak_memory(self, job: Job) -> MemoryDetail | None:
        """Return the job's peak memory, measured in a new process.

        Raises:
            DeviceStateError: If the device is not held, or a worker is open.
            RuntimeFailure: If the program cannot be run.
        """
        self._demand(State.HELD)
        worker = self._worker(job)
        try:
            return MemoryDetail.model_validate(worker.ask("memory")["memory"])
        finally:
            worker.close()

    def instructions(self, _job: Job) -> Instructions | None:
        """Return None: this machine counts time, not instructions."""
        self._demand(State.HELD)
        return None

    def _worker(self, job: Job) -> ProcessWorker:
        return host_worker(job, threads=self._threads, cpus=self._cpus)

    def release(self) -> None:
        """Release the processors.

        Raises:
            DeviceStateError: If the device is not held, or a worker is open.
        """
        self._demand(State.HELD)
        self._threads, self._cpus, self._workers = 0, None, []
