"""Sensor noise: shot noise, which grows with the signal, and read noise, which does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError

__all__ = ["NOISE_LEVELS", "NoiseModel", "add_noise"]


@dataclass(frozen=True)
class NoiseModel:
    """Noise of variance a x + b^2 on a normalised raw value x, before white balance.

    Attributes:
        a: Shot noise, variance per unit of signal; the inverse of the full well in electrons.
        b: Read noise, standard deviation as a fraction of the white level.

    Raises:
        InputError: If a parameter is negative or not finite.

    Source: A. Foi et al., Practical Poissonian-Gaussian noise modeling and fitting for
        single-image raw-data, IEEE TIP 17(10), 2008, equation 1.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        for name, value in (("a", self.a), ("b", self.b)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"noise parameter {name} is {value}; give 0 or more")

    def variance(self, x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the variance at each value; below black it is that of the read noise alone.

        Args:
            x: Normalised raw values, 0 = black and 1 = white, any shape.
        """
        return np.asarray(self.a * np.maximum(x, 0) + self.b**2)


# Noise levels of the measurements in docs/, from none to that of a very high ISO.
NOISE_LEVELS: Mapping[str, NoiseModel] = MappingProxyType(
    {
        "none": NoiseModel(0.0, 0.0),
        "low": NoiseModel(4e-4, 0.002),
        "medium": NoiseModel(3e-3, 0.008),
        "high": NoiseModel(1.5e-2, 0.025),
    }
)


def add_noise(
    x: NDArray[np.floating[Any]], model: NoiseModel, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add signal-dependent Gaussian noise.

    Args:
        x: Normalised raw values before white balance, any shape.
        model: Parameters of the noise.
        rng: Random generator, from which `x.size` normal values are drawn.

    Returns:
        Float32, the shape of `x`, not clipped: values can be below 0 and above 1.
    """
    draws = rng.standard_normal(x.shape, dtype=np.float32)
    return np.asarray(x + np.sqrt(model.variance(x)) * draws, np.float32)
