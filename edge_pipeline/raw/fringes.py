"""Measure and correct lateral colour fringes: red and blue that a lens shifts against green.

A lens magnifies each colour a little differently. The difference is zero near the centre of the
picture and grows towards its corners, where edges get a red or blue fringe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.displacement import Blocks, Displacement, chosen, fitted
from edge_pipeline.raw.resample import sample

__all__ = ["Measured", "measure"]

Plane = NDArray[np.float32]
Vector = NDArray[np.float64]

_BLOCK = 32  # rows and columns of a block, in pixels of a colour plane
_MARGIN = 10  # rows around a row of blocks that are read
_LARGEST_ROWS = 32  # rows of blocks that are read
_ROUNDS = 4  # each round measures what the previous ones left
_SATURATED = 0.95
# A block counts if shifted green explains this share of its gradients, ...
_LEAST_EXPLAINED = 0.6
# ... if its edges have this contrast between colours, and if this share of it is not saturated.
_LEAST_GAIN, _LARGEST_GAIN = 0.3, 3.0
_LEAST_SHARE = 0.5
_LEAST_GRADIENT = 2e-3
# The curvature of smoothed green as a share of its slope: an edge has about 0.5, a ramp has 0.
_LEAST_CURVATURE = 0.2
_LEAST_BLOCKS = 24
# Uncertainty of a block's displacement that is not due to noise, in plane pixels: coloured edges.
_COLOURED = 0.15
_LARGEST = 6.0  # mosaic pixels; a lens with more is not plausible
# Pixels whose values follow each other after smoothing count as one measurement.
_CORRELATED = 8.0
# A displacement is certain if each half of the N blocks leaves less than 1 - 3 / sqrt(N) of the
# other half's displacements, and less than this share. Without fringes, the share is about 1, and
# varies by 1 / sqrt(N).
_DEVIATIONS = 3.0
_PREDICTION = 0.75
# A smaller root mean square is not visible.
_LEAST_RMS = 0.1  # mosaic pixels


@dataclass(frozen=True)
class Measured:
    """Measurement of one colour.

    Attributes:
        displacement: displacement against green.
        blocks: number of blocks with edges that were used.
        prediction: how well each half of the blocks predicts the other: the remaining share of
            their displacements, 0 to about 1; 1 if there were too few blocks.
        certain: whether the displacement is certain enough, and large enough, to be corrected.
    """

    displacement: Displacement
    blocks: int
    prediction: float
    certain: bool


def measure(colour: Plane, green: Plane, offset: int, size: tuple[int, int]) -> Measured:
    """Measure the displacement of red or blue against green.

    In each block of 32 x 32 plane pixels, the gradient of the colour is explained by that of green
    displaced by d: to first order, a gain times the gradient of green plus its Hessian times d.
    Gain and d are the least-squares solution. The model of `Displacement` is fitted to the blocks
    by robust least squares, the colour is displaced back, and the rest is measured again.

    Args:
        colour: [h, w], red or blue plane, 0 = black, 1 = white.
        green: [h, w], green at the same pixels, from its four neighbours.
        offset: row and column of the plane's first pixel in the mosaic.
        size: height and width of the mosaic.

    Source: the estimate by blocks and a robust polynomial follows E. Martinec's CA_correct in
        RawTherapee; the estimate in a block is that of B. Lucas and T. Kanade, An iterative image
        registration technique, IJCAI 1981, on gradients.
    """
    total = Displacement()
    for _ in range(_ROUNDS):
        removed = total
        blocks = _blocks(colour, green, offset, size, removed)
        count = len(blocks.values)
        if count < _LEAST_BLOCKS:
            return Measured(Displacement(), count, 1.0, certain=False)
        total = total.plus(fitted(blocks, size))
        if total.rms(size) > _LARGEST:
            return Measured(Displacement(), count, 1.0, certain=False)
    # The whole displacement of each block, not only what the last round left.
    down, right = removed.at(blocks.centres[:, 0], blocks.centres[:, 1], size)
    whole = blocks._replace(values=blocks.values + np.stack([down, right], axis=1))
    prediction, used = chosen(whole, size)
    total = fitted(whole, size, used)
    needed = min(_PREDICTION, 1 - _DEVIATIONS / count**0.5)
    certain = prediction < needed and _LEAST_RMS <= total.rms(size) <= _LARGEST
    return Measured(total, count, prediction, certain)


def _blocks(
    colour: Plane, green: Plane, offset: int, size: tuple[int, int], removed: Displacement
) -> Blocks:
    """Return the displacements of the blocks with clear edges, after one was removed."""
    height, width = colour.shape
    columns = (width - 2 * _MARGIN) // _BLOCK
    starts = np.arange(_MARGIN, height - _MARGIN - _BLOCK + 1, _BLOCK)
    if columns < 1 or not len(starts):
        return Blocks(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2, 2)))
    keep = np.linspace(0, len(starts) - 1, min(len(starts), _LARGEST_ROWS)).round().astype(int)
    parts = []
    for start in starts[np.unique(keep)]:
        rows = slice(start - _MARGIN, start + _BLOCK + _MARGIN)
        first = offset + 2 * int(rows.start)
        strip = _displaced(_smooth(colour[rows]), first + 4, offset + 4, size, removed)
        still = _smooth(green[rows])
        usable = _unsaturated(colour[rows], green[rows])
        parts.append(_solved(strip, still, usable, columns, first, offset))
    return Blocks(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _smooth(plane: Plane) -> Plane:
    """Smooth with a binomial filter of five taps; two pixels are lost on each side."""
    for axis in (0, 1):
        n = plane.shape[axis]
        a, b, c, d, e = (np.take(plane, np.arange(i, n - 4 + i), axis) for i in range(5))
        plane = (a + e + 4 * (b + d) + 6 * c) / np.float32(16)
    return plane


def _unsaturated(colour: Plane, green: Plane) -> Plane:
    """Return 1 for pixels whose smoothed gradients contain no saturated value, otherwise 0."""
    saturated = (np.maximum(colour, green) > _SATURATED).astype(np.float32)
    spread = _smooth(np.pad(saturated, 4))  # 0 as far as the filter and a derivative reach
    spread = _smooth(spread)
    return np.asarray(spread == 0, np.float32)[2:-2, 2:-2]


def _displaced(
    strip: Plane, top: int, left: int, size: tuple[int, int], removed: Displacement
) -> Plane:
    """Return a strip with a displacement removed; (top, left) is its corner in the mosaic."""
    rows, columns = np.arange(strip.shape[0])[:, None], np.arange(strip.shape[1])[None]
    down, right = removed.at(top + 2 * rows, left + 2 * columns, size)
    half = np.float32(-0.5)
    return sample(strip, rows, columns, half * down, half * right)


def _solved(
    colour: Plane, green: Plane, usable: Plane, columns: int, top: int, left: int
) -> tuple[Vector, Vector, Vector]:
    """Solve the blocks of a strip; return centres, displacements and weights as in `Blocks`."""
    rows, side = _MARGIN - 2, columns * _BLOCK  # 2 were lost to smoothing
    inner = (slice(rows, rows + _BLOCK), slice(rows, rows + side))

    def block_sums(product: Plane) -> Vector:
        cut = product[inner].astype(np.float64)
        return np.asarray(cut.reshape(_BLOCK, columns, _BLOCK).sum(axis=(0, 2)))

    slopes = np.gradient(green)
    seen = np.gradient(colour)
    curves = [np.gradient(slope) for slope in slopes]
    normal = np.zeros((columns, 3, 3))
    right_side, energy = np.zeros((columns, 3)), np.zeros(columns)
    for axis in (0, 1):
        terms = [usable * t for t in (slopes[axis], curves[axis][0], curves[axis][1])]
        energy += block_sums(usable * seen[axis] ** 2)
        for i in range(3):
            right_side[:, i] += block_sums(terms[i] * seen[axis])
            for j in range(i, 3):
                normal[:, i, j] += block_sums(terms[i] * terms[j])
                normal[:, j, i] = normal[:, i, j]
    share = block_sums(usable) / _BLOCK**2
    clear = (share > _LEAST_SHARE) & (energy > share * (_LEAST_GRADIENT * _BLOCK) ** 2)
    curved = normal[:, 1, 1] + normal[:, 2, 2]
    clear &= curved > _LEAST_CURVATURE**2 * normal[:, 0, 0]
    centres = np.stack(
        [
            np.full(columns, top + 2 * (_MARGIN + _BLOCK / 2)),
            left + 2 * (_MARGIN + (np.arange(columns) + 0.5) * _BLOCK),
        ],
        axis=1,
    )
    kept, values, weights = _displacements(normal[clear], right_side[clear], energy[clear])
    return centres[clear][kept], values, weights


def _displacements(
    normal: Vector, right_side: Vector, energy: Vector
) -> tuple[NDArray[np.bool_], Vector, Vector]:
    """Solve normal equations for gain, gain * d; return which are clear, 2 d and its weight."""
    trace = np.trace(normal, axis1=1, axis2=2)
    inverse = np.linalg.inv(normal + 1e-6 * trace[:, None, None] * np.eye(3))
    solution = np.einsum("nij,nj->ni", inverse, right_side)
    left = np.maximum(energy - np.einsum("ni,ni->n", solution, right_side), 0)
    gain = solution[:, 0]
    kept = (left < (1 - _LEAST_EXPLAINED) * energy) & (gain > _LEAST_GAIN) & (gain < _LARGEST_GAIN)
    kept &= np.abs(solution[:, 1:]).max(axis=1) < np.abs(gain) * _LARGEST / 2
    gain = gain[kept]
    variance = left[kept] * _CORRELATED / (2 * _BLOCK**2) / gain**2
    covariance = inverse[kept][:, 1:, 1:] * variance[:, None, None] + _COLOURED**2 * np.eye(2)
    # From plane pixels to mosaic pixels, which are half as large.
    return kept, 2 * solution[kept, 1:] / gain[:, None], np.linalg.inv(4 * covariance)
