"""Synthesise Bayer captures from sRGB pictures: invert the camera's steps, then add noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import pack
from edge_pipeline.raw.colour import RGBGains, camera_to_srgb_matrix, srgb_decode
from edge_pipeline.raw.noise import NoiseModel, add_noise

__all__ = [
    "CAMERAS_TO_SRGB",
    "Shot",
    "SyntheticCapture",
    "augment",
    "clean_camera_rgb",
    "mosaic_of",
    "synthesise",
]

Image = NDArray[np.float32]

# XYZ (D65) to camera, times 10,000: colour matrices from DNG files of different manufacturers.
# They cover the range in which the colours of real sensors differ from sRGB.
_CAMERAS: tuple[tuple[int, ...], ...] = (
    (8139, -2171, -663, -8747, 16541, 2295, -1925, 2008, 8093),  # Nikon D700
    (4716, 603, -830, -7798, 15474, 2480, -1496, 1937, 6651),  # Canon EOS 5D Mark II
    (5271, -712, -347, -6153, 13653, 2763, -1601, 2366, 7242),  # Sony ILCE-7
    (7798, -2562, -740, -3879, 11584, 2613, -1055, 2248, 5434),  # Panasonic DMC-GF1
)
CAMERAS_TO_SRGB = np.stack(
    [camera_to_srgb_matrix(np.array(m, np.float64).reshape(3, 3) / 1e4) for m in _CAMERAS]
)


@dataclass(frozen=True)
class Shot:
    """The camera settings of a synthetic capture.

    Attributes:
        camera_to_srgb: Colour matrix [3, 3]; its rows sum to 1.
        gains: White balance gains (R, G, B), the smallest 1.
        exposure: Factor on linear light; a factor above 1 clips highlights.
        noise: Noise of the normalised raw signal, before white balance.
        levels: Number of steps between black and white.
    """

    camera_to_srgb: NDArray[np.float64]
    gains: RGBGains
    exposure: float
    noise: NoiseModel
    levels: int


@dataclass(frozen=True)
class SyntheticCapture:
    """A synthetic capture and the picture that a perfect development would produce.

    Attributes:
        packed: Normalised packed Bayer [4, H/2, W/2].
        target: Clean linear camera RGB [3, H, W], white-balanced, 0 to 1.
        camera_to_srgb: Colour matrix [3, 3].
    """

    packed: Image
    target: Image
    camera_to_srgb: NDArray[np.float32]


def clean_camera_rgb(picture: NDArray[np.uint8], shot: Shot) -> Image:
    """Return the scene in camera RGB after white balance, without noise.

    Args:
        picture: sRGB picture [H, W, 3], uint8.
        shot: Camera settings, whose matrix and exposure are used.

    Returns:
        Linear camera RGB [3, H, W], clipped to 0 to 1.
    """
    linear = srgb_decode(picture.astype(np.float32) / 255)
    to_camera = (np.linalg.inv(shot.camera_to_srgb) * shot.exposure).astype(np.float32)
    camera = np.einsum("oc,hwc->ohw", to_camera, linear)
    return np.asarray(np.clip(camera, 0, 1), np.float32)


def mosaic_of(camera: Image, shot: Shot, rng: np.random.Generator) -> Image:
    """Return the mosaic that the sensor records, with noise, clipping and quantisation.

    Args:
        camera: Output of `clean_camera_rgb` [3, H, W]; H and W are even.
        shot: Camera settings, whose gains, noise and levels are used.
        rng: Random generator of the noise.

    Returns:
        RGGB mosaic [H, W] before white balance, 0 for black and 1 for white. Noise around black can
        be below 0, as in a real sensor, whose black level is above zero for this reason.
    """
    r, g, b = (plane / gain for plane, gain in zip(camera, shot.gains, strict=True))
    mosaic = np.array(g, np.float32)
    mosaic[0::2, 0::2] = r[0::2, 0::2]
    mosaic[1::2, 1::2] = b[1::2, 1::2]
    noisy = np.minimum(add_noise(mosaic, shot.noise, rng), 1.0)
    return np.asarray(np.round(noisy * shot.levels) / shot.levels, np.float32)


def synthesise(
    picture: NDArray[np.uint8], shot: Shot, rng: np.random.Generator
) -> SyntheticCapture:
    """Synthesise a capture of a picture.

    Args:
        picture: sRGB picture [H, W, 3], uint8; H and W are even.
        shot: Camera settings.
        rng: Random generator of the noise.
    """
    target = clean_camera_rgb(picture, shot)
    packed = pack(mosaic_of(target, shot, rng))
    red, green, blue = shot.gains
    gains = np.array([red, green, green, blue], np.float32)[:, None, None]
    return SyntheticCapture(
        np.minimum(packed * gains, 1).astype(np.float32),
        target,
        shot.camera_to_srgb.astype(np.float32),
    )


def augment(picture: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random square crop, randomly flipped and rotated.

    Args:
        picture: Picture [H, W, 3]; sides shorter than `size` are extended by reflection.
        size: Height and width of the crop.
        rng: Random generator.
    """
    short = [(0, max(0, size - side)) for side in picture.shape[:2]]
    if any(after for _, after in short):
        picture = np.pad(picture, (*short, (0, 0)), mode="symmetric")
    top = int(rng.integers(picture.shape[0] - size + 1))
    left = int(rng.integers(picture.shape[1] - size + 1))
    crop = picture[top : top + size, left : left + size]
    crop = np.rot90(crop, int(rng.integers(4)))
    return crop[:, ::-1] if rng.random() < 0.5 else crop
