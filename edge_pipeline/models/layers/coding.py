"""A coding of linear light in which noise and visible error are nearly even."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["compress", "expand"]

# The square root's slope at black is 8 with this offset; that of sRGB's curve is 12.9.
_OFFSET = 1 / 256


def compress(x: Tensor) -> Tensor:
    """Code linear values: sqrt(x + 1/256) above zero, its tangent below.

    Photon noise then has nearly the same variance in shadows and lights. Below zero the curve
    continues along its tangent, so that noise about black keeps its mean.

    Args:
        x: linear values of any shape, white at 1.
    """
    slope: float = 0.5 / _OFFSET**0.5
    return torch.sqrt(F.relu(x) + _OFFSET) - F.relu(-x) * slope


def expand(z: Tensor) -> Tensor:
    """Return linear values, at least -1/256: the inverse of `compress` above zero.

    Args:
        z: coded values of any shape.
    """
    light = F.relu(z)
    return light * light - _OFFSET
