"""Tone: the curve that gives a picture the brightness and contrast of a camera's own pictures.

Light is encoded by the picture's transfer function only after this curve, so both the curve and its
argument are linear light, where 1 is white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["DEFAULT_TONE", "TONES", "ToneCurve", "ToneName", "apply_tone", "clip_keeping_hue"]

ToneName = Literal["linear", "standard"]
TONES: tuple[ToneName, ...] = ("linear", "standard")
DEFAULT_TONE: ToneName = "standard"

# Middle grey in the scene, the light to which the curve maps it, and the exponent of the curve.
# Fitted to the JPEGs of cameras by benchmarks/isp_tone.py.
_GREY_IN, _GREY_OUT, _EXPONENT = 0.18, 0.24, 1.4
_LARGEST_WHITE = 1e4
_SMALLEST_RANGE = 1e-6
# Light that counts as none, and a power of light, above its own, that is subtracted: it changes no
# larger value in single precision.
_NO_LIGHT, _NO_POWER = 1e-25, 1e-30


@dataclass(frozen=True)
class ToneCurve:
    """A curve from scene light to picture light: an S on logarithmic axes.

    y = (1 + k / white^n) x^n / (x^n + k), where n is the exponent and k follows from middle grey:
    0.18 becomes 0.24. The curve rises everywhere, maps 0 to 0 and `white` to 1, and is continued
    by 0 below 0 and by 1 above `white`. It hardly depends on `white` below middle grey.

    Attributes:
        white: Smallest light that becomes white, 1 or more.

    Raises:
        InputError: If `white` is not a number from 1 to 10000.

    Source: Naka and Rushton, 1966, the response of photoreceptors; as a tone curve, Reinhard and
        Devlin, 2005, section 3.
    """

    white: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.white <= _LARGEST_WHITE:
            raise InputError(f"the tone curve's white is {self.white}; give 1 to 10000")

    @property
    def _half(self) -> float:
        """The k of the formula, such that middle grey has its value."""
        grey = _GREY_IN**_EXPONENT
        return float(grey * (1 - _GREY_OUT) / (_GREY_OUT - grey / self.white**_EXPONENT))

    def __call__(self, light: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return picture light, 0..1, for scene light of any shape, in its floating dtype."""
        light = np.asarray(light)
        k, most = self._half, self.white**_EXPONENT
        number = light.dtype.type
        # The power of 0 takes ten times as long as that of other values, so a power that does not
        # count is computed instead.
        power = np.clip(light, number(_NO_LIGHT), number(self.white)) ** number(_EXPONENT)
        curve = power - number(_NO_POWER)
        curve *= number(1 + k / most)
        power += number(k)
        curve /= power
        return np.asarray(np.clip(curve, 0, 1), light.dtype)

    def inverse(self, light: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return scene light, 0..`white`, for picture light of any shape; 0..1, or clipped."""
        light = np.asarray(light)
        k, most = self._half, self.white**_EXPONENT
        share = np.clip(light, 0, 1) / (1 + k / most)
        power = np.minimum(k * share / (1 - share), most)
        return np.asarray(power ** (1 / _EXPONENT), light.dtype)


def apply_tone(rgb: NDArray[np.float32], curve: ToneCurve) -> NDArray[np.float32]:
    """Apply a curve to linear RGB so that the hue stays the same.

    The curve is applied to the largest and the smallest channel. The third keeps its relative
    distance from them, which defines the hue of HSV and HSL. Applied to each channel, the curve
    would turn orange skin to yellow and blue sky to cyan.

    Args:
        rgb: [3, ...], in the picture's primaries; negative values count as 0.
        curve: Curve to apply.

    Returns:
        Float32 [3, ...], 0..1. Greys stay grey; light of `curve.white` or more in all channels
        becomes white.

    Source: Adobe DNG SDK, `RefBaselineRGBTone`, for the idea.
    """
    light = np.maximum(rgb, np.float32(0))
    least, most = light.min(axis=0), light.max(axis=0)
    return _keeping_hue(light, (least, most), (curve(least), curve(most)))


def clip_keeping_hue(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip linear RGB to 0..1 so that the hue stays the same.

    The smallest and the largest channel are clipped, and the third keeps its relative distance from
    them. A colour over white becomes paler, and white if all its channels exceed 1.

    Args:
        rgb: [3, ...], linear light; negative values count as 0.

    Returns:
        Float32 [3, ...], 0..1; colours without a channel above 1 are unchanged.
    """
    light = np.maximum(rgb, np.float32(0))
    most = light.max(axis=0)
    if not (most > 1).any():
        return light
    least = light.min(axis=0)
    return _keeping_hue(light, (least, most), (np.minimum(least, 1), np.minimum(most, 1)))


def _keeping_hue(
    light: NDArray[np.float32],
    ends: tuple[NDArray[np.float32], NDArray[np.float32]],
    moved_to: tuple[NDArray[Any], NDArray[Any]],
) -> NDArray[np.float32]:
    """Return `light`, [3, ...], whose smallest and largest channels, `ends`, are `moved_to`."""
    least, most = ends
    low, high = moved_to
    slope = (high - low) / np.maximum(most - least, np.float32(_SMALLEST_RANGE))
    moved = light - least
    moved *= slope
    moved += low
    np.maximum(moved, low, out=moved)
    return np.asarray(np.minimum(moved, high, out=moved), np.float32)
