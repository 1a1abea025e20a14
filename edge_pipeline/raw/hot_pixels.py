"""Repair hot and dead pixels of a capture: pixels that do not measure the light that they get.

A lens spreads even the image of a star over neighbouring pixels, of all colours. A defective pixel
deviates alone. The rule therefore compares a pixel with its eight nearest pixels of the same
colour and also with the eight pixels that touch it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import per_pixel
from edge_pipeline.raw.colour import unit_gains
from edge_pipeline.raw.defects import REACH, Band, Suspects, suspects
from edge_pipeline.raw.image import Capture
from edge_pipeline.raw.noise_level import measure_noise
from edge_pipeline.raw.stored import like, row_bands

__all__ = ["MANY_SHARE", "HotPixels", "find", "repaired"]

# More than this share of repaired pixels is unusual and is worth a note.
MANY_SHARE = 1e-3

_BAND_ROWS = 64
# In photographs without defects, the clusters with a score from 0.5 to 1 measure the texture: the
# number of suspects with a score above t is at most about this share of them, divided by the
# square of t. (For single pixels, then for pixels in clusters.)
_TAILS = (0.2, 0.7)
# This number is added to them, because stars on a dark sky form clusters and are no texture.
_STARS = (0, 10)
_LEAST = (0.85, 1.0)
# Suspects are defective if at most this share of them is expected to be texture.
_FALSE_SHARE = 0.2
_SMALLEST = 2 * REACH  # a smaller mosaic has too few neighbours

Mosaic = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HotPixels:
    """The defective pixels of a mosaic and the values that replace them.

    Attributes:
        rows: Int [N], their rows, in ascending order.
        columns: Int [N], their columns.
        values: Float32 [N], interpolated values, in the mosaic's unit.
        hot: Number of them that are too bright; the others are too dark.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    values: NDArray[np.float32]
    hot: int

    @property
    def count(self) -> int:
        """Number of defective pixels."""
        return len(self.rows)


def repaired(capture: Capture) -> tuple[Capture, HotPixels]:
    """Return a capture whose hot and dead pixels are interpolated.

    The result depends on the capture alone: signals are compared after the as-shot white balance,
    in which the light of a star has equal values in all colours.

    Args:
        capture: Capture to repair; it is not changed.

    Returns:
        The repaired capture, with a note if many pixels were repaired (or the same capture if none
        was), and the pixels.
    """
    red, green, blue = unit_gains(capture.wb)
    first, second, third, fourth = capture.black
    factors = (
        red / (capture.white - first),
        green / (capture.white - second),
        green / (capture.white - third),
        blue / (capture.white - fourth),
    )
    black = per_pixel(capture.black, capture.pattern, (2, 2))
    scale = per_pixel(factors, capture.pattern, (2, 2))
    pixels = find(capture.mosaic, black=black, scale=scale)
    if not pixels.count:
        return capture, pixels
    place = pixels.rows % 2, pixels.columns % 2
    values = np.clip(pixels.values / scale[place] + black[place], 0, capture.white)
    if np.issubdtype(capture.mosaic.dtype, np.integer):
        values = np.rint(values)
    mosaic = like(capture.mosaic, _with(capture.mosaic, pixels, values))
    notes = capture.notes
    if pixels.count > MANY_SHARE * mosaic.size:
        notes += (
            f"{pixels.count} hot or dead pixels were repaired, which is an unusual number; "
            "--hot-pixels off keeps them",
        )
    return replace(capture, mosaic=mosaic, notes=notes), pixels


def _with(
    mosaic: NDArray[Any], pixels: HotPixels, values: NDArray[np.floating[Any]]
) -> Iterator[NDArray[Any]]:
    """Yield bands of copies of a mosaic's rows in which pixels have other values."""
    for rows in row_bands(mosaic):
        band = mosaic[rows].copy()
        first, last = np.searchsorted(pixels.rows, (rows.start, rows.stop))
        own = slice(first, last)
        band[pixels.rows[own] - rows.start, pixels.columns[own]] = values[own]
        yield band


def find(mosaic: NDArray[Any], *, black: Mosaic, scale: Mosaic) -> HotPixels:
    """Find the hot and dead pixels of a Bayer mosaic of any order.

    A pixel is suspected if all of the following hold for its deviation, the distance to the second
    most extreme of its eight nearest neighbours of the same colour (distance 2):

    - It exceeds 4.5 standard deviations of the noise that was measured at this signal, and about 5
      codes on the sRGB curve.
    - At most one of the 16 neighbours (the same colour, and the eight touching pixels) deviates by
      more than 0.45 times as much from its own surroundings in the same direction. This keeps
      lines, text and stars, and permits clusters of two.
    - The four adjacent pixels, without that one, deviate by less than 0.2 times as much in sum (a
      star of the sharpest lens: 0.6), or 0.3 times if they are dark, beyond the noise of the sum.

    Its score is the smaller ratio of the deviation to 0.8 times the spread of the eight neighbours
    (without the most extreme on each side), and to twice the second largest deviation, likewise
    measured but from four neighbours, of the 80 pixels around. It is defective if the score is so
    high that at most a fifth of the suspects with such scores can be texture. The number of
    clusters with scores from 0.5 to 1 tells how much texture the capture has.

    A defective pixel gets a mean of its neighbours of the same colour, in which directions with
    less change count more, plus the curvature of the other colours.

    Args:
        mosaic: [H, W] in the camera's values.
        black: [2, 2], black levels at the mosaic's corner.
        scale: [2, 2], factors after which white light is equal in all colours and white is 1 or
            more.

    Returns:
        The pixels; none if the mosaic has fewer than 12 rows or columns. The values of `values` are
        scaled. They do not depend on the size of the bands in which the mosaic is processed.

    Source: the comparison with neighbours of the same colour is that of darktable's module
        hotpixels (four neighbours, a factor, one exception for pairs); the comparison with local
        variation is that of RawTherapee's findHotDeadPixels, after E. Martinec. The limit on false
        discoveries is that of Y. Benjamini and Y. Hochberg, Controlling the false discovery rate,
        JRSS B 57(1), 1995. The conditions on noise and on touching pixels are our own.
    """
    if min(mosaic.shape) < _SMALLEST:
        none = np.zeros(0, np.intp)
        return HotPixels(none, none, np.zeros(0, np.float32), 0)
    noise = _noise(mosaic, black, scale)
    parts = []
    for rows in row_bands(mosaic):
        for top in range(rows.start, rows.stop, _BAND_ROWS):
            values = _extended(mosaic, top, min(top + _BAND_ROWS, rows.stop))
            own = suspects(Band(values, black, scale, noise))
            parts.append(own._replace(rows=own.rows + top))
    every = Suspects(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    bad = _defective(every)
    hot = int(every.hot[bad].sum())
    return HotPixels(every.rows[bad], every.columns[bad], every.values[bad], hot)


def _defective(every: Suspects) -> NDArray[np.bool_]:
    """Return which suspects are defective: those of a score that texture seldom has."""
    defective = np.zeros(len(every.scores), np.bool_)
    texture = np.count_nonzero(every.cluster & (every.scores < 1))
    kinds = (~every.cluster, every.cluster)
    for kind, tail, stars, least in zip(kinds, _TAILS, _STARS, _LEAST, strict=True):
        scores = np.sort(every.scores[kind & (every.scores >= least)])[::-1]
        expected = tail * (texture + stars) / np.square(scores)
        sure = scores[expected <= _FALSE_SHARE * np.arange(1, len(scores) + 1)]
        if len(sure):
            defective |= kind & (every.scores >= sure[-1])
    return defective


def _extended(mosaic: NDArray[Any], top: int, bottom: int) -> NDArray[Any]:
    """Return the rows [top, bottom) with 6 more pixels on each side; `top` is even."""
    height, width = mosaic.shape
    columns = _mirrored(-REACH, width + REACH, width)
    rows = mosaic[_mirrored(top - REACH, bottom + REACH, height)]
    band = np.empty((len(rows), len(columns)), mosaic.dtype)
    band[:, REACH:-REACH] = rows
    band[:, :REACH] = rows[:, columns[:REACH]]
    band[:, -REACH:] = rows[:, columns[-REACH:]]
    return band


def _mirrored(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the indices of [start, stop), beyond [0, size) those of the same colour's reflection.

    No pixel inside is then a neighbour of itself, as it would be beyond an edge of the mosaic.
    """
    index = np.arange(start, stop)
    index = np.where(index < 0, index % 2 * 2 - index, index)
    last = size - 1
    return np.where(index > last, 2 * (last - (index - last) % 2) - index, index)


def _noise(mosaic: NDArray[Any], black: Mosaic, scale: Mosaic) -> NDArray[np.float32]:
    """Return the noise of the scaled mosaic, [2 (slope, offset), 2, 2], by position in the cell."""
    noise = np.zeros((2, 2, 2), np.float32)
    whole = np.issubdtype(mosaic.dtype, np.integer)
    for row, column in np.ndindex(2, 2):
        factor = float(scale[row, column])
        own = measure_noise(
            mosaic[row::2, column::2], black=float(black[row, column]), scale=factor
        )
        # Noise that rounding or clipping at black hides is assumed to be one step of the values.
        noise[:, row, column] = own.slope, max(own.offset, whole * factor**2)
    return noise
