"""Repair hot and dead pixels of a capture: pixels that do not measure the light that they get.

A lens spreads even the image of a star over neighbouring pixels, of all colours. A defective pixel
deviates alone. The rule therefore compares a pixel with its eight nearest pixels of the same
colour and also with the eight pixels that touch it.
"""

from __future__ import annotations

from collections.abc import Callable
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
_REACH = 4  # rows and columns around a pixel that the rule reads
_SMALLEST = 2 * _REACH  # a smaller mosaic has too few neighbours

# The deviation from the second most extreme neighbour must exceed this number of standard
# deviations of the noise: in a million pixels of Gaussian noise, fewer than one does.
_NOISES = 4.5
# Smaller deviations are not visible: about 5 codes of 255 on the sRGB curve.
_VISIBLE_SLOPE, _VISIBLE_OFFSET = 1.6e-3, 1.5e-3
# The deviation must exceed this share of the spread of the eight neighbours of the same colour.
_SPREADS = 0.8
# A touching or same-coloured pixel with this share of the deviation is an accomplice; a defective
# pixel has at most one, the other pixel of a cluster of two.
_ACCOMPLICE = 0.45
# The four adjacent pixels (without an accomplice) may have this sum of deviations, as a share.
# A star blurred by a Gaussian of 0.42 pixels, the sharpest, has 0.6; a defect has 0.
_HALO = 0.3
_HALO_NOISES = 1.0

_SAME = tuple((r, c) for r in (-2, 0, 2) for c in (-2, 0, 2) if (r, c) != (0, 0))
_ADJACENT = ((-1, 0), (1, 0), (0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
# Directions in which a pixel is interpolated: half of its nearest pair of the same colour.
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))

Mosaic = NDArray[np.float32]
Offsets = tuple[tuple[int, int], ...]
Sample = Callable[[NDArray[np.intp], Offsets], Mosaic]


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
    - It exceeds 0.8 times the spread of these neighbours (without the most extreme on each side),
      so that texture and edges are kept.
    - At most one of the 16 neighbours (the same colour, and the eight touching pixels) deviates by
      more than 0.45 times as much from its own surroundings in the same direction. This keeps
      lines, text and stars, and permits clusters of two.
    - The four adjacent pixels, without that one, deviate by less than 0.3 times as much in sum (a
      star of the sharpest lens: 0.6), beyond twice the noise of the sum.

    A defective pixel gets the mean of the pair of neighbours in the direction, of four, in which
    the mosaic changes least.

    Args:
        mosaic: [H, W] in the camera's values.
        black: [2, 2], black levels at the mosaic's corner.
        scale: [2, 2], factors after which white light is equal in all colours and white is 1 or
            more.

    Returns:
        The pixels; none if the mosaic has fewer than 8 rows or columns. The values of `values` are
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


def _band(
    mosaic: NDArray[Any], top: int, bottom: int, black: Mosaic, scale: Mosaic
) -> Mosaic:
    """Return the scaled rows [top, bottom) with 4 more pixels on each side; `top` is even."""
    height, width = mosaic.shape
    rows = _mirrored(top - _REACH, bottom + _REACH, height)
    columns = _mirrored(-_REACH, width + _REACH, width)
    band = np.empty((len(rows) + len(rows) % 2, len(columns)), np.float32)
    band[: len(rows), _REACH:-_REACH] = mosaic[rows]
    band[: len(rows), :_REACH] = mosaic[np.ix_(rows, columns[:_REACH])]
    band[: len(rows), -_REACH:] = mosaic[np.ix_(rows, columns[-_REACH:])]
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
        own = measure_noise(mosaic[row::2, column::2], black=float(black[row, column]), scale=factor)
        # Noise that rounding or clipping at black hides is assumed to be one step of the values.
        noise[:, row, column] = own.slope, max(own.offset, whole * factor**2)
    return noise


def _shifted(band: Mosaic, row: int, column: int) -> Mosaic:
    """Return the view of a band's inner part, moved by an offset."""
    height, width = band.shape
    return band[
        _REACH + row : height - _REACH + row, _REACH + column : width - _REACH + column
    ]


def _in_band(
    band: Mosaic, noise: NDArray[np.float32], brightest: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32], NDArray[np.bool_]]:
    """Return rows, columns, values and whether hot of the defective pixels in a band.

    Args:
        band: [h + 8, w + 8] from `_band`.
        noise: [2, 2, 2] from `_noise`.
        brightest: highest signal.
    """
    inner = _shifted(band, 0, 0)
    up, down, left, right = (_shifted(band, 2 * r, 2 * c) for r, c in _ADJACENT)
    # The second lowest and the second highest of the four are the lower and the higher of these.
    one = np.maximum(np.minimum(up, down), np.minimum(left, right))
    other = np.minimum(np.maximum(up, down), np.maximum(left, right))
    # A fast test rejects nearly all pixels. The least deviation is a concave function of the
    # signal, so it lies above its chord; that of the colour with the least noise is used.
    ends = np.sqrt(_least(np.array([0, brightest], np.float32), noise.min(axis=(1, 2))[:, None]))
    slope, offset = np.float32((ends[1] - ends[0]) / brightest), np.float32(ends[0])
    found = []
    for sign in (1, -1):
        limit = (np.maximum if sign > 0 else np.minimum)(one, other)
        limit *= 1 + sign * slope
        limit += sign * offset
        rows, columns = np.nonzero((np.greater if sign > 0 else np.less)(inner, limit))
        kept, values = _examined(band, rows, columns, sign, noise)
        found.append((rows[kept], columns[kept], values, np.full(len(values), sign > 0)))
    rows, columns, values, hot = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((columns, rows))
    return rows[order], columns[order], values[order], hot[order]


def _least(level: Mosaic, noise: NDArray[np.float32]) -> Mosaic:
    """Return the square of the least deviation of a defective pixel, at a signal of 0 or more.

    Args:
        level: [...], signal.
        noise: slope and offset, [2] or [2, ...].
    """
    visible = np.float32(_VISIBLE_SLOPE) * (level + np.float32(_VISIBLE_OFFSET))
    return np.maximum(visible, np.float32(_NOISES**2) * (noise[0] * level + noise[1]))


def _examined(
    band: Mosaic,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    sign: int,
    noise: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return which candidates are defective, as indices, and their interpolated values."""

    def at(kept: NDArray[np.intp], offsets: Offsets) -> Mosaic:
        """Return [N, len(offsets)] values at offsets from the candidates, higher = more extreme."""
        r, c = np.array(offsets, np.intp).T + _REACH
        return sign * band[rows[kept, None] + r, columns[kept, None] + c]

    kept = np.arange(len(rows))
    same = np.sort(at(kept, _SAME), axis=1)
    excess = at(kept, ((0, 0),))[:, 0] - same[:, -2]
    base = (same[:, 3] + same[:, 4]) / 2
    level = np.maximum(sign * base, 0)
    own = noise[:, rows % 2, columns % 2]
    passed = excess > np.sqrt(_least(level, own))
    passed &= excess > _SPREADS * (same[:, -2] - same[:, 1])
    kept, level, base = kept[passed], level[passed], base[passed]
    height = at(kept, ((0, 0),))[:, 0] - base
    alone = _is_alone(at, kept, height, base, level, rows, columns, noise)
    kept, height, base = kept[alone], height[alone], base[alone]
    return kept, sign * _interpolated(at, kept, base + _ACCOMPLICE * height)


def _is_alone(
    at: Sample,
    kept: NDArray[np.intp],
    height: Mosaic,
    base: Mosaic,
    level: Mosaic,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    noise: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return which candidates have at most one accomplice and no halo.

    Args:
        at: samples the band around candidates.
        kept: [N], indices of the candidates.
        height: [N], deviations from the median of the neighbours of the same colour.
        base: [N], this median.
        level: [N], signal around the candidates.
        rows: rows of all candidates.
        columns: columns of all candidates.
        noise: [2, 2, 2] from `_noise`.
    """
    share = _ACCOMPLICE * height
    accomplices = (at(kept, _SAME) > (base + share)[:, None]).sum(axis=1)
    halo = np.zeros_like(height)
    variance = np.zeros_like(height)
    for row, column in _ADJACENT + _DIAGONAL:
        around = np.median(at(kept, tuple((row + r, column + c) for r, c in _SAME)), axis=1)
        deviation = at(kept, ((row, column),))[:, 0] - around
        accomplice = deviation > share
        accomplices += accomplice
        if (row, column) in _ADJACENT:
            halo += np.where(accomplice, 0, deviation)
            slope, offset = noise[:, (rows[kept] + row) % 2, (columns[kept] + column) % 2]
            variance += slope * level + offset
    limit = _HALO * height + _HALO_NOISES * np.sqrt(variance)
    return np.asarray((accomplices <= 1) & (halo < limit))


def _interpolated(at: Sample, kept: NDArray[np.intp], limit: Mosaic) -> Mosaic:
    """Return the mean of a pair of neighbours of the same colour, in the smoothest direction.

    Args:
        at: samples the band around candidates.
        kept: [N], indices of the defective pixels.
        limit: [N], value above which a neighbour is defective too.
    """
    costs, means = [], []
    for row, column in _DIRECTIONS:
        pair = at(kept, ((2 * row, 2 * column), (-2 * row, -2 * column)))
        touching = at(kept, ((row, column), (-row, -column)))
        cost = np.abs(pair[:, 0] - pair[:, 1]) + np.abs(touching[:, 0] - touching[:, 1])
        costs.append(np.where((pair > limit[:, None]).any(axis=1), np.inf, cost))
        means.append(pair.mean(axis=1))
    best = np.argmin(costs, axis=0)
    return np.asarray(np.stack(means)[best, np.arange(len(kept))], np.float32)
