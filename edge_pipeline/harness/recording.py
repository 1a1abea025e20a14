"""Records of measurements, made from the results of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from edge_pipeline.artifact.manifest import Manifest
from edge_pipeline.artifact.schema import Precision, Value
from edge_pipeline.harness.arena import planned_arena_bytes
from edge_pipeline.harness.cost import recorded_cost
from edge_pipeline.harness.job import Job, inputs_of
from edge_pipeline.harness.profiling import Profile
from edge_pipeline.harness.protocol import Timing
from edge_pipeline.harness.roofline import layers_of
from edge_pipeline.harness.statistics import summarise
from edge_pipeline.record import (
    Environment,
    Instructions,
    Layer,
    Memory,
    MemoryDetail,
    Peaks,
    Record,
    Sensors,
    Sustained,
    Verification,
)

__all__ = ["Result", "Session", "record_of"]

# Beginnings of the names of scores in a model card, which also has other figures.
_SCORES = ("psnr", "ssim", "delta_e", "dice", "iou", "miou")
_AT_PHI = "_phi_"


@dataclass(frozen=True)
class Session:
    """Values that all records of one measurement share.

    Attributes:
        name: Identifier of the session.
        device: Name of the device.
        emulated: Whether an emulator ran the programs.
        threads: Number of threads that computed.
        environment: The machine and its settings.
        warnings: Sentences on possible disturbances.
        before: Sensors at the start.
        after: Sensors at the end of the timed runs.
        started: Time at which the timed runs started.
        peaks: Peak speed of the device with one thread; None if it was not measured.
    """

    name: str
    device: str
    emulated: bool
    threads: int
    environment: Environment
    warnings: tuple[str, ...]
    before: Sensors
    after: Sensors
    started: datetime
    peaks: Peaks | None = None


@dataclass(frozen=True)
class Result:
    """Results of one program.

    Attributes:
        runner: Name of the program that ran it.
        versions: Versions of the runtime and its packages.
        timing: Times; `UNTIMED` on an emulated device.
        sustained: Latency of sustained runs; None without them.
        memory: Peak memory; None if it cannot be measured.
        instructions: Instructions of a run; None unless an emulator counted them.
        precision: Precision of the computation.
        verification: Comparison of the outputs with the reference.
        profile: Times of operators, or the reason why there are none.
    """

    runner: str
    versions: dict[str, str]
    timing: Timing
    sustained: Sustained | None
    memory: MemoryDetail | None
    instructions: Instructions | None
    precision: Precision
    verification: Verification
    profile: Profile


def record_of(job: Job, result: Result, session: Session) -> Record:
    """Return the record of one program."""
    manifest = job.artifact.manifest
    spec = job.artifact.program(job.program)
    shapes = {name: value.shape for name, value in inputs_of(job).items()}
    reference, _ = job.artifact.reference(job.program)
    is_counted = all(shapes[name] == value.shape for name, value in reference.items())
    timing, memory = result.timing, result.memory
    return Record(
        session=session.name,
        artifact=str(job.artifact.folder),
        artifact_digest=job.artifact.digest,
        program=job.program,
        model=manifest.source.model,
        backend=manifest.backend,
        precision=result.precision,
        filters=manifest.filters,
        fixed=dict(spec.fixed or manifest.fixed),
        device=session.device,
        runner=result.runner,
        emulated=session.emulated,
        threads=session.threads,
        input_shapes=shapes,
        macs=spec.macs if is_counted else None,
        flops=spec.flops if is_counted else None,
        model_bytes=job.artifact.program_bytes(spec),
        planned_arena_bytes=planned_arena_bytes(job.artifact, job.program),
        import_ms=timing.import_ms,
        init_ms=timing.init_ms,
        first_inference_ms=timing.first_inference_ms,
        num_warmup_runs=timing.num_warmup_runs,
        warmup_stable=timing.warmup_stable,
        num_runs=len(timing.samples_ms),
        latency=summarise(timing.samples_ms) if timing.samples_ms else None,
        samples_ms=timing.samples_ms,
        preempted_runs=timing.preempted_runs,
        instructions=result.instructions,
        memory=None if memory is None else Memory(peak_bytes=memory.added_bytes),
        memory_detail=memory,
        sustained=result.sustained,
        operators=result.profile.operators,
        verification=result.verification,
        layers=_layers(job) if is_counted else (),
        peaks=session.peaks if session.threads == 1 else None,
        quality=_quality(manifest, job.program, spec.fixed or manifest.fixed),
        environment=session.environment,
        sensors_before=session.before,
        sensors_after=session.after,
        throttled=_throttled(session),
        versions=result.versions,
        warnings=(*session.warnings, *result.profile.warnings),
        measured=session.started,
    )


def _layers(job: Job) -> tuple[Layer, ...]:
    manifest, spec = job.artifact.manifest, job.artifact.program(job.program)
    cost = recorded_cost(job.artifact)
    return () if cost is None else layers_of(cost, spec.macs, manifest.precision)


def _quality(manifest: Manifest, program: str, fixed: Mapping[str, Value]) -> dict[str, float]:
    """Return the scores of a program's pictures: those after the losses, or the model card's.

    The scores of the card apply to a program that computes the network's function. A card names a
    score `NAME`, or `NAME_phi_0.3` for the network at that phi.
    """
    if manifest.losses:
        return {loss.metric: loss.after for loss in manifest.losses}
    is_whole = program.startswith("forward") or program == "apply_filters"
    if not is_whole or manifest.precision != "fp32" or manifest.filters == "folded":
        return {}
    card = manifest.card.metrics
    scores = {name: value for name, value in card.items() if name.startswith(_SCORES)}
    phi = fixed.get("phi")
    if phi is None:
        return {name: value for name, value in scores.items() if _AT_PHI not in name}
    end = f"{_AT_PHI}{phi if isinstance(phi, str) else format(phi, 'g')}"
    return {name.removesuffix(end): value for name, value in scores.items() if name.endswith(end)}


def _throttled(session: Session) -> bool | None:
    readings = [r.throttled for r in (session.before, session.after) if r.throttled is not None]
    return any(readings) if readings else None
