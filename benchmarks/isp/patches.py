"""Captures of flat saturated patches by several cameras, for measuring the phase grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.isp.captures import Rgb8, Take, taken_by
from edge_pipeline.data.raw_synthesis import Shot
from edge_pipeline.raw.colour import RGBGains, camera_to_srgb_matrix
from edge_pipeline.raw.noise import NoiseModel

__all__ = ["Patch", "patch_takes"]

Patch = tuple[slice, slice]  # rows and columns of the part of a patch that is measured

_SIDE = 64  # of a patch, in pixels
_MARGIN = 20  # width of the part that is not measured, because neighbouring patches affect it
_ACROSS = 4
# sRGB of yellow, orange, red and pink petals, a leaf, and clear blue, magenta and cyan.
_NAMED = (
    (250, 210, 10),
    (240, 180, 0),
    (245, 120, 10),
    (200, 20, 30),
    (225, 60, 140),
    (40, 130, 30),
    (20, 60, 220),
    (200, 30, 210),
    (10, 200, 210),
)
# XYZ (D65) to camera, times 10,000, from the makers' DNG files; None is a camera with sRGB colours.
_CAMERAS: tuple[tuple[tuple[int, ...] | None, RGBGains], ...] = (
    (None, (1.0, 1.0, 1.0)),
    ((8139, -2171, -663, -8747, 16541, 2295, -1925, 2008, 8093), (2.1, 1.0, 1.4)),  # Nikon D700
    ((4716, 603, -830, -7798, 15474, 2480, -1496, 1937, 6651), (2.0, 1.0, 1.6)),  # Canon 5D II
    ((7798, -2562, -740, -3879, 11584, 2613, -1055, 2248, 5434), (1.8, 1.0, 1.5)),  # Lumix GF1
)


def _colours(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return sixteen colours, uint8 [16, 3]: the named ones, then random saturated ones."""
    count = _ACROSS**2 - len(_NAMED)
    random = rng.uniform(40, 255, (count, 3))
    random[np.arange(count), rng.integers(3, size=count)] = rng.uniform(0, 25, count)
    return np.vstack([np.array(_NAMED), np.round(random)]).astype(np.uint8)


def _sheet(colours: NDArray[np.uint8]) -> Rgb8:
    grid = colours.reshape(_ACROSS, _ACROSS, 3)
    return np.asarray(grid.repeat(_SIDE, axis=0).repeat(_SIDE, axis=1))


def patch_takes() -> list[tuple[Take, list[Patch]]]:
    """Return a capture without noise by each of four cameras, with the places of its patches."""
    patches = [
        (
            slice(row * _SIDE + _MARGIN, (row + 1) * _SIDE - _MARGIN),
            slice(column * _SIDE + _MARGIN, (column + 1) * _SIDE - _MARGIN),
        )
        for row, column in np.ndindex(_ACROSS, _ACROSS)
    ]
    result = []
    for index, (camera, gains) in enumerate(_CAMERAS):
        matrix = None if camera is None else np.array(camera, np.float64).reshape(3, 3) / 1e4
        shot = Shot(camera_to_srgb_matrix(matrix), gains, 1.0, NoiseModel(0, 0), 15500)
        picture = _sheet(_colours(np.random.default_rng(index)))
        result.append((taken_by(picture, shot, index), patches))
    return result
