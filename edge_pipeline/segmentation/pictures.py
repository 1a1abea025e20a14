"""Pictures to segment: arrays, and files that Pillow or tifffile read, in the order displayed.

A picture keeps the numbers of its file, in the memory of its decoder, and converts the windows that
are requested. 100 million pixels in colour therefore take 0.4 GB, not 1.2 GB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline.errors import InputError

__all__ = ["UPRIGHT", "Orientation", "Picture", "picture_of_array"]

_ORIENTATIONS = range(1, 9)
_COLOURS = 3
# Luma of ITU-R BT.601, as `Image.convert("L")` has it.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CODES = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}

Codes = NDArray[Any]


class Orientation(NamedTuple):
    """The steps from a stored to a displayed picture, in this order.

    Attributes:
        swapped: Whether rows and columns are exchanged.
        upturned: Whether the rows are in reverse order.
        mirrored: Whether the columns are in reverse order.
    """

    swapped: bool = False
    upturned: bool = False
    mirrored: bool = False

    @classmethod
    def of(cls, tag: object) -> Orientation:
        """Return the steps for the value of the tag Orientation; none if it has no such value.

        Source: Exif 2.32, section 4.6.4, tag 274.
        """
        if not isinstance(tag, int) or tag not in _ORIENTATIONS:
            return cls()
        return cls(
            swapped=tag in (5, 6, 7, 8), upturned=tag in (3, 4, 7, 8), mirrored=tag in (2, 3, 6, 7)
        )


UPRIGHT = Orientation()


@dataclass(frozen=True)
class Picture:
    """A picture whose windows are converted when they are requested.

    Attributes:
        stored: Array [H, W] or [H, W, C] of codes as stored, or a decoded picture of Pillow.
        white: Code of the largest value.
        orientation: The steps from the stored to the displayed picture.
        notes: Statements about how it was read, a sentence each.
    """

    stored: Codes | Image.Image
    white: int
    orientation: Orientation = UPRIGHT
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the displayed picture, in pixels."""
        stored = self.stored
        size = stored.size[::-1] if isinstance(stored, Image.Image) else stored.shape[:2]
        height, width = (int(side) for side in size)
        return (width, height) if self.orientation.swapped else (height, width)

    def window(
        self, rows: tuple[int, int], columns: tuple[int, int], channels: int
    ) -> NDArray[np.float32]:
        """Return a part of the displayed picture.

        Args:
            rows: First row, and one past the last one; both inside the picture.
            columns: The same for the columns.
            channels: 3 for colour, or 1 for luma.

        Returns:
            Array [channels, h, w], float32, 0 to 1.
        """
        codes = self._codes(rows, columns)
        values: NDArray[np.float32] = codes.astype(np.float32) / np.float32(self.white)
        if values.ndim == 2:  # [h, w]
            return np.repeat(values[None], channels, axis=0)
        if channels == 1:
            return np.asarray(values @ _LUMA, np.float32)[None]
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _codes(self, rows: tuple[int, int], columns: tuple[int, int]) -> Codes:
        """Return the codes of a displayed part, [h, w] or [h, w, 3]."""
        height, width = self.size
        steps = self.orientation
        top, bottom = (height - rows[1], height - rows[0]) if steps.upturned else rows
        left, right = (width - columns[1], width - columns[0]) if steps.mirrored else columns
        if steps.swapped:
            (top, bottom), (left, right) = (left, right), (top, bottom)
        if isinstance(self.stored, Image.Image):
            codes = _converted(self.stored.crop((left, top, right, bottom)))
        else:
            codes = self.stored[top:bottom, left:right]
        codes = np.swapaxes(codes, 0, 1) if steps.swapped else codes
        return codes[:: -1 if steps.upturned else 1, :: -1 if steps.mirrored else 1]


def _converted(part: Image.Image) -> Codes:
    """Return the codes of a part, [h, w] or [h, w, 3]; transparency is dropped."""
    if part.mode.startswith("I") or part.mode == "L":
        return np.asarray(part)
    return np.asarray(part.convert("L" if part.mode in ("1", "LA", "La") else "RGB"))


def picture_of_array(values: Codes) -> Picture:
    """Return a picture in memory.

    Args:
        values: Grey [H, W] or colour [H, W, 3], uint8, uint16, or floating point from 0 to 1.

    Raises:
        InputError: If the array has another shape or type, or values outside this range.
    """
    if values.ndim not in (2, 3) or 0 in values.shape or values.shape[2:] not in ((), (_COLOURS,)):
        raise InputError(
            f"the picture has the shape {'x'.join(map(str, values.shape)) or 'of a number'}; give "
            "[H, W] or [H, W, 3]"
        )
    if values.dtype in _CODES:
        return Picture(values, _CODES[values.dtype])
    if values.dtype.kind != "f":
        raise InputError(
            f"the picture has the type {values.dtype}; give uint8, uint16, or floating point from "
            "0 to 1"
        )
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # written such that NaN is rejected too
        raise InputError(f"the picture has values from {low:g} to {high:g}; give 0 to 1")
    return Picture(values, 1)
