"""Map sizes and interpolation of networks whose maps shrink by any factor phi per level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from edge_pipeline.errors import InputError

__all__ = ["Phi", "factors_of", "resize", "sizes_of"]

Phi = float | str | Sequence[float]

# 90 * 0.7 is 62.99999999999999 in floating point, but 63 exactly. A product of a size below 2**16
# and a phi of up to four decimals that is this close to an integer is that integer.
_BINARY_ERROR = 1e-6


def factors_of(phi: Phi, count: int, limits: tuple[float, float]) -> tuple[float, ...]:
    """Return the rescaling factors that `phi` states, in order from fine to coarse.

    Args:
        phi: One factor for all rescalings, or `count` factors, as a sequence or as text such as
            `0.3-0.4-0.5`.
        count: Number of separate factors of the network, at least 1.
        limits: Lowest and highest factor of training. A factor of 0 is never valid.

    Raises:
        InputError: If a factor is not a number within the limits, or if their number is wrong.
    """
    given: Sequence[object] = [phi]
    if isinstance(phi, str):
        given = [_number(part) for part in phi.split("-")]
    elif isinstance(phi, Sequence):
        given = phi
    if len(given) not in (1, count):
        expected = "one rescaling factor" if count == 1 else f"one or {count} rescaling factors"
        raise InputError(f"phi={phi} has {len(given)} factors; the network has {expected}")
    lowest, highest = limits
    factors: list[float] = []
    for value in given:
        if not isinstance(value, Real):
            shown = phi if isinstance(phi, str) else type(value).__name__
            raise InputError(f"phi={shown} must be a number from {lowest} to {highest}")
        factor = float(value)
        if not (lowest <= factor <= highest and factor > 0):  # NaN fails this test too
            raise InputError(
                f"phi={phi} is outside the range {lowest} to {highest} for which the network is "
                f"trained{'; phi must be above 0' if factor == 0 else ''}"
            )
        factors.append(factor)
    return tuple(factors) * (count // len(factors))


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def sizes_of(
    height: int, width: int, phi: float | Sequence[float], levels: int
) -> list[tuple[int, int]]:
    """Return height and width of each level, fine to coarse: floor(previous * phi), at least 1.

    Args:
        height: Height of the first level, at least 1.
        width: Width of the first level, at least 1.
        phi: Rescaling factor, 0 to 1, or one for each of the `levels` - 1 rescalings.
        levels: Number of levels, at least 1.
    """
    factors = [phi] * (levels - 1) if isinstance(phi, int | float) else list(phi)
    sizes = [(height, width)]
    for factor in factors:
        rows, columns = (max(1, math.floor(side * factor + _BINARY_ERROR)) for side in sizes[-1])
        sizes.append((rows, columns))
    return sizes


def resize(maps: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
    """Return maps [N, C, H, W] interpolated bilinearly to [N, C, *size]."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=align_corners)
