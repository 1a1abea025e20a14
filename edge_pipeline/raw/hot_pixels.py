"""Repair hot and dead pixels of a capture: pixels that do not measure the light that they get.

A lens spreads even the image of a star over neighbouring pixels, of all colours. A defective pixel
deviates alone. The rule therefore compares a pixel with its eight nearest pixels of the same
colour and also with the eight pixels that touch it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.cfa import per_pixel
from edge_pipeline.raw.colour import unit_gains
from edge_pipeline.raw.image import Capture
from edge_pipeline.raw.noise_level import measure_noise

__all__ = ["MANY_SHARE", "HotPixels", "find", "repaired"]

# More than this share of repaired pixels is unusual and is worth a note.
MANY_SHARE = 1e-3

_BAND_ROWS = 32
_WINDOW = 4  # rows and columns around a pixel in which other deviations are compared with its own
_REACH = _WINDOW + 2  # rows and columns around a pixel that the rule reads; an even number
_SMALLEST = 2 * _REACH  # a smaller mosaic has too few neighbours

# The deviation from the second most extreme neighbour must exceed this number of standard
# deviations of the noise: in a million pixels of Gaussian noise, fewer than one does.
_NOISES = 4.5
# Smaller deviations are not visible: about 5 codes of 255 on the sRGB curve.
_VISIBLE_SLOPE, _VISIBLE_OFFSET = 1.6e-3, 1.5e-3
# The deviation must exceed this share of the spread of the eight neighbours of the same colour.
_SPREADS = 0.8
# It must exceed this factor times the deviations in a window of 9 x 9 pixels, except this number
# of the largest, which may be defective too.
_USUAL = 2.0
_OTHERS = 1
# The factor for a pixel of a cluster of two, which is more easily confused with detail.
_CLUSTER_USUAL = 4.0
# A touching or same-coloured pixel with this share of the deviation is an accomplice; a defective
# pixel has at most one, the other pixel of a cluster of two.
_ACCOMPLICE = 0.45
# The four adjacent pixels (without an accomplice) may have this sum of deviations, as a share.
# A star blurred by a Gaussian of 0.42 pixels, the sharpest, has 0.6; a defect has 0.
_HALO = 0.2
_HALO_NOISES = 1.0

_SMALLEST_COST = 1e-3  # of a direction without any change

_SAME = tuple((r, c) for r in (-2, 0, 2) for c in (-2, 0, 2) if (r, c) != (0, 0))
_AROUND = tuple(
    (r, c)
    for r in range(-_WINDOW, _WINDOW + 1)
    for c in range(-_WINDOW, _WINDOW + 1)
    if (r, c) != (0, 0)
)
_ADJACENT = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
# Directions in which a pixel is interpolated.
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))

Mosaic = NDArray[np.float32]
Offsets = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class HotPixels:
    """The defective pixels of a mosaic and the values that replace them.

    Attributes:
        rows: int [N], their rows, in ascending order.
        columns: int [N], their columns.
        values: float32 [N], interpolated values, in the mosaic's unit.
        hot: number of them that are too bright; the others are too dark.
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
        capture: capture to repair; it is not changed.

    Returns:
        The repaired capture, with a note if many pixels were repaired (or the same capture if none
        was), and the pixels.
    """
    red, green, blue = unit_gains(capture.wb)
    gains = (red, green, green, blue)
    scale = tuple(g / (capture.white - b) for g, b in zip(gains, capture.black, strict=True))
    # The two values of each row of the 2 x 2 cell, at the mosaic's own corner.
    cells = [per_pixel(v, capture.pattern, (2, 2)) for v in (capture.black, scale)]  # type: ignore[arg-type]
    pixels = find(capture.mosaic, black=cells[0], scale=cells[1])
    if not pixels.count:
        return capture, pixels
    mosaic = capture.mosaic.copy()
    back = pixels.values / cells[1][pixels.rows % 2, pixels.columns % 2]
    back += cells[0][pixels.rows % 2, pixels.columns % 2]
    whole = np.issubdtype(mosaic.dtype, np.integer)
    mosaic[pixels.rows, pixels.columns] = np.rint(back).clip(0) if whole else back
    notes = capture.notes
    if pixels.count > MANY_SHARE * mosaic.size:
        notes += (
            f"{pixels.count} hot or dead pixels were repaired, which is an unusual number; "
            "--hot-pixels off keeps them",
        )
    return replace(capture, mosaic=mosaic, notes=notes), pixels


def find(mosaic: NDArray[Any], *, black: Mosaic, scale: Mosaic) -> HotPixels:
    """Find the hot and dead pixels of a Bayer mosaic of any order.

    A pixel is defective if all of the following hold for its deviation, the distance to the second
    most extreme of its eight nearest neighbours of the same colour (distance 2):

    - It exceeds 4.5 standard deviations of the noise that was measured at this signal, and about 5
      codes on the sRGB curve.
    - It exceeds 0.8 times the spread of these neighbours (without the most extreme on each side).
    - It exceeds twice the second largest deviation, likewise measured but from four neighbours, of
      the 80 pixels around, so that texture is kept. In a cluster of two, it is four times.
    - At most one of the 16 neighbours (the same colour, and the eight touching pixels) deviates by
      more than 0.45 times as much from its own surroundings in the same direction. This keeps
      lines, text and stars, and permits clusters of two.
    - The four adjacent pixels, without that one, deviate by less than 0.2 times as much in sum (a
      star of the sharpest lens: 0.6), beyond the noise of the sum.

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
        variation is that of RawTherapee's findHotDeadPixels, after E. Martinec. The conditions on
        noise and on touching pixels are our own.
    """
    none = np.zeros(0, np.intp)
    if min(mosaic.shape) < _SMALLEST:
        return HotPixels(none, none, np.zeros(0, np.float32), 0)
    noise = _noise(mosaic, black, scale)
    brightest = float(scale.max() / scale.min())
    parts = []
    for top in range(0, len(mosaic), _BAND_ROWS):
        band = _band(mosaic, top, min(top + _BAND_ROWS, len(mosaic)), black, scale)
        rows, *rest = _in_band(band, noise, brightest)
        parts.append((rows + top, *rest))
    found, columns, values, hot = (np.concatenate(part) for part in zip(*parts, strict=True))
    return HotPixels(found, columns, values, int(hot.sum()))


def _band(mosaic: NDArray[Any], top: int, bottom: int, black: Mosaic, scale: Mosaic) -> Mosaic:
    """Return the scaled rows [top, bottom) with 6 more pixels on each side; `top` is even."""
    height, width = mosaic.shape
    rows = _mirrored(top - _REACH, bottom + _REACH, height)
    columns = _mirrored(-_REACH, width + _REACH, width)
    band = np.empty((len(rows) + len(rows) % 2, len(columns)), np.float32)
    band[: len(rows), _REACH:-_REACH] = mosaic[rows]
    band[: len(rows), :_REACH] = mosaic[np.ix_(rows, columns[:_REACH])]
    band[: len(rows), -_REACH:] = mosaic[np.ix_(rows, columns[-_REACH:])]
    band[len(rows) :] = 0
    repeats = (1, -(-len(columns) // 2))
    pairs = band.reshape(-1, 2, len(columns))  # the reach is even, so pairs begin with even rows
    pairs -= np.tile(black, repeats)[:, : len(columns)]
    pairs *= np.tile(scale, repeats)[:, : len(columns)]
    return band[: len(rows)]


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


def _moved(band: Mosaic, row: int, column: int, margin: int) -> Mosaic:
    """Return the view of a band without a margin, moved by an offset."""
    height, width = band.shape
    return band[margin + row : height - margin + row, margin + column : width - margin + column]


def _in_band(
    band: Mosaic, noise: NDArray[np.float32], brightest: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows, columns, values and whether hot of the defective pixels in a band.

    Args:
        band: [h + 12, w + 12] from `_band`.
        noise: [2, 2, 2] from `_noise`.
        brightest: highest signal.
    """
    # Distances from the range between the second lowest and the second highest neighbour.
    up, down, left, right = (_moved(band, 2 * r, 2 * c, 2) for r, c in _ADJACENT)
    one = np.maximum(np.minimum(up, down), np.minimum(left, right))
    other = np.minimum(np.maximum(up, down), np.maximum(left, right))
    low, high = np.minimum(one, other), np.maximum(one, other, out=one)
    inner = _moved(band, 0, 0, 2)
    excess = np.maximum(np.subtract(inner, high, out=high), low - inner)  # [h + 8, w + 8]
    # A fast test rejects nearly all pixels. The least deviation is a concave function of the
    # signal, so it lies above its chord; that of the colour with the least noise is used.
    ends = np.sqrt(_least(np.array([0, brightest], np.float32), noise.min(axis=(1, 2))[:, None]))
    low *= np.float32((ends[1] - ends[0]) / brightest)
    low += np.float32(ends[0])
    rows, columns = np.nonzero(_moved(excess, 0, 0, _WINDOW) > _moved(low, 0, 0, _WINDOW))
    return _examined(band, excess, rows, columns, noise)


def _least(level: Mosaic, noise: NDArray[np.float32]) -> Mosaic:
    """Return the square of the least deviation of a defective pixel, at a signal of 0 or more.

    Args:
        level: [...], signal.
        noise: slope and offset, [2] or [2, ...].
    """
    visible = np.float32(_VISIBLE_SLOPE) * (level + np.float32(_VISIBLE_OFFSET))
    return np.asarray(
        np.maximum(visible, np.float32(_NOISES**2) * (noise[0] * level + noise[1])), np.float32
    )


def _examined(
    band: Mosaic,
    excess: Mosaic,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    noise: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows, columns, values and whether hot of those candidates that are defective."""
    deviation = excess[rows + _WINDOW, columns + _WINDOW]
    around = _samples(excess, rows, columns, _AROUND, _WINDOW)
    # [N]; the others of the window are at most this extreme, except a few that may be defective
    usual = np.partition(around, -1 - _OTHERS, axis=1)[:, -1 - _OTHERS]
    kept = deviation > _USUAL * usual
    clear = (deviation > _CLUSTER_USUAL * usual)[kept]
    rows, columns = rows[kept], columns[kept]
    same = np.sort(_samples(band, rows, columns, _SAME), axis=1)
    base = np.asarray((same[:, 3] + same[:, 4]) / 2, np.float32)
    centre = _samples(band, rows, columns, ((0, 0),))[:, 0]
    hot = centre > base
    outer = np.where(hot, centre - same[:, -2], same[:, 1] - centre)
    least = np.sqrt(_least(np.maximum(base, 0), noise[:, rows % 2, columns % 2]))
    kept = (outer > least) & (outer > _SPREADS * (same[:, -2] - same[:, 1]))
    kept[kept] = _is_alone(band, rows[kept], columns[kept], base[kept], noise, clear[kept])
    rows, columns, base, hot = rows[kept], columns[kept], base[kept], hot[kept]
    return rows, columns, _interpolated(band, rows, columns, base), hot


def _samples(
    band: Mosaic,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    offsets: Offsets,
    margin: int = _REACH,
) -> Mosaic:
    """Return the values [N, len(offsets)] of a band around pixels."""
    r, c = np.array(offsets, np.intp).T + margin
    return np.asarray(band[rows[:, None] + r, columns[:, None] + c])


def _is_alone(
    band: Mosaic,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    base: Mosaic,
    noise: NDArray[np.float32],
    clear: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Return which candidates have at most one accomplice and no halo; `base` is their median."""
    deviation = _samples(band, rows, columns, ((0, 0),))[:, 0] - base
    sign, height = np.sign(deviation), np.abs(deviation)
    share = _ACCOMPLICE * height
    near = sign[:, None] * (_samples(band, rows, columns, _SAME) - base[:, None])
    accomplices = (near > share[:, None]).sum(axis=1)
    halo, variance = np.zeros_like(height), np.zeros_like(height)
    for row, column in _ADJACENT + _DIAGONAL:
        own = tuple((row + r, column + c) for r, c in _SAME)
        around = np.median(_samples(band, rows, columns, own), axis=1)
        touching = sign * (_samples(band, rows, columns, ((row, column),))[:, 0] - around)
        accomplice = touching > share
        accomplices += accomplice
        if (row, column) in _ADJACENT:
            halo += np.where(accomplice, 0, touching)
            slope, offset = noise[:, (rows + row) % 2, (columns + column) % 2]
            variance += slope * np.maximum(base, 0) + offset
    limit = _HALO * height + _HALO_NOISES * np.sqrt(variance)
    return np.asarray((accomplices <= clear) & (halo < limit))


def _interpolated(
    band: Mosaic, rows: NDArray[np.intp], columns: NDArray[np.intp], base: Mosaic
) -> Mosaic:
    """Return interpolated values of defective pixels.

    Along a direction, the value is the mean of the pair of the same colour, plus the curvature of
    the other colours there. Directions are weighted by how little the mosaic changes.

    Source: J. Hamilton and J. Adams, US patent 5,629,734, 1997, for the curvature.
    """
    deviation = _samples(band, rows, columns, ((0, 0),))[:, 0] - base
    sign, limit = np.sign(deviation)[:, None], _ACCOMPLICE * np.abs(deviation)[:, None]
    total, weights = np.zeros_like(base), np.zeros_like(base)
    for row, column in _DIRECTIONS:
        inner, pair, outer = (
            _samples(band, rows, columns, ((n * row, n * column), (-n * row, -n * column)))
            for n in (1, 2, 3)
        )
        curvature = (inner.sum(axis=1) - outer.sum(axis=1)) / 4
        cost = np.abs(np.diff(pair)) + np.abs(np.diff(inner)) + np.abs(curvature[:, None])
        weight = 1 / np.square(cost[:, 0] + _SMALLEST_COST)
        weight[(sign * (pair - base[:, None]) > limit).any(axis=1)] = 0
        total += weight * (pair.mean(axis=1) + curvature)
        weights += weight
    return np.asarray(total / weights, np.float32)
