"""The tensors that go in and out of a program, as the manifest describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from edge_pipeline.artifact.schema import Schema

__all__ = ["Dtype", "TensorSpec"]

_DIMENSION = re.compile(r"(?:([1-9][0-9]*)\*)?([a-z][a-z0-9_]*)")


def _check_dimension(size: int | str) -> int | str:
    if isinstance(size, str) and not _DIMENSION.fullmatch(size):
        raise ValueError(f"the dimension {size!r} is neither a size nor like 'h' or '16*h'")
    if isinstance(size, int) and size < 1:
        raise ValueError(f"the dimension {size} is below 1")
    return size


Dimension = Annotated[int | str, AfterValidator(_check_dimension)]


Dtype = Literal["float32", "int64", "int32", "bool"]
"""Types of inputs and outputs, by NumPy's names."""


class TensorSpec(Schema):
    """One input or output of a program.

    `shape` holds sizes, or `"h"` and `"16*h"` where a size is free or a free multiple; one letter
    stands for one number in all tensors of a program. `layout` has a letter a dimension (`NCHW`,
    and `OIHW` for predicted filters). `range` is what the values usually span, without unit.
    """

    name: str
    shape: tuple[Dimension, ...]
    dtype: Dtype = "float32"
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

    def text(self) -> str:
        """Type and shape for messages, `float32 1x4x16*hx16*w`."""
        return f"{self.dtype} {self.shape_text()}"

    def takes(self, value: NDArray[Any], sizes: dict[str, int]) -> bool:
        """Whether an array has this tensor's type and shape; see `fits` for `sizes`."""
        return value.dtype == np.dtype(self.dtype) and self.fits(value.shape, sizes)

    def factor(self, letter: str) -> int:
        """What a free size is a multiple of here; 0 where `letter` does not occur."""
        for size in self.shape:
            match = None if isinstance(size, int) else _DIMENSION.fullmatch(size)
            if match is not None and match.group(2) == letter:
                return int(match.group(1) or 1)
        return 0

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape where the free letters stand for `sizes`."""
        return tuple(
            size
            if isinstance(size, int)
            else int(size.rpartition("*")[0] or 1) * sizes[size.rpartition("*")[2]]
            for size in self.shape
        )

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
