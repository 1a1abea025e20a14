"""PSNR in sRGB on synthetic captures of pictures that are not trained on."""

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

# Packed pixels; a multiple of the strides of networks, and beyond most of their reach.
_MARGIN = 32

__all__ = ["neutral_shot", "psnr_by_level", "psnr_db", "validation_sample"]


def neutral_shot(noise: NoiseModel) -> Shot:
    """How every measured capture is taken: by a sensor with sRGB's colours, in neutral light.

    Malvar's and Menon's demosaicing then score as in section 5 of `../shared/figures.md`, to a
    tenth of a dB, so figures may be put beside those.

    Args:
        noise: on the normalised raw signal.
    """
    return Shot(np.eye(3), (1.0, 1.0, 1.0), 1.0, noise, 15500)


def validation_sample(picture: NDArray[np.uint8], level: str, index: int) -> SyntheticCapture:
    """A picture captured by the neutral sensor; the same call gives the same noise.

    Args:
        picture: [H, W, 3], uint8, sRGB; what is over multiples of 32 is cut off.
        level: of NOISE_LEVELS.
        index: the picture's number, which the noise is drawn by.
    """
    rng = np.random.default_rng([2021, index])
    height, width = picture.shape[0] // 32 * 32, picture.shape[1] // 32 * 32
    return synthesise(picture[:height, :width], neutral_shot(NOISE_LEVELS[level]), rng)


def psnr_db(picture: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Peak signal to noise ratio of two pictures in 0..1, in dB; 100 where they are equal.

    Args:
        picture: any shape.
        reference: the same shape.
    """
    mse = float(np.mean((picture.astype(np.float64) - reference) ** 2))
    return 100.0 if mse == 0 else float(-10 * np.log10(mse))


def _with_margin(
    develop: Callable[[Tensor], Tensor], packed: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Develop [4, h, w] as `edge-pipeline develop` does, extended by reflection on all sides."""
    grown = pack(np.pad(unpack(packed), 2 * _MARGIN, mode="reflect"))
    camera = develop(torch.from_numpy(grown)[None])[0].cpu().numpy()
    inner = slice(2 * _MARGIN, -2 * _MARGIN)
    return np.asarray(camera[:, inner, inner])


def psnr_by_level(
    develop: Callable[[Tensor], Tensor], pictures: Pictures, levels: tuple[str, ...]
) -> dict[str, float]:
    """Mean PSNR over pictures, in sRGB, for every noise level.

    Args:
        develop: packed [1, 4, H, W] to linear camera RGB [1, 3, 2H, 2W].
        pictures: to capture.
        levels: of NOISE_LEVELS.

    Returns:
        dB by level.
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
