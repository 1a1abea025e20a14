"""Sample planes between pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sample"]

Plane = NDArray[np.float32]
Indices = NDArray[np.intp]


def sample(plane: Plane, rows: Indices, columns: Indices, down: Plane, right: Plane) -> Plane:
    """Interpolate a plane at displaced pixels, by cubic convolution.

    Args:
        plane: [h, w]; outside, the pixels of its edge are repeated.
        rows: row of each pixel; broadcasts with the other arguments.
        columns: column of each pixel.
        down: displacement down of each pixel; it is separate so that the result does not depend on
            where a part of a larger plane begins.
        right: displacement to the right of each pixel.

    Returns:
        Values at (rows + down, columns + right); exact at pixels.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP
        29(6), 1981, with a = -1/2.
    """
    height, width = plane.shape
    above, vertical = _taps(down)
    before, horizontal = _taps(right)
    flat = plane.ravel()
    total = np.zeros(np.broadcast_shapes(rows.shape, columns.shape, down.shape), np.float32)
    across = [np.clip(columns + before + j, 0, width - 1) for j in range(-1, 3)]
    for i, weight_down in zip(range(-1, 3), vertical, strict=True):
        start = np.clip(rows + above + i, 0, height - 1) * width
        line = np.zeros(total.shape, np.float32)
        for column, weight in zip(across, horizontal, strict=True):
            line += weight * flat[start + column]
        total += weight_down * line
    return total


def _taps(displacement: Plane) -> tuple[Indices, list[Plane]]:
    """Return whole pixels, and the weights of four pixels from the previous one."""
    whole = np.floor(displacement)
    t = displacement - whole
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    return whole.astype(np.intp), weights
