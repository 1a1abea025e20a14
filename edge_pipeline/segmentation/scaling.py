"""Scaling of a picture to the size of a program, and of its labels back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_pipeline.segmentation.pictures import Picture

__all__ = ["enlarged", "shrunk"]

# Pixels that are converted at a time.
_BAND_PIXELS = 1 << 20


def shrunk(picture: Picture, size: tuple[int, int], channels: int) -> NDArray[np.float32]:
    """Return a picture scaled by bilinear interpolation with antialiasing.

    A picture that is much larger is first reduced by whole factors, which bounds the memory, as
    Pillow's `reducing_gap` does.

    Args:
        picture: The picture.
        size: Height and width of the result.
        channels: 3 for colour, or 1.

    Returns:
        Array [channels, *size], float32, 0 to 1.
    """
    height, width = picture.size
    factors = tuple(max(1, side // (3 * to)) for side, to in zip(picture.size, size, strict=True))
    down, across = factors
    step = max(1, _BAND_PIXELS // (width * down)) * down
    bands = []
    for top in range(0, height, step):
        part = picture.window((top, min(top + step, height)), (0, width), channels)
        bands.append([np.asarray(Image.fromarray(c).reduce((across, down))) for c in part])
    whole = np.concatenate([np.stack(band) for band in bands], axis=1)
    box = (0.0, 0.0, width / across, height / down)
    scaled = [
        Image.fromarray(channel).resize(size[::-1], Image.Resampling.BILINEAR, box)
        for channel in whole
    ]
    return np.stack([np.asarray(channel) for channel in scaled]).clip(0, 1)


def enlarged(labels: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Scale labels to another size by the nearest pixel.

    Args:
        labels: Labels [h, w].
        out: Array [H, W] to fill.
    """
    rows, columns = (
        ((np.arange(to) + 0.5) * (side / to)).astype(np.intp).clip(0, side - 1)
        for to, side in zip(out.shape, labels.shape, strict=True)
    )
    for number, row in enumerate(rows):
        out[number] = labels[row, columns]
