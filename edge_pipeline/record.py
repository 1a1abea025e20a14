"""Schemas of measurements (a `Record` per program) and of costs (a `CostRecord` per network).

Field names are the JSON keys and contain the units. `flops` is always `2 * macs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from edge_pipeline.errors import InputError, first_fault

__all__ = [
    "COST_FILE",
    "Cost",
    "CostRecord",
    "HostInfo",
    "Latency",
    "LayerCost",
    "Memory",
    "MemoryDetail",
    "Record",
    "Subtotal",
    "read_records",
    "records_json",
]

COST_FILE = "cost.json"
"""Name of the file in an artifact that contains its CostRecord."""

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Latency(_Schema):
    """Statistics of one program's timed runs; percentiles are interpolated between samples."""

    median_ms: Milliseconds
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    max_ms: Milliseconds
    mean_ms: Milliseconds


class Memory(_Schema):
    """Peak resident memory that loading the runtime, loading the program and running it add."""

    peak_bytes: NonNegativeInt


class MemoryDetail(_Schema):
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


class HostInfo(_Schema):
    """The machine and its state; None for a value that the system does not report."""

    cpu: str
    logical_cpus: PositiveInt
    memory_bytes: PositiveInt
    system: str
    pinned_cpus: tuple[NonNegativeInt, ...] | None
    governor: str | None
    turbo: bool | None
    load_average_1min: float


class Record(_Schema):
    """Measurement of one program of one artifact on one device.

    `samples_ms` are the times of the timed runs, in order, and `preempted_runs` is the number of
    timed runs that another process preempted. `macs` and `flops` are None if the input's size
    differs from the size at which the artifact's cost was counted.
    """

    schema_version: Literal[1] = 1
    artifact: str
    artifact_digest: str
    program: str
    model: str
    backend: str
    precision: str
    filters: str
    device: str
    threads: PositiveInt
    input_shapes: dict[str, tuple[PositiveInt, ...]]
    macs: NonNegativeInt | None
    flops: NonNegativeInt | None
    import_ms: Milliseconds
    init_ms: Milliseconds
    first_run_ms: Milliseconds
    warmup: NonNegativeInt
    runs: PositiveInt
    latency: Latency
    memory: Memory
    memory_detail: MemoryDetail
    samples_ms: tuple[Milliseconds, ...]
    preempted_runs: NonNegativeInt
    host: HostInfo
    versions: dict[str, str]
    warnings: tuple[str, ...] = ()
    measured: AwareDatetime

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.samples_ms) != self.runs:
            raise ValueError(
                f"expected {self.runs} samples, one per run, got {len(self.samples_ms)}"
            )
        return self


class LayerCost(_Schema):
    """Cost of one layer that computes or has parameters, at batch size 1.

    Attributes:
        name: Dotted name of the module.
        op: `conv2d`, `dynamic_conv2d` (weights computed at run time), `linear`, `matmul`, or the
            module's class if it has parameters but no counted operation.
        params: Number of the layer's own parameters.
        macs: Number of multiply-accumulates.
        flops: 2 * macs.
        output_shape: Shape of the output, batch first.
        part: `predictor` if the layer only predicts filters, otherwise `path`.
    """

    name: str
    op: str
    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt
    output_shape: tuple[int, ...]
    part: Literal["predictor", "path"]


class Subtotal(_Schema):
    """Parameters and cost of the layers of one part."""

    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt


class Cost(_Schema):
    """Cost of one forward pass; only convolutions and matrix products are counted."""

    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt
    predictor: Subtotal
    path: Subtotal
    layers: tuple[LayerCost, ...]

    @classmethod
    def of(cls, layers: Sequence[LayerCost]) -> Self:
        """Return the cost of `layers` with its sums."""

        def total(rows: list[LayerCost]) -> Subtotal:
            macs = sum(row.macs for row in rows)
            params = sum(row.params for row in rows)
            return Subtotal(params=params, macs=macs, flops=2 * macs)

        everything = total(list(layers))
        return cls(
            **everything.model_dump(),
            predictor=total([row for row in layers if row.part == "predictor"]),
            path=total([row for row in layers if row.part == "path"]),
            layers=tuple(layers),
        )

    def path_only(self) -> Cost:
        """Return the cost without the filter predictors, as for folded filters."""
        return Cost.of([row for row in self.layers if row.part == "path"])


class CostRecord(Cost):
    """Cost of a network with given options at a given input size.

    `input` is channels, height and width of the first input; the batch size is 1. `fixed` are the
    values of fixed inputs.
    """

    model: str
    options: dict[str, str | int | float | bool]
    input: tuple[PositiveInt, ...]
    fixed: dict[str, str | int | float | bool] = Field(default_factory=dict)

    @classmethod
    def build(
        cls,
        cost: Cost,
        *,
        model: str,
        options: dict[str, str | int | float | bool],
        input: tuple[int, ...],
        fixed: Mapping[str, str | int | float | bool] | None = None,
    ) -> CostRecord:
        """Return the record of a cost.

        Args:
            cost: The counted cost.
            model: Registered name of the network.
            options: All options of the network.
            input: Channels, height and width of the first input.
            fixed: Values of fixed inputs by name.
        """
        return cls(model=model, options=options, input=input, fixed=dict(fixed or {}), **dict(cost))

    def on_path(self) -> CostRecord:
        """Return the record without the filter predictors."""
        return CostRecord.build(
            self.path_only(),
            model=self.model,
            options=self.options,
            input=self.input,
            fixed=self.fixed,
        )

    def json_text(self) -> str:
        """Return the record as JSON text, with the network first and the layers last."""
        data = self.model_dump(mode="json")
        first = {key: data.pop(key) for key in ("model", "options", "input", "fixed")}
        return json.dumps(first | data, indent=2) + "\n"


_RECORDS = TypeAdapter(list[Record])


def records_json(records: Sequence[Record]) -> str:
    """Return a list of records as JSON text."""
    return json.dumps([record.model_dump(mode="json") for record in records], indent=2) + "\n"


def read_records(path: Path) -> list[Record]:
    """Read a file that `records_json` wrote.

    Raises:
        InputError: If the file cannot be read, or is not a list of records.
    """
    try:
        return _RECORDS.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        where, reason = first_fault(error, "the top")
        raise InputError(f"{path} is not a list of bench records: at {where}, {reason}") from error
