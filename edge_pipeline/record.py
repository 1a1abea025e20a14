"""What was measured and counted, as schemas: one `Record` a benched program, one `CostRecord`.

Field names are the JSON keys. Units stand in names; `flops` is always `2 * macs`.
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

from edge_pipeline.errors import InputError

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
"""The name under which an artifact carries its CostRecord."""

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Latency(_Schema):
    """Statistics of one program's timed runs; percentiles interpolate linearly between samples."""

    median_ms: Milliseconds
    p90_ms: Milliseconds
    p99_ms: Milliseconds
    min_ms: Milliseconds
    max_ms: Milliseconds
    mean_ms: Milliseconds


class Memory(_Schema):
    """Peak resident memory that loading the runtime, the program and running it added."""

    peak_bytes: NonNegativeInt


class MemoryDetail(_Schema):
    """What `Memory.peak_bytes` is made of, all resident sizes of one process of its own.

    Attributes:
        baseline_bytes: before the runtime was loaded, with the inputs in place.
        runtime_bytes: what importing the runtime's libraries added, without any program. The
            Python binding of ExecuTorch brings torch with it, a phone's does not.
        program_bytes: the peak above both, while the program was loaded and run.
        peak_rss_bytes: the highest of the whole process.
        method: how the peak was read.
    """

    baseline_bytes: NonNegativeInt
    runtime_bytes: NonNegativeInt
    program_bytes: NonNegativeInt
    peak_rss_bytes: NonNegativeInt
    method: str


class HostInfo(_Schema):
    """The machine and its state; None where the machine does not tell."""

    cpu: str
    logical_cpus: PositiveInt
    memory_bytes: PositiveInt
    system: str
    pinned_cpus: tuple[NonNegativeInt, ...] | None
    governor: str | None
    turbo: bool | None
    load_average_1min: float


class Record(_Schema):
    """One program of one artifact, measured on one device.

    `samples_ms` are the timed runs in the order they were made, and `preempted_runs` says how many
    of them lost the processor to another process. `macs` and `flops` are None where
    the input's size is not the one that the artifact's cost was counted at.
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
            raise ValueError(f"{self.runs} runs were made and {len(self.samples_ms)} are kept")
        return self


class LayerCost(_Schema):
    """One layer that computes or holds parameters, at batch 1.

    Attributes:
        name: the module's dotted name.
        op: `conv2d`, `dynamic_conv2d` (weights computed at run time), `linear`, `matmul`, or the
            module's class where it holds parameters but multiplies nothing that is counted.
        params: parameters of its own.
        macs: multiply-accumulates.
        flops: 2 * macs.
        output_shape: of the layer, batch first.
        part: `predictor` if it only serves to predict filters, else `path`.
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
    """Cost of one forward pass: convolutions and matrix products, nothing else is counted."""

    params: NonNegativeInt
    macs: NonNegativeInt
    flops: NonNegativeInt
    predictor: Subtotal
    path: Subtotal
    layers: tuple[LayerCost, ...]

    @classmethod
    def of(cls, layers: Sequence[LayerCost]) -> Self:
        """The sums over `layers`."""

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
        """The cost without the filter predictors, as when filters are folded to constants."""
        return Cost.of([row for row in self.layers if row.part == "path"])


class CostRecord(Cost):
    """A cost with what it is the cost of.

    `input` is channels, height, width of the first input; the batch is 1. `fixed` are the values
    of inputs that the user fixed.
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
        """Say what `cost` is the cost of.

        Args:
            cost: as counted.
            model: registered name.
            options: all its options.
            input: channels, height, width.
            fixed: values of fixed inputs by name.
        """
        return cls(model=model, options=options, input=input, fixed=dict(fixed or {}), **dict(cost))

    def on_path(self) -> CostRecord:
        """What is left where computed weights are constants."""
        return CostRecord.build(
            self.path_only(),
            model=self.model,
            options=self.options,
            input=self.input,
            fixed=self.fixed,
        )

    def json_text(self) -> str:
        """As JSON, what it is the cost of first and the long list last."""
        data = self.model_dump(mode="json")
        first = {key: data.pop(key) for key in ("model", "options", "input", "fixed")}
        return json.dumps(first | data, indent=2) + "\n"


_RECORDS = TypeAdapter(list[Record])


def records_json(records: Sequence[Record]) -> str:
    """A list of records as JSON text."""
    return json.dumps([record.model_dump(mode="json") for record in records], indent=2) + "\n"


def read_records(path: Path) -> list[Record]:
    """Read what `records_json` gave.

    Raises:
        InputError: the file cannot be read or holds something else.
    """
    try:
        return _RECORDS.validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise InputError(
            f"{path} holds no list of bench records: at {where}, {first['msg']}"
        ) from error
