"""White balance: the multipliers that a user's choice selects, and the light that they imply."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.auto_white_balance import measure_light
from edge_pipeline.raw.colour import SRGB_TO_XYZ, RGBGains, parse_gains
from edge_pipeline.raw.illuminant import Light, light_of_xyz
from edge_pipeline.raw.image import Capture, grey_world

__all__ = ["Balance", "balance", "gains_of_light", "is_kelvin", "light_of_gains"]

_KELVIN = re.compile(r"\s*(\d+(?:\.\d*)?)\s*[kK]\s*")
_CHOICES = "as-shot, daylight, auto, kelvin as in 5500K, or multipliers R,G,B"


@dataclass(frozen=True)
class Balance:
    """A white balance.

    Attributes:
        gains: Multipliers (r, g, b) with g = 1.
        light: Light source that they make neutral; None if the camera's colours are not known, or
            if no natural light corresponds to them.
        notes: Assumptions that were made, a sentence each.
    """

    gains: RGBGains
    light: Light | None
    notes: tuple[str, ...] = ()


def is_kelvin(choice: str) -> bool:
    """Return whether a choice is a colour temperature, as in "5500K"."""
    return _KELVIN.fullmatch(choice) is not None


def balance(choice: str, capture: Capture, tint: float = 0.0) -> Balance:
    """Return the white balance that an option selects.

    Args:
        choice: "as-shot", "daylight", "auto", kelvin as in "5500K", or multipliers "R,G,B".
        capture: Capture to balance.
        tint: Tint of a light given in kelvin, see `Light`.

    Raises:
        InputError: If the choice is none of these, or the capture lacks the data for it.
    """
    name = choice.strip().lower().replace("_", "-").replace(" ", "-")
    notes: tuple[str, ...] = ()
    if name == "as-shot":
        gains = capture.wb
    elif name == "daylight":
        gains = _daylight(capture)
    elif name == "auto":
        gains, notes = _auto(capture)
    elif kelvin := _KELVIN.fullmatch(choice):
        light = Light(float(kelvin[1]), tint)
        return Balance(gains_of_light(capture, light), light)
    elif "," in choice:
        gains = parse_gains(choice)
    else:
        raise InputError(f"white balance {choice!r} is not known; give {_CHOICES}")
    return Balance(gains, light_of_gains(capture, gains), notes)


def gains_of_light(capture: Capture, light: Light) -> RGBGains:
    """Return the multipliers (r, 1, b) that make a light source neutral.

    Raises:
        InputError: If the camera's colours are not known, or the camera's matrix does not extend to
            this light.
    """
    to_camera = _xyz_to_camera(capture)
    if to_camera is None:
        raise InputError(
            "the camera's colours are not known, so it has no white balance in kelvin; "
            "give as-shot, auto or multipliers R,G,B"
        )
    red, green, blue = (float(value) for value in to_camera @ light.xyz())
    if min(red, green, blue) <= 0:
        raise InputError(
            f"the camera's matrix has no white balance for {light.kelvin:g} K with tint "
            f"{light.tint:g}; give a value closer to daylight"
        )
    return green / red, 1.0, green / blue


def light_of_gains(capture: Capture, gains: RGBGains) -> Light | None:
    """Return the light source that multipliers make neutral; None if there is none, or unknown."""
    to_camera = _xyz_to_camera(capture)
    if to_camera is None:
        return None
    neutral = 1 / np.array(gains, np.float64)
    return light_of_xyz(np.asarray(np.linalg.solve(to_camera, neutral), np.float64))


def _xyz_to_camera(capture: Capture) -> NDArray[np.float64] | None:
    """Return the matrix from CIE XYZ to camera RGB before white balance, up to one factor."""
    if capture.xyz_to_camera is None or capture.d65_wb is None:
        return None
    white = capture.xyz_to_camera @ SRGB_TO_XYZ.sum(axis=1)
    scale = 1 / (white * np.array(capture.d65_wb))
    return np.asarray(scale[:, None] * capture.xyz_to_camera, np.float64)


def _daylight(capture: Capture) -> RGBGains:
    if capture.daylight_wb is None:
        raise InputError(
            "the daylight white balance of this camera is not known; "
            "give as-shot, auto or multipliers R,G,B"
        )
    return capture.daylight_wb


def _auto(capture: Capture) -> tuple[RGBGains, tuple[str, ...]]:
    """Return the measured multipliers and notes."""
    if _xyz_to_camera(capture) is None:
        gains = grey_world(capture.mosaic, capture.pattern, capture.black, capture.white)
        return gains, (
            "the camera's colours are not known; "
            "automatic white balance assumes that the picture's mean is grey",
        )
    found = measure_light(capture, gains_of_light)
    if found is None:
        return capture.wb, (
            "automatic white balance finds only saturated and dark parts; "
            "the as-shot balance is used",
        )
    if found.is_weak:
        return found.gains, (
            "automatic white balance finds hardly any grey; light close to daylight is assumed",
        )
    return found.gains, ()
