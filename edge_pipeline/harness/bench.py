"""Measurement of artifacts on a device: first the memory of each, then all times together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.harness.devices.base import Device, Worker
from edge_pipeline.harness.job import Job, inputs_of
from edge_pipeline.harness.protocol import Plan, Timing, measure, summarise
from edge_pipeline.record import HostInfo, Memory, MemoryDetail, Record

__all__ = ["bench"]


def bench(
    folders: Sequence[Path],
    device: Device,
    plan: Plan,
    *,
    threads: int = 1,
    size: tuple[int, int] | None = None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> list[Record]:
    """Measure every program of every artifact.

    Args:
        folders: Folders of the artifacts, in the order of the records.
        device: An idle device; it is idle again afterwards.
        plan: Numbers of runs.
        threads: Number of threads that compute.
        size: Packed height and width of the inputs; None for those of each reference input.
        on_step: Function that is called with a description of each step before it starts.

    Returns:
        One record per program.

    Raises:
        ArtifactError: If a folder is not an artifact, or is damaged.
        InputError: If a program does not support `size`, or the device cannot provide `threads`.
        RuntimeFailure: If a program cannot be run.
    """
    artifacts = [Artifact.open(folder) for folder in folders]
    jobs = [Job(a, program.name, size) for a in artifacts for program in a.manifest.programs]
    for job in jobs:
        inputs_of(job)
    device.acquire(threads=threads)
    workers: list[Worker] = []
    try:
        warnings = tuple(device.warnings())
        setting = _Setting(device.name, threads, device.describe(), warnings, plan)
        memory = []
        for job in jobs:
            on_step(f"memory of {job.label}")
            memory.append(device.peak_memory(job))
        started = datetime.now(UTC)
        for job in jobs:
            workers.append(device.place(job))  # noqa: PERF401 - closed below if one cannot start
        timings = measure(workers, plan, on_step)
        return [
            _record(job, worker.versions, timing, detail, setting, started)
            for job, worker, timing, detail in zip(jobs, workers, timings, memory, strict=True)
        ]
    finally:
        for worker in workers:
            worker.close()
        device.release()


@dataclass(frozen=True)
class _Setting:
    """Values that all records of one measurement share."""

    device: str
    threads: int
    host: HostInfo
    warnings: tuple[str, ...]
    plan: Plan


def _record(
    job: Job,
    versions: dict[str, str],
    timing: Timing,
    detail: MemoryDetail,
    setting: _Setting,
    started: datetime,
) -> Record:
    manifest = job.artifact.manifest
    spec = job.artifact.program(job.program)
    shapes = {name: value.shape for name, value in inputs_of(job).items()}
    reference, _ = job.artifact.reference(job.program)
    counted = all(shapes[name] == value.shape for name, value in reference.items())
    return Record(
        artifact=str(job.artifact.folder),
        artifact_digest=job.artifact.digest,
        program=job.program,
        model=manifest.source.model,
        backend=manifest.backend,
        precision=manifest.precision,
        filters=manifest.filters,
        device=setting.device,
        threads=setting.threads,
        input_shapes=shapes,
        macs=spec.macs if counted else None,
        flops=spec.flops if counted else None,
        import_ms=timing.import_ms,
        init_ms=timing.init_ms,
        first_run_ms=timing.first_run_ms,
        warmup=setting.plan.warmup,
        runs=setting.plan.runs,
        latency=summarise(timing.samples_ms),
        memory=Memory(peak_bytes=detail.runtime_bytes + detail.program_bytes),
        memory_detail=detail,
        samples_ms=timing.samples_ms,
        host=setting.host,
        versions=versions,
        preempted_runs=timing.preempted_runs,
        warnings=setting.warnings,
        measured=started,
    )
