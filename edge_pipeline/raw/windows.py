"""Parts of a capture: the view that a filter predictor receives, and windows for calibration.

The cost of a predictor grows with the area of its input. The view of a large capture consists of
sixteen windows side by side, so its cost does not grow with the capture. A predictor that computes
means and maxima over its input computes them over all windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import Mosaic, pack

__all__ = ["PER_AXIS", "VIEW", "spread_starts", "view", "windows"]

# Largest side of a view, in packed pixels, and number of windows along an axis.
VIEW = 512
PER_AXIS = 4


def view(mosaic: Mosaic, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """Return the view of a capture: all of it, or 4 x 4 evenly spread windows side by side.

    Args:
        mosaic: [H, W], aligned to RGGB, at least twice `size`.
        size: Packed height and width of the view; if None, those of the mosaic, at most `VIEW`.

    Returns:
        The packed view, [1, 4, *size], contiguous and with no stride of 0.
    """
    sides = [side // 2 for side in mosaic.shape]
    seen = size or [min(VIEW, side) for side in sides]
    rows, columns = map(_spread, sides, seen)
    # np.stack, because an axis that indexing adds has stride 0, which ExecuTorch rejects.
    return np.stack([pack(mosaic[np.ix_(rows, columns)])])


def _spread(size: int, seen: int) -> NDArray[np.intp]:
    """Return mosaic indices of `seen` of the `size` packed pixels of an axis, in spread bands."""
    bands = np.array_split(np.arange(seen), PER_AXIS)
    gaps = [(size - seen) * i // (PER_AXIS - 1) for i in range(PER_AXIS)]
    packed = np.concatenate([band + gap for band, gap in zip(bands, gaps, strict=True)])
    return (2 * packed[:, None] + np.arange(2)).ravel()


def spread_starts(size: int, window: int, *, most: int, stride: int) -> list[int]:
    """Return the starts of up to `most` windows that are spread evenly over an axis.

    Args:
        size: Length of the axis.
        window: Length of a window, at most `size`.
        most: Largest number of windows; there are fewer if the axis is shorter than their sum.
        stride: Step of the grid on which windows begin.
    """
    count = min(most, -(-size // window))
    if count == 1:
        return [(size - window) // 2 // stride * stride]
    return [(size - window) * i // (count - 1) // stride * stride for i in range(count)]


def windows(
    mosaic: NDArray[np.float32], size: tuple[int, int], stride: int
) -> Iterator[NDArray[np.float32]]:
    """Yield up to 4 x 4 evenly spread windows of a mosaic.

    Args:
        mosaic: [H, W], aligned to RGGB, at least twice `size`.
        size: Packed height and width of a window.
        stride: Step of the grid on which windows begin, in packed pixels.

    Yields:
        Packed windows, [1, 4, *size], each contiguous and with no stride of 0.
    """
    high, wide = size
    for top in spread_starts(mosaic.shape[0] // 2, high, most=PER_AXIS, stride=stride):
        for left in spread_starts(mosaic.shape[1] // 2, wide, most=PER_AXIS, stride=stride):
            window = mosaic[2 * top : 2 * (top + high), 2 * left : 2 * (left + wide)]
            # np.stack, because an axis that indexing adds has stride 0, which ExecuTorch rejects.
            yield np.stack([pack(window)])
