"""Correct lateral colour fringes on the mosaic: sample red and blue where green shows the scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import align
from edge_pipeline.raw.colour import unit_gains
from edge_pipeline.raw.displacement import Displacement
from edge_pipeline.raw.fringes import Measured, measure
from edge_pipeline.raw.image import Capture
from edge_pipeline.raw.resample import sample

__all__ = ["Fringes", "measure_fringes", "realigned"]

Plane = NDArray[np.float32]

_BAND_ROWS = 128  # of a colour plane
_REACH = 8  # plane pixels around a pixel that are read: half the largest displacement, and more


@dataclass(frozen=True)
class Fringes:
    """The measured displacements of red and blue of a capture."""

    red: Measured
    blue: Measured

    @property
    def certain(self) -> bool:
        """Whether any colour is to be corrected."""
        return self.red.certain or self.blue.certain


class _Scaled:
    """A capture's mosaic from red on, as planes that are equal for white light."""

    def __init__(self, capture: Capture) -> None:
        red, green, blue = unit_gains(capture.wb)
        self.aligned = align(capture.mosaic, capture.pattern)
        self.black = capture.black
        self.scale = [
            g / (capture.white - b)
            for g, b in zip((red, green, green, blue), capture.black, strict=True)
        ]
        self.size = (self.aligned.mosaic.shape[0], self.aligned.mosaic.shape[1])

    def plane(self, index: int) -> Plane:
        """Return a plane by its number: R, G on red rows, G on blue rows, B."""
        row, column = divmod(index, 2)
        part = self.aligned.mosaic[row::2, column::2].astype(np.float32)
        part -= np.float32(self.black[index])
        part *= np.float32(self.scale[index])
        return part

    def green_at(self, index: int) -> Plane:
        """Return the mean of the four greens around the pixels of red (0) or blue (3)."""
        first, second = self.plane(1), self.plane(2)
        step = -1 if index == 0 else 1
        return (
            first
            + second
            + _neighbour(first, step, 1 - index // 3)
            + _neighbour(second, step, index // 3)
        ) / np.float32(4)


def _neighbour(plane: Plane, step: int, axis: int) -> Plane:
    """Return a plane moved so that each pixel shows its neighbour; edges are repeated."""
    size = plane.shape[axis]
    return np.take(plane, np.clip(np.arange(size) + step, 0, size - 1), axis)


def measure_fringes(capture: Capture) -> Fringes:
    """Measure the displacements of red and blue against green; see `fringes.measure`."""
    scaled = _Scaled(capture)
    red, blue = (
        measure(scaled.plane(index), scaled.green_at(index), index // 3, scaled.size)
        for index in (0, 3)
    )
    return Fringes(red, blue)


def realigned(capture: Capture, fringes: Fringes) -> Capture:
    """Return a capture in which red and blue show the scene where green shows it.

    Not the colour itself is interpolated, which would blur it, but its difference from green at
    the same point of the scene, which is smooth; green is then added at the new position.

    Args:
        capture: capture to correct; it is not changed.
        fringes: its displacements, from `measure_fringes`; only certain ones are corrected.

    Returns:
        A capture with the same green pixels, or the same capture if no displacement is certain.

    Source: the use of differences follows E. Martinec's CA_correct in RawTherapee.
    """
    if not fringes.certain:
        return capture
    scaled = _Scaled(capture)
    mosaic = scaled.aligned.mosaic.copy()
    whole = np.issubdtype(mosaic.dtype, np.integer)
    for index, measured in ((0, fringes.red), (3, fringes.blue)):
        if not measured.certain:
            continue
        target = mosaic[index // 3 :: 2, index // 3 :: 2]
        for top in range(0, len(target), _BAND_ROWS):
            bottom = min(top + _BAND_ROWS, len(target))
            values = _band(scaled, index, top, bottom, measured.displacement)
            values = values / scaled.scale[index] + scaled.black[index]
            # The sensor's range; a saturated value stays saturated.
            values = np.clip(values, 0, max(capture.white, float(target[top:bottom].max())))
            target[top:bottom] = np.rint(values) if whole else values
    return replace(capture, mosaic=mosaic[scaled.aligned.window])


def _band(scaled: _Scaled, index: int, top: int, bottom: int, moved: Displacement) -> Plane:
    """Return the rows [top, bottom) of the red (0) or blue (3) plane, realigned and scaled."""
    band = _extended(scaled, top - _REACH, bottom + _REACH)
    green = _green(band)
    first = index // 3
    rows = np.arange(first, band.shape[0], 2)[:, None]
    columns = np.arange(first, band.shape[1], 2)[None]
    # The band begins 2 * _REACH pixels above its first row and left of the mosaic.
    down, right = moved.at(rows + 2 * (top - _REACH), columns - 2 * _REACH, scaled.size)
    difference = band[first::2, first::2] - sample(green, rows, columns, down, right)
    inner = slice(_REACH, -_REACH)
    places = (
        np.arange(difference.shape[0])[inner, None],
        np.arange(difference.shape[1])[None, inner],
    )
    half = np.float32(-0.5)
    back = sample(difference, *places, half * down[inner, inner], half * right[inner, inner])
    still: Plane = green[first::2, first::2][inner, inner]
    return still + back


def _extended(scaled: _Scaled, top: int, bottom: int) -> Plane:
    """Return the scaled cells of plane rows [top, bottom), with edge cells repeated outside."""
    mosaic = scaled.aligned.mosaic
    height, width = mosaic.shape
    rows = _cells(top, bottom, height // 2)
    columns = _cells(-_REACH, width // 2 + _REACH, width // 2)
    band = mosaic[np.ix_(rows, columns)].astype(np.float32)
    for index, (black, scale) in enumerate(zip(scaled.black, scaled.scale, strict=True)):
        part = band[index // 2 :: 2, index % 2 :: 2]
        part -= np.float32(black)
        part *= np.float32(scale)
    return band


def _cells(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the mosaic indices of cells, of which those outside repeat the edge's."""
    cells = np.clip(np.arange(start, stop), 0, size - 1)
    return np.asarray((2 * cells[:, None] + np.arange(2)).ravel())


def _green(band: Plane) -> Plane:
    """Return green at every pixel of an RGGB band: elsewhere, a mean along the smoother axis."""
    padded = np.pad(band, 1, mode="reflect")
    up, down = padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    vertical = 1 / np.square(np.abs(up - down) + np.float32(1e-3))
    horizontal = 1 / np.square(np.abs(left - right) + np.float32(1e-3))
    mean = (vertical * (up + down) + horizontal * (left + right)) / (2 * (vertical + horizontal))
    green = band.copy()
    for first in (0, 1):
        green[first::2, first::2] = mean[first::2, first::2]
    return green
