"""The captures that every method develops: synthetic ones with a known picture, and real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from edge_pipeline.data.raw_synthesis import Shot, SyntheticCapture, mosaic_of, synthesise
from edge_pipeline.data.validation import neutral_shot
from edge_pipeline.raw.capture import libraw_exposure_ev, normalise, read_capture
from edge_pipeline.raw.cfa import pack
from edge_pipeline.raw.colour import camera_to_srgb_matrix, to_srgb, wb_gains
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel

__all__ = [
    "KODAK",
    "SIZE_MULTIPLE",
    "Method",
    "Rgb",
    "Rgb8",
    "Take",
    "blurred",
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
Method = Callable[[SyntheticCapture], Rgb]  # develops a capture; one of this module is a Take

KODAK = ("kodim09", "kodim10", "kodim11", "kodim12")
SIZE_MULTIPLE = 32  # of the pixels of a synthetic capture, so that no method needs to fill it up
_SILENT = NoiseModel(0, 0)
_SEED = 2021


@dataclass(frozen=True)
class Take(SyntheticCapture):
    """A capture and the facts about it that a method may use.

    Attributes:
        noise: on the packed signal; white balance multiplies the noise by its gains besides.
        exposure_ev: stops of light to add after the network, as `Settings.exposure_ev`.
    """

    noise: NoiseModel = _SILENT
    exposure_ev: float = 0.0


def finish(camera: NDArray[np.floating[Any]], sample: SyntheticCapture) -> Rgb:
    """Give linear camera RGB the colours and the brightness of the picture.

    Args:
        camera: [3, H, W], white-balanced, 1 = white.
        sample: its matrix is used, and its exposure if it is a Take.
    """
    exposure_ev = sample.exposure_ev if isinstance(sample, Take) else 0.0
    return to_srgb(camera, sample.camera_to_srgb, exposure_ev)


def reference(sample: SyntheticCapture) -> Rgb:
    """The picture that a perfect method gives."""
    return finish(sample.target, sample)


def taken_by(picture: Rgb8, shot: Shot, index: int, exposure_ev: float = 0.0) -> Take:
    """A capture of a picture.

    Args:
        picture: [H, W, 3]; the rows and columns over multiples of 32 are cut off.
        shot: how it is taken.
        index: the picture's number, which seeds the noise.
        exposure_ev: stops that developing adds.
    """
    height, width = (n // SIZE_MULTIPLE * SIZE_MULTIPLE for n in picture.shape[:2])
    rng = np.random.default_rng([_SEED, index])
    sample = synthesise(picture[:height, :width], shot, rng)
    return Take(sample.packed, sample.target, sample.camera_to_srgb, shot.noise, exposure_ev)


def take(picture: Rgb8, level: str, index: int, underexposed_ev: float = 0.0) -> Take:
    """A capture by the neutral sensor; without underexposure it is that of `validation_sample`.

    Args:
        picture: [H, W, 3].
        level: of NOISE_LEVELS.
        index: the picture's number.
        underexposed_ev: stops by which the capture is too dark and which developing adds again.
    """
    neutral = neutral_shot(NOISE_LEVELS[level])
    exposure = neutral.exposure * 2.0**-underexposed_ev
    shot = Shot(neutral.camera_to_srgb, neutral.gains, exposure, neutral.noise, neutral.levels)
    return taken_by(picture, shot, index, underexposed_ev)


def flat_take(value: float, side: int, level: str, *, clip_black: bool = False) -> Take:
    """A capture of a grey surface, which the sensor may be too small for.

    Args:
        value: of the scene, linear; above 1 the sensor clips it, and the target is white.
        side: height and width in pixels.
        level: of NOISE_LEVELS.
        clip_black: whether noise below the black level is lost, as some cameras store it.
    """
    shot = neutral_shot(NOISE_LEVELS[level])
    scene = np.full((3, side, side), value, np.float32)
    packed = pack(mosaic_of(scene, shot, np.random.default_rng([_SEED, 99])))
    if clip_black:
        packed = np.maximum(packed, 0)
    return Take(packed, np.clip(scene, 0, 1), np.eye(3, dtype=np.float32), shot.noise)


def shifted(picture: Rgb8, pixels: float) -> Rgb8:
    """A picture with red moved down and right and blue moved up and left, as lenses do.

    Args:
        picture: [H, W, 3].
        pixels: along both axes; a fraction is interpolated with a spline of fifth order.
    """
    moved = picture.astype(np.float32)
    for channel, way in ((0, 1), (2, -1)):
        by = (way * pixels, way * pixels)
        moved[..., channel] = shift(moved[..., channel], by, order=5, mode="mirror")
    return _rounded(moved)


def blurred(picture: Rgb8, sigma: float) -> Rgb8:
    """A picture after a Gaussian blur.

    Args:
        picture: [H, W, 3].
        sigma: in pixels.
    """
    return _rounded(gaussian_filter(picture.astype(np.float32), (sigma, sigma, 0)))


def _rounded(picture: NDArray[np.float32]) -> Rgb8:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def real_take(path: Path, side: int = 1024) -> Take:
    """The middle of a RAW file as a capture whose picture is not known, so its target is zero.

    It is cut to start on red and to whole multiples of 32 pixels.

    Args:
        path: a Bayer capture that LibRaw opens.
        side: height and width of the middle part that is taken, at most.

    Raises:
        CaptureError: the file is none.
    """
    capture = read_capture(path)
    gains = wb_gains("as-shot", capture.wb, capture.daylight_wb)
    top, left = divmod(capture.pattern.index("R"), 2)
    mosaic = normalise(capture, gains)[top:, left:]
    height, width = (min(side, n) // SIZE_MULTIPLE * SIZE_MULTIPLE for n in mosaic.shape)
    # An even number of rows and columns is cut off, so that red stays at the corner.
    top, left = ((n - kept) // 4 * 2 for n, kept in zip(mosaic.shape, (height, width), strict=True))
    return Take(
        pack(mosaic[top : top + height, left : left + width]),
        np.zeros((3, height, width), np.float32),
        camera_to_srgb_matrix(capture.xyz_to_camera).astype(np.float32),
        exposure_ev=libraw_exposure_ev(capture),
    )
