"""Exact tiling: the assembled cores of the windows equal the network's output for the picture.

A network that pools on a grid of `stride` computes the same value for a pixel of a window as in the
whole picture under three conditions: the window begins on the grid, it ends on the grid, and the
pixel is at least `halo` away from the window's edges. Windows are placed so that each kept pixel
(the core) meets all three. If a window reaches beyond the picture, the picture is reflected, so the
network's own padding has no effect. Lengths are in packed pixels, except in `cut` and `grow`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.cfa import Mosaic
from edge_pipeline.raw.signal import Signal

__all__ = [
    "Core",
    "Span",
    "Tile",
    "cut",
    "fixed_spans",
    "flexible_spans",
    "grow",
    "inner",
    "single_span",
    "tiles",
]


@dataclass(frozen=True)
class Span:
    """One axis of a tile: the window that the network sees, and the core that is kept.

    Attributes:
        start: First pixel of the window; below 0 if the window begins before the picture.
        stop: One past the last pixel of the window; it can lie beyond the picture.
        core_start: First pixel that is kept.
        core_stop: One past the last pixel that is kept.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int

    def keeps(self, margin: int) -> bool:
        """Return whether the core is at least `margin` away from both ends of the window."""
        return self.start + margin <= self.core_start and self.core_stop <= self.stop - margin


@dataclass(frozen=True)
class Tile:
    """A window of the picture, and the core of it that is kept."""

    rows: Span
    cols: Span


class Core(NamedTuple):
    """The part of a tile's output that is kept.

    Attributes:
        top: Row of the mosaic at which it begins.
        left: Column of the mosaic at which it begins.
        rgb: Float32 [3, h, w], output of the network.
        done: Number of finished tiles, including this one.
        total: Number of tiles of the mosaic.
    """

    top: int
    left: int
    rgb: NDArray[np.float32]
    done: int
    total: int


def _on_grid(quantity: str, value: int, stride: int) -> None:
    if value % stride:
        raise InputError(f"{quantity} is {value}; it must be a multiple of the stride {stride}")


def flexible_spans(
    size: int, *, stride: int, halo: int, largest: int, least: int = 0
) -> list[Span]:
    """Return spans for a network that accepts any multiple of `stride`, as equal as possible.

    Args:
        size: Length of the axis, a multiple of `stride`.
        stride: Step of the network's grid.
        halo: Distance from which input affects an output pixel, a multiple of `stride`.
        largest: Longest window; windows are longer only if the halos leave no room for a core.
        least: Shortest window that the network accepts, a multiple of `stride`.

    Raises:
        InputError: If a length is not a multiple of `stride`.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    room = max(stride, (largest - 2 * halo) // stride * stride)
    count = -(-size // room)
    cells = size // stride
    cuts = [cells * i // count * stride for i in range(count + 1)]
    return [Span(a - halo, max(b + halo, a - halo + least), a, b) for a, b in pairwise(cuts)]


def fixed_spans(size: int, *, stride: int, halo: int, window: int) -> list[Span]:
    """Return spans for a network compiled for a single length.

    Args:
        size: Length of the axis, a multiple of `stride`.
        stride: Step of the network's grid.
        halo: Distance from which input affects an output pixel, a multiple of `stride`.
        window: Length for which the network was compiled, a multiple of `stride`.

    Raises:
        InputError: If a length is not a multiple of `stride`, or the picture is longer than the
            window and the halos leave no room for a core.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    _on_grid("the compiled input's length", window, stride)
    step = window - 2 * halo
    if step <= 0 and size <= window:
        return [single_span(size, stride=stride, margin=halo, window=window)]
    if step <= 0:
        raise InputError(
            f"the artifact accepts {window} packed pixels and requires a halo of {halo} on each "
            f"side of a tile, which leaves no core; compile with --input over {2 * halo} packed "
            "pixels"
        )
    return [Span(a - halo, a - halo + window, a, min(a + step, size)) for a in range(0, size, step)]


def single_span(size: int, *, stride: int, margin: int, window: int) -> Span:
    """Return one window for the whole axis, with as much margin as fits on both sides.

    Args:
        size: Length of the axis, at most `window`.
        stride: Step of the network's grid.
        margin: Largest margin on each side, in packed pixels.
        window: Length of the window.
    """
    before = min(margin, (window - size) // 2 // stride * stride)
    return Span(-before, window - before, 0, size)


def tiles(
    rows: list[Span], cols: list[Span], *, by_columns: bool = False, backwards: bool = False
) -> Iterator[Tile]:
    """Yield every tile of a picture, row by row.

    Args:
        rows: Rows of the tiles.
        cols: Columns of the tiles.
        by_columns: Whether tiles follow each other column by column instead.
        backwards: Whether the last row (or column) of tiles comes first.
    """
    lines, others = (cols, rows) if by_columns else (rows, cols)
    for line in reversed(lines) if backwards else lines:
        for other in others:
            yield Tile(other, line) if by_columns else Tile(line, other)


def grow(mosaic: Mosaic, height: int, width: int) -> Mosaic:
    """Extend a mosaic by reflection, below and on the right, to at least `height` x `width`.

    The edge pixel is not repeated, so the CFA's order continues, as in `raw.cfa.align`.

    Args:
        mosaic: [H, W], H and W even.
        height: Smallest height, even, in mosaic pixels.
        width: Smallest width, even, in mosaic pixels.

    Returns:
        The extended mosaic; `mosaic` itself if it is large enough.
    """
    rows = max(0, height - mosaic.shape[0])
    cols = max(0, width - mosaic.shape[1])
    if not rows and not cols:
        return mosaic
    if isinstance(mosaic, Signal):
        return mosaic.grown(height, width)
    return np.pad(mosaic[:, :], ((0, rows), (0, cols)), mode="reflect")


def inner(maps: NDArray[Any], margin: int) -> NDArray[Any]:
    """Return maps [..., h, w] without `margin` rows and columns at each edge, a view."""
    height, width = maps.shape[-2:]
    return maps[..., margin : height - margin, margin : width - margin]


def _reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the indices of the pixels in [start, stop), reflected at both ends of the axis."""
    period = 2 * (size - 1)
    place = np.arange(start, stop) % period
    return np.where(place < size, place, period - place)


def cut(mosaic: Mosaic, tile: Tile) -> NDArray[Any]:
    """Return a tile's window of a mosaic; pixels outside the mosaic are its reflection.

    The edge pixel is not repeated, so the CFA's order continues, as in `raw.cfa.align`.

    Args:
        mosaic: [H, W], H and W even.
        tile: Tile with its window in packed pixels.

    Returns:
        [2h, 2w]; a view if the window lies inside a mosaic that is an array.
    """
    (top, bottom), (left, right) = ((2 * s.start, 2 * s.stop) for s in (tile.rows, tile.cols))
    height, width = mosaic.shape
    if top >= 0 and bottom <= height and left >= 0 and right <= width:
        return mosaic[top:bottom, left:right]
    return mosaic[np.ix_(_reflected(top, bottom, height), _reflected(left, right, width))]
