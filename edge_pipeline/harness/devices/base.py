"""The device protocol: idle, then held, then idle again; every misuse is an error."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from edge_pipeline.errors import JobError
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Subject
from edge_pipeline.record import HostInfo, MemoryDetail

__all__ = ["Device", "DeviceStateError", "State", "Worker"]


class DeviceStateError(JobError):
    """A device was used out of turn."""


class State(Enum):
    """IDLE: free. HELD: acquired, nothing loaded. ACTIVE: at least one worker is open."""

    IDLE = "idle"
    HELD = "held"
    ACTIVE = "active"


class Worker(Subject, Protocol):
    """A job placed on a device; it holds memory and processor time there until closed."""

    versions: dict[str, str]

    def close(self) -> None:
        """Let it go; closing twice is allowed."""
        ...


class Device(Protocol):
    """A machine that measures artifacts. A module under `devices/` gives one by `open_device()`.

    Methods raise DeviceStateError when the device is in the wrong state for them.
    """

    name: str

    @property
    def state(self) -> State:
        """Where it stands."""
        ...

    def acquire(self, *, threads: int) -> None:
        """IDLE to HELD: set processors aside and pin to them, or raise InputError."""
        ...

    def describe(self) -> HostInfo:
        """HELD or ACTIVE: the machine and its state now."""
        ...

    def warnings(self) -> list[str]:
        """HELD or ACTIVE: what may disturb a measurement, one sentence each."""
        ...

    def place(self, job: Job) -> Worker:
        """HELD or ACTIVE, to ACTIVE: a worker that will time the job."""
        ...

    def peak_memory(self, job: Job) -> MemoryDetail:
        """HELD only, so that no other worker shares the machine: the job's peak memory."""
        ...

    def release(self) -> None:
        """HELD to IDLE; ACTIVE is an error, since workers would be left behind."""
        ...
