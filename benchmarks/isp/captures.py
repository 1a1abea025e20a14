"""The captures that every method develops: synthetic ones with a reference, and real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from edge_pipeline.data.photographs import Options, load
from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.raw_synthesis import Shot, SyntheticCapture, mosaic_of, synthesise
from edge_pipeline.data.validation import neutral_shot
from edge_pipeline.raw.capture import libraw_exposure_ev, normalise, read_capture
from edge_pipeline.raw.cfa import pack
from edge_pipeline.raw.colour import camera_to_srgb_matrix, to_srgb
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel

__all__ = [
    "KODAK",
    "SIZE_MULTIPLE",
    "Method",
    "Rgb",
    "Rgb8",
    "Take",
    "blurred",
    "evaluated",
    "finish",
    "flat_take",
    "real_take",
    "reference",
    "shifted",
    "take",
    "taken_by",
]

Rgb = NDArray[np.float32]  # encoded sRGB, [3, H, W], 0..1
Rgb8 = NDArray[np.uint8]  # encoded sRGB, [H, W, 3]
Method = Callable[[SyntheticCapture], Rgb]  # develops a capture; those of this module are Takes

KODAK = ("kodim09", "kodim10", "kodim11", "kodim12")
SIZE_MULTIPLE = 32  # of height and width of a synthetic capture, so that no method has to pad it
_SILENT = NoiseModel(0, 0)
_SEED = 2021
_SIDE = 500


def evaluated(folder: Path | None, *, every: bool = False) -> Pictures:
    """Return the pictures that methods are compared on.

    Args:
        folder: Folder of pictures; None for the middle 500 x 500 pixels of the data set kodak_full.
        every: Whether to return all pictures, not Kodak 09 to 12 alone.
    """
    only = () if every else KODAK
    if folder is not None:
        return load(Options(folder=folder, licence="as found", only=only))
    whole = load(Options(set="kodak_full", only=only))
    return replace(whole, pictures=[_middle(picture) for picture in whole.pictures])


def _middle(picture: Rgb8) -> Rgb8:
    top, left = ((side - _SIDE) // 2 for side in picture.shape[:2])
    return picture[top : top + _SIDE, left : left + _SIDE]


@dataclass(frozen=True)
class Take(SyntheticCapture):
    """A capture with its noise and exposure, which a method may use.

    Attributes:
        noise: Noise of the packed signal, before white balance multiplies it by its gains.
        exposure_ev: Stops to add after the network, as in `Settings.exposure_ev`.
    """

    noise: NoiseModel = _SILENT
    exposure_ev: float = 0.0


def finish(camera: NDArray[np.floating[Any]], sample: SyntheticCapture) -> Rgb:
    """Convert linear camera RGB to the final sRGB picture.

    Args:
        camera: White-balanced camera RGB [3, H, W], 1 = white.
        sample: Capture whose matrix is used, and whose exposure is used if it is a Take.
    """
    exposure_ev = sample.exposure_ev if isinstance(sample, Take) else 0.0
    return to_srgb(camera, sample.camera_to_srgb, exposure_ev)


def reference(sample: SyntheticCapture) -> Rgb:
    """Return the picture that a perfect method would output."""
    return finish(sample.target, sample)


def taken_by(picture: Rgb8, shot: Shot, index: int, exposure_ev: float = 0.0) -> Take:
    """Return a synthetic capture of a picture.

    Args:
        picture: Picture [H, W, 3]; it is cropped to multiples of 32.
        shot: Camera, exposure and noise of the capture.
        index: Number of the picture, which seeds the noise.
        exposure_ev: Stops that developing adds.
    """
    height, width = (n // SIZE_MULTIPLE * SIZE_MULTIPLE for n in picture.shape[:2])
    rng = np.random.default_rng([_SEED, index])
    sample = synthesise(picture[:height, :width], shot, rng)
    return Take(sample.packed, sample.target, sample.camera_to_srgb, shot.noise, exposure_ev)


def take(picture: Rgb8, level: str, index: int, underexposed_ev: float = 0.0) -> Take:
    """Return a capture by the neutral sensor; without underexposure, as in `validation_sample`.

    Args:
        picture: Picture [H, W, 3].
        level: Name of a noise level in NOISE_LEVELS.
        index: Number of the picture, which seeds the noise.
        underexposed_ev: Stops by which the capture is too dark; developing adds them again.
    """
    neutral = neutral_shot(NOISE_LEVELS[level])
    exposure = neutral.exposure * 2.0**-underexposed_ev
    shot = Shot(neutral.camera_to_srgb, neutral.gains, exposure, neutral.noise, neutral.levels)
    return taken_by(picture, shot, index, underexposed_ev)


def flat_take(value: float, side: int, level: str, *, clip_black: bool = False) -> Take:
    """Return a capture of a grey surface, which may exceed the sensor's range.

    Args:
        value: Linear value of the scene; above 1 the sensor clips it, and the target is white.
        side: Height and width in pixels.
        level: Name of a noise level in NOISE_LEVELS.
        clip_black: Whether values below the black level are clipped, as some cameras do.
    """
    shot = neutral_shot(NOISE_LEVELS[level])
    scene = np.full((3, side, side), value, np.float32)
    packed = pack(mosaic_of(scene, shot, np.random.default_rng([_SEED, 99])))
    if clip_black:
        packed = np.maximum(packed, 0)
    return Take(packed, np.clip(scene, 0, 1), np.eye(3, dtype=np.float32), shot.noise)


def shifted(picture: Rgb8, pixels: float) -> Rgb8:
    """Return a picture with red moved down and right and blue moved up and left, as lenses do.

    Args:
        picture: Picture [H, W, 3].
        pixels: Shift along both axes; fractions are interpolated with a spline of fifth order.
    """
    moved = picture.astype(np.float32)
    for channel, way in ((0, 1), (2, -1)):
        by = (way * pixels, way * pixels)
        moved[..., channel] = shift(moved[..., channel], by, order=5, mode="mirror")
    return _rounded(moved)


def blurred(picture: Rgb8, sigma: float) -> Rgb8:
    """Return a picture after a Gaussian blur.

    Args:
        picture: Picture [H, W, 3].
        sigma: Standard deviation in pixels.
    """
    return _rounded(gaussian_filter(picture.astype(np.float32), (sigma, sigma, 0)))


def _rounded(picture: NDArray[np.float32]) -> Rgb8:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def real_take(path: Path, side: int = 1024) -> Take:
    """Return the middle of a RAW file as a capture; its picture is unknown, so its target is zero.

    It is cropped to start on red and to multiples of 32 pixels.

    Args:
        path: Bayer capture that LibRaw can open.
        side: Largest height and width of the middle part.

    Raises:
        CaptureError: If the file is not such a capture.
    """
    capture = read_capture(path)
    top, left = divmod(capture.pattern.index("R"), 2)
    mosaic = normalise(capture, capture.wb)[top:, left:]
    height, width = (min(side, n) // SIZE_MULTIPLE * SIZE_MULTIPLE for n in mosaic.shape)
    # An even number of rows and columns is cropped, so that red stays in the corner.
    top, left = ((n - kept) // 4 * 2 for n, kept in zip(mosaic.shape, (height, width), strict=True))
    return Take(
        pack(mosaic[top : top + height, left : left + width]),
        np.zeros((3, height, width), np.float32),
        camera_to_srgb_matrix(capture.xyz_to_camera).astype(np.float32),
        exposure_ev=libraw_exposure_ev(capture),
    )
