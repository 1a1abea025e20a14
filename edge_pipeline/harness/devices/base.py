"""Interface of devices, whose states are idle, held and active; wrong use is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.errors import JobError
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Subject
from edge_pipeline.record import Environment, Instructions, MemoryDetail, Sensors
from edge_pipeline.runtime.base import ProfiledOperator

__all__ = [
    "Attached",
    "Device",
    "DeviceLostError",
    "DeviceModule",
    "DeviceStateError",
    "Options",
    "Placement",
    "Profiles",
    "State",
    "Worker",
]


class DeviceStateError(JobError):
    """Raised if a device is in the wrong state for a method."""


class DeviceLostError(JobError):
    """Raised if the connection to a device ended; the work can be repeated on it."""


class State(Enum):
    """State of a device: IDLE is free, HELD is acquired, ACTIVE has at least one open worker."""

    IDLE = "idle"
    HELD = "held"
    ACTIVE = "active"


@dataclass(frozen=True)
class Placement:
    """Processors that programs use on a device.

    Attributes:
        threads: Number of threads that compute.
        cores: `big` or `little` for the fastest or slowest cores of a processor that has several
            kinds, or numbers of processors with commas between them; None for idle ones.
    """

    threads: int = 1
    cores: str | None = None


@dataclass(frozen=True)
class Options:
    """Options of devices that the user can give; a device ignores those of other devices.

    Attributes:
        runner: Path of a program on this machine that runs artifacts on the device, instead of the
            device's own choice.
        python: Path of a Python on the device that has the worker's requirements; None for an
            environment that is made there. A profile states it.
        on_step: Function that is called with a description of each long step of a preparation.
    """

    runner: str | None = None
    python: str | None = None
    on_step: Callable[[str], None] = lambda _step: None


class Worker(Subject, Protocol):
    """A job that was placed on a device; it uses memory and processor time until it is closed.

    Attributes:
        runner: Name of the program that runs the job.
        versions: Versions of the runtime and its packages, after `load`.
        precision: Precision of the computation, if it is not that of the artifact.
    """

    runner: str
    precision: Precision | None
    versions: dict[str, str]

    def outputs(self) -> dict[str, NDArray[Any]] | None:
        """Run the loaded program on the artifact's reference input, and return its outputs.

        None if the runner returns no outputs.
        """
        ...

    def close(self) -> None:
        """Release the job; may be called more than once."""
        ...


@runtime_checkable
class Profiles(Protocol):
    """A worker that can time the operators of its program."""

    def profile(self, runs: int) -> Sequence[ProfiledOperator]:
        """Run the program with its runtime's profiler, and return the time of each operator.

        Raises:
            EdgePipelineError: If the runtime or the runner has no profiler.
        """
        ...


class Device(Protocol):
    """A machine that measures artifacts; modules under `devices/` return one by `open_device()`.

    Methods raise DeviceStateError if the device is in the wrong state for them, and
    DeviceLostError if the connection to it ended.

    Attributes:
        name: Name of the device with its address, such as `adb:1A2B3C`.
        emulated: Whether an emulator runs the programs, so that times mean nothing.
    """

    name: str
    emulated: bool

    @property
    def state(self) -> State:
        """Current state of the device."""
        ...

    def acquire(self, placement: Placement) -> None:
        """Connect, choose processors, or raise InputError; IDLE becomes HELD."""
        ...

    def describe(self) -> Environment:
        """Return a description of the machine and its settings; requires HELD or ACTIVE."""
        ...

    def warnings(self) -> list[str]:
        """Return a sentence on each possible disturbance; requires HELD or ACTIVE."""
        ...

    def sensors(self) -> Sensors:
        """Return the readings of the sensors now; requires HELD or ACTIVE."""
        ...

    def refusal(self, job: Job) -> str | None:
        """Return a sentence if the device cannot run a job's artifact, or None; requires HELD."""
        ...

    def place(self, job: Job) -> Worker:
        """Return a worker that measures the job's times; HELD or ACTIVE becomes ACTIVE.

        Raises:
            InputError: If the device has no runner for the job's artifact.
        """
        ...

    def peak_memory(self, job: Job) -> MemoryDetail | None:
        """Return the job's peak memory, if it can be measured; requires HELD: no worker is open."""
        ...

    def instructions(self, job: Job) -> Instructions | None:
        """Return the instructions of a run, if an emulator counts them; requires HELD."""
        ...

    def release(self) -> None:
        """Release the device, and remove from it all that was written; HELD becomes IDLE.

        An active device is an error, because its workers are open.
        """
        ...


@dataclass(frozen=True)
class Attached:
    """A device that can be used, or the reason why it cannot.

    Attributes:
        name: Name for `--device`.
        description: Model and system of the device.
        backends: Backends whose artifacts it runs, with the name of the runner.
        problem: Reason why it cannot be used; None if it can.
    """

    name: str
    description: str
    backends: dict[str, str]
    problem: str | None = None


class DeviceModule(Protocol):
    """Interface of a kind of device: a module of this folder that `registry.DEVICES` lists."""

    def open_device(self, address: str, options: Options, /) -> Device:
        """Return an idle device of this kind.

        Args:
            address: Address after the colon of the name; empty if there is none.
            options: Options that the user gave.

        Raises:
            InputError: If the address is invalid, or does not say which of several devices.
            MissingExtraError: If a package is not installed.
        """
        ...

    def attached(self) -> Sequence[Attached]:
        """Return the devices of this kind that are attached, without changing any of them."""
        ...
