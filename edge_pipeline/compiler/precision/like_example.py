"""Inputs for int8 to observe ranges on, made from the example that a user gave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration

__all__ = ["METHOD", "samples_like"]

METHOD = (
    "the example inputs, as they are, scaled by 1/2 and 1/8, with the last axis reversed, and "
    "three draws of values between the example's least and greatest"
)
_SCALES = (1.0, 0.5, 0.125)
_DRAWS = 3


def samples_like(example: Sequence[Tensor]) -> tuple[list[tuple[Tensor, ...]], Calibration]:
    """Sets of inputs that span what the example spans, and the record of them.

    Args:
        example: float32, in the order of `forward`.

    Returns:
        Seven sets in the same order and shapes; the same for the same example.
    """
    generator = torch.Generator().manual_seed(20240304)
    sets = [tuple(scale * x for x in example) for scale in _SCALES]
    sets.append(tuple(x.flip(-1) if x.dim() else x.clone() for x in example))
    for _ in range(_DRAWS):
        drawn = [torch.rand(x.shape, generator=generator) for x in example]
        sets.append(
            tuple(x.min() + d * (x.max() - x.min()) for x, d in zip(example, drawn, strict=True))
        )
    return [tuple(x.contiguous() for x in one) for one in sets], Calibration.of([], METHOD)
