"""The rule that decides which pixels of a mosaic are defective; `hot_pixels.find` describes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["REACH", "defects"]

_WINDOW = 4  # rows and columns around a pixel in which other deviations are compared with its own
REACH = _WINDOW + 2  # rows and columns around a pixel that the rule reads; an even number

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


def _moved(band: Mosaic, row: int, column: int, margin: int) -> Mosaic:
    """Return the view of a band without a margin, moved by an offset."""
    height, width = band.shape
    return band[margin + row : height - margin + row, margin + column : width - margin + column]


def defects(
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
    margin: int = REACH,
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
