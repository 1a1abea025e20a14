"""Schema of the manifest, which describes an artifact.

Field names are the JSON keys of `manifest.json`. All classes are frozen. Unknown keys are rejected,
so that a file of a later schema is never read in part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import AwareDatetime, Field, NonNegativeInt, PositiveInt, model_validator

from edge_pipeline.artifact.program_spec import Constant, Delegation, ProgramName, ProgramSpec
from edge_pipeline.artifact.provenance import Calibration, Loss, ModelCard, Source
from edge_pipeline.artifact.schema import FileName, Precision, Schema, Sha256, Value

__all__ = [
    "FORMAT",
    "SCHEMA_VERSION",
    "Checked",
    "Constant",
    "Delegation",
    "Manifest",
    "ProgramName",
    "ProgramSpec",
    "Reduction",
    "Stage",
    "Tile",
    "WeightsForm",
]

FORMAT: Literal["edge_pipeline.artifact"] = "edge_pipeline.artifact"
SCHEMA_VERSION: Literal[1] = 1

WeightsForm = Literal["dynamic", "folded", "split", "refolded", "specialised"]
Checked = Literal["verified", "translation", "not_run"]

_PROGRAMS_OF: dict[WeightsForm, tuple[str, ...]] = {
    "dynamic": ("forward",),
    "folded": ("forward",),
    "specialised": ("forward",),
    "split": ("predict_filters", "apply_filters"),
    "refolded": ("predict_filters", "forward"),
}


class Tile(Schema):
    """Rules for cutting a large picture into tiles, in packed pixels.

    Tile sizes must be multiples of `stride` and at least `minimum`. An output pixel depends on
    inputs at most `halo` away; if `halo` is None, every output pixel depends on the size of the
    whole picture, and it cannot be tiled. `scale` is the number of RGB pixels per packed pixel.
    There is no output for the `margin` packed pixels at each edge of a tile.
    """

    stride: PositiveInt
    halo: NonNegativeInt | None
    scale: PositiveInt
    minimum: PositiveInt = 1
    margin: NonNegativeInt = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.margin > (self.halo or 0):
            raise ValueError(
                f"the margin is {self.margin}; it must be at most the halo, {self.halo or 0}"
            )
        return self


class Reduction(Schema):
    """A reduction of a map to one value per channel.

    `value` is the input of the stage's `filters` program, `map` the output of its `maps` program.
    """

    value: str
    map: str
    kind: Literal["max", "min", "mean"]


class Stage(Schema):
    """A stage of a streamed filter predictor, which sees a picture of any size tile by tile.

    The program `maps` computes maps from the input and the filters of earlier stages; the caller
    reduces each map over the whole picture; the program `filters` computes filters from the values
    of this stage and of earlier ones. An element of the map `m` belongs to `strides[m]` input
    pixels along each axis, and depends on inputs at most `halo` away from these.
    """

    maps: ProgramSpec
    filters: ProgramSpec
    reductions: tuple[Reduction, ...]
    strides: dict[str, PositiveInt]
    halo: NonNegativeInt

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        maps = {tensor.name for tensor in self.maps.outputs}
        if {one.map for one in self.reductions} != maps or self.strides.keys() != maps:
            raise ValueError("each map of a stage must have a reduction and a stride")
        return self


class Manifest(Schema):
    """Content of an artifact's `manifest.json`. `files` maps each other file to its SHA-256.

    `filters` is the deployment form. `dynamic` computes the weights in the graph (also used for a
    network without computed weights), `folded` contains those of a calibration set as constants,
    and `specialised` those that the `fixed` inputs determine; these three have one program,
    `forward`. For several values of a fixed number, `dynamic` and `specialised` have the programs
    `forward_1`, `forward_2`, ... in ascending order of the value, in one file; then `fixed` are the
    values of the last one. `split` has `predict_filters` (input to filters) and `apply_filters`
    (input and filters to output). `refolded` has `predict_filters` and the folded `forward`, whose
    `constants` are these filters: the caller predicts the filters of a capture and writes them over
    the constants in memory before the runtime loads the program. `stages`, if there are any,
    compute the same filters as `predict_filters`, from a picture of any size. `curve` is the file
    of the weights at other values of a fixed input.

    `checked` is `verified` if each program ran in its own runtime and agreed with eager on its
    reference input before the artifact was written; `translation` if another program evaluated the
    file's operators and agreed, which proves the content of the file but not how the runtime will
    run it; `not_run` if no program on the compiling machine can run or evaluate it, or if its
    weights were replaced later without a comparison with eager.

    `calibration` is the set on which folded filters were predicted, also those stored in a refolded
    program; `precision_calibration` is the set on which int8 ranges were observed; `losses` are the
    losses of folding and precision in the task's metric.
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
    stages: tuple[Stage, ...] = ()
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
        if self.has_several:
            self._check_several(names)
        elif names != expected:
            raise ValueError(
                f"filters={self.filters} requires the programs {expected}, got {names}"
            )
        if self.filters == "split":
            predictor, path = self.programs
            made = {(t.name, t.shape) for t in predictor.outputs}
            taken = {(t.name, t.shape) for t in path.inputs[1:]}
            if made != taken:
                raise ValueError(
                    "the outputs of predict_filters must be the filter inputs of apply_filters"
                )
        if self.filters == "refolded":
            predictor, path = self.programs
            made = {(t.name, t.shape) for t in predictor.outputs}
            if made != {(c.name, c.shape) for c in path.constants}:
                raise ValueError("the outputs of predict_filters must be the constants of forward")
        if self.stages:
            self._check_stages()
        if self.filters in ("folded", "refolded") and self.calibration is None:
            raise ValueError(f"filters={self.filters} requires a calibration")
        if self.filters == "specialised" and not self.fixed:
            raise ValueError("filters=specialised requires a fixed value")
        curves = [program.curve for program in self.every_program()]
        if any((self.curve, *curves)) and self.filters != "specialised":
            raise ValueError(f"a curve requires filters=specialised, got filters={self.filters}")
        return self

    @property
    def has_several(self) -> bool:
        """Whether there is a program for each of several values of a fixed number."""
        return len(self.programs) > 1 and self.filters in ("dynamic", "specialised")

    def _check_several(self, names: tuple[str, ...]) -> None:
        if names != tuple(f"forward_{number}" for number in range(1, len(names) + 1)):
            raise ValueError(f"programs for several values must be forward_1, ..., got {names}")
        if len({program.file for program in self.programs}) != 1:
            raise ValueError("programs for several values must have one file")
        if self.programs[-1].fixed != self.fixed or not self.fixed:
            raise ValueError("the fixed values must be those of the last program")
        if any(program.fixed.keys() != self.fixed.keys() for program in self.programs):
            raise ValueError("all programs must have the same fixed inputs")

    def _check_stages(self) -> None:
        if len(self.programs) < 2:
            raise ValueError(f"stages require a filter predictor, got filters={self.filters}")
        filters = {t.name: t.shape for stage in self.stages for t in stage.filters.outputs}
        if filters != {t.name: t.shape for t in self.programs[0].outputs}:
            raise ValueError("the stages must return the same filters as predict_filters")
        values = {reduction.value for stage in self.stages for reduction in stage.reductions}
        if any(t.name not in values for stage in self.stages for t in stage.filters.inputs):
            raise ValueError("each input of a stage's filters must be a reduced map")

    def every_program(self) -> Iterator[ProgramSpec]:
        """Yield all programs: those of the deployment form, then those of the stages."""
        yield from self.programs
        for stage in self.stages:
            yield stage.maps
            yield stage.filters

    def named_files(self) -> Iterator[str]:
        """Yield the names of the files, or folders of files, that the manifest refers to."""
        for program in self.every_program():
            yield program.file
            yield program.reference
            yield from program.extra
            if program.graph is not None:
                yield program.graph
            if program.curve is not None:
                yield program.curve
            for constant in program.constants:
                yield constant.file
        if self.curve is not None:
            yield self.curve

    def folder(self, name: str) -> tuple[str, ...]:
        """Return the listed files in the folder `name`; empty if it is not a folder."""
        return tuple(file for file in self.files if file.startswith(f"{name}/"))
