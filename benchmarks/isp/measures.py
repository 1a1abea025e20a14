"""Quality metrics of one picture: PSNR, SSIM, zipper artefacts, and the phase grid."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.isp.captures import Rgb
from edge_pipeline.data.validation import psnr_db

__all__ = [
    "BORDER",
    "CODES",
    "Quality",
    "border_psnr",
    "phase_spread",
    "quality",
    "zipper_per_megapixel",
]

CODES = 255.0
BORDER = 8  # pixels along each side that count as the border
_RUN_PIXELS = 8
_THRESHOLD_CODES = 2.0


class Quality(NamedTuple):
    """PSNR and SSIM of a picture against its reference, or means over several pictures."""

    psnr_db: float
    ssim: float


def quality(picture: Rgb, expected: Rgb) -> Quality:
    """Compute PSNR, and SSIM with the Gaussian window of its paper, over colour channels.

    Args:
        picture: Picture [3, H, W], encoded sRGB, 0..1.
        expected: Reference picture in the same form.
    """
    similarity = structural_similarity(
        picture,
        expected,
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    return Quality(psnr_db(picture, expected), float(similarity))


def border_psnr(picture: Rgb, expected: Rgb) -> tuple[float, float]:
    """Return the PSNR of the outer 8 pixels and the PSNR of the inner pixels, in dB."""
    inside = np.zeros(picture.shape[-2:], bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    outer, inner = (psnr_db(picture[:, part], expected[:, part]) for part in (~inside, inside))
    return outer, inner


def _runs(values: NDArray[np.floating[Any]]) -> int:
    """Count the windows of eight neighbours along the last axis whose differences alternate."""
    steps = np.diff(values, axis=-1)
    signs = np.sign(steps) * (np.abs(steps) > _THRESHOLD_CODES)
    turns = signs[..., 1:] * signs[..., :-1] < 0
    windows = np.lib.stride_tricks.sliding_window_view(turns, _RUN_PIXELS - 2, axis=-1)
    return int(windows.all(axis=-1).sum())


def zipper_per_megapixel(picture: Rgb) -> tuple[float, float, float]:
    """Count zipper artefacts of the red, green and blue channels, without the border.

    A window of eight neighbouring pixels of a row or of a column counts if its seven differences
    alternate in sign and each exceeds 2 codes of 255. Windows overlap, so a longer run counts
    more. Edges in a photograph do not alternate like this; artefacts of the two-pixel mosaic do.

    Args:
        picture: Picture [3, H, W], encoded sRGB, 0..1, not rounded to codes.

    Returns:
        Windows per million pixels, by channel.
    """
    inner = picture[:, BORDER:-BORDER, BORDER:-BORDER] * CODES
    pixels = inner.shape[1] * inner.shape[2]
    red, green, blue = ((_runs(x) + _runs(x.T)) / pixels * 1e6 for x in inner)
    return red, green, blue


def phase_spread(picture: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Compute the spread of the means of the four phases of the 2 x 2 grid, in codes of 255.

    Args:
        picture: Picture [3, H, W] of a flat surface, encoded sRGB, 0..1; H and W are even.

    Returns:
        The largest mean minus the smallest mean, by channel, float64 [3].
    """
    means = [
        picture[:, r::2, c::2].mean(axis=(1, 2), dtype=np.float64) for r, c in np.ndindex(2, 2)
    ]
    return np.asarray(np.ptp(means, axis=0) * CODES)
