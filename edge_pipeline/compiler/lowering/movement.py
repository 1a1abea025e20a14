"""Movement of values by slices, views and concatenations alone, which every delegate supports."""

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
# More than this many slices are replaced by a product with a matrix of ones and zeros.
_MOST_PARTS = 16


def part(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Return x[start : start + length] along `dim`, or x itself if that is all of it."""
    if start == 0 and length == x.shape[dim]:
        return x
    sliced: Tensor = torch.ops.aten.slice.Tensor(x, dim, start, start + length)
    return sliced


def flipped(x: Tensor, dim: int) -> Tensor:
    """Return x with the order of the values along `dim` reversed."""
    return taken(x, dim, list(range(x.shape[dim] - 1, -1, -1)))


def taken(x: Tensor, dim: int, indices: Sequence[int], matrix: Tensor | None = None) -> Tensor:
    """Return the values at `indices` along `dim`, by joined slices or by a matrix product.

    Args:
        x: Tensor of any rank.
        dim: Dimension, at least 0.
        indices: At least one index, each from 0 to the size along `dim` minus 1.
        matrix: Ones and zeros [indices, size] to multiply by, see `matrix_for`; None for slices.
    """
    if matrix is not None:
        last = x.transpose(dim, x.dim() - 1)
        return torch.nn.functional.linear(last, matrix).transpose(dim, x.dim() - 1)
    parts = [part(x, dim, start, length) for start, length in stretches(indices)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def stretches(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive indices, each by its start and length."""
    found: list[tuple[int, int]] = []
    for index in indices:
        if found and index == sum(found[-1]):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found


def matrix_for(indices: Sequence[int], size: int) -> Tensor | None:
    """Return the matrix that `taken` needs for these indices; None if slices are few enough."""
    if len(stretches(indices)) <= _MOST_PARTS:
        return None
    return torch.eye(size)[list(indices)].contiguous()


def stepped(x: Tensor, dim: int, start: int, count: int, step: int) -> Tensor:
    """Return `count` values along `dim`, beginning at `start` with a distance of `step`."""
    size = x.shape[dim]
    if step == 1:
        return part(x, dim, start, count)
    # All steps are whole except the last, which may end beyond the map.
    x = part(x, dim, start, min(size - start, count * step))
    if x.shape[dim] < count * step:
        amounts = [0] * (2 * (x.dim() - 1 - dim)) + [0, count * step - x.shape[dim]]
        x = _PAD(x, amounts, 0.0)
    shape = [*x.shape[:dim], count, *x.shape[dim + 1 :]]
    after = x.shape[dim + 1 :].numel()
    apart = x.reshape(x.shape[:dim].numel() * count, step * after)
    return part(apart, 1, 0, after).reshape(shape)


def repeated(x: Tensor, count: int, ones: Tensor | None) -> Tensor:
    """Repeat a tensor along its second axis: [B, count, A].

    Args:
        x: Tensor [B, 1, A].
        count: Number of repetitions, at least 1.
        ones: Ones [1, count, 1] to multiply by; None to concatenate the tensor with itself until it
            is long enough, which costs a copy of the result instead.
    """
    if ones is not None:
        return x * ones
    while x.shape[1] < count:
        more = min(x.shape[1], count - x.shape[1])
        x = torch.cat([x, part(x, 1, 0, more)], 1)
    return x


def zeros_between(x: Tensor, dim: int, step: int) -> Tensor:
    """Return x with `step` - 1 zeros after each value along `dim`, except after the last."""
    if step == 1:
        return x
    size, after = x.shape[dim], x.shape[dim + 1 :].numel()
    apart = x.reshape(-1, after)
    wide: Tensor = _PAD(apart, [0, (step - 1) * after], 0.0)
    shape = [*x.shape[:dim], size * step, *x.shape[dim + 1 :]]
    return part(wide.reshape(shape), dim, 0, (size - 1) * step + 1)
