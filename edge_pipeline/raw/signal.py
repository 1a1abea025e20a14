"""The signal of a capture: its normalised mosaic from red on, of which parts are computed on use.

The camera's integers remain where the capture has them; no array of floats has the size of the
capture. Each part equals that of the mosaic which `normalise`, `highlights` and `cfa.align` would
compute for the whole capture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.cfa import red_at
from edge_pipeline.raw.colour import RGBGains
from edge_pipeline.raw.highlights import MARGIN, Highlights, measure_highlights
from edge_pipeline.raw.image import Capture, scaled, signal_scale
from edge_pipeline.raw.stored import release

__all__ = ["Light", "Signal"]

Plane = NDArray[np.float32]
Indices = NDArray[np.intp]

_BAND_ROWS = 256
_GAP = 64  # indices that are further apart are computed in separate parts
_RELEASED_EVERY = 1 << 22  # pixels


@dataclass(frozen=True, eq=False)
class Light:
    """The light of a capture's mosaic, in the order of its own pattern.

    Attributes:
        mosaic: [H, W], H and W at least 2, in the camera's values.
        black: [2, 2], black levels at the mosaic's corner.
        scale: [2, 2], factors after white balance.
        clip: Whether light above 1 is clipped before the factors.
        highlights: Treatment of the saturated pixels; None for none.
        factors: Factors by which the light is multiplied, one after another.
    """

    mosaic: NDArray[Any]
    black: Plane
    scale: Plane
    clip: bool = True
    highlights: Highlights | None = None
    factors: tuple[float, ...] = ()

    @classmethod
    def of(cls, capture: Capture, wb: RGBGains, *, keeps_highlights: bool) -> Light:
        """Return the light of a capture with white balance.

        Args:
            capture: Capture.
            wb: Multipliers (r, g, b).
            keeps_highlights: Whether saturated pixels are reconstructed rather than clipped at 1.
        """
        black, scale = signal_scale(capture, wb)
        light = cls(capture.mosaic, black, scale, clip=not keeps_highlights)
        if not keeps_highlights:
            return light
        width = capture.mosaic.shape[1]
        measured = measure_highlights(
            lambda first, last: light.part((first, last), (0, width)),
            len(capture.mosaic),
            capture.pattern,
            wb,
        )
        release(capture.mosaic)
        return replace(light, highlights=measured)

    def times(self, factor: float) -> Light:
        """Return the light multiplied by a factor."""
        return replace(self, factors=(*self.factors, factor))

    def part(self, rows: tuple[int, int], columns: tuple[int, int]) -> Plane:
        """Return rows and columns [start, stop) of the light, a new array."""
        margin = 0 if self.highlights is None else MARGIN
        (top, bottom), (left, right) = (
            (max(0, start - margin) // 2 * 2, min(size, stop + margin))
            for (start, stop), size in zip((rows, columns), self.mosaic.shape, strict=True)
        )
        light = scaled(self.mosaic[top:bottom, left:right], self.black, self.scale, clip=self.clip)
        if self.highlights is not None:
            self.highlights.reconstruct(light)
        light = light[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        for factor in self.factors:
            light *= np.float32(factor)
        return light

    def bands(self) -> Iterator[Plane]:
        """Yield the light in bands of rows."""
        height, width = self.mosaic.shape
        for top in range(0, height, _BAND_ROWS):
            yield self.part((top, min(top + _BAND_ROWS, height)), (0, width))
        release(self.mosaic)


class Signal:
    """Light of at most 1 from red on, padded as `cfa.align` does; index it like an array.

    It is indexed with two slices, or with two arrays of indices from `np.ix_`, and returns float32.

    Attributes:
        shape: Height and width, even.
        top: Number of rows above the picture, 0 or 1.
        left: Number of columns left of the picture, 0 or 1.
        height: Number of rows of the picture.
        width: Number of columns of the picture.

    Args:
        light: Light of the capture.
        pattern: Bayer order of the capture.
        multiple: Number that divides the sizes, which are also even.

    Raises:
        InputError: If the pattern is not known, or the capture has fewer than 2 rows or columns.
    """

    def __init__(self, light: Light, pattern: str, multiple: int = 2) -> None:
        self.top, self.left = red_at(pattern)
        self.height, self.width = light.mosaic.shape
        if min(self.height, self.width) < 2:
            raise InputError(
                f"a mosaic of shape {light.mosaic.shape} has no whole Bayer cell; expected [H, W] "
                "with H and W at least 2"
            )
        step = math.lcm(2, multiple)
        self._light = light
        self._rows = _padded(self.height, self.top, step)
        self._columns = _padded(self.width, self.left, step)
        self._computed = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return len(self._rows), len(self._columns)

    def grown(self, height: int, width: int) -> Signal:
        """Return the signal extended by reflection, below and on the right, to at least a size."""
        grown = object.__new__(Signal)
        grown.__dict__ |= self.__dict__
        grown._rows = _longer(self._rows, height)
        grown._columns = _longer(self._columns, width)
        return grown

    def __getitem__(self, key: tuple[slice | Indices, slice | Indices]) -> Plane:
        """Return rows and columns."""
        rows, columns = self._rows[key[0]].ravel(), self._columns[key[1]].ravel()
        result = np.empty((len(rows), len(columns)), np.float32)
        for down in _runs(rows):
            for across in _runs(columns):
                result[down, across] = self._gathered(rows[down], columns[across])
        return result

    def _gathered(self, rows: Indices, columns: Indices) -> Plane:
        (top, bottom), (left, right) = (
            (int(own.min()), int(own.max()) + 1) for own in (rows, columns)
        )
        part = self._light.part((top, bottom), (left, right))
        np.minimum(part, np.float32(1), out=part)
        self._computed += part.size
        if self._computed > _RELEASED_EVERY:
            self._computed = 0
            release(self._light.mosaic)
        if part.shape == (len(rows), len(columns)) and rows[0] == top and columns[0] == left:
            return part  # no pixel is reflected
        return part[np.ix_(rows - top, columns - left)]


def _padded(size: int, before: int, step: int) -> Indices:
    """Return indices that extend an axis by reflection, to a multiple of `step`."""
    return np.pad(np.arange(size), (before, -(before + size) % step), mode="reflect")


def _longer(indices: Indices, size: int) -> Indices:
    return np.pad(indices, (0, max(0, size - len(indices))), mode="reflect")


def _runs(indices: Indices) -> list[slice]:
    """Return slices of indices, in each of which neighbours are close to each other."""
    cuts = np.flatnonzero(np.abs(np.diff(indices)) > _GAP) + 1
    edges = [0, *cuts.tolist(), len(indices)]
    return [slice(a, b) for a, b in pairwise(edges)]
