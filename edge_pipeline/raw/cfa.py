"""Colour filter arrays (CFA): Bayer orders, alignment to RGGB, and packing into four planes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["PATTERNS", "Aligned", "Mosaic", "align", "pack", "per_pixel", "red_at", "unpack"]

PATTERNS: tuple[str, ...] = ("RGGB", "BGGR", "GRBG", "GBRG")


class Mosaic(Protocol):
    """A mosaic of which parts are read: an array, or a `signal.Signal` that computes them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        ...

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return the part at two slices, or at two arrays of indices from `np.ix_`."""
        ...


@dataclass(frozen=True)
class Aligned:
    """A mosaic that starts on red, and the position of the picture in it.

    Attributes:
        mosaic: [H', W'], RGGB, even sizes; the pixels around the picture are its reflection.
        top: Number of rows above the picture, 0 or 1.
        left: Number of columns left of the picture, 0 or 1.
        height: Number of rows of the picture.
        width: Number of columns of the picture.
    """

    mosaic: NDArray[Any]
    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture, in full-resolution pixels of the aligned mosaic."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def red_at(pattern: str) -> tuple[int, int]:
    """Return the row and column of red in the 2 x 2 pattern, each 0 or 1."""
    if pattern not in PATTERNS:
        raise InputError(
            f"no Bayer order is called {pattern!r}; expected one of {', '.join(PATTERNS)}"
        )
    return divmod(pattern.index("R"), 2)


def align(mosaic: NDArray[Any], pattern: str, multiple: int = 2) -> Aligned:
    """Pad a mosaic so that it starts on red; no pixel is lost or moved.

    If red is not at the corner, a row above, a column on the left or both are added. Rows below and
    columns on the right extend the sizes to a multiple. The added pixels are a reflection about the
    edge pixel, which is not repeated: a pixel at distance d outside the edge is a copy of the pixel
    at distance d inside. The two are 2d pixels apart, so every added pixel has the colour of its
    position. The reflection is repeated if the mosaic is smaller than the padding.

        GRBG  G R G R        R G R G R . .       . = reflection, to the next multiple
              B G B G   ->   G B G B G . .
        The picture begins at top 0, left 1.

    Args:
        mosaic: [H, W], H and W at least 2, any dtype.
        pattern: One of `PATTERNS`, the colours of the top left 2 x 2 pixels.
        multiple: Number that divides the aligned sizes, which are also even.

    Returns:
        The aligned mosaic, in the dtype of `mosaic`, and the position of the picture in it. If
        nothing is padded, it is `mosaic` itself.

    Raises:
        InputError: If the pattern is not known, or the mosaic has fewer than 2 rows or columns.
    """
    top, left = red_at(pattern)
    if mosaic.ndim != 2 or min(mosaic.shape) < 2:
        raise InputError(
            f"a mosaic of shape {mosaic.shape} has no whole Bayer cell; expected [H, W] with H and "
            "W at least 2"
        )
    if multiple < 1:
        raise InputError(f"sizes cannot be multiples of {multiple}; give 1 or more")
    step = math.lcm(2, multiple)
    height, width = mosaic.shape
    bottom = -(top + height) % step
    right = -(left + width) % step
    if top or left or bottom or right:
        # [H, W] -> [top + H + bottom, left + W + right]
        mosaic = np.pad(mosaic, ((top, bottom), (left, right)), mode="reflect")
    return Aligned(mosaic, top, left, height, width)


def pack(mosaic: NDArray[Any]) -> NDArray[Any]:
    """Pack an RGGB mosaic into four planes: R, G on red rows, G on blue rows, B.

    Args:
        mosaic: [..., H, W], H and W even, starting on red.

    Returns:
        [..., 4, H/2, W/2], a copy in the same dtype.

    Raises:
        InputError: If a size is odd.
    """
    if mosaic.ndim < 2 or mosaic.shape[-1] % 2 or mosaic.shape[-2] % 2:
        raise InputError(f"a mosaic of shape {mosaic.shape} cannot be packed; sizes must be even")
    planes = [mosaic[..., row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return np.stack(planes, axis=-3)


def unpack(packed: NDArray[Any]) -> NDArray[Any]:
    """Return the mosaic of packed Bayer planes; the inverse of `pack`.

    Args:
        packed: [..., 4, h, w].

    Returns:
        The RGGB mosaic, [..., 2h, 2w], a copy in the same dtype.

    Raises:
        InputError: If there are not four planes.
    """
    if packed.ndim < 3 or packed.shape[-3] != 4:
        raise InputError(f"shape {packed.shape} is not packed Bayer; expected [..., 4, h, w]")
    *batch, _, height, width = packed.shape
    mosaic = np.empty((*batch, 2 * height, 2 * width), packed.dtype)
    for plane in range(4):
        row, column = divmod(plane, 2)
        mosaic[..., row::2, column::2] = packed[..., plane, :, :]
    return mosaic


def per_pixel(
    values: tuple[float, float, float, float], pattern: str, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Return an array that repeats one value for each CFA position over a mosaic's pixels.

    Args:
        values: Values for R, G on red rows, G on blue rows, B.
        pattern: One of `PATTERNS`.
        shape: (H, W) of the mosaic.

    Returns:
        Float32 [H, W].

    Raises:
        InputError: If the pattern is not known.
    """
    red_row, red_column = red_at(pattern)
    cell = np.array(values, np.float32).reshape(2, 2)
    # Rolling turns the cell that starts on red into the cell of `pattern`.
    cell = np.roll(cell, (red_row, red_column), axis=(0, 1))
    height, width = shape
    return np.tile(cell, (-(-height // 2), -(-width // 2)))[:height, :width]
