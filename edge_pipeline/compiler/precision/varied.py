"""Synthetic captures for observing int8 ranges, as varied as the captures that people take."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.provenance import CalibrationFile
from edge_pipeline.data.procedural import Options, load
from edge_pipeline.data.raw_synthesis import CAMERAS_TO_SRGB, Shot, synthesise
from edge_pipeline.raw.noise import NOISE_LEVELS

__all__ = ["varied_captures"]

Picture = NDArray[np.uint8]

# The number of procedural pictures, and a seed that no recipe and no validation set uses.
_DRAWN, _SEED = 10, 20240307
# Four stops under, two stops under, as metered, and two stops over: dark to clipped.
_EXPOSURES = (1 / 16, 1 / 4, 1.0, 4.0)
_GAINS = ((1.0, 1.0, 1.0), (2.0, 1.0, 1.6), (1.3, 1.0, 2.4))
_PRIMARIES = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
_LEVELS = 15500


def varied_captures(
    size: tuple[int, int],
) -> Iterator[tuple[CalibrationFile, NDArray[np.float32]]]:
    """Yield varied synthetic captures.

    They are detailed and flat, dark to clipped, pale to saturated, and clean to noisy.

    Args:
        size: Height and width in packed pixels.

    Yields:
        The record of a capture, and the capture, packed and white-balanced, [1, 4, *size]. There
        are thirteen captures, the same in every call.
    """
    levels = list(NOISE_LEVELS)
    for index, (name, picture) in enumerate(_pictures(2 * max(32, *size))):
        exposure = _EXPOSURES[index % len(_EXPOSURES)]
        level = levels[(index + index // len(levels)) % len(levels)]
        camera = CAMERAS_TO_SRGB[index % len(CAMERAS_TO_SRGB)]
        shot = Shot(camera, _GAINS[index % len(_GAINS)], exposure, NOISE_LEVELS[level], _LEVELS)
        sample = synthesise(picture, shot, np.random.default_rng([_SEED, index]))
        packed = np.stack([sample.packed[:, : size[0], : size[1]]])
        digest = hashlib.sha256(packed.tobytes()).hexdigest()
        title = f"{name}, exposure {exposure:g}, noise {level}"
        yield CalibrationFile(name=title, sha256=digest), packed


def _pictures(side: int) -> Iterator[tuple[str, Picture]]:
    """Yield procedural pictures, then flat ones: saturated colours, white, black."""
    drawn = load(Options(count=_DRAWN, size=side, seed=_SEED))
    yield from zip(drawn.names, drawn.pictures, strict=True)
    quarters = np.array(_PRIMARIES, np.uint8).reshape(2, 2, 3)
    yield "primaries", quarters.repeat(side // 2, 0).repeat(side // 2, 1)
    yield "white", np.full((side, side, 3), 255, np.uint8)
    yield "black", np.zeros((side, side, 3), np.uint8)
