"""Exact tiling: windows of a picture whose cores, put together, are the whole picture's run.

A network that pools on a grid of `stride` gives the same values on a window as on the whole
picture where three things hold: the window begins on the grid, its end is on the grid, and the
pixel is at least `halo` away from an edge that the picture does not have there. Windows are laid
so that each kept pixel (the core) has all three. All lengths are in packed pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["Span", "Tile", "fixed_spans", "flexible_spans", "grow", "tiles"]


@dataclass(frozen=True)
class Span:
    """One axis of a tile: what the network sees, and which part of it is kept.

    Attributes:
        start: first pixel of the window.
        stop: one past its last pixel.
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


def flexible_spans(size: int, *, stride: int, halo: int, largest: int) -> list[Span]:
    """Spans for a network that takes any multiple of `stride`; they are as even as the grid lets.

    Args:
        size: length of the axis, a multiple of `stride`.
        stride: the network's grid.
        halo: how far a pixel sees, a multiple of `stride`.
        largest: the longest window wanted; longer ones are laid only where `halo` leaves no room.

    Raises:
        InputError: a length is off the grid.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    if size <= largest:
        return [Span(0, size, 0, size)]
    room = max(stride, (largest - 2 * halo) // stride * stride)
    count = -(-size // room)
    cells = size // stride
    cuts = [cells * i // count * stride for i in range(count + 1)]
    return [Span(max(0, a - halo), min(size, b + halo), a, b) for a, b in pairwise(cuts)]


def fixed_spans(size: int, *, stride: int, halo: int, window: int) -> list[Span]:
    """Spans for a network compiled for one length only; the last window ends with the picture.

    Args:
        size: length of the axis, a multiple of `stride` and at least `window`.
        stride: the network's grid.
        halo: how far a pixel sees, a multiple of `stride`.
        window: the one length that the network takes, a multiple of `stride`.

    Raises:
        InputError: a length is off the grid, or the window has no core between its halos.
    """
    _on_grid("the picture's length", size, stride)
    _on_grid("the halo", halo, stride)
    _on_grid("the compiled input's length", window, stride)
    if size == window:
        return [Span(0, size, 0, size)]
    step = window - 2 * halo
    if step <= 0:
        raise InputError(
            f"the artifact takes {window} packed pixels and needs {halo} on each side of a tile, "
            f"which leaves none of it; compile with an --input of over {2 * halo} packed pixels"
        )
    starts = [*range(0, size - window, step), size - window]
    cuts = [0, *(start + halo for start in starts[1:]), size]
    return [
        Span(start, start + window, a, b)
        for start, a, b in zip(starts, cuts[:-1], cuts[1:], strict=True)
    ]


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
