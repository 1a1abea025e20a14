"""Measure and correct lateral colour fringes: red and blue that a lens shifts against green.

A lens magnifies each colour a little differently. The difference is zero near the centre of the
picture and grows towards its corners, where edges get a red or blue fringe.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.raw.displacement import Blocks, Displacement, chosen, fitted
from edge_pipeline.raw.edge_blocks import BLOCK, EdgeBlocks, centre, smooth, unsaturated
from edge_pipeline.raw.resample import keys_weights

__all__ = ["Measured", "measure"]

Plane = NDArray[np.float32]
Vector = NDArray[np.float64]

_ROUNDS = 4  # each round measures what the previous ones left
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
        displacement: Displacement against green.
        blocks: Number of blocks with edges that were used.
        prediction: How well each half of the blocks predicts the other: the remaining share of
            their displacements, 0 to about 1; 1 if there were too few blocks.
        certain: Whether the displacement is certain enough, and large enough, to be corrected.
    """

    displacement: Displacement
    blocks: int
    prediction: float
    certain: bool


def measure(blocks: EdgeBlocks, index: int, size: tuple[int, int]) -> Measured:
    """Measure the displacement of red or blue against green.

    In each block of 32 x 32 plane pixels, the gradient of the colour is explained by that of green
    displaced by d: to first order, a gain times the gradient of green plus its Hessian times d.
    Gain and d are the least-squares solution. The model of `Displacement` is fitted to the blocks
    by robust least squares, the colour is displaced back, and the rest is measured again.

    Args:
        blocks: Blocks with the strongest edges of green.
        index: Number of the plane, 0 for red or 3 for blue.
        size: Height and width of the mosaic.

    Source: the estimate by blocks and a robust polynomial follows E. Martinec's CA_correct in
        RawTherapee; the estimate in a block is that of B. Lucas and T. Kanade, An iterative image
        registration technique, IJCAI 1981, on gradients.
    """
    total = Displacement()
    if len(blocks.corners) < _LEAST_BLOCKS:
        return Measured(total, 0, 1.0, certain=False)
    system = _System(blocks, index)
    for _ in range(_ROUNDS):
        removed = total
        solved = system.solved(removed, size)
        count = len(solved.values)
        if count < _LEAST_BLOCKS:
            return Measured(Displacement(), count, 1.0, certain=False)
        total = total.plus(fitted(solved, size))
        if total.rms(size) > _LARGEST:
            return Measured(Displacement(), count, 1.0, certain=False)
    # The whole displacement of each block, not only what the last round left.
    down, right = removed.at(solved.centres[:, 0], solved.centres[:, 1], size)
    whole = solved._replace(values=solved.values + np.stack([down, right], axis=1))
    prediction, used = chosen(whole, size)
    total = fitted(whole, size, used)
    needed = min(_PREDICTION, 1 - _DEVIATIONS / count**0.5)
    certain = prediction < needed and _LEAST_RMS <= total.rms(size) <= _LARGEST
    return Measured(total, count, prediction, certain)


class _System:
    """The normal equations of the blocks of one colour, of which only the colour changes."""

    def __init__(self, blocks: EdgeBlocks, index: int) -> None:
        colour, green = blocks.colours[index // 3], blocks.greens[index // 3]
        self._colour = smooth(colour)
        usable = unsaturated(np.maximum(colour, green), BLOCK)
        self._share = usable.mean(axis=(1, 2), dtype=np.float64)
        self._usable = usable
        still = centre(smooth(green), BLOCK + 4)
        slopes = _slopes(still)
        self._terms = []
        for slope in slopes:
            curves = _slopes(slope)
            self._terms.append([usable * t for t in (slope[:, 1:-1, 1:-1], *curves)])
        self._normal = np.zeros((len(green), 3, 3))
        for terms in self._terms:
            for i, j in np.ndindex(3, 3):
                self._normal[:, i, j] += _sums(terms[i], terms[j])
        self._centres = blocks.centres(index // 3)

    def solved(self, removed: Displacement, size: tuple[int, int]) -> Blocks:
        """Return the displacements of the blocks with clear edges, after one was removed."""
        down, right = removed.at(self._centres[:, 0], self._centres[:, 1], size)
        half = np.float32(-0.5)
        seen = _slopes(_displaced(self._colour, half * down, half * right))
        right_side, energy = np.zeros((len(seen[0]), 3)), np.zeros(len(seen[0]))
        for slope, terms in zip(seen, self._terms, strict=True):
            energy += _sums(self._usable * slope, slope)
            for i, term in enumerate(terms):
                right_side[:, i] += _sums(term, slope)
        clear = (self._share > _LEAST_SHARE) & (
            energy > self._share * (_LEAST_GRADIENT * BLOCK) ** 2
        )
        curved = self._normal[:, 1, 1] + self._normal[:, 2, 2]
        clear &= curved > _LEAST_CURVATURE**2 * self._normal[:, 0, 0]
        kept, values, weights = _displacements(
            self._normal[clear], right_side[clear], energy[clear]
        )
        return Blocks(self._centres[clear][kept], values, weights)


def _sums(first: Plane, second: Plane) -> Vector:
    """Return the sums of the products in blocks, [N]."""
    return np.asarray(np.einsum("nij,nij->n", first, second), np.float64)


def _slopes(stack: Plane) -> tuple[Plane, Plane]:
    """Return the derivatives down and right of blocks, without a pixel on each side."""
    half = np.float32(0.5)
    return (
        half * (stack[:, 2:, 1:-1] - stack[:, :-2, 1:-1]),
        half * (stack[:, 1:-1, 2:] - stack[:, 1:-1, :-2]),
    )


def _displaced(stack: Plane, down: Plane, right: Plane) -> Plane:
    """Return the middle [N, 34, 34] of blocks, each displaced by its own number of plane pixels."""
    side = BLOCK + 2
    reach = (stack.shape[1] - side) // 2
    whole = np.clip(np.floor([down, right]).astype(np.intp), 1 - reach, reach - 2)
    windows = np.lib.stride_tricks.sliding_window_view(stack, (side + 3, side + 3), axis=(1, 2))
    rows, columns = whole + reach - 1
    near = windows[np.arange(len(stack)), rows, columns]
    for axis, displacement, step in ((1, down, whole[0]), (2, right, whole[1])):
        weights = keys_weights(np.clip(displacement - step, 0, 1).astype(np.float32))
        parts = (np.take(near, range(i, i + side), axis=axis) for i in range(4))
        near = sum(w[:, None, None] * part for w, part in zip(weights, parts, strict=True))
    return np.asarray(near)


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
    variance = left[kept] * _CORRELATED / (2 * BLOCK**2) / gain**2
    covariance = inverse[kept][:, 1:, 1:] * variance[:, None, None] + _COLOURED**2 * np.eye(2)
    # From plane pixels to mosaic pixels, which are half as large.
    return kept, 2 * solution[kept, 1:] / gain[:, None], np.linalg.inv(4 * covariance)
