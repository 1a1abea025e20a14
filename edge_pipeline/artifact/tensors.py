"""Descriptions of the input and output tensors of a program, as stored in the manifest."""

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
        raise ValueError(
            f"the dimension {size!r} must be a size, a letter like 'h' or a multiple like '16*h'"
        )
    if isinstance(size, int) and size < 1:
        raise ValueError(f"the dimension {size} must be at least 1")
    return size


Dimension = Annotated[int | str, AfterValidator(_check_dimension)]


Dtype = Literal["float32", "int64", "int32", "uint8", "int8", "bool"]
"""Element types of inputs and outputs, by their NumPy names."""


class TensorSpec(Schema):
    """Description of one input or output of a program.

    Each entry of `shape` is a fixed size, a letter such as `"h"` for a free size, which each run
    chooses (a dynamic dimension in torch), or `"16*h"` for a multiple of it. A letter has the same
    value in all tensors of a program. `layout` has one letter per dimension (`NCHW`; `OIHW` for
    predicted filters). `range` is the usual range of the values, without unit.
    """

    name: str
    shape: tuple[Dimension, ...]
    dtype: Dtype = "float32"
    layout: Annotated[str, Field(pattern=r"^[A-Z]*$")] = "NCHW"
    range: tuple[float, float] | None = None
    meaning: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.layout) != len(self.shape):
            raise ValueError(
                f"tensor {self.name}: the layout {self.layout} must have one letter per dimension"
            )
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"tensor {self.name}: the range {self.range} is empty")
        return self

    def shape_text(self) -> str:
        """Return the shape as text for messages, such as `1x4x16*hx16*w`."""
        return "x".join(map(str, self.shape))

    def text(self) -> str:
        """Return type and shape as text for messages, such as `float32 1x4x16*hx16*w`."""
        return f"{self.dtype} {self.shape_text()}"

    def accepts(self, value: NDArray[Any], sizes: dict[str, int]) -> bool:
        """Return whether an array has this type and a fitting shape; see `fits` for `sizes`."""
        return value.dtype == np.dtype(self.dtype) and self.fits(value.shape, sizes)

    def factor(self, letter: str) -> int:
        """Return the factor of the free size `letter`, or 0 if the shape does not contain it."""
        for size in self.shape:
            match = None if isinstance(size, int) else _DIMENSION.fullmatch(size)
            if match is not None and match.group(2) == letter:
                return int(match.group(1) or 1)
        return 0

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with the free sizes replaced by their values in `sizes`."""
        return tuple(
            size
            if isinstance(size, int)
            else int(size.rpartition("*")[0] or 1) * sizes[size.rpartition("*")[2]]
            for size in self.shape
        )

    def fits(self, shape: tuple[int, ...], sizes: dict[str, int]) -> bool:
        """Return whether an array of the given shape fits this description.

        Args:
            shape: Shape of the array.
            sizes: Values of the free sizes known so far, by letter; new ones are added to it.
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
