"""A device whose programs take known times and compute the artifact's reference outputs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edge_pipeline.harness.devices.base import DeviceStateError, Placement, State
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Loaded, TimedRun
from edge_pipeline.record import Environment, Instructions, MemoryDetail, Sensors

__all__ = ["FakeDevice"]


class FakeDevice:
    """Measures nothing; counts how many threads use it at once.

    Args:
        name: its name.
        on_run: called in each run.
        backends: those that it runs.
    """

    emulated = False

    def __init__(
        self,
        name: str,
        on_run: Callable[[], None] = lambda: None,
        backends: tuple[str, ...] = ("onnx",),
    ) -> None:
        self.name = name
        self.sessions: list[list[str]] = []
        self._on_run, self._backends = on_run, backends
        self._lock = threading.Lock()
        self._held = False

    @property
    def state(self) -> State:
        return State.HELD if self._held else State.IDLE

    def acquire(self, _placement: Placement) -> None:
        with self._lock:
            if self._held:
                raise DeviceStateError(f"{self.name} is used twice")
            self._held = True
        self.sessions.append([])

    def describe(self) -> Environment:
        return Environment(
            system_name=self.name,
            host_processor_model_name="fake",
            host_processor_core_count=1,
            host_memory_bytes=1,
            operating_system="fake",
        )

    def warnings(self) -> list[str]:
        return []

    def sensors(self) -> Sensors:
        return Sensors()

    def refusal(self, job: Job) -> str | None:
        backend = job.artifact.manifest.backend
        return None if backend in self._backends else f"{self.name} cannot run {backend}"

    def place(self, job: Job) -> _Worker:
        self.sessions[-1].append(job.artifact.folder.name)
        return _Worker(job, self._on_run)

    def peak_memory(self, _job: Job) -> MemoryDetail | None:
        return None

    def instructions(self, _job: Job) -> Instructions | None:
        return None

    def release(self) -> None:
        self._held = False


class _Worker:
    block = 1
    runner = "fake"
    precision = None

    def __init__(self, job: Job, on_run: Callable[[], None]) -> None:
        self.versions = {"fake": "1"}
        self._job, self._on_run = job, on_run

    def load(self) -> Loaded:
        return Loaded(0, 1000)

    def run(self, count: int) -> list[TimedRun]:
        self._on_run()
        return [TimedRun(1_000_000)] * count

    def outputs(self):
        return self._job.artifact.reference(self._job.program)[1]

    def close(self) -> None:
        pass
