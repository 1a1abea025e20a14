"""The rule that suspects pixels of a mosaic of being defective; `hot_pixels.find` describes it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_SCORE", "REACH", "Band", "Suspects", "suspects"]

_WINDOW = 4  # rows and columns around a pixel in which other deviations are compared with its own
REACH = _WINDOW + 2  # rows and columns around a pixel that the rule reads; an even number

# The deviation from the second most extreme neighbour must exceed this number of standard
# deviations of the noise: in a million pixels of Gaussian noise, fewer than one does.
_NOISES = 4.5
# Smaller deviations are not visible: about 5 codes of 255 on the sRGB curve.
_VISIBLE = (1.6e-3, 2.4e-6)  # slope and offset of its square
# The scores of a deviation: its ratio to this share of the spread of the eight neighbours of the
# same colour, ...
_SPREADS = 0.8
# ... and to this factor times the deviations in a window of 9 x 9 pixels, except this number of the
# largest, which may be defective too.
_USUAL = 2.0
_OTHERS = 1
LEAST_SCORE = 0.5
# A touching or same-coloured pixel with this share of the deviation is an accomplice; a defective
# pixel has at most one, the other pixel of a cluster of two.
_ACCOMPLICE = 0.45
# The four adjacent pixels (without an accomplice) may have this sum of deviations, as a share.
# A star blurred by a Gaussian of 0.42 pixels, the sharpest, has 0.6; a defect has 0.
_HALO = 0.2
_DARK_HALO = 0.3
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

Plane = NDArray[np.float32]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]
Offsets = tuple[tuple[int, int], ...]


class Band(NamedTuple):
    """Rows of a mosaic and what turns their values into signals.

    Attributes:
        values: [h + 12, w + 12], the camera's values; the first row and column are even ones.
        black: [2, 2], black levels.
        scale: [2, 2], factors after which white light is equal in all colours.
        noise: [2, 2, 2], slope and offset of the signals' variance.
    """

    values: NDArray[Any]
    black: Plane
    scale: Plane
    noise: Plane

    def signals(self, rows: Indices, columns: Indices, offsets: Offsets = ((0, 0),)) -> Plane:
        """Return the signals [N, len(offsets)] around pixels."""
        r, c = (axis[:, None] + o for axis, o in zip((rows, columns), _axes(offsets), strict=True))
        values = self.values[r + REACH, c + REACH].astype(np.float32)
        values -= self.black[r % 2, c % 2]
        values *= self.scale[r % 2, c % 2]
        return np.asarray(values)


class Suspects(NamedTuple):
    """Pixels that are suspected of being defective, each array [N].

    Attributes:
        rows, columns: Places.
        values: Interpolated signals.
        hot: Whether the pixel is too bright; otherwise, it is too dark.
        cluster: Whether another pixel close by deviates too.
        scores: How far the deviation exceeds those of the texture around, at least `LEAST_SCORE`.
    """

    rows: Indices
    columns: Indices
    values: Plane
    hot: Flags
    cluster: Flags
    scores: Plane


def _axes(offsets: Offsets) -> tuple[Indices, Indices]:
    rows, columns = np.array(offsets, np.intp).T
    return rows, columns


def _moved(values: NDArray[Any], row: int, column: int, margin: int) -> NDArray[Any]:
    """Return the view of an array without a margin, moved by an offset."""
    height, width = values.shape
    return values[margin + row : height - margin + row, margin + column : width - margin + column]


def suspects(band: Band) -> Suspects:
    """Return the suspected pixels of a band, with places relative to its inner [h, w] pixels."""
    # Distances from the range between the second lowest and the second highest neighbour.
    up, down, left, right = (_moved(band.values, 2 * r, 2 * c, 2) for r, c in _ADJACENT)
    one = np.maximum(np.minimum(up, down), np.minimum(left, right))
    other = np.minimum(np.maximum(up, down), np.maximum(left, right))
    low, high = np.minimum(one, other), np.maximum(one, other, out=one)
    inner = _moved(band.values, 0, 0, 2)
    nearest = np.minimum(np.maximum(inner, low), high, out=other)
    excess = np.maximum(inner, nearest, out=high)
    excess -= np.minimum(inner, nearest, out=nearest)  # [h + 8, w + 8]
    rows, columns = np.nonzero(_clear(band, excess, low))
    return _examined(band, excess, rows, columns)


def _clear(band: Band, excess: NDArray[Any], low: NDArray[Any]) -> Flags:
    """Return which pixels [h, w] exceed the least deviation at the lowest signal around them.

    This fast test rejects nearly all pixels. The square of the least deviation is the larger of
    two linear functions of the signal, which are evaluated in the camera's values.
    """
    deviations, levels = _moved(excess, 0, 0, _WINDOW), _moved(low, 0, 0, _WINDOW)
    height, width = deviations.shape
    clear = np.empty((height, width), np.bool_)
    lines = (_VISIBLE, (_NOISES**2 * band.noise[0], _NOISES**2 * band.noise[1]))
    for row in (0, 1):
        squares = np.square(deviations[row::2], dtype=np.float32)
        clear[row::2] = True
        for slope, offset in lines:
            gains = slope / band.scale
            limits = offset / np.square(band.scale) - gains * band.black
            gain, limit = (
                np.tile(np.asarray(part[row], np.float32), -(-width // 2))[:width]
                for part in (gains, limits)
            )
            line = levels[row::2] * gain
            line += limit
            clear[row::2] &= squares > line
    return clear


def _least(level: Plane, noise: NDArray[np.float32]) -> Plane:
    """Return the square of the least deviation of a defective pixel, at a signal of 0 or more.

    Args:
        level: [...], signal.
        noise: Slope and offset, [2] or [2, ...].
    """
    slope, offset = _VISIBLE
    return np.asarray(
        np.maximum(slope * level + offset, _NOISES**2 * (noise[0] * level + noise[1])), np.float32
    )


class _Pixels(NamedTuple):
    """Pixels [N]: places, the median of the same colour around, and whether they are brighter."""

    rows: Indices
    columns: Indices
    base: Plane
    hot: Flags

    def chosen(self, which: Indices) -> _Pixels:
        rows, columns, base, hot = self
        return _Pixels(rows[which], columns[which], base[which], hot[which])


def _examined(band: Band, excess: NDArray[Any], rows: Indices, columns: Indices) -> Suspects:
    """Return those pixels that are suspected."""
    pixels, scores = _extreme(band, rows, columns)
    scores = np.minimum(scores, _unusual(band, excess, pixels))
    kept = np.flatnonzero(scores > LEAST_SCORE)
    pixels, scores = pixels.chosen(kept), scores[kept]
    alone, cluster = _company(band, pixels)
    kept = np.flatnonzero(alone)
    pixels = pixels.chosen(kept)
    values = _interpolated(band, pixels)
    rows, columns, _, hot = pixels
    return Suspects(rows, columns, values, hot, cluster[kept], scores[kept])


def _extreme(band: Band, rows: Indices, columns: Indices) -> tuple[_Pixels, Plane]:
    """Return pixels beyond the noise, and their scores against the spread of their neighbours."""
    same = np.sort(band.signals(rows, columns, _SAME), axis=1)
    base = np.asarray((same[:, 3] + same[:, 4]) / 2, np.float32)
    middle = band.signals(rows, columns)[:, 0]
    hot = middle > base
    outer = np.where(hot, middle - same[:, -2], same[:, 1] - middle)
    least = np.sqrt(_least(np.maximum(base, 0), band.noise[:, rows % 2, columns % 2]))
    spread = _SPREADS * (same[:, -2] - same[:, 1])
    kept = np.flatnonzero((outer > least) & (outer > LEAST_SCORE * spread))
    pixels = _Pixels(rows, columns, base, hot).chosen(kept)
    return pixels, _ratio(outer[kept], spread[kept])


def _unusual(band: Band, excess: NDArray[Any], pixels: _Pixels) -> Plane:
    """Return scores against the largest deviations in windows, except a few of the largest."""
    rows, columns, _, _ = pixels
    own = excess[rows + _WINDOW, columns + _WINDOW] * band.scale[rows % 2, columns % 2]
    r, c = (axis[:, None] + o for axis, o in zip((rows, columns), _axes(_AROUND), strict=True))
    around = excess[r + _WINDOW, c + _WINDOW] * band.scale[r % 2, c % 2]
    usual = np.partition(around, -1 - _OTHERS, axis=1)[:, -1 - _OTHERS]
    return _ratio(own, np.float32(_USUAL) * usual)


def _ratio(first: NDArray[Any], second: NDArray[Any]) -> Plane:
    """Return first / second; a large number if the second is 0."""
    return np.asarray(first / np.maximum(second, np.float32(1e-9)), np.float32)


def _company(band: Band, pixels: _Pixels) -> tuple[Flags, Flags]:
    """Return which pixels have no halo and at most one accomplice, and which have one or more."""
    rows, columns, base, _ = pixels
    deviation = band.signals(rows, columns)[:, 0] - base
    sign, height = np.sign(deviation), np.abs(deviation)
    share = _ACCOMPLICE * height
    near = sign[:, None] * (band.signals(rows, columns, _SAME) - base[:, None])
    accomplices = (near > share[:, None]).sum(axis=1)
    halo, variance = np.zeros_like(height), np.zeros_like(height)
    own_scale = band.scale[rows % 2, columns % 2]
    for row, column in _ADJACENT + _DIAGONAL:
        own = tuple((row + r, column + c) for r, c in _SAME)
        around = np.median(band.signals(rows, columns, own), axis=1)
        touching = sign * (band.signals(rows, columns, ((row, column),))[:, 0] - around)
        # Light is in proportion after the white balance, a defect's charge is before.
        other_scale = band.scale[(rows + row) % 2, (columns + column) % 2]
        accomplice = touching > share * np.minimum(other_scale / own_scale, 1)
        accomplices += accomplice
        if (row, column) in _ADJACENT:
            halo += np.where(accomplice, 0, touching)
            slope, offset = band.noise[:, (rows + row) % 2, (columns + column) % 2]
            variance += slope * np.maximum(base, 0) + offset
    limit = np.where(sign > 0, _HALO, _DARK_HALO) * height + _HALO_NOISES * np.sqrt(variance)
    return np.asarray((halo < limit) & (accomplices <= 1)), accomplices > 0


def _interpolated(band: Band, pixels: _Pixels) -> Plane:
    """Return interpolated values of defective pixels.

    Along a direction, the value is the mean of the pair of the same colour, plus the curvature of
    the other colours there. Directions are weighted by how little the mosaic changes.

    Source: J. Hamilton and J. Adams, US patent 5,629,734, 1997, for the curvature.
    """
    rows, columns, base, _ = pixels
    deviation = band.signals(rows, columns)[:, 0] - base
    sign, limit = np.sign(deviation)[:, None], _ACCOMPLICE * np.abs(deviation)[:, None]
    total, weights = np.zeros_like(base), np.zeros_like(base)
    for row, column in _DIRECTIONS:
        inner, pair, outer = (
            band.signals(rows, columns, ((n * row, n * column), (-n * row, -n * column)))
            for n in (1, 2, 3)
        )
        curvature = (inner.sum(axis=1) - outer.sum(axis=1)) / 4
        cost = np.abs(np.diff(pair)) + np.abs(np.diff(inner)) + np.abs(curvature[:, None])
        weight = 1 / np.square(cost[:, 0] + _SMALLEST_COST)
        weight[(sign * (pair - base[:, None]) > limit).any(axis=1)] = 0
        total += weight * (pair.mean(axis=1) + curvature)
        weights += weight
    return np.asarray(total / weights, np.float32)
