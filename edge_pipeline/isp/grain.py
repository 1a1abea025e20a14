"""Keeping a share of the sensor's noise, so that a picture does not look like plastic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_GRAIN", "keep_grain"]

# Chosen by looking at pictures, see `docs/picture-quality.md`.
DEFAULT_GRAIN = 0.0


def keep_grain(
    rgb: NDArray[np.float32], packed: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Add back a share of what the network took for noise.

    What the sensor saw, less what the network says it should have seen, is noise (and whatever
    detail was mistaken for it). It is known for one colour a pixel; the others' is interpolated
    from the nearest pixels of their colour, as in bilinear demosaicing.

    Args:
        rgb: [3, 2h, 2w], developed linear camera RGB.
        packed: [4, h, w], the normalised capture that it was developed from.
        share: 0 keeps none of the noise; 1 gives every pixel the value that the sensor saw.

    Returns:
        [3, 2h, 2w].
    """
    if share == 0:
        return rgb
    # One frame of zeros around, which reflection then fills: it keeps the mosaic's phase.
    noise = np.zeros((3, rgb.shape[1] + 2, rgb.shape[2] + 2), np.float32)
    inner = noise[:, 1:-1, 1:-1]
    for plane, (colour, row, column) in enumerate(((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))):
        seen = rgb[colour, row::2, column::2]
        inner[colour, row::2, column::2] = share * (packed[plane] - seen)
    noise[:, 0], noise[:, -1] = noise[:, 2], noise[:, -3]
    noise[:, :, 0], noise[:, :, -1] = noise[:, :, 2], noise[:, :, -3]
    up, down, left, right = noise[:, :-2], noise[:, 2:], noise[..., :-2], noise[..., 2:]
    result = rgb + inner
    # Green lies on a quincunx: where it is missing, all four neighbours have it.
    result[1] += (up[1, :, 1:-1] + down[1, :, 1:-1] + left[1, 1:-1] + right[1, 1:-1]) / 4
    # Red and blue lie on every second row and column: by rows, then by columns.
    for colour in (0, 2):
        across = noise[colour, :, 1:-1] + (left[colour] + right[colour]) / 2
        between = across[1:-1] + (across[:-2] + across[2:]) / 2
        result[colour] += between - inner[colour]
    return result
