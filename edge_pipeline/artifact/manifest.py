"""The manifest: what an artifact says about itself, as a schema.

Field names are the JSON keys of `manifest.json`. Everything is frozen, and an unknown key is
refused, so that a file of a later schema is never half understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

__all__ = [
    "FORMAT",
    "MANIFEST_FILE",
    "SCHEMA_VERSION",
    "SEAL_FILE",
    "Calibration",
    "CalibrationFile",
    "Delegation",
    "Manifest",
    "ModelCard",
    "ProgramName",
    "ProgramSpec",
    "Source",
    "TensorSpec",
    "Tile",
    "check_file_name",
]

FORMAT: Literal["edge_pipeline.artifact"] = "edge_pipeline.artifact"
SCHEMA_VERSION: Literal[1] = 1
MANIFEST_FILE = "manifest.json"
SEAL_FILE = "manifest.sha256"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_DIMENSION = re.compile(r"(?:([1-9][0-9]*)\*)?([a-z][a-z0-9_]*)")


def check_file_name(name: str) -> str:
    """`name` if it is a plain relative path that stays inside its folder.

    Parts are of letters, digits, `_ . + -`, do not start with a dot or a dash, and are set apart
    by single forward slashes. The names of the manifest and its seal are taken.

    Raises:
        ValueError: it is not.
    """
    if not all(_NAME.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"the file name {name!r} is not a plain path inside the artifact")
    if PurePosixPath(name).parts[0] in (MANIFEST_FILE, SEAL_FILE):
        raise ValueError(f"the file name {name!r} is taken by the manifest")
    return name


def _check_dimension(size: int | str) -> int | str:
    if isinstance(size, str) and not _DIMENSION.fullmatch(size):
        raise ValueError(f"the dimension {size!r} is neither a size nor like 'h' or '16*h'")
    if isinstance(size, int) and size < 1:
        raise ValueError(f"the dimension {size} is below 1")
    return size


FileName = Annotated[str, AfterValidator(check_file_name)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dimension = Annotated[int | str, AfterValidator(_check_dimension)]
ProgramName = Literal["forward", "predict_filters", "apply_filters"]

_PROGRAMS_OF: dict[str, tuple[str, ...]] = {
    "dynamic": ("forward",),
    "folded": ("forward",),
    "split": ("predict_filters", "apply_filters"),
}


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(_Schema):
    """One input or output of a program.

    `shape` holds sizes, or `"h"` and `"16*h"` where a size is free or a free multiple; one letter
    stands for one number in all tensors of a program. `layout` has a letter a dimension (`NCHW`,
    and `NOIHW` for predicted filters). `range` is what the values usually span, without unit.
    """

    name: str
    shape: tuple[Dimension, ...]
    dtype: Literal["float32"] = "float32"
    layout: Annotated[str, Field(pattern=r"^[A-Z]+$")] = "NCHW"
    range: tuple[float, float] | None = None
    meaning: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.layout) != len(self.shape):
            raise ValueError(f"tensor {self.name}: layout {self.layout} and shape disagree")
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"tensor {self.name}: the range {self.range} is empty")
        return self

    def shape_text(self) -> str:
        """The shape for messages, `1x4x16*hx16*w`."""
        return "x".join(map(str, self.shape))

    def fits(self, shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
        """Whether an array of `shape` may stand here.

        Args:
            shape: the array's.
            sizes: what the free letters stand for so far; letters first met here are added.
        """
        return len(shape) == len(self.shape) and all(
            _bind(expected, size, sizes) for expected, size in zip(self.shape, shape, strict=True)
        )


def _bind(expected: int | str, size: int, sizes: dict[str, int]) -> bool:
    if isinstance(expected, int):
        return size == expected
    match = _DIMENSION.fullmatch(expected)
    if match is None or size < 1:
        return False
    factor = int(match.group(1) or 1)
    return size % factor == 0 and sizes.setdefault(match.group(2), size // factor) == size // factor


class ModelCard(_Schema):
    """What the model is for and what its values mean.

    `camera_linear` is white-balanced linear camera RGB, about [0, 1]; `srgb` is encoded sRGB in
    [0, 1]. `noise` says in words which noise the model was trained to remove.
    """

    name: str
    description: str
    input_space: Literal["packed_bayer_white_balanced"] = "packed_bayer_white_balanced"
    output_space: Literal["camera_linear", "srgb"] = "camera_linear"
    training_data: tuple[str, ...]
    licence: str
    noise: str | None = None
    metrics: dict[str, float] = {}


class Delegation(_Schema):
    """Operators by name and count: those the delegate runs, and those left outside it."""

    delegate: str
    delegated: dict[str, NonNegativeInt]
    outside: dict[str, NonNegativeInt]


class ProgramSpec(_Schema):
    """One compiled program: its file, tensors in call order, and cost at its reference input."""

    name: ProgramName
    file: FileName
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    macs: NonNegativeInt
    flops: NonNegativeInt
    delegation: Delegation
    reference: FileName

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.flops != 2 * self.macs:
            raise ValueError(f"program {self.name}: flops {self.flops} is not 2 x macs {self.macs}")
        for tensors in (self.inputs, self.outputs):
            names = [tensor.name for tensor in tensors]
            if not names or len(set(names)) != len(names):
                raise ValueError(f"program {self.name}: tensors {names} are none, or named twice")
        return self


class Source(_Schema):
    """What was compiled: a registered model with all its options, and where its weights are from.

    Weights come from a checkpoint (its SHA-256) or were drawn from `seed`.
    """

    model: str
    options: dict[str, str | int | float | bool]
    checkpoint_sha256: Sha256 | None = None
    seed: int | None = None


class Tile(_Schema):
    """How a large picture is cut, in packed pixels; `scale` is RGB pixels per packed pixel.

    Sizes are multiples of `stride` and at least `minimum`; beyond `halo` nothing reaches;
    where it is None, every pixel depends on the size of the whole, and there is no tiling.
    """

    stride: PositiveInt
    halo: NonNegativeInt | None
    scale: PositiveInt
    minimum: PositiveInt = 1


class CalibrationFile(_Schema):
    """A capture that calibration used: its name, without folder, and the hash of its bytes."""

    name: str
    sha256: Sha256


class Calibration(_Schema):
    """Where folded filters came from; `method` says in words how the captures were used."""

    files: tuple[CalibrationFile, ...]
    method: str = ""


class Manifest(_Schema):
    """An artifact's `manifest.json`. `files` maps each other file to its SHA-256.

    `dynamic` and `folded` have the program `forward` (`packed` to `rgb`); `split` has
    `predict_filters` (`packed` to filters) and `apply_filters` (`packed` and filters to `rgb`).
    """

    format: Literal["edge_pipeline.artifact"] = FORMAT
    schema_version: Literal[1] = SCHEMA_VERSION
    source: Source
    backend: str
    precision: Literal["fp32"] = "fp32"
    filters: Literal["dynamic", "folded", "split"]
    programs: tuple[ProgramSpec, ...]
    tile: Tile
    calibration: Calibration | None = None
    card: ModelCard
    tools: dict[str, str]
    created: AwareDatetime
    files: dict[FileName, Sha256] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = tuple(program.name for program in self.programs)
        expected = _PROGRAMS_OF[self.filters]
        if names != expected:
            raise ValueError(f"filters={self.filters} wants the programs {expected}, not {names}")
        if self.filters == "split":
            predictor, path = self.programs
            made = {(t.name, t.shape) for t in predictor.outputs}
            taken = {(t.name, t.shape) for t in path.inputs if t.name != "packed"}
            if made != taken:
                raise ValueError("predict_filters does not give what apply_filters takes")
        if self.filters == "folded" and self.calibration is None:
            raise ValueError("filters=folded wants a calibration")
        return self

    def program_files(self) -> Iterator[str]:
        """The files that programs name: the model and the reference of each."""
        for program in self.programs:
            yield program.file
            yield program.reference
