"""Calibration inputs for int8, made from the user's example inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration

__all__ = ["METHOD", "NEARER", "samples_like"]

_METHOD = (
    "the example inputs, unchanged{scaled} and with the last axis reversed, and three sets of "
    "random values between the example's minimum and maximum{kept}"
)
METHOD = _METHOD.format(
    scaled=", scaled by 1/2 and 1/8,",
    kept="; integers of 32 and 64 bits and booleans are not scaled",
)
NEARER = _METHOD.format(scaled="", kept="")
_SCALES = (1.0, 0.5, 0.125)
_DRAWS = 3


def samples_like(
    example: Sequence[Tensor], *, scaled: bool = True
) -> tuple[list[tuple[Tensor, ...]], Calibration]:
    """Return sets of inputs that span the example's values, and the record of them.

    Args:
        example: Example inputs, in the order of `forward`.
        scaled: Whether two of the sets are the example scaled by 1/2 and 1/8.

    Returns:
        Seven sets of inputs, or five without the scaled ones, with the example's order and shapes.
        They depend only on the example.
    """
    generator = torch.Generator().manual_seed(20240304)
    scales = _SCALES if scaled else _SCALES[:1]
    sets = [tuple(_scaled(x, scale) for x in example) for scale in scales]
    sets.append(tuple(x.flip(-1) if x.dim() else x.clone() for x in example))
    sets += [tuple(_drawn(x, generator) for x in example) for _ in range(_DRAWS)]
    return [tuple(x.contiguous() for x in one) for one in sets], Calibration.of(
        [], METHOD if scaled else NEARER
    )


def _scaled(x: Tensor, scale: float) -> Tensor:
    """Return a multiple of floats or of 8-bit integers, as pictures have them; else `x`."""
    is_number = x.is_floating_point() or x.dtype in (torch.uint8, torch.int8)
    return (scale * x).to(x.dtype) if is_number else x


def _drawn(x: Tensor, generator: torch.Generator) -> Tensor:
    """Return values drawn uniformly between the minimum and the maximum of `x`."""
    if x.is_floating_point():
        return x.min() + torch.rand(x.shape, generator=generator) * (x.max() - x.min())
    low, high = int(x.min()), int(x.max())
    return torch.randint(low, high + 1, x.shape, generator=generator).to(x.dtype)
