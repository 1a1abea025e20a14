"""A capture's mosaic as four planes of signals that are equal for white light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import align
from edge_pipeline.raw.colour import unit_gains
from edge_pipeline.raw.image import Capture

__all__ = ["Scaled", "greens_around"]

Plane = NDArray[np.float32]


class Scaled:
    """The mosaic of a capture from red on, of which parts are converted to signals.

    Attributes:
        aligned: The padded mosaic in the camera's values, which begins on red.
        black: Black levels of red, green on red rows, green on blue rows, and blue.
        scale: Factors after which white light is equal in all colours, in this order.
        size: Height and width of the padded mosaic.
    """

    def __init__(self, capture: Capture) -> None:
        red, green, blue = unit_gains(capture.wb)
        self.aligned = align(capture.mosaic, capture.pattern)
        self.black = capture.black
        self.scale = [
            gain / (capture.white - black)
            for gain, black in zip((red, green, green, blue), capture.black, strict=True)
        ]
        self.size = (self.aligned.mosaic.shape[0], self.aligned.mosaic.shape[1])

    def planes(self, rows: tuple[int, int], columns: tuple[int, int]) -> list[Plane]:
        """Return the signals of the cells [start, stop): red, both greens, blue.

        Cells outside the mosaic repeat those of its edge.
        """
        mosaic = self.aligned.mosaic
        height, width = mosaic.shape[0] // 2, mosaic.shape[1] // 2
        down, above_below = _inside(*rows, height)
        across, left_right = _inside(*columns, width)
        planes = []
        for index, (black, scale) in enumerate(zip(self.black, self.scale, strict=True)):
            row, column = divmod(index, 2)
            part = mosaic[row::2, column::2][down, across].astype(np.float32)
            part -= np.float32(black)
            part *= np.float32(scale)
            planes.append(np.pad(part, (above_below, left_right), mode="edge"))
        return planes


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
