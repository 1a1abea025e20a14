"""Colour: conversion from camera RGB to sRGB, the sRGB transfer function, white balance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = [
    "SRGB_TO_XYZ",
    "RGBGains",
    "camera_to_srgb_matrix",
    "d65_gains",
    "parse_gains",
    "srgb_decode",
    "srgb_encode",
    "to_srgb",
    "unit_gains",
    "xyz_to_camera_from_srgb",
]

RGBGains = tuple[float, float, float]

# Source: IEC 61966-2-1, linear sRGB to CIE XYZ with white D65; LibRaw's `xyz_rgb` is equal.
SRGB_TO_XYZ: NDArray[np.float64] = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
SRGB_TO_XYZ.setflags(write=False)

_SMALLEST_DETERMINANT = 1e-6
_LARGEST_RATIO = 1000.0
# Linear light up to which the sRGB curve is a straight line.
_LINEAR_UP_TO = 0.0031308


def camera_to_srgb_matrix(xyz_to_camera: NDArray[Any] | None) -> NDArray[np.float64]:
    """Return the matrix from white-balanced linear camera RGB to linear sRGB.

    The sRGB primaries are converted to camera RGB, each row is scaled so that white is 1 (white
    balance does the same), and the result is inverted. White therefore stays white.

    Args:
        xyz_to_camera: [3, 3], CIE XYZ to camera RGB, rows at any scale; None if the camera's
            colours are unknown.

    Returns:
        Float64 [3, 3], rows sum to 1. For None the identity: the camera's primaries are assumed to
        be those of sRGB, so neutral colours are right and others are paler than in the scene.

    Raises:
        InputError: If the matrix is not 3 x 3, not finite, or cannot be inverted.

    Source: dcraw and LibRaw, `cam_xyz_coeff`.
    """
    if xyz_to_camera is None:
        return np.eye(3)
    matrix = np.asarray(xyz_to_camera, np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise InputError(f"the colour matrix {matrix.tolist()} must be 3 x 3 finite numbers")
    srgb_to_camera = matrix @ SRGB_TO_XYZ
    white = srgb_to_camera.sum(axis=1, keepdims=True)
    if (white <= 0).any():
        raise InputError(
            f"the colour matrix {matrix.tolist()} maps white to 0 or less in a channel"
        )
    srgb_to_camera = srgb_to_camera / white
    if abs(np.linalg.det(srgb_to_camera)) < _SMALLEST_DETERMINANT:
        raise InputError(f"the colour matrix {matrix.tolist()} cannot be inverted")
    return np.linalg.inv(srgb_to_camera)


def d65_gains(xyz_to_camera: NDArray[Any]) -> RGBGains:
    """Return the multipliers (r, 1, b) that balance CIE D65.

    Args:
        xyz_to_camera: [3, 3], CIE XYZ to camera RGB with its true scale, as DNG's ColorMatrix has.

    Raises:
        InputError: As for `camera_to_srgb_matrix`.
    """
    camera_to_srgb_matrix(xyz_to_camera)
    red, green, blue = np.asarray(xyz_to_camera, np.float64) @ SRGB_TO_XYZ.sum(axis=1)
    return float(green / red), 1.0, float(green / blue)


def xyz_to_camera_from_srgb(camera_to_srgb: NDArray[Any]) -> NDArray[np.float64]:
    """Return the XYZ-to-camera matrix, scaled so that D65 white is 1 in each channel.

    This is the inverse of `camera_to_srgb_matrix`, except for the scale of the rows.

    Args:
        camera_to_srgb: [3, 3], white-balanced camera RGB to linear sRGB.

    Raises:
        InputError: If the matrix cannot be inverted.
    """
    matrix = np.asarray(camera_to_srgb, np.float64)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < _SMALLEST_DETERMINANT:
        raise InputError(f"the colour matrix {matrix.tolist()} cannot be inverted")
    return np.linalg.inv(matrix) @ np.linalg.inv(SRGB_TO_XYZ)


def srgb_encode(linear: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Encode linear light with the sRGB transfer function.

    Args:
        linear: Any shape; values outside 0..1 are clipped.

    Returns:
        0..1, in the floating dtype of `linear`.

    Source: IEC 61966-2-1, section 5.2.
    """
    x = np.clip(linear, 0, 1)
    # The power of 0 takes ten times as long as that of other values, so it is never computed.
    curve = np.power(np.maximum(x, _LINEAR_UP_TO), 1 / 2.4)
    curve *= 1.055
    curve -= 0.055
    return np.asarray(np.where(x <= _LINEAR_UP_TO, 12.92 * x, curve), x.dtype)


def srgb_decode(encoded: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Decode sRGB values to linear light.

    Args:
        encoded: Any shape; values outside 0..1 are clipped.

    Returns:
        0..1, in the floating dtype of `encoded`.

    Source: IEC 61966-2-1, section 5.2.
    """
    x = np.clip(encoded, 0, 1)
    curve = np.power((x + 0.055) / 1.055, 2.4)
    return np.asarray(np.where(x <= 0.04045, x / 12.92, curve), x.dtype)


def to_srgb(
    rgb_linear_camera: NDArray[np.floating[Any]],
    matrix: NDArray[np.floating[Any]],
    exposure_ev: float = 0.0,
) -> NDArray[np.float32]:
    """Convert white-balanced linear camera RGB to encoded sRGB.

    Args:
        rgb_linear_camera: [..., 3, H, W], 1 = white.
        matrix: [3, 3], from `camera_to_srgb_matrix`.
        exposure_ev: Stops of light to add; the signal is scaled by 2^exposure_ev.

    Returns:
        Float32 [..., 3, H, W], 0..1.
    """
    scaled = np.asarray(matrix * 2.0**exposure_ev, np.float32)
    # [3, 3] x [..., 3, H, W] -> [..., 3, H, W]
    planes = np.asarray(rgb_linear_camera, np.float32)
    linear = np.einsum("oc,...chw->...ohw", scaled, planes)
    return np.asarray(srgb_encode(linear), np.float32)


def parse_gains(text: str) -> RGBGains:
    """Parse white balance multipliers "R,G,B" and scale them so that G is 1.

    Raises:
        InputError: If they are not three positive finite numbers, or one is over 1000 times
            another.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not all(math.isfinite(v) and v > 0 for v in values):
        raise InputError(
            f"white balance {text!r} is not three positive multipliers; give R,G,B as in 2.1,1,1.6"
        )
    red, green, blue = values
    if max(values) > _LARGEST_RATIO * min(values):
        raise InputError(
            f"white balance {text!r} has multipliers over {_LARGEST_RATIO:g} times apart; "
            "give R,G,B as in 2.1,1,1.6"
        )
    return red / green, 1.0, blue / green


def unit_gains(wb: RGBGains) -> RGBGains:
    """Scale multipliers so that the smallest is 1.

    Their ratios stay the same. No channel is darkened, so a saturated pixel is 1 in all three
    channels after clipping: it is developed to white, not to a tint.

    Raises:
        InputError: If a multiplier is not a positive finite number.
    """
    if len(wb) != 3 or not all(math.isfinite(v) and v > 0 for v in wb):
        raise InputError(f"white balance {wb} must be three positive finite multipliers")
    least = min(wb)
    red, green, blue = wb
    return red / least, green / least, blue / least
