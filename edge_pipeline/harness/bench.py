"""Measurement of artifacts on a device: memory first, then all times together, then the outputs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Device, DeviceLostError, Placement, Worker
from edge_pipeline.harness.gate import Gate, pass_gate, refuse_throttled
from edge_pipeline.harness.job import Job, inputs_of
from edge_pipeline.harness.profiling import Profile, profile_of
from edge_pipeline.harness.protocol import UNTIMED, Plan, Timing, measure, sustain
from edge_pipeline.harness.recording import Result, Session, record_of
from edge_pipeline.harness.verification import verification_of
from edge_pipeline.record import Instructions, MemoryDetail, Peaks, Record, Sensors, Sustained

__all__ = ["Settings", "bench"]

# A measurement is repeated if the device was lost; nothing of a lost one is recorded.
_ATTEMPTS = 2


@dataclass(frozen=True)
class Settings:
    """How artifacts are measured.

    Attributes:
        plan: Numbers and durations of runs.
        gate: Conditions under which the measurement starts and counts.
        placement: Threads and processors.
        size: Packed height and width of the inputs; None for those of each reference input.
        peaks: Peak speed of the device with one thread, for the records; None if unknown.
        memory: Whether the peak memory is measured, in a process of its own.
        profile: Whether the operators are timed, in a process of their own.
    """

    plan: Plan = field(default_factory=Plan)
    gate: Gate = field(default_factory=Gate)
    placement: Placement = field(default_factory=Placement)
    size: tuple[int, int] | None = None
    peaks: Peaks | None = None
    memory: bool = True
    profile: bool = False


def bench(
    folders: Sequence[Path],
    device: Device,
    settings: Settings | None = None,
    *,
    on_step: Callable[[str], None] = lambda _step: None,
    on_refused: Callable[[Job, str], None] | None = None,
) -> list[Record]:
    """Measure every program of every artifact.

    Args:
        folders: Folders of the artifacts, in the order of the records.
        device: An idle device; it is idle again afterwards.
        settings: How they are measured.
        on_step: Function that is called with a description of each step before it starts.
        on_refused: Function that is called with each job that the device cannot run and the
            reason, and the others are measured; None if such a job is an error.

    Returns:
        One record per program that was measured; its verification says whether its outputs are
        right.

    Raises:
        ArtifactError: If a folder is not an artifact, or is damaged.
        InputError: If a program does not support the size, or the device does not support the
            artifact or the placement.
        RuntimeFailure: If a program cannot be run.
        DeviceLostError: If the connection to the device ended.
        JobError: If the device does not meet the conditions of the gate.
    """
    settings = settings or Settings()
    artifacts = [Artifact.open(folder) for folder in folders]
    jobs = [
        Job(artifact, program.name, settings.size)
        for artifact in artifacts
        for program in artifact.manifest.programs
    ]
    for job in jobs:
        inputs_of(job)
    for attempt in range(_ATTEMPTS):
        try:
            device.acquire(settings.placement)
            with ExitStack() as stack:
                stack.callback(device.release)
                able = [job for job in jobs if _is_able(job, device, on_refused)]
                return _measured(able, device, settings, stack, on_step) if able else []
        except DeviceLostError as error:
            if attempt == _ATTEMPTS - 1:
                raise
            on_step(f"connecting again: {error}")
    raise AssertionError("unreachable")


def _is_able(job: Job, device: Device, on_refused: Callable[[Job, str], None] | None) -> bool:
    reason = device.refusal(job)
    if reason is None:
        return True
    if on_refused is None:
        raise InputError(reason)
    on_refused(job, reason)
    return False


@dataclass(frozen=True)
class _Times:
    """Times of the jobs."""

    timings: Sequence[Timing]
    sustained: Sequence[Sustained | None]


def _measured(
    jobs: Sequence[Job],
    device: Device,
    settings: Settings,
    stack: ExitStack,
    on_step: Callable[[str], None],
) -> list[Record]:
    before = pass_gate(device.name, device.sensors, settings.gate, on_step)
    environment, warnings = device.describe(), tuple(device.warnings())
    passes = [_passes(job, device, settings, on_step) for job in jobs]
    profiles = [profile_of(job, device, on_step) if settings.profile else Profile() for job in jobs]
    started = datetime.now(UTC)
    workers: list[Worker] = []
    for job in jobs:
        on_step(f"starting {job.label}")
        workers.append(device.place(job))
        stack.callback(workers[-1].close)
    times = _times(workers, device, settings, on_step)
    after = device.sensors()
    refuse_throttled(device.name, after, settings.gate)
    session = Session(
        uuid.uuid4().hex, device.name, device.emulated, settings.placement.threads, environment,
        warnings, before, after, started, settings.peaks,
    )  # fmt: skip
    records = []
    for index, (job, worker) in enumerate(zip(jobs, workers, strict=True)):
        on_step(f"checking the outputs of {job.label}")
        precision = worker.precision or job.artifact.manifest.precision
        result = Result(
            worker.runner,
            worker.versions,
            times.timings[index],
            times.sustained[index],
            *passes[index],
            precision,
            verification_of(job.artifact, job.program, worker.outputs(), precision),
            profiles[index],
        )
        records.append(record_of(job, result, session))
    return records


def _passes(
    job: Job, device: Device, settings: Settings, on_step: Callable[[str], None]
) -> tuple[MemoryDetail | None, Instructions | None]:
    """Return the figures that are measured in processes of their own: memory, instructions."""
    if device.emulated:
        on_step(f"counting the instructions of {job.label}")
        return None, device.instructions(job)
    if not settings.memory:
        return None, None
    on_step(f"memory of {job.label}")
    return device.peak_memory(job), None


def _times(
    workers: Sequence[Worker],
    device: Device,
    settings: Settings,
    on_step: Callable[[str], None],
) -> _Times:
    plan = settings.plan
    if device.emulated:
        for worker in workers:
            worker.load()
        return _Times([UNTIMED] * len(workers), [None] * len(workers))
    timings = measure(workers, plan, on_step)
    sustained: list[Sustained | None] = [None] * len(workers)
    if plan.sustained_s:
        for index, worker in enumerate(workers):
            on_step(f"sustained runs of program {index + 1} of {len(workers)}")
            sustained[index] = _sustained(worker, device, plan.sustained_s)
            pass_gate(device.name, device.sensors, settings.gate, on_step)
    return _Times(timings, sustained)


def _sustained(worker: Worker, device: Device, seconds: float) -> Sustained:
    readings: list[Sensors] = []
    block_s, medians = sustain(worker, seconds, lambda: readings.append(device.sensors()))
    hottest = [reading.hottest_c for reading in readings]
    return Sustained(
        block_s=block_s,
        medians_ms=tuple(medians),
        temperatures_c=tuple(value for value in hottest if value is not None),
    )
