"""Sums over any axes by products with ones, which every delegate supports."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["ones_for", "summed"]


def _arranged(shape: Sequence[int], dims: Sequence[int]) -> tuple[list[int], tuple[int, int, int]]:
    """Return a permutation that makes `dims` adjacent, and the sizes before, of and after them.

    Axes before the first of `dims` stay before it; all others are placed after `dims`.
    """
    before = list(range(dims[0]))
    behind = [d for d in range(dims[0], len(shape)) if d not in dims]
    sizes = [int(torch.Size([shape[d] for d in part]).numel()) for part in (before, dims, behind)]
    return [*before, *dims, *behind], (sizes[0], sizes[1], sizes[2])


def ones_for(shape: Sequence[int], dims: Sequence[int], weight: float) -> Tensor:
    """Return the constant by which `summed` multiplies; each value is `weight`.

    Args:
        shape: Shape of the tensor to sum.
        dims: Axes to sum over, sorted.
        weight: 1 for a sum, 1 / n for a mean.
    """
    _, (before, n, behind) = _arranged(shape, dims)
    return torch.full((1, n) if behind == 1 else (before, 1, n), weight)


def summed(x: Tensor, dims: Sequence[int], ones: Tensor) -> Tensor:
    """Return the weighted sum over `dims`, which keep the size 1.

    Args:
        x: Tensor of any rank.
        dims: Axes to sum over, sorted, each at least 0.
        ones: Result of `ones_for`.
    """
    order, (before, n, behind) = _arranged(x.shape, dims)
    kept = [1 if d in dims else size for d, size in enumerate(x.shape)]
    if order != list(range(x.dim())):
        x = x.permute(order)
    if behind == 1:
        return torch.nn.functional.linear(x.reshape(before, n), ones).reshape(kept)
    return torch.bmm(ones, x.reshape(before, n, behind)).reshape(kept)
