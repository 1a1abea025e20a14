"""Moving values by slices, views and concatenations alone, which every delegate takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = [
    "flipped",
    "matrix_for",
    "part",
    "repeated",
    "stepped",
    "stretches",
    "taken",
    "zeros_between",
]

_PAD = torch.ops.aten.constant_pad_nd.default
# More stretches than these are a product with a matrix of ones and zeros.
_MOST_PARTS = 16


def part(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """x[start : start + length] along `dim`; x itself if that is all of it."""
    if start == 0 and length == x.shape[dim]:
        return x
    sliced: Tensor = torch.ops.aten.slice.Tensor(x, dim, start, start + length)
    return sliced


def flipped(x: Tensor, dim: int) -> Tensor:
    """The values along `dim` from last to first."""
    return taken(x, dim, list(range(x.shape[dim] - 1, -1, -1)))


def taken(x: Tensor, dim: int, indices: Sequence[int], matrix: Tensor | None = None) -> Tensor:
    """The values at `indices` along `dim`, as stretches joined, or as a product.

    Args:
        x: any rank.
        dim: at least 0.
        indices: each at least 0 and less than the size along `dim`; at least one.
        matrix: [indices, size], the ones and zeros of the product; None for stretches.
    """
    if matrix is not None:
        last = x.transpose(dim, x.dim() - 1)
        return torch.nn.functional.linear(last, matrix).transpose(dim, x.dim() - 1)
    parts = [part(x, dim, start, length) for start, length in stretches(indices)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def stretches(indices: Sequence[int]) -> list[tuple[int, int]]:
    """The indices as stretches of numbers that follow each other: start and length of each."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and index == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found


def matrix_for(indices: Sequence[int], size: int) -> Tensor | None:
    """The matrix that `taken` needs for these indices; None if stretches do."""
    if len(stretches(indices)) <= _MOST_PARTS:
        return None
    return torch.eye(size)[list(indices)].contiguous()


def stepped(x: Tensor, dim: int, start: int, count: int, step: int) -> Tensor:
    """`count` values along `dim`, from `start` on, each `step` further."""
    size = x.shape[dim]
    if step == 1:
        return part(x, dim, start, count)
    # All but the last step are whole; the last may end beyond the map.
    x = part(x, dim, start, min(size - start, count * step))
    if x.shape[dim] < count * step:
        amounts = [0] * (2 * (x.dim() - 1 - dim)) + [0, count * step - x.shape[dim]]
        x = _PAD(x, amounts, 0.0)
    shape = [*x.shape[:dim], count, *x.shape[dim + 1 :]]
    after = x.shape[dim + 1 :].numel()
    apart = x.reshape(x.shape[:dim].numel() * count, step * after)
    return part(apart, 1, 0, after).reshape(shape)


def repeated(x: Tensor, count: int, ones: Tensor | None) -> Tensor:
    """A tensor of size 1 along its second axis, `count` times along it.

    Args:
        x: [B, 1, A].
        count: at least 1.
        ones: [1, count, 1], to multiply with; None to join the tensor to itself, and the result to
            itself, which costs a copy of the result instead.
    """
    if ones is not None:
        return x * ones
    while x.shape[1] < count:
        more = min(x.shape[1], count - x.shape[1])
        x = torch.cat([x, part(x, 1, 0, more)], 1)
    return x


def zeros_between(x: Tensor, dim: int, step: int) -> Tensor:
    """The values along `dim` with `step` - 1 zeros after each but the last."""
    if step == 1:
        return x
    size, after = x.shape[dim], x.shape[dim + 1 :].numel()
    apart = x.reshape(-1, after)
    wide: Tensor = _PAD(apart, [0, (step - 1) * after], 0.0)
    shape = [*x.shape[:dim], size * step, *x.shape[dim + 1 :]]
    return part(wide.reshape(shape), dim, 0, (size - 1) * step + 1)
