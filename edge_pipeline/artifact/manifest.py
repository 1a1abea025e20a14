"""The manifest: what an artifact says about itself, as a schema.

Field names are the JSON keys of `manifest.json`. Everything is frozen, and an unknown key is
refused, so that a file of a later schema is never half understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from edge_pipeline.artifact.provenance import Calibration, Loss, ModelCard, Source
from edge_pipeline.artifact.schema import FileName, Precision, Schema, Sha256, Value
from edge_pipeline.artifact.tensors import TensorSpec

__all__ = [
    "FORMAT",
    "SCHEMA_VERSION",
    "Checked",
    "Constant",
    "Delegation",
    "Manifest",
    "ProgramName",
    "ProgramSpec",
    "Tile",
    "WeightsForm",
]

FORMAT: Literal["edge_pipeline.artifact"] = "edge_pipeline.artifact"
SCHEMA_VERSION: Literal[1] = 1

ProgramName = Literal["forward", "predict_filters", "apply_filters"]
WeightsForm = Literal["dynamic", "folded", "split", "refolded", "specialised"]
Checked = Literal["verified", "translation", "not_run"]

_PROGRAMS_OF: dict[WeightsForm, tuple[str, ...]] = {
    "dynamic": ("forward",),
    "folded": ("forward",),
    "specialised": ("forward",),
    "split": ("predict_filters", "apply_filters"),
    "refolded": ("predict_filters", "forward"),
}


class Delegation(Schema):
    """Operators by name and count: those the delegate runs, and those left outside it.

    `outside_share` is the share of a run's time, 0 to 1, that those outside take, measured on the
    machine that compiled; None where there are none.
    """

    delegate: str
    delegated: dict[str, NonNegativeInt]
    outside: dict[str, NonNegativeInt]
    outside_share: Annotated[float, Field(ge=0, le=1)] | None = None


class Constant(Schema):
    """Where a weight that can be exchanged lies in an artifact's files.

    `name` is the weight's in the source network, `shape` its shape there. It is written times
    `scale`, with its axes in the order `axes`, at each byte of `offsets` of `file`, little endian;
    `rounded` float32 numbers are rounded to half precision first.
    """

    name: str
    shape: tuple[PositiveInt, ...]
    axes: tuple[NonNegativeInt, ...]
    dtype: Literal["float32", "float16"]
    scale: float = 1.0
    rounded: bool = False
    file: FileName
    offsets: tuple[NonNegativeInt, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if sorted(self.axes) != list(range(len(self.shape))) or not self.offsets:
            raise ValueError(f"constant {self.name}: axes {self.axes} of the shape {self.shape}")
        return self


class ProgramSpec(Schema):
    """One compiled program: its file, tensors in call order, and cost at its reference input.

    `file` is the model file, or the folder of files that a format consists of; `extra` are files
    that belong to it beside the model file. `graph` is the network as torch exported it, which
    `runtime/eager.py` runs; `constants` are the weights that can be exchanged where they lie.
    `variation` has the standard deviation of each output over different inputs, as eager gives it,
    in the output's unit; none if it was not measured with these weights. `passes` has, by the name
    of each compiler pass that changed or looked at something, a line for each kind of note.
    """

    name: ProgramName
    file: FileName
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: NonNegativeInt
    flops: NonNegativeInt
    delegation: Delegation
    reference: FileName
    extra: tuple[FileName, ...] = ()
    graph: FileName | None = None
    constants: tuple[Constant, ...] = ()
    variation: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    passes: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.flops != 2 * self.macs:
            raise ValueError(f"program {self.name}: flops {self.flops} is not 2 x macs {self.macs}")
        for tensors in (self.inputs, self.outputs):
            names = [tensor.name for tensor in tensors]
            if not names or len(set(names)) != len(names):
                raise ValueError(f"program {self.name}: tensors {names} are none, or named twice")
        return self


class Tile(Schema):
    """How a large picture is cut, in packed pixels; `scale` is RGB pixels per packed pixel.

    Sizes are multiples of `stride` and at least `minimum`; beyond `halo` nothing reaches;
    where it is None, every pixel depends on the size of the whole, and there is no tiling.
    """

    stride: PositiveInt
    halo: NonNegativeInt | None
    scale: PositiveInt
    minimum: PositiveInt = 1


class Manifest(Schema):
    """An artifact's `manifest.json`. `files` maps each other file to its SHA-256.

    `filters` says what became of computed weights: `dynamic` computes them in the graph (a network
    without any counts as that), `folded` has those of a calibration set as constants,
    `specialised` those that the `fixed` inputs determine; all three have the one program
    `forward`. `split` has `predict_filters` (input to filters) and `apply_filters` (input and
    filters to output). `curve` is the file of the weights at other values of a fixed input.
    `refolded` has `predict_filters` and the folded `forward`, whose `constants` are those filters:
    whoever runs it predicts the filters of a capture and writes them over the constants in memory
    before the runtime loads the program.

    `checked` is `verified` if each program ran in its own runtime and agreed with eager on its
    reference input before the artifact was written; `translation` if another program evaluated the
    file's operators and agreed, which proves what was written and not how it will run; `not_run`
    if nothing here can run or evaluate it.

    `calibration` is what folded filters were predicted on, also those in the file of a refolded
    program; `precision_calibration` what ranges of int8 were observed on; `losses` what folding and
    precision cost in the task's metric.
    """

    format: Literal["edge_pipeline.artifact"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    source: Source
    backend: str
    precision: Precision = "fp32"
    filters: WeightsForm
    fixed: dict[str, Value] = Field(default_factory=dict)
    checked: Checked = "verified"
    programs: tuple[ProgramSpec, ...]
    tile: Tile
    calibration: Calibration | None = None
    precision_calibration: Calibration | None = None
    losses: tuple[Loss, ...] = ()
    curve: FileName | None = None
    card: ModelCard
    tools: dict[str, str]
    notes: tuple[str, ...] = ()
    created: AwareDatetime
    files: dict[FileName, Sha256] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = tuple(program.name for program in self.programs)
        expected = _PROGRAMS_OF[self.filters]
        if names != expected:
            raise ValueError(f"filters={self.filters} wants the programs {expected}, not {names}")
        if self.filters == "split":
            predictor, path = self.programs
            made = {(t.name, t.shape) for t in predictor.outputs}
            taken = {(t.name, t.shape) for t in path.inputs[1:]}
            if made != taken:
                raise ValueError("predict_filters does not give what apply_filters takes")
        if self.filters == "refolded":
            predictor, path = self.programs
            made = {(t.name, t.shape) for t in predictor.outputs}
            if made != {(c.name, c.shape) for c in path.constants}:
                raise ValueError("predict_filters does not give the constants of forward")
        if self.filters in ("folded", "refolded") and self.calibration is None:
            raise ValueError(f"filters={self.filters} wants a calibration")
        if self.filters == "specialised" and not self.fixed:
            raise ValueError("filters=specialised wants a fixed value")
        if self.curve is not None and self.filters != "specialised":
            raise ValueError(f"filters={self.filters} has no weights that lie on a curve")
        return self

    def named_files(self) -> Iterator[str]:
        """The files, or folders of files, that the manifest speaks of by name."""
        for program in self.programs:
            yield program.file
            yield program.reference
            yield from program.extra
            if program.graph is not None:
                yield program.graph
            for constant in program.constants:
                yield constant.file
        if self.curve is not None:
            yield self.curve

    def folder(self, name: str) -> tuple[str, ...]:
        """The listed files that lie in a folder; none if `name` is no folder."""
        return tuple(file for file in self.files if file.startswith(f"{name}/"))
