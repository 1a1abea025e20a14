"""Sample planes between pixels, at displacements that vary slowly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRIP_ROWS", "Phases", "keys_weights", "sample"]

Plane = NDArray[np.float32]
Phases = tuple[tuple[Plane, ...], ...]

STRIP_ROWS = 8


def keys_weights(t: Plane) -> list[Plane]:
    """Return the weights of four pixels at -1, 0, 1 and 2 for a position t between 0 and 1.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP
        29(6), 1981, with a = -1/2.
    """
    half = np.float32(0.5) * t
    square = half * t
    cube = square * t  # half of it, as of the others
    return [
        2 * square - half - cube,
        3 * cube - 5 * square + 1,
        half + 4 * square - 3 * cube,
        cube - square,
    ]


def sample(phases: Phases, first: int, down: Plane, right: Plane, margin: int) -> Plane:
    """Interpolate a plane at displaced pixels, by cubic convolution.

    The whole parts of the displacements are those of the middle row of `STRIP_ROWS` rows. In the
    others, a position may lie beyond the four pixels of `keys_weights` by as much as the
    displacement changes in four rows; the interpolation is smooth there, so the error is of second
    order.

    Args:
        phases: [P][P] planes, each [h + 2 * margin, w + 2 * margin], which together are a plane of
            P times as many rows and columns: `phases[i][j]` has its rows i + P r, columns j + P c.
        first: Row and column of the phase whose pixels are the positions.
        down: Displacement down at each position [h, w], in pixels of the whole plane.
        right: Displacement to the right.
        margin: Rows and columns of each phase outside the positions; displacements of more
            than P * margin - 3 pixels are shortened to it.

    Returns:
        Values [h, w] at the positions plus displacements; exact at pixels.
    """
    limit = np.float32(len(phases) * margin - 3)
    down, right = (np.clip(d, -limit, limit) for d in (down, right))
    height, width = down.shape
    total = np.empty((height, width), np.float32)
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        middle = (top + bottom) // 2
        steps = np.floor([down[middle], right[middle]])
        changes = np.flatnonzero(np.diff(steps, axis=1).any(axis=0)) + 1
        for left, end in pairwise((0, *changes.tolist(), width)):
            piece = (slice(top, bottom), slice(left, end))
            whole = steps[:, left]
            vertical, horizontal = (
                keys_weights(d[piece] - np.float32(step))
                for d, step in zip((down, right), whole, strict=True)
            )
            corner = [first + int(step) for step in whole]
            total[piece] = _piece(phases, corner, piece, vertical, horizontal, margin)
    return total


def _piece(
    phases: Phases,
    corner: list[int],
    piece: tuple[slice, slice],
    vertical: list[Plane],
    horizontal: list[Plane],
    margin: int,
) -> Plane:
    """Return the sum of 4 x 4 pixels, of which the second of each axis is displaced by `corner`."""
    count = len(phases)
    shape = vertical[0].shape
    total = np.zeros(shape, np.float32)
    line, product = np.empty_like(total), np.empty_like(total)
    for j, across in zip(range(-1, 3), horizontal, strict=True):
        shift, phase = divmod(corner[1] + j, count)
        columns = slice(piece[1].start + margin + shift, piece[1].stop + margin + shift)
        for i, weight in zip(range(-1, 3), vertical, strict=True):
            shift, other = divmod(corner[0] + i, count)
            rows = slice(piece[0].start + margin + shift, piece[0].stop + margin + shift)
            np.multiply(
                weight, phases[other][phase][rows, columns], out=product if i >= 0 else line
            )
            if i >= 0:
                line += product
        total += np.multiply(across, line, out=line)
    return total
