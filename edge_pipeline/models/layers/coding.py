"""A coding of linear light in which noise and visible error are nearly uniform."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["OFFSET", "compress", "expand"]

OFFSET = 1 / 256
"""Smallest offset; the square root's slope at black is then 8, that of the sRGB curve 12.9."""


def compress(x: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return coded values: sqrt(x + offset) if x is above zero, the tangent at zero below.

    Noise of variance a x + b^2 has the same variance in shadows and highlights if the offset is
    b^2 / a. Below zero the curve is its tangent at zero, so that noise around black keeps its mean.

    Args:
        x: Linear values of any shape, white at 1.
        offset: Positive offset of a shape that broadcasts to that of `x`; `OFFSET` by default.

    Source: the generalised Anscombe transform, as in equation 3 of M. Makitalo and A. Foi, IEEE
        TIP 22(1), 2013.
    """
    if offset is None:
        slope: float = 0.5 / OFFSET**0.5
        return torch.sqrt(F.relu(x) + OFFSET) - F.relu(-x) * slope
    return torch.sqrt(F.relu(x) + offset) - F.relu(-x) * (0.5 / torch.sqrt(offset))


def expand(z: Tensor, offset: Tensor | None = None) -> Tensor:
    """Return linear values, at least -offset; the inverse of `compress` above zero.

    Args:
        z: Coded values of any shape.
        offset: Offset that `compress` was called with.
    """
    light = F.relu(z)
    return light * light - (OFFSET if offset is None else offset)
