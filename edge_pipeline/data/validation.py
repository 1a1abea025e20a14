"""Measure PSNR in sRGB on synthetic captures of validation pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.raw_synthesis import Shot, SyntheticCapture, synthesise
from edge_pipeline.raw.cfa import pack, unpack
from edge_pipeline.raw.colour import to_srgb
from edge_pipeline.raw.noise import NOISE_LEVELS, NoiseModel

# In packed pixels: a multiple of the networks' strides, and larger than most of their halos.
_MARGIN = 32

__all__ = ["developed_sample", "neutral_shot", "psnr_by_level", "psnr_db", "validation_sample"]


def neutral_shot(noise: NoiseModel) -> Shot:
    """Return the camera settings of validation captures: an sRGB sensor in neutral light.

    All validation captures share them, so PSNR values of different networks and of classical
    demosaicing methods are comparable.

    Args:
        noise: Noise of the normalised raw signal.
    """
    return Shot(np.eye(3), (1.0, 1.0, 1.0), 1.0, noise, 15500)


def validation_sample(picture: NDArray[np.uint8], level: str, index: int) -> SyntheticCapture:
    """Return a capture of a picture by the neutral sensor; the same call gives the same noise.

    Args:
        picture: sRGB picture [H, W, 3], uint8; its sides are cropped to multiples of 32.
        level: Name of a noise level in NOISE_LEVELS.
        index: Number of the picture, the seed of the noise.
    """
    rng = np.random.default_rng([2021, index])
    height, width = picture.shape[0] // 32 * 32, picture.shape[1] // 32 * 32
    return synthesise(picture[:height, :width], neutral_shot(NOISE_LEVELS[level]), rng)


def psnr_db(picture: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB; 100 if they are equal.

    Args:
        picture: Picture of any shape, 0 to 1.
        reference: Picture of the same shape, 0 to 1.
    """
    mse = float(np.mean((picture.astype(np.float64) - reference) ** 2))
    return 100.0 if mse == 0 else float(-10 * np.log10(mse))


def _with_margin(
    develop: Callable[[Tensor], Tensor], packed: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Develop [4, h, w], extended by reflection on all sides as in `edge-pipeline develop`."""
    grown = pack(np.pad(unpack(packed), 2 * _MARGIN, mode="reflect"))
    camera = develop(torch.from_numpy(grown)[None])[0].cpu().numpy()
    inner = slice(2 * _MARGIN, -2 * _MARGIN)
    return np.asarray(camera[:, inner, inner])


def psnr_by_level(
    develop: Callable[[Tensor], Tensor], pictures: Pictures, levels: tuple[str, ...]
) -> dict[str, float]:
    """Return the mean PSNR in sRGB over all pictures, for each noise level.

    Args:
        develop: Function from packed captures [1, 4, H, W] to linear camera RGB [1, 3, 2H, 2W].
        pictures: Pictures from which captures are synthesised.
        levels: Names of noise levels in NOISE_LEVELS.

    Returns:
        PSNR in dB by noise level.
    """
    result = {}
    for level in levels:
        values = []
        for index, picture in enumerate(pictures.pictures):
            sample = validation_sample(picture, level, index)
            with torch.no_grad():
                camera = _with_margin(develop, sample.packed)
            got, wanted = (to_srgb(x, sample.camera_to_srgb) for x in (camera, sample.target))
            values.append(psnr_db(got, wanted))
        result[level] = float(np.mean(values))
    return result


def developed_sample(
    develop: Callable[[Tensor], Tensor], pictures: Pictures, level: str
) -> NDArray[np.float32]:
    """Return the first validation picture, developed, in sRGB.

    Args:
        develop: Function from packed captures [1, 4, H, W] to linear camera RGB [1, 3, 2H, 2W].
        pictures: Pictures from which captures are synthesised.
        level: Name of a noise level in NOISE_LEVELS.

    Returns:
        Picture [3, H, W], 0 to 1.
    """
    sample = validation_sample(pictures.pictures[0], level, 0)
    with torch.no_grad():
        camera = _with_margin(develop, sample.packed)
    return np.asarray(to_srgb(camera, sample.camera_to_srgb), np.float32)
