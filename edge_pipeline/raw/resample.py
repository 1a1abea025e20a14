"""Sample planes between pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sample"]

Plane = NDArray[np.float32]


def sample(plane: Plane, rows: Plane, columns: Plane) -> Plane:
    """Interpolate a plane at positions between its pixels, by cubic convolution.

    Args:
        plane: [h, w].
        rows: row of each position, any shape; positions outside the plane are moved to its edge.
        columns: column of each position, same shape.

    Returns:
        Values, the shape of `rows`; exact at pixels.

    Source: R. Keys, Cubic convolution interpolation for digital image processing, IEEE TASSP
        29(6), 1981, with a = -1/2.
    """
    height, width = plane.shape
    top, vertical = _taps(rows, height)
    left, horizontal = _taps(columns, width)
    flat = plane.ravel()
    total = np.zeros(rows.shape, np.float32)
    across = [np.clip(left + j, 0, width - 1) for j in range(-1, 3)]
    for i, down in enumerate(vertical):
        start = np.clip(top + i - 1, 0, height - 1) * width
        line = np.zeros(rows.shape, np.float32)
        for column, weight in zip(across, horizontal, strict=True):
            line += weight * flat[start + column]
        total += down * line
    return total


def _taps(positions: Plane, size: int) -> tuple[NDArray[np.intp], list[Plane]]:
    """Return the pixel before each position, and the weights of four pixels from the previous one."""
    inside = np.clip(positions, 0, size - 1)
    before = np.floor(inside)
    t = (inside - before).astype(np.float32)
    weights = [
        ((-0.5 * t + 1) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1,
        ((-1.5 * t + 2) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    return before.astype(np.intp), weights
