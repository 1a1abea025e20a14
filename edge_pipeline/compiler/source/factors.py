"""Factorisation of weights at many knots into few numbers per knot and common weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["factorised"]

# Rounding of the weights at a knot to float32, as a share of the largest weight.
_TOLERANCE = 1e-6
# Factors must take less than this share of the space, since they take time to multiply.
_WORTH = 0.7


def factorised(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    """Return coefficients [knots, rank] and a basis [rank, n] whose product is `values`.

    Args:
        values: Weights at the knots, [knots, n].

    Returns:
        The factors of the smallest rank at which no weight differs by more than 1e-6 of the largest
        one; None if they do not take less space.
    """
    knots, count = values.shape
    most = int((_WORTH * knots * count * 4) // (count * 4 + knots * 8))
    if most < 1:
        return None
    exact = values.astype(np.float64)
    _, vectors = np.linalg.eigh(exact @ exact.T)
    bound = _TOLERANCE * float(np.abs(values).max(initial=0))
    low, high = 0, most + 1
    found = None
    while high - low > 1:
        rank = (low + high) // 2
        coefficients = np.ascontiguousarray(vectors[:, ::-1][:, :rank])
        basis = (coefficients.T @ exact).astype(np.float32)
        error = float(np.abs(coefficients @ basis.astype(np.float64) - exact).max(initial=0))
        if error <= bound:
            high, found = rank, (coefficients, basis)
        else:
            low = rank
    return found
