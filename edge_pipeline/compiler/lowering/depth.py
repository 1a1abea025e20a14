"""Convolution over three axes by convolutions over two: one for each plane of the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Volume", "over_planes", "padded"]

_SLICE = torch.ops.aten.slice.Tensor


class Volume(NamedTuple):
    """Torch's arguments of a 3-D convolution; triples are (planes, rows, columns).

    Attributes:
        padding: Zeros before and after each axis.
    """

    stride: tuple[int, int, int]
    padding: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int, int]
    groups: int


def over_planes(x: Tensor, weight: Tensor, bias: Tensor | None, how: Volume) -> Tensor:
    """Compute a 3-D convolution plane by plane, without padding the planes.

    A plane of the result is a 2-D convolution of all input planes under the kernel, stacked as
    channels:

        y[:, :, d] = conv2d(stack of x[:, :, s * d + dilation * k - p] over k, weight[:, :, k])

    Planes outside the input are zero, so they and their part of the kernel are left out.

    Args:
        x: Volume [N, C, D, H, W].
        weight: Weight [O, C / groups, depth, rows, columns].
        bias: Bias [O], or None.
        how: Stride, padding, dilation and groups.
    """
    depth, (before, after) = weight.shape[2], how.padding[0]
    reach = how.dilation[0] * (depth - 1) + 1
    count = (x.shape[2] + before + after - reach) // how.stride[0] + 1
    planes = []
    for d in range(count):
        first = d * how.stride[0] - before
        at = [(k, first + how.dilation[0] * k) for k in range(depth)]
        inside = [(k, place) for k, place in at if 0 <= place < x.shape[2]]
        planes.append(_plane(x, weight, bias, how, inside))
    return _joined([plane.unsqueeze(2) for plane in planes])


def _plane(
    x: Tensor, weight: Tensor, bias: Tensor | None, how: Volume, inside: list[tuple[int, int]]
) -> Tensor:
    """Return one plane of the result from pairs of a plane of the kernel and one of the input."""
    (n, c, _, height, width), (o, each, _, rows, columns) = x.shape, weight.shape
    if not inside:  # only padding lies under the kernel
        inside = [(0, 0)]
        x = x * 0.0
    seen = _joined([_SLICE(x, 2, place, place + 1) for _, place in inside])
    taken = _joined([_SLICE(weight, 2, k, k + 1) for k, _ in inside])
    maps = seen.reshape(n, c * len(inside), height, width)
    kernel = taken.reshape(o, each * len(inside), rows, columns)
    maps, amounts = padded(maps, how.padding[1:])
    return torch.conv2d(maps, kernel, bias, how.stride[1:], amounts, how.dilation[1:], how.groups)


def padded(x: Tensor, pairs: Sequence[tuple[int, int]]) -> tuple[Tensor, list[int]]:
    """Return a map, padded with zeros if two sides differ, and the padding left to a convolution.

    Args:
        x: Map [N, C, H, W].
        pairs: Zeros before and after the rows and the columns.
    """
    (top, bottom), (left, right) = pairs
    if (top, left) == (bottom, right):
        return x, [top, left]
    return torch.ops.aten.constant_pad_nd.default(x, [left, right, top, bottom], 0.0), [0, 0]


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, 2) if len(parts) > 1 else parts[0]
