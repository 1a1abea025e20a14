"""Schema of measurements: one record per program, the same for every device.

Field names are the JSON keys and contain the units. `flops` is always `2 * macs`. The names of the
latency's and the runs' fields are those of LiteRT's `benchmark_result.proto` where it has them.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AwareDatetime, Field, NonNegativeInt, PositiveInt, model_validator

from edge_pipeline.record.machine import Environment, Peaks, Sensors, Verification
from edge_pipeline.record.schema import Milliseconds, Schema

__all__ = [
    "SCHEMA_VERSION",
    "Instructions",
    "Latency",
    "Layer",
    "Memory",
    "MemoryDetail",
    "OperatorTime",
    "Record",
    "Sustained",
]

SCHEMA_VERSION = 2

Value = str | int | float | bool


class Latency(Schema):
    """Statistics of one program's timed runs; percentiles are interpolated between samples."""

    median_ms: Milliseconds
    p5_ms: Milliseconds
    p90_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    max_ms: Milliseconds
    avg_ms: Milliseconds
    stddev_ms: Milliseconds


class Instructions(Schema):
    """Instructions that one run executes, counted by an emulator; not a measure of time.

    Attributes:
        median: Median of the counted runs.
        samples: Count of each run, in order.
        method: Description of how they were counted.
    """

    median: PositiveInt
    samples: tuple[PositiveInt, ...]
    method: str


class Memory(Schema):
    """Peak resident memory that loading the runtime, loading the program and running it add."""

    peak_bytes: NonNegativeInt


class MemoryDetail(Schema):
    """Parts of `Memory.peak_bytes`: resident memory of a process that runs only this program.

    Attributes:
        baseline_bytes: Memory before the runtime was loaded, including the inputs.
        runtime_bytes: Memory that the import of the runtime's libraries added, without a program.
            ExecuTorch's Python binding requires torch; the runtime on a phone does not.
        program_bytes: Peak above the sum of both, while the program was loaded and run.
        peak_rss_bytes: Peak of the whole process.
        method: Description of how the peak was read.
    """

    baseline_bytes: NonNegativeInt
    runtime_bytes: NonNegativeInt
    program_bytes: NonNegativeInt
    peak_rss_bytes: NonNegativeInt
    method: str

    @property
    def added_bytes(self) -> int:
        """Peak memory that the runtime and the program add, `Memory.peak_bytes`."""
        return self.runtime_bytes + self.program_bytes


class Sustained(Schema):
    """Latency during minutes of uninterrupted runs, in consecutive blocks of equal time.

    Attributes:
        block_s: Duration of a block in seconds.
        medians_ms: Median of the runs of each block, in order.
        temperatures_c: Highest temperature at the end of each block; empty if none can be read.
    """

    block_s: float = Field(gt=0)
    medians_ms: tuple[Milliseconds, ...]
    temperatures_c: tuple[float, ...] = ()


class OperatorTime(Schema):
    """Share of a program's time that one of its operators takes, as its runtime's profiler says.

    Attributes:
        name: Name of the operator in the compiled program.
        kind: Type of the operator, such as `Conv`.
        layer: Layer of the network from which it was compiled; None if unknown.
        share: Share of the time of all operators, from 0 to 1.
    """

    name: str
    kind: str
    layer: str | None
    share: float = Field(ge=0, le=1)


class Layer(Schema):
    """Work of one layer of the network in one run of the program, at batch size 1.

    Attributes:
        name: Dotted name of the module.
        op: Kind of the layer as in `LayerCost.op`.
        macs: Number of multiply-accumulates.
        flops: 2 * macs.
        params: Number of the layer's own parameters.
        weight_bytes: Size of the weights that multiply, constant or computed, at the precision of
            the artifact.
        activation_bytes: Size of the values that the layer reads and writes, at the precision of
            the artifact. (Artifacts that were compiled before it was counted: twice the output.)
        share: Share of the time of all operators, from 0 to 1; None if it was not profiled.
    """

    name: str
    op: str
    macs: NonNegativeInt
    flops: NonNegativeInt
    params: NonNegativeInt
    weight_bytes: NonNegativeInt
    activation_bytes: NonNegativeInt
    share: float | None = Field(default=None, ge=0, le=1)


class Record(Schema):
    """Measurement of one program of one artifact on one device.

    Attributes:
        session: Identifier that the records of one measurement share; only their samples were
            taken in interleaved rounds, so only their ratios are free of drift.
        fixed: Values of fixed inputs, such as phi.
        device: Name of the device as it was given to `bench`, such as `adb:1A2B3C`.
        runner: Name of the program on the device that ran the artifact.
        emulated: Whether an emulator ran the program: then there is no latency and no memory,
            because both would be the emulator's.
        macs: None, like `flops`, if the input's size differs from that of the artifact's count.
        num_warmup_runs: Number of runs before the timed ones, after the first one.
        warmup_stable: Whether the last warm-up runs were equally fast; None if not examined.
        samples_ms: Times of the timed runs, in order; the n-th samples of the records of a session
            are of the same round.
        preempted_runs: Number of timed runs that another process preempted.
        quality: Scores of the artifact's network by their names, such as `psnr_db` or `dice`.
        throttled: Whether the device throttled during the measurement; None if unknown.
        operators: Times of operators, longest first; empty if they were not profiled.
        layers: Work of the network's layers that multiply, in order; empty if it was not counted
            for this program at this input size.
        planned_arena_bytes: Memory that the compiled program plans for the tensors between its
            operators and delegates, without the workspaces of delegates; None if the format has no
            plan, as all except ExecuTorch's.
        peaks: Peak speed of the device with this number of threads; None if it was not measured.
    """

    schema_version: Literal[2] = 2
    session: str
    artifact: str
    artifact_digest: str
    program: str
    model: str
    backend: str
    precision: str
    filters: str
    fixed: dict[str, Value] = Field(default_factory=dict)
    device: str
    runner: str
    emulated: bool = False
    threads: PositiveInt
    input_shapes: dict[str, tuple[PositiveInt, ...]]
    macs: NonNegativeInt | None
    flops: NonNegativeInt | None
    model_bytes: PositiveInt
    planned_arena_bytes: NonNegativeInt | None = None
    import_ms: Milliseconds | None
    init_ms: Milliseconds | None
    first_inference_ms: Milliseconds | None
    num_warmup_runs: NonNegativeInt
    warmup_stable: bool | None
    num_runs: NonNegativeInt
    latency: Latency | None
    samples_ms: tuple[Milliseconds, ...]
    preempted_runs: NonNegativeInt
    instructions: Instructions | None = None
    memory: Memory | None
    memory_detail: MemoryDetail | None
    sustained: Sustained | None = None
    operators: tuple[OperatorTime, ...] = ()
    layers: tuple[Layer, ...] = ()
    peaks: Peaks | None = None
    verification: Verification
    quality: dict[str, float] = Field(default_factory=dict)
    environment: Environment
    sensors_before: Sensors | None = None
    sensors_after: Sensors | None = None
    throttled: bool | None = None
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()
    measured: AwareDatetime

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.samples_ms) != self.num_runs:
            raise ValueError(
                f"expected {self.num_runs} samples, one per run, got {len(self.samples_ms)}"
            )
        if (self.latency is None) != (not self.samples_ms):
            raise ValueError("the latency is null if, and only if, there are no samples")
        return self
