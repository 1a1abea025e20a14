"""The conditions of a synthetic capture: camera, light, lens, sensor and its faults."""

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
    """How a lens treats the three colours.

    Attributes:
        shift: [N, 3, 2], by crop and colour, in mosaic pixels down and right.
        magnification: [3], relative to 1.
        blur: [3], standard deviation in mosaic pixels.
    """

    shift: NDArray[np.float32]
    magnification: NDArray[np.float32]
    blur: NDArray[np.float32]


@dataclass(frozen=True)
class Sensor:
    """How a sensor records light.

    Attributes:
        noise: on the normalised raw signal, before white balance.
        levels: steps between black and white.
        green_imbalance: factor on green of red rows; 1 for a good sensor.
        defects: share of pixels that are hot; half as many are dead.
        clips_black: whether values below black are recorded as black.
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
        camera_to_srgb: [3, 3], rows sum to 1.
        gains: white balance (R, G, B), the smallest 1.
        exposure: factor on linear light; above 1 clips highlights.
        push: factor with which the picture is judged, at least 1; an underexposed capture is
            judged as brightly as a well exposed one.
        saturation: [N], factor on the distance from grey, by crop.
        lens: None for a lens without fault.
        sensor: noise and faults.
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

    One capture in four has no noise, one in four is underexposed by up to 4 EV, two in three have
    a lens whose red and blue are shifted by up to 1.5 pixels or which blurs, one in five has hot
    and dead pixels.

    Args:
        rng: the source of randomness.
        crops: how many crops the capture consists of.
    """
    push = float(2 ** rng.uniform(0, 4)) if rng.random() < 0.25 else 1.0
    bright = float(np.exp(rng.normal(-0.1, 0.35)))
    saturated = rng.random() < 0.4
    red, blue = np.maximum(rng.uniform(0.5, 2.6, 2), 1)  # a quarter each has gain 1
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
    """A mixture of real cameras' matrices and sRGB's own."""
    if rng.random() < 0.35:
        return np.eye(3)
    mix = rng.dirichlet(np.full(len(CAMERAS_TO_SRGB) + 1, 0.7))
    return np.asarray(np.tensordot(mix[:-1], CAMERAS_TO_SRGB, 1) + mix[-1] * np.eye(3))


def _lens(rng: Rng, crops: int) -> Lens:
    """Red and blue shifted against green, in a direction that depends on the crop's place."""
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
    """Shot noise log-uniform from a large sensor's base ISO to beyond a small one's highest."""
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
