"""Tiles of a picture: windows that overlap, and the part of each that is kept.

A network that pools on a grid of `stride` computes the same value for a pixel of a tile as in the
whole picture if the tile begins and ends on the grid, and if the pixel is at least the network's
halo away from those edges of the tile that are not edges of the picture. The windows and kept parts
of `spans` meet both conditions if the margin is at least the halo. Lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["Span", "Tile", "reflected", "spans", "tiles"]


class Span(NamedTuple):
    """One axis of a tile.

    Attributes:
        start: First pixel that the network sees; below 0 if it lies before the picture.
        stop: One past the last of these; it may lie beyond the picture.
        first: First pixel that is kept.
        last: One past the last pixel that is kept.
    """

    start: int
    stop: int
    first: int
    last: int


class Tile(NamedTuple):
    """A window of a picture, and the part of it that is kept."""

    rows: Span
    columns: Span


def spans(size: int, window: int, *, margin: int, stride: int = 1) -> list[Span]:
    """Return the spans of tiles along one axis; the kept parts cover each pixel once.

    A picture that is shorter than the window is in its middle. A longer one is extended at its end
    to a multiple of the stride. Its windows are distributed evenly.

    Args:
        size: Length of the picture.
        window: Length of the network's input, a multiple of `stride`.
        margin: Distance of a kept pixel from an edge of the window inside the picture, at least.
        stride: Number that divides the position of each window.

    Raises:
        InputError: If the picture is longer than the window and the margins leave no room.
    """
    if size <= window:
        before = (window - size) // 2 // stride * stride
        return [Span(-before, window - before, 0, size)]
    step = (window - 2 * margin) // stride
    if step < 1:
        raise InputError(
            f"an overlap of {margin} pixels leaves no room in tiles of {window} pixels; give at "
            f"most {(window - stride) // 2}"
        )
    cells = -(-(size - window) // stride)  # position of the last window
    count = -(-cells // step)
    starts = [cells * number // count * stride for number in range(count + 1)]
    cuts = [(start + window + after) // 2 for start, after in pairwise(starts)]
    return [
        Span(start, start + window, first, last)
        for start, (first, last) in zip(starts, pairwise([0, *cuts, size]), strict=True)
    ]


def tiles(rows: list[Span], columns: list[Span]) -> Iterator[Tile]:
    """Yield the tiles of a picture, row by row."""
    yield from (Tile(*both) for both in product(rows, columns))


def reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the positions of the pixels from `start` to `stop`, reflected at both ends of an axis.

    The pixel at the edge is not repeated. An axis of one pixel repeats it.

    Args:
        start: First position; it may be negative.
        stop: One past the last position; it may exceed `size`.
        size: Length of the axis.
    """
    period = max(1, 2 * (size - 1))
    place = np.arange(start, stop) % period
    return np.where(place < size, place, period - place)
