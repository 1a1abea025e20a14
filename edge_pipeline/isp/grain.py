"""Keep a share of the sensor's noise, so that a picture does not look unnaturally smooth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_GRAIN", "keep_grain"]

# Chosen by comparing pictures, see `docs/picture-quality.md`.
DEFAULT_GRAIN = 0.0


def keep_grain(
    rgb: NDArray[np.float32], packed: NDArray[np.float32], share: float
) -> NDArray[np.float32]:
    """Add back a share of the noise that the network removed.

    The noise is the sensor's value minus the network's value at each pixel, and includes any detail
    that the network removed. It is known for one colour per pixel; for the other two it is
    interpolated from the nearest pixels of that colour, as in bilinear demosaicing.

    Args:
        rgb: [3, 2h, 2w], developed linear camera RGB.
        packed: [4, h, w], the normalised capture from which `rgb` was developed.
        share: Share of the noise to keep, 0..1; 1 restores the sensor's value at every pixel.

    Returns:
        [3, 2h, 2w].
    """
    if share == 0:
        return rgb
    # A border of one pixel, filled by reflection below, which keeps the colours of the mosaic.
    noise = np.zeros((3, rgb.shape[1] + 2, rgb.shape[2] + 2), np.float32)
    inner = noise[:, 1:-1, 1:-1]
    for plane, (colour, row, column) in enumerate(((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))):
        seen = rgb[colour, row::2, column::2]
        inner[colour, row::2, column::2] = share * (packed[plane] - seen)
    noise[:, 0], noise[:, -1] = noise[:, 2], noise[:, -3]
    noise[:, :, 0], noise[:, :, -1] = noise[:, :, 2], noise[:, :, -3]
    up, down, left, right = noise[:, :-2], noise[:, 2:], noise[..., :-2], noise[..., 2:]
    result = rgb + inner
    # Green is measured at every second pixel; a pixel without green has four neighbours with it.
    result[1] += (up[1, :, 1:-1] + down[1, :, 1:-1] + left[1, 1:-1] + right[1, 1:-1]) / 4
    # Red and blue are measured in every second row and column: interpolate rows, then columns.
    for colour in (0, 2):
        across = noise[colour, :, 1:-1] + (left[colour] + right[colour]) / 2
        between = across[1:-1] + (across[:-2] + across[2:]) / 2
        result[colour] += between - inner[colour]
    return result
