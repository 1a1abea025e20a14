"""Schema of a program in the manifest: its file, its tensors, its cost and its weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from edge_pipeline.artifact.schema import FileName, Schema, Value
from edge_pipeline.artifact.size_places import Sizes
from edge_pipeline.artifact.tensors import TensorSpec

__all__ = ["Constant", "Delegation", "ProgramName", "ProgramSpec"]

# `maps_1`, `filters_1`, ... are the programs of the stages of a streamed predictor; `forward_1`,
# `forward_2`, ... those for several values of a fixed number.
ProgramName = Annotated[
    str,
    Field(pattern=r"^(forward(_[1-9][0-9]*)?|predict_filters|apply_filters|(maps|filters)_[1-9])$"),
]


class Delegation(Schema):
    """Counts of operators by name: `delegated` run in the delegate, `outside` run outside of it.

    `outside_share` is the share of a run's time, 0 to 1, spent in the operators outside the
    delegate, measured on the compiling machine; None if there are no such operators.
    """

    delegate: str
    delegated: dict[str, NonNegativeInt]
    outside: dict[str, NonNegativeInt]
    outside_share: Annotated[float, Field(ge=0, le=1)] | None = None


class Constant(Schema):
    """Places of an exchangeable weight in one file of an artifact.

    `name` and `shape` are the weight's name and shape in the source network. The weight is
    multiplied by `scale`, its axes are permuted to the order `axes`, and it is stored little endian
    at each byte offset of `offsets` in `file`. If `rounded`, the float32 numbers are first rounded
    to half precision.
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
            raise ValueError(
                f"constant {self.name}: the axes {self.axes} do not fit the shape {self.shape}, or "
                "it has no offset"
            )
        return self


class ProgramSpec(Schema):
    """One compiled program: its file, its tensors in call order, its cost at the reference input.

    `file` is the model file, or a folder for formats that consist of several files; `extra` are
    further files of the program. `graph` is the network as torch exported it, which
    `runtime/eager.py` runs; `constants` are the places of the exchangeable weights, and `sizes`
    those of the map sizes if one program serves a range of a fixed input. `fixed` and `curve` are
    the program's own fixed values and the file of its weights at other values, if the artifact has
    programs for several values; these share one `file`. `variation` is the
    standard deviation of each of eager's outputs over different inputs, in the output's unit; empty
    if it was not measured with these weights. `passes` maps the name of each compiler pass that
    changed or checked something to its notes, one line for each kind.
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
    sizes: Sizes | None = None
    fixed: dict[str, Value] = Field(default_factory=dict)
    curve: FileName | None = None
    variation: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    passes: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.flops != 2 * self.macs:
            raise ValueError(f"program {self.name}: flops {self.flops} is not 2 x macs {self.macs}")
        for tensors in (self.inputs, self.outputs):
            names = [tensor.name for tensor in tensors]
            if not names or len(set(names)) != len(names):
                raise ValueError(
                    f"program {self.name}: expected at least one tensor and unique names, got "
                    f"{names}"
                )
        return self
