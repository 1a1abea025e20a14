"""Automatic white balance: the natural light under which a capture has the most grey.

The colours of natural light differ along the line of black bodies and daylight, and little across
it. Candidates along the line are compared: how much of the capture, bright parts most, would be
grey, and how usual is the light? A capture of one strong colour has hardly any grey under natural
light; the usual light then decides, so the colour stays.

Source: Finlayson, Hordley and Hubel, 2001, "Color by correlation", for comparing plausible lights
by how well they explain the colours of a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.cfa import align, pack
from edge_pipeline.raw.colour import RGBGains
from edge_pipeline.raw.illuminant import Light
from edge_pipeline.raw.image import Capture

__all__ = ["Estimate", "measure_light"]

# Candidates: mired, that is a million over kelvin, from 10,900 to 2,400 K; tint.
_MIREDS = np.arange(92.0, 417.0, 6.0)
_TINTS = np.arange(-40.0, 41.0, 5.0)
# Mean and standard deviation of usual light.
_USUAL_MIRED, _USUAL_TINT = (200.0, 75.0), (5.0, 20.0)
# Standard deviation, in natural logarithms of the ratios to green, within which a colour is grey.
_GREY = 0.1
# Share of grey that a candidate has in any case; it sets how much the usual light counts.
_FLOOR = 0.08
_HARDLY_ANY = 0.02
_LONGEST_SIDE = 150  # blocks
_SATURATED, _DARK = 0.95, 0.004  # shares of the range
_REFINEMENTS = 1

Ratios = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A measured white balance.

    Attributes:
        gains: Multipliers (r, g, b) with g = 1.
        grey: Share of the capture, weighted by brightness, that they make grey.
    """

    gains: RGBGains
    grey: float

    @property
    def is_weak(self) -> bool:
        """Whether the capture has hardly any grey, so that the usual light decided."""
        return self.grey < _HARDLY_ANY


def measure_light(
    capture: Capture, gains_of: Callable[[Capture, Light], RGBGains]
) -> Estimate | None:
    """Return the white balance under which a capture has the most grey.

    Args:
        capture: Capture of a camera whose colours are known.
        gains_of: Function that returns the multipliers for a light source.

    Returns:
        The estimate; None if the capture has only saturated and dark parts.
    """
    ratios, weights = _colours(capture)
    if not weights.size:
        return None
    best, best_score, best_grey = np.zeros(2), -1.0, 0.0
    for mired in _MIREDS:
        for tint in _TINTS:
            try:
                red, _, blue = gains_of(capture, Light(1e6 / mired, tint))
            except InputError:  # the camera's matrix does not extend to this light
                continue
            neutral = -np.log([red, blue])
            grey = float(_closeness(ratios, neutral) @ weights)
            score = _usual(mired, tint) * (_FLOOR + grey)
            if score > best_score:
                best, best_score, best_grey = neutral, score, grey
    if best_score < 0:
        return None
    if best_grey >= _HARDLY_ANY:
        best = _refined(ratios, weights, best)
    red, blue = np.exp(-best)
    return Estimate((float(red), 1.0, float(blue)), best_grey)


def _usual(mired: float, tint: float) -> float:
    """Return how usual a light is, 1 for the most usual one."""
    distances = [
        (value - mean) / deviation
        for value, (mean, deviation) in ((mired, _USUAL_MIRED), (tint, _USUAL_TINT))
    ]
    return float(np.exp(-0.5 * np.square(distances).sum()))


def _closeness(ratios: Ratios, neutral: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how close colours are to a neutral one, 1 for equal."""
    squares = np.square(ratios - neutral[:, None]).sum(axis=0)
    return np.asarray(np.exp(squares / (-2 * _GREY**2)), np.float64)


def _refined(
    ratios: Ratios, weights: NDArray[np.float64], neutral: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Move a neutral colour to the mean of the colours close to it (mean shift)."""
    for _ in range(_REFINEMENTS):
        close = _closeness(ratios, neutral) * weights
        neutral = (ratios * close).sum(axis=1) / close.sum()
    return neutral


def _colours(capture: Capture) -> tuple[Ratios, NDArray[np.float64]]:
    """Return the colours of a capture's blocks.

    Blocks with a saturated pixel, and dark blocks, are left out.

    Returns:
        Natural logarithms of red and blue over green, [2, blocks], and their weights, [blocks],
        whose sum is 1.
    """
    # [H, W] -> [4, h, w]
    cells = pack(align(capture.mosaic, capture.pattern).mosaic)
    black = np.array(capture.black, np.float32)
    span = np.float32(capture.white) - black
    side = max(1, -(-max(cells.shape[1:]) // _LONGEST_SIDE))
    rows, columns = cells.shape[1] // side, cells.shape[2] // side
    if not rows or not columns:  # narrower than a block
        side, (rows, columns) = 1, cells.shape[1:]
    # [4, h, w] -> [4, rows, side, columns, side]
    blocks = cells[:, : rows * side, : columns * side].reshape(4, rows, side, columns, side)
    highest = (blocks.max(axis=(2, 4)) - black[:, None, None]) / span[:, None, None]
    means = blocks.mean(axis=(2, 4), dtype=np.float64) - black[:, None, None]
    planes = (means / span[:, None, None]).reshape(4, -1)
    rgb = np.stack([planes[0], (planes[1] + planes[2]) / 2, planes[3]])
    usable = (highest < _SATURATED).all(axis=0).ravel() & (rgb > _DARK).all(axis=0)
    rgb = rgb[:, usable]
    if not rgb.size:
        return np.empty((2, 0)), np.empty(0)
    brightness = rgb.sum(axis=0)
    weights = np.minimum(brightness / np.percentile(brightness, 99), 1) ** 2
    return np.log(rgb[[0, 2]] / rgb[1]), weights / weights.sum()
