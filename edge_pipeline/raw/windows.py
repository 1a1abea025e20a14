"""Windows spread over a capture: what a filter predictor is shown of it.

A predictor takes the maximum over all that it sees, and its cost grows with the area. On windows
of about the size that it was trained at it sees what it saw in training, and at most sixteen of
them cost the same for a capture of any size.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import pack

__all__ = ["PER_AXIS", "WINDOW", "spread_starts", "windows"]

# Side of a window, in packed pixels, and how many there are along an axis at most.
WINDOW = 128
PER_AXIS = 4


def spread_starts(size: int, window: int, *, most: int, stride: int) -> list[int]:
    """Where up to `most` windows begin that are spread evenly over an axis, on the grid.

    Args:
        size: length of the axis.
        window: length of a window, at most `size`.
        most: how many windows at most; fewer where the axis is shorter than their sum.
        stride: the grid.
    """
    count = min(most, -(-size // window))
    if count == 1:
        return [(size - window) // 2 // stride * stride]
    return [(size - window) * i // (count - 1) // stride * stride for i in range(count)]


def windows(
    mosaic: NDArray[np.float32], size: tuple[int, int], stride: int
) -> Iterator[NDArray[np.float32]]:
    """Up to 4 x 4 evenly spread windows of a mosaic.

    Args:
        mosaic: [H, W], aligned to RGGB, at least twice `size`.
        size: packed height and width of a window.
        stride: windows begin on this grid of packed pixels.

    Yields:
        Packed windows, [1, 4, *size], each contiguous and with no stride of 0.
    """
    high, wide = size
    for top in spread_starts(mosaic.shape[0] // 2, high, most=PER_AXIS, stride=stride):
        for left in spread_starts(mosaic.shape[1] // 2, wide, most=PER_AXIS, stride=stride):
            window = mosaic[2 * top : 2 * (top + high), 2 * left : 2 * (left + wide)]
            # Stacked: an axis that is indexed in has stride 0, which ExecuTorch refuses.
            yield np.stack([pack(window)])
