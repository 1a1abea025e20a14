"""This machine as a device; each job runs in its own pinned process."""

from __future__ import annotations

import platform

import psutil

from edge_pipeline.errors import InputError
from edge_pipeline.harness import machine
from edge_pipeline.harness.devices.base import Device, DeviceStateError, State, Worker
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.process import ProcessWorker
from edge_pipeline.record import HostInfo, MemoryDetail

__all__ = ["Host", "open_device"]

_BUSY_PERCENT = 20.0


def open_device() -> Device:
    """Return this machine as an idle device."""
    return Host()


class Host:
    """This machine as a device."""

    name = "host"

    def __init__(self) -> None:
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
                f"device host is {self.state.value}; this operation requires it to be {required}"
            )

    def acquire(self, *, threads: int) -> None:
        """Choose one processor per thread, idle ones first, each on its own core if possible.

        Raises:
            InputError: If `threads` is below 1, or above the number of processors that this process
                may use.
            DeviceStateError: If the device is not idle.
        """
        self._demand(State.IDLE)
        allowed = machine.allowed_cpus()
        if not 1 <= threads <= len(allowed):
            raise InputError(
                f"the number of threads must be from 1 to {len(allowed)} on this machine, got "
                f"{threads}"
            )
        self._load_average = psutil.getloadavg()[0]
        self._busy = machine.busy_percent(allowed)
        pinned = machine.choose_cpus(self._busy, machine.cores_of(allowed), threads)
        self._cpus = pinned if machine.can_pin() else None
        self._threads = threads

    def describe(self) -> HostInfo:
        """Return a description of the machine, with its load before the measurement."""
        self._demand(State.HELD, State.ACTIVE)
        return HostInfo(
            cpu=machine.cpu_name(),
            logical_cpus=machine.logical_cpus(),
            memory_bytes=psutil.virtual_memory().total,
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            pinned_cpus=None if self._cpus is None else tuple(self._cpus),
            governor=machine.governor(self._cpus or [0]),
            turbo=machine.turbo(),
            load_average_1min=self._load_average,
        )

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
        if info.load_average_1min > info.logical_cpus - self._threads + 0.5:
            found.append(
                f"the load average was {info.load_average_1min:.1f} on {info.logical_cpus} CPUs"
            )
        if info.governor not in (None, "performance"):
            found.append(f"the frequency governor is {info.governor}, not performance")
        if info.turbo:
            found.append("turbo is on, so the clock depends on temperature")
        return found

    def place(self, job: Job) -> Worker:
        """Start a pinned process for the job, and return its worker.

        Raises:
            DeviceStateError: If the device is not held or active.
            InputError: If the program does not support the job's size.
            RuntimeFailure: If the process cannot be started.
        """
        self._demand(State.HELD, State.ACTIVE)
        worker = ProcessWorker(job, threads=self._threads, cpus=self._cpus)
        self._workers.append(worker)
        return worker

    def peak_memory(self, job: Job) -> MemoryDetail:
        """Return the job's peak memory, measured in a new process.

        Raises:
            DeviceStateError: If the device is not held, or a worker is open.
            RuntimeFailure: If the program cannot be run.
        """
        self._demand(State.HELD)
        worker = ProcessWorker(job, threads=self._threads, cpus=self._cpus)
        try:
            return MemoryDetail.model_validate(worker.ask("memory")["memory"])
        finally:
            worker.close()

    def release(self) -> None:
        """Release the processors.

        Raises:
            DeviceStateError: If the device is not held, or a worker is open.
        """
        self._demand(State.HELD)
        self._threads, self._cpus, self._workers = 0, None, []
