"""Exact tiling: windows of a picture whose cores, put together, are the whole picture's run.

A network that pools on a grid of `stride` gives the same values on a window as on the whole
picture if three things hold: the window begins on the grid, its end is on the grid, and the pixel
is at least `halo` away from the window's edges. Windows are laid so that each kept pixel (the core)
has all three. Where a window reaches beyond the picture, the picture is reflected, so the network's
own border treatment never shows. Lengths are in packed pixels, except those of `cut` and `grow`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = [
    "Span",
    "Tile",
    "cut",
    "fixed_spans",
    "flexible_spans",
    "grow",
    "single_span",
    "tiles",
]


@dataclass(frozen=True)
class Span:
    """One axis of a tile: what the network sees, and which part of it is kept.

    Attributes:
        start: first pixel of the window; below 0 if it begins before the picture.
        stop: one past its last pixel; it may lie beyond the picture.
        core_start: first pixel that is kept.
        core_stop: one past the last that is kept.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Tile:
    """A window of the picture and the core that is kept of it."""

    rows: Span
    cols: Span


def _on_grid(what: str, value: int, stride: int) -> None:
    if value % stride:
        raise InputError(f"{what} is {value}; it must be a multiple of the stride {stride}")


def flexible_spans(
    size: int, *, stride: int, halo: int, largest: int, least: int = 0
) -> list[Span]:
    """Spans for a network that takes any multiple of `stride`; they are as even as the grid lets.

    Args:
        size: length of the axis, a multiple of `stride`.
        stride: the network's grid.
        halo: how far a pixel sees, a multiple of `stride`.
        largest: the longest window wanted; longer ones are laid only where `halo` leaves no room.
        least: the shortest window that the network takes, a multiple of `stride`.

    Raises:
        InputError: a length is off the grid.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    room = max(stride, (largest - 2 * halo) // stride * stride)
    count = -(-size // room)
    cells = size // stride
    cuts = [cells * i // count * stride for i in range(count + 1)]
    return [Span(a - halo, max(b + halo, a - halo + least), a, b) for a, b in pairwise(cuts)]


def fixed_spans(size: int, *, stride: int, halo: int, window: int) -> list[Span]:
    """Spans for a network compiled for one length only.

    Args:
        size: length of the axis, a multiple of `stride`.
        stride: the network's grid.
        halo: how far a pixel sees, a multiple of `stride`.
        window: the one length that the network takes, a multiple of `stride`.

    Raises:
        InputError: a length is off the grid, or the picture is longer than a window that has no
            core between its halos.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    _on_grid("the compiled input's length", window, stride)
    step = window - 2 * halo
    if step <= 0 and size <= window:
        return [single_span(size, stride=stride, margin=halo, window=window)]
    if step <= 0:
        raise InputError(
            f"the artifact takes {window} packed pixels and needs {halo} on each side of a tile, "
            f"which leaves none of it; compile with an --input of over {2 * halo} packed pixels"
        )
    return [Span(a - halo, a - halo + window, a, min(a + step, size)) for a in range(0, size, step)]


def single_span(size: int, *, stride: int, margin: int, window: int) -> Span:
    """One window for the whole axis, with as much margin as fits on both sides.

    Args:
        size: length of the axis, at most `window`.
        stride: the network's grid.
        margin: packed pixels wanted on each side.
        window: length of the window.
    """
    before = min(margin, (window - size) // 2 // stride * stride)
    return Span(-before, window - before, 0, size)


def tiles(rows: list[Span], cols: list[Span]) -> Iterator[Tile]:
    """Every tile of a picture, row by row."""
    for row in rows:
        for col in cols:
            yield Tile(row, col)


def grow(mosaic: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """A mosaic of at least `height` x `width`, filled below and to the right by reflection.

    The edge pixel is not repeated, so the CFA's order goes on, as in `raw.cfa.align`.

    Args:
        mosaic: [H, W], H and W even.
        height: even, in mosaic pixels.
        width: even, in mosaic pixels.

    Returns:
        `mosaic` itself where it is large enough.
    """
    rows = max(0, height - mosaic.shape[0])
    cols = max(0, width - mosaic.shape[1])
    if not rows and not cols:
        return mosaic
    return np.pad(mosaic, ((0, rows), (0, cols)), mode="reflect")


def _reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """The pixels of an axis that [start, stop) shows, reflected to and fro at its ends."""
    period = 2 * (size - 1)
    place = np.arange(start, stop) % period
    return np.where(place < size, place, period - place)


def cut(mosaic: NDArray[Any], tile: Tile) -> NDArray[Any]:
    """A tile's window of a mosaic; what lies outside the mosaic is its reflection.

    The edge pixel is not repeated, so the CFA's order goes on, as in `raw.cfa.align`.

    Args:
        mosaic: [H, W], H and W even.
        tile: a window in packed pixels.

    Returns:
        [2h, 2w]; a view where the window lies inside.
    """
    (top, bottom), (left, right) = ((2 * s.start, 2 * s.stop) for s in (tile.rows, tile.cols))
    height, width = mosaic.shape
    if top >= 0 and bottom <= height and left >= 0 and right <= width:
        return mosaic[top:bottom, left:right]
    return mosaic[np.ix_(_reflected(top, bottom, height), _reflected(left, right, width))]
