"""Interface of devices, whose states are idle, held and active; wrong use is an error."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from edge_pipeline.errors import JobError
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Subject
from edge_pipeline.record import HostInfo, MemoryDetail

__all__ = ["Device", "DeviceStateError", "State", "Worker"]


class DeviceStateError(JobError):
    """Raised if a device is in the wrong state for a method."""


class State(Enum):
    """State of a device: IDLE is free, HELD is acquired, ACTIVE has at least one open worker."""

    IDLE = "idle"
    HELD = "held"
    ACTIVE = "active"


class Worker(Subject, Protocol):
    """A job that was placed on a device; it uses memory and processor time until it is closed."""

    versions: dict[str, str]

    def close(self) -> None:
        """Release the job; may be called more than once."""
        ...


class Device(Protocol):
    """A machine that measures artifacts; modules under `devices/` return one by `open_device()`.

    Methods raise DeviceStateError if the device is in the wrong state for them.
    """

    name: str

    @property
    def state(self) -> State:
        """Current state of the device."""
        ...

    def acquire(self, *, threads: int) -> None:
        """Choose processors and pin to them, or raise InputError; IDLE becomes HELD."""
        ...

    def describe(self) -> HostInfo:
        """Return a description of the machine and its current load; requires HELD or ACTIVE."""
        ...

    def warnings(self) -> list[str]:
        """Return a sentence on each possible disturbance; requires HELD or ACTIVE."""
        ...

    def place(self, job: Job) -> Worker:
        """Return a worker that measures the job's times; HELD or ACTIVE becomes ACTIVE."""
        ...

    def peak_memory(self, job: Job) -> MemoryDetail:
        """Return the job's peak memory; requires HELD, so that no other worker is open."""
        ...

    def release(self) -> None:
        """Release the device; HELD becomes IDLE, and ACTIVE is an error (workers are open)."""
        ...
