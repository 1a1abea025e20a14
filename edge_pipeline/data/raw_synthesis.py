"""Bayer captures synthesised from sRGB pictures: the camera's steps, run backwards, then noise."""

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

# XYZ (D65) to camera, times 10,000: the colour matrices that the makers' DNG files state for
# cameras of different makers. They span how far real sensors' colours lie from sRGB.
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
    """How a synthetic capture is taken.

    Attributes:
        camera_to_srgb: [3, 3], rows sum to 1.
        gains: white balance (R, G, B), the smallest 1.
        exposure: factor on linear light; above 1 clips highlights.
        noise: on the normalised raw signal, before white balance.
        levels: steps between black and white.
    """

    camera_to_srgb: NDArray[np.float64]
    gains: RGBGains
    exposure: float
    noise: NoiseModel
    levels: int


@dataclass(frozen=True)
class SyntheticCapture:
    """A synthetic capture and what a perfect development of it is.

    Attributes:
        packed: [4, H/2, W/2], normalised packed Bayer.
        target: [3, H, W], clean linear camera RGB, white-balanced, 0..1.
        camera_to_srgb: [3, 3].
    """

    packed: Image
    target: Image
    camera_to_srgb: NDArray[np.float32]


def clean_camera_rgb(picture: NDArray[np.uint8], shot: Shot) -> Image:
    """The scene as the camera's channels see it after white balance.

    Args:
        picture: [H, W, 3], uint8, sRGB.
        shot: its matrix and exposure are used.

    Returns:
        [3, H, W], linear, clipped to 0..1.
    """
    linear = srgb_decode(picture.astype(np.float32) / 255)
    to_camera = (np.linalg.inv(shot.camera_to_srgb) * shot.exposure).astype(np.float32)
    camera = np.einsum("oc,hwc->ohw", to_camera, linear)
    return np.asarray(np.clip(camera, 0, 1), np.float32)


def mosaic_of(camera: Image, shot: Shot, rng: np.random.Generator) -> Image:
    """What the sensor records: one colour a pixel, noise, clipping, quantisation.

    Args:
        camera: [3, H, W], from clean_camera_rgb; H and W even.
        shot: its gains, noise and levels are used.
        rng: of the noise.

    Returns:
        [H, W], RGGB, 0 = black and 1 = white, before white balance; below 0 where noise goes
        under black (a real sensor's black level lies above zero for that).
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
    """A capture of `picture`.

    Args:
        picture: [H, W, 3], uint8, sRGB; H and W even.
        shot: how it is taken.
        rng: of the noise.
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
    """A square crop, flipped and turned at random.

    Args:
        picture: [H, W, 3]; sides shorter than `size` are extended by reflection.
        size: height and width of the crop.
        rng: where the randomness comes from.
    """
    short = [(0, max(0, size - side)) for side in picture.shape[:2]]
    if any(after for _, after in short):
        picture = np.pad(picture, (*short, (0, 0)), mode="symmetric")
    top = int(rng.integers(picture.shape[0] - size + 1))
    left = int(rng.integers(picture.shape[1] - size + 1))
    crop = picture[top : top + size, left : left + size]
    crop = np.rot90(crop, int(rng.integers(4)))
    return crop[:, ::-1] if rng.random() < 0.5 else crop
