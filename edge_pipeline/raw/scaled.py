"""A capture's mosaic as four planes of signals that are equal for white light."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import red_at
from edge_pipeline.raw.colour import unit_gains
from edge_pipeline.raw.image import Capture

__all__ = ["Scaled", "greens_around"]

Plane = NDArray[np.float32]


class Scaled:
    """The mosaic of a capture from red on, of which parts are converted to signals.

    Attributes:
        mosaic: The capture's mosaic.
        top: Rows of the padded mosaic, which begins on red, above that of the capture, 0 or 1.
        left: Columns of the padded mosaic on the left of that of the capture, 0 or 1.
        black: Black levels of red, green on red rows, green on blue rows, and blue.
        scale: Factors after which white light is equal in all colours, in this order.
        size: Height and width of the padded mosaic.
    """

    def __init__(self, capture: Capture) -> None:
        red, green, blue = unit_gains(capture.wb)
        self.mosaic = capture.mosaic
        self.top, self.left = red_at(capture.pattern)
        self._rows = _to_even(capture.mosaic.shape[0], self.top)
        self._columns = _to_even(capture.mosaic.shape[1], self.left)
        self.black = capture.black
        self.scale = [
            gain / (capture.white - black)
            for gain, black in zip((red, green, green, blue), capture.black, strict=True)
        ]
        self.size = (len(self._rows), len(self._columns))

    def values(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the camera's values of cells inside the padded mosaic, a view if possible."""
        part = _taken(self.mosaic, self._rows[2 * rows.start : 2 * rows.stop], 0)
        return _taken(part, self._columns[2 * columns.start : 2 * columns.stop], 1)

    def planes(self, rows: tuple[int, int], columns: tuple[int, int]) -> list[Plane]:
        """Return the signals of the cells [start, stop): red, both greens, blue.

        Cells outside the mosaic repeat those of its edge.
        """
        down, above_below = _inside(*rows, self.size[0] // 2)
        across, left_right = _inside(*columns, self.size[1] // 2)
        values = self.values(down, across)
        planes = []
        for index, (black, scale) in enumerate(zip(self.black, self.scale, strict=True)):
            row, column = divmod(index, 2)
            part = values[row::2, column::2].astype(np.float32)
            part -= np.float32(black)
            part *= np.float32(scale)
            planes.append(np.pad(part, (above_below, left_right), mode="edge"))
        return planes


def _to_even(size: int, before: int) -> NDArray[np.intp]:
    """Return indices that extend an axis to an even length by reflection, as `cfa.align` does."""
    return np.pad(np.arange(size), (before, (before + size) % 2), mode="reflect")


def _taken(values: NDArray[Any], indices: NDArray[np.intp], axis: int) -> NDArray[Any]:
    """Return rows (axis 0) or columns (axis 1), a view if each follows the one before."""
    if not len(indices):
        return values[:0] if axis == 0 else values[:, :0]
    first, last = int(indices[0]), int(indices[-1])
    if (np.diff(indices) == 1).all():
        return values[first : last + 1] if axis == 0 else values[:, first : last + 1]
    return np.take(values, indices, axis=axis)


def _inside(start: int, stop: int, size: int) -> tuple[slice, tuple[int, int]]:
    """Return the part of [start, stop) inside [0, size), and how much is before and after it."""
    before, after = max(-start, 0), max(stop - size, 0)
    return slice(start + before, stop - after), (before, after)


def greens_around(planes: list[Plane], index: int) -> tuple[Plane, Plane, Plane, Plane]:
    """Return the greens above, below, left and right of red (0) or blue (3).

    Args:
        planes: Four planes [..., h + 2, w + 2] of `Scaled.planes`, or stacks of them.
        index: Number of the plane around whose pixels the greens are.

    Returns:
        Four views [..., h, w].
    """
    first, second = planes[1], planes[2]
    inner, before, after = slice(1, -1), slice(None, -2), slice(2, None)
    if index == 0:
        return (
            second[..., before, inner],
            second[..., inner, inner],
            first[..., inner, before],
            first[..., inner, inner],
        )
    return (
        first[..., inner, inner],
        first[..., after, inner],
        second[..., inner, inner],
        second[..., inner, after],
    )
