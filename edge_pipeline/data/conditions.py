"""The conditions of a synthetic capture: camera, light, exposure, lens and sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.data.raw_synthesis import CAMERAS_TO_SRGB
from edge_pipeline.raw.colour import RGBGains
from edge_pipeline.raw.noise import NoiseModel

__all__ = ["Conditions", "Lens", "Sensor", "draw_conditions"]

Rng = np.random.Generator


@dataclass(frozen=True)
class Lens:
    """The aberrations of a lens for the three colours.

    Attributes:
        shift: Shifts down and right by crop and colour, in mosaic pixels, [N, 3, 2].
        magnification: Magnification by colour; 1 for none, [3].
        blur: Standard deviation of the blur by colour, in mosaic pixels, [3].
    """

    shift: NDArray[np.float32]
    magnification: NDArray[np.float32]
    blur: NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """The noise, quantisation and defects of a sensor.

    Attributes:
        noise: Noise of the normalised raw signal, before white balance.
        levels: Number of steps between black and white.
        green_imbalance: Factor on green of red rows; 1 for a sensor without imbalance.
        defects: Fraction of hot pixels; half as many pixels are dead.
        clips_black: Whether values below black are recorded as black.
    """

    noise: NoiseModel
    levels: int
    green_imbalance: float
    defects: float
    clips_black: bool


@dataclass(frozen=True)
class Conditions:
    """The conditions that all crops of one synthetic capture share.

    Attributes:
        camera_to_srgb: Colour matrix [3, 3]; its rows sum to 1.
        gains: White balance gains (R, G, B), the smallest 1.
        exposure: Factor on linear light; a factor above 1 clips highlights.
        push: Factor on the picture when the loss is computed, at least 1; it makes an underexposed
            capture as bright as a well exposed one.
        saturation: Factor on the distance from grey, by crop, [N].
        lens: Aberrations of the lens; None for a perfect lens.
        sensor: Noise and defects of the sensor.
    """

    camera_to_srgb: NDArray[np.float64]
    gains: RGBGains
    exposure: float
    push: float
    saturation: NDArray[np.float32]
    lens: Lens | None
    sensor: Sensor


def draw_conditions(rng: Rng, crops: int) -> Conditions:
    """Draw a random camera, light, exposure, lens and sensitivity.

    One capture in four has no noise. One in four is underexposed by up to 4 EV. Two in three have
    a lens that shifts red and blue by up to 1.5 pixels or that blurs. One in five has hot and dead
    pixels.

    Args:
        rng: Random generator.
        crops: Number of crops of the capture.
    """
    push = float(2 ** rng.uniform(0, 4)) if rng.random() < 0.25 else 1.0
    bright = float(np.exp(rng.normal(-0.1, 0.35)))
    saturated = rng.random() < 0.4
    red, blue = np.maximum(rng.uniform(0.5, 2.6, 2), 1)  # about a quarter of each are 1
    return Conditions(
        camera_to_srgb=_camera(rng),
        gains=(float(red), 1.0, float(blue)),
        exposure=bright if push == 1 else 1 / push,
        push=push,
        saturation=np.asarray(
            rng.uniform(0.7, 2.2, crops) if saturated else np.ones(crops), np.float32
        ),
        lens=_lens(rng, crops) if rng.random() < 0.65 else None,
        sensor=_sensor(rng),
    )


def _camera(rng: Rng) -> NDArray[np.float64]:
    """Draw sRGB's own colour matrix or a mixture of it with those of real cameras."""
    if rng.random() < 0.35:
        return np.eye(3)
    mix = rng.dirichlet(np.full(len(CAMERAS_TO_SRGB) + 1, 0.7))
    return np.asarray(np.tensordot(mix[:-1], CAMERAS_TO_SRGB, 1) + mix[-1] * np.eye(3))


def _lens(rng: Rng, crops: int) -> Lens:
    """Draw a lens that shifts red and blue against green, with another direction for each crop."""
    amount = rng.uniform(0, 1.5) * (rng.random() < 0.8)
    angle = rng.uniform(0, 2 * np.pi, crops)
    radial = amount * rng.uniform(0.3, 1, crops) * np.stack([np.sin(angle), np.cos(angle)])
    shift = np.zeros((crops, 3, 2))
    shift[:, 0] = radial.T
    shift[:, 2] = -radial.T * rng.uniform(-0.5, 1.2)
    shift += rng.uniform(-0.5, 0.5, (crops, 1, 2)) * (rng.random() < 0.5)
    magnification = 1 + np.array([rng.normal(0, 0.002), 0, rng.normal(0, 0.002)])
    common = abs(rng.normal(0, 0.5)) * (rng.random() < 0.75) + 0.5 * (rng.random() < 0.15)
    blur = common + np.abs(rng.normal(0, 0.25, 3)) * (rng.random() < 0.6)
    return Lens(*(np.asarray(value, np.float32) for value in (shift, magnification, blur)))


def _sensor(rng: Rng) -> Sensor:
    """Draw a sensor.

    Shot noise is log-uniform, from that of a large sensor at base ISO to more than that of a small
    sensor at its highest ISO.
    """
    noise = NoiseModel(0, 0)
    if rng.random() > 0.25:
        a = float(np.exp(rng.uniform(np.log(5e-5), np.log(2.5e-2))))
        b = 0.002 * (a / 4e-4) ** 0.7 * float(np.exp(rng.normal(0, 0.4)))
        noise = NoiseModel(a, b)
    return Sensor(
        noise=noise,
        levels=int(rng.choice([940, 3840, 15500])),
        green_imbalance=1 + float(rng.normal(0, 0.006)) * (rng.random() < 0.15),
        defects=float(10 ** rng.uniform(-4.5, -3)) * (rng.random() < 0.2),
        clips_black=bool(rng.random() < 0.3),
    )
