"""Parts of a capture: the one view that a filter predictor gets of it, and windows to calibrate on.

The cost of a predictor grows with the area that it sees. The view of a large capture is made of
sixteen windows side by side, so it costs the same for a capture of any size. A predictor that takes
means and maxima over all that it sees takes them over all windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import pack

__all__ = ["PER_AXIS", "VIEW", "spread_starts", "view", "windows"]

# The largest side of a view, in packed pixels, and the number of windows along an axis.
VIEW = 512
PER_AXIS = 4


def view(mosaic: NDArray[np.float32], size: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """The view of a capture: all of it, or 4 x 4 evenly spread windows side by side.

    Args:
        mosaic: [H, W], aligned to RGGB, at least twice `size`.
        size: packed height and width of the view; the mosaic's own, and `VIEW` at most, if None.

    Returns:
        The packed view, [1, 4, *size], contiguous and with no stride of 0.
    """
    sides = [side // 2 for side in mosaic.shape]
    seen = size or [min(VIEW, side) for side in sides]
    rows, columns = map(_spread, sides, seen)
    # Stacked: an axis that is indexed in has stride 0, which ExecuTorch refuses.
    return np.stack([pack(mosaic[np.ix_(rows, columns)])])


def _spread(size: int, seen: int) -> NDArray[np.intp]:
    """The indices into a mosaic of `seen` of an axis's `size` packed pixels, in spread bands."""
    bands = np.array_split(np.arange(seen), PER_AXIS)
    gaps = [(size - seen) * i // (PER_AXIS - 1) for i in range(PER_AXIS)]
    packed = np.concatenate([band + gap for band, gap in zip(bands, gaps, strict=True)])
    return (2 * packed[:, None] + np.arange(2)).ravel()


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
