"""The blocks of a mosaic with the strongest edges, of which displacements are measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.scaled import Scaled, greens_around
from edge_pipeline.raw.stored import release

__all__ = ["BLOCK", "EdgeBlocks", "centre", "edge_blocks", "smooth", "unsaturated"]

Plane = NDArray[np.float32]

BLOCK = 32  # rows and columns of a block, in pixels of a colour plane
_MARGIN = 10  # rows and columns of a plane around a block that are read too
_LARGEST_ROWS = 24  # rows of blocks that are searched
_LARGEST_COLUMNS = 16  # blocks of a row that are used
_SATURATED = 0.95
_SPREAD = 4  # plane pixels that the smoothed second derivative reads on each side


@dataclass(frozen=True, eq=False)
class EdgeBlocks:
    """Blocks of the colour planes with a margin of 10, as signals.

    Attributes:
        corners: Int [N, 2], rows and columns of the blocks without margin in a plane.
        colours: Red and blue, each [N, 52, 52].
        greens: Green at the pixels of red and of blue, from its four neighbours, likewise.
    """

    corners: NDArray[np.intp]
    colours: tuple[Plane, Plane]
    greens: tuple[Plane, Plane]

    def centres(self, offset: int) -> NDArray[np.float64]:
        """Return the centres [N, 2] in mosaic pixels of a plane that begins at this offset."""
        return np.asarray(offset + 2 * (self.corners + (BLOCK - 1) / 2), np.float64)


def edge_blocks(scaled: Scaled) -> EdgeBlocks:
    """Return the blocks with the strongest edges of green, in up to 24 rows of a regular grid."""
    height, width = (n // 2 for n in scaled.size)
    border = _MARGIN + 1
    starts = np.arange(border, height - border - BLOCK + 1, BLOCK)
    lefts = np.arange(border, width - border - BLOCK + 1, BLOCK)
    corners = []
    if len(starts) and len(lefts):
        searched = np.linspace(0, len(starts) - 1, min(len(starts), _LARGEST_ROWS)).round()
        for top in starts[searched.astype(np.intp)].tolist():
            edges = _edges(scaled, top, border, len(lefts))
            strongest = np.sort(np.argsort(-edges, kind="stable")[:_LARGEST_COLUMNS])
            corners += [(top, left) for left in lefts[strongest].tolist()]
            release(scaled.mosaic)
    side = BLOCK + 2 * border
    planes = [np.empty((len(corners), side, side), np.float32) for _ in range(4)]
    for n, (top, left) in enumerate(corners):
        spans = ((start - border, start + BLOCK + border) for start in (top, left))
        for stack, plane in zip(planes, scaled.planes(*spans), strict=True):
            stack[n] = plane
    red, blue = (plane[:, 1:-1, 1:-1] for plane in (planes[0], planes[3]))
    greens = []
    for index in (0, 3):
        up, down, left, right = greens_around(planes, index)
        greens.append((up + down + left + right) * np.float32(0.25))
    return EdgeBlocks(
        np.array(corners, np.intp).reshape(-1, 2), (red, blue), (greens[0], greens[1])
    )


def _edges(scaled: Scaled, top: int, left: int, count: int) -> Plane:
    """Return the sums of the squared differences of green in a row of blocks, [count]."""
    green = scaled.planes((top, top + BLOCK), (left, left + count * BLOCK))[1]
    np.minimum(green, _SATURATED, out=green)
    blocks = green.reshape(BLOCK, count, BLOCK)
    down = np.square(np.diff(blocks, axis=0)).sum(axis=(0, 2))
    return np.asarray(down + np.square(np.diff(blocks, axis=2)).sum(axis=(0, 2)))


def centre(stack: Plane, side: int) -> Plane:
    """Return the middle of blocks, [N, side, side]."""
    margin = (stack.shape[1] - side) // 2
    return stack[:, margin : margin + side, margin : margin + side]


def smooth(stack: Plane) -> Plane:
    """Smooth blocks with a binomial filter of five taps; two pixels are lost on each side."""
    n = stack.shape[1] - 4
    for axis in (1, 2):
        a, b, c, d, e = (
            stack[:, i : i + n] if axis == 1 else stack[:, :, i : i + n] for i in range(5)
        )
        smoothed = b + d
        smoothed *= 4
        smoothed += a
        smoothed += e
        smoothed += np.float32(6) * c
        smoothed *= np.float32(1 / 16)
        stack = smoothed
    return stack


def unsaturated(stack: Plane, side: int) -> Plane:
    """Return 1 for the middle pixels of blocks without a saturated value near, otherwise 0."""
    saturated = centre(stack, side + 2 * _SPREAD) > _SATURATED
    near = np.zeros((len(stack), side, side + 2 * _SPREAD), np.bool_)
    for i in range(2 * _SPREAD + 1):
        near |= saturated[:, i : i + side]
    spread = np.zeros((len(stack), side, side), np.bool_)
    for i in range(2 * _SPREAD + 1):
        spread |= near[:, :, i : i + side]
    return np.asarray(~spread, np.float32)
