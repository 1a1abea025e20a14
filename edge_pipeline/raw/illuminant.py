"""Light sources by correlated colour temperature and tint, as chromaticities.

The sources of tint 0 are black bodies up to 4000 K, CIE daylight from 5000 K, and a mixture of both
between, so that they form one line. Tint is the distance from this line, measured at a right angle
to the line of black bodies.

Source: CIE 224:2017, section 4.3, for the mixture; Adobe DNG SDK, `dng_temperature`, for the unit
and the sign of the tint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["COOLEST_K", "HOTTEST_K", "LARGEST_TINT", "Light", "light_of_xyz"]

COOLEST_K, HOTTEST_K = 1500.0, 25000.0
LARGEST_TINT = 150.0

_TINTS_PER_UV = 3000.0
_PLANCK_UNTIL_K, _DAYLIGHT_FROM_K = 4000.0, 5000.0
_MIRED = 1e6
_TOLERANCE = 1e-9
_STEPS = 60  # of the bisection: more than a float can resolve


@dataclass(frozen=True)
class Light:
    """A light source.

    Attributes:
        kelvin: Correlated colour temperature, 1500..25000 K.
        tint: Distance from the line of natural light in CIE 1960 u, v, times 3000, -150..150.
            Positive light is greener, negative light is pinker.

    Raises:
        InputError: If a value is outside its range.
    """

    kelvin: float
    tint: float = 0.0

    def __post_init__(self) -> None:
        if not COOLEST_K <= self.kelvin <= HOTTEST_K:
            raise InputError(
                f"the colour temperature is {self.kelvin:g} K; give {COOLEST_K:g} to {HOTTEST_K:g}"
            )
        if not abs(self.tint) <= LARGEST_TINT:
            raise InputError(f"the tint is {self.tint:g}; give -{LARGEST_TINT:g} to 150")

    def xyz(self) -> NDArray[np.float64]:
        """Return the CIE 1931 XYZ of the light, with Y = 1."""
        place = _place(self.kelvin) + self.tint / _TINTS_PER_UV * _across(self.kelvin)
        u, v = float(place[0]), float(place[1])
        # Source: CIE 15:2018, section 9.4, u = 4x / (-2x + 12y + 3), v = 6y / (-2x + 12y + 3).
        return np.array([1.5 * u / v, 1.0, (4 - u - 10 * v) / (2 * v)])


def light_of_xyz(xyz: NDArray[np.float64]) -> Light | None:
    """Return the light source of a colour; the inverse of `Light.xyz`.

    Args:
        xyz: CIE 1931 XYZ at any scale.

    Returns:
        The light, or None if the temperature or the tint is outside the range of `Light`.
    """
    x, y, z = (float(value) for value in xyz)
    total = x + 15 * y + 3 * z
    if not math.isfinite(total) or total <= 0:
        return None
    place = np.array([4 * x, 6 * y]) / total

    def beyond(mired: float) -> float:
        """Distance of the colour along the line from the light of this temperature, in mired."""
        kelvin = _MIRED / mired
        return float(np.dot(place - _place(kelvin), _along(kelvin)))

    low, high = _MIRED / HOTTEST_K, _MIRED / COOLEST_K
    if beyond(low) < -_TOLERANCE or beyond(high) > _TOLERANCE:
        return None
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 0 else (low, middle)
    kelvin = min(max(2 * _MIRED / (low + high), COOLEST_K), HOTTEST_K)
    tint = _TINTS_PER_UV * float(np.dot(place - _place(kelvin), _across(kelvin)))
    if abs(tint) > LARGEST_TINT + _TOLERANCE:
        return None
    return Light(kelvin, min(max(tint, -LARGEST_TINT), LARGEST_TINT))


def _place(kelvin: float) -> NDArray[np.float64]:
    """Return u, v of the light of tint 0."""
    if kelvin <= _PLANCK_UNTIL_K:
        return _planckian(kelvin)
    if kelvin >= _DAYLIGHT_FROM_K:
        return _daylight(kelvin)
    share = (kelvin - _PLANCK_UNTIL_K) / (_DAYLIGHT_FROM_K - _PLANCK_UNTIL_K)
    return (1 - share) * _planckian(kelvin) + share * _daylight(kelvin)


def _along(kelvin: float) -> NDArray[np.float64]:
    """Return the unit vector in u, v along the line of black bodies, towards lower temperatures."""
    mired = _MIRED / kelvin
    step = _planckian(_MIRED / (mired + 0.5)) - _planckian(_MIRED / (mired - 0.5))
    return np.asarray(step / np.linalg.norm(step), np.float64)


def _across(kelvin: float) -> NDArray[np.float64]:
    """Return the unit vector in u, v across the line of black bodies, towards green."""
    along_u, along_v = _along(kelvin)
    return np.array([-along_v, along_u])


def _planckian(kelvin: float) -> NDArray[np.float64]:
    """Return u, v of a black body, within 1e-4 from 1000 to 15000 K.

    Source: Krystek, 1985, "An algorithm to calculate correlated colour temperature".
    """
    t = kelvin
    u = (0.860117757 + 1.54118254e-4 * t + 1.28641212e-7 * t**2) / (
        1 + 8.42420235e-4 * t + 7.08145163e-7 * t**2
    )
    v = (0.317398726 + 4.22806245e-5 * t + 4.20481691e-8 * t**2) / (
        1 - 2.89741816e-5 * t + 1.61456053e-7 * t**2
    )
    return np.array([u, v])


def _daylight(kelvin: float) -> NDArray[np.float64]:
    """Return u, v of CIE daylight from 4000 to 25000 K.

    Source: CIE 15:2018, section 4.1.2.
    """
    if kelvin <= 7000:
        a, b, c, d = -4.6070e9, 2.9678e6, 0.09911e3, 0.244063
    else:
        a, b, c, d = -2.0064e9, 1.9018e6, 0.24748e3, 0.237040
    x = a / kelvin**3 + b / kelvin**2 + c / kelvin + d
    y = -3 * x**2 + 2.870 * x - 0.275
    return np.array([4 * x, 6 * y]) / (-2 * x + 12 * y + 3)
