"""The displacement of a colour against green: its model, and the fit to displacements of blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "Displacement", "chosen", "fitted"]

Plane = NDArray[np.float32]
Vector = NDArray[np.float64]
Positions = NDArray[Any]
Terms = list[int]

# Terms of the model that are tried in turn; more are used if they predict better by this factor.
_NAMES = ("down", "right", "linear", "cubic")
_MODELS: tuple[Terms, ...] = ([2], [2, 3], [0, 1, 2, 3])
_ALL = _MODELS[-1]
_BETTER = 0.95


class Displacement(NamedTuple):
    """Displacement of a colour against green, in mosaic pixels.

    The colour at a point p shows the scene that green shows at p + d(p), where d(p) = shift +
    (linear + cubic * |q|^2) * half * q, and q is p relative to the picture's centre in units of
    half the diagonal.

    Attributes:
        down: Constant shift along columns.
        right: Constant shift along rows.
        linear: Difference of magnification, as displacement at the corner.
        cubic: Its growth with the distance from the centre, as displacement at the corner.

    Source: J. Mallon and P. Whelan, Calibration and removal of lateral chromatic aberration in
        images, Pattern Recognition Letters 28(1), 2007, whose model this restricts to radial terms
        and a shift.
    """

    down: float = 0.0
    right: float = 0.0
    linear: float = 0.0
    cubic: float = 0.0

    def at(self, rows: Positions, columns: Positions, size: tuple[int, int]) -> tuple[Plane, Plane]:
        """Return the displacements down and right at positions of a mosaic.

        Args:
            rows: rows in mosaic pixels, any shape that broadcasts with `columns`.
            columns: columns in mosaic pixels.
            size: height and width of the mosaic.
        """
        y, x = _centred(rows, columns, size)
        growth = self.linear + self.cubic * (y * y + x * x)
        down, right = self.down + growth * y, self.right + growth * x
        return np.asarray(down, np.float32), np.asarray(right, np.float32)

    def plus(self, other: Displacement) -> Displacement:
        """Return the sum of two displacements."""
        return Displacement(*(a + b for a, b in zip(self, other, strict=True)))

    def rms(self, size: tuple[int, int]) -> float:
        """Return the root mean square of the displacement over a mosaic, in mosaic pixels."""
        rows = np.linspace(0, size[0], 33, dtype=np.float32)[:, None]
        columns = np.linspace(0, size[1], 33, dtype=np.float32)[None]
        down, right = self.at(rows, columns, size)
        return float(np.sqrt(np.mean(down**2 + right**2)))


class Blocks(NamedTuple):
    """Displacements of blocks: centres and values [N, 2], inverse covariances [N, 2, 2]."""

    centres: Vector
    values: Vector
    weights: Vector


def _centred(
    rows: Positions, columns: Positions, size: tuple[int, int]
) -> tuple[Positions, Positions]:
    half = float(np.hypot(*size)) / 2
    return (rows - (size[0] - 1) / 2) / half, (columns - (size[1] - 1) / 2) / half


def _terms(centres: Vector, size: tuple[int, int]) -> Vector:
    """Return the model's matrix [N, 2, 4] from parameters to displacements."""
    units = [Displacement(*row) for row in np.eye(4)]
    columns = [np.stack(unit.at(centres[:, 0], centres[:, 1], size), axis=1) for unit in units]
    return np.asarray(np.stack(columns, axis=2), np.float64)


def fitted(blocks: Blocks, size: tuple[int, int], used: Terms = _ALL) -> Displacement:
    """Fit some terms by least squares in which outliers count less (Cauchy's weights)."""
    terms = _terms(blocks.centres, size)[:, :, used]
    theta = np.zeros(len(used))
    for _ in range(10):
        left = blocks.values - terms @ theta
        squares = np.einsum("ni,nij,nj->n", left, blocks.weights, left)
        weights = blocks.weights / (1 + squares / 4)[:, None, None]
        normal = np.einsum("nik,nij,njl->kl", terms, weights, terms)
        sums = np.einsum("nik,nij,nj->k", terms, weights, blocks.values)
        ridge = 1e-3 * np.trace(normal) / len(used) * np.eye(len(used))
        theta = np.linalg.solve(normal + ridge, sums)
    return Displacement(**{_NAMES[i]: float(t) for i, t in zip(used, theta, strict=True)})


def chosen(blocks: Blocks, size: tuple[int, int]) -> tuple[float, Terms]:
    """Return the prediction of the chosen terms, and these; more terms must predict better."""
    best, chosen = _prediction(blocks, size, _MODELS[0]), _MODELS[0]
    for used in _MODELS[1:]:
        prediction = _prediction(blocks, size, used)
        if prediction < _BETTER * best:
            best, chosen = prediction, used
    return best, chosen


def _prediction(blocks: Blocks, size: tuple[int, int], used: Terms) -> float:
    """Fit each half of the blocks and return the largest share that it leaves of the other half.

    Halves are alternate blocks. Displacements are compared by the mean of squares that are cut off
    at 9 of their own variances, so that a few outliers do not decide.
    """
    shares = []
    for half in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - (half.start or 0), None, 2)
        fit = fitted(Blocks(*(part[half] for part in blocks)), size, used)
        centres, values, weights = (part[other] for part in blocks)
        left = values - np.stack(fit.at(centres[:, 0], centres[:, 1], size), axis=1)
        after, before = (
            np.minimum(np.einsum("ni,nij,nj->n", d, weights, d), 9).mean() for d in (left, values)
        )
        shares.append(float(after / max(before, 1e-12)))
    return max(shares)
