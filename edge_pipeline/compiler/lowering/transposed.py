"""Transposed convolution by a convolution of stride 1 and a depth-to-space rearrangement."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import flipped, part, zeros_between

__all__ = ["Transposition", "transposed"]

_PAD = torch.ops.aten.constant_pad_nd.default


class Transposition(NamedTuple):
    """Torch's arguments of a transposed convolution; pairs are (rows, columns)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    output_padding: tuple[int, int]
    groups: int
    dilation: tuple[int, int]


def transposed(x: Tensor, weight: Tensor, bias: Tensor | None, how: Transposition) -> Tensor:
    """Compute a transposed convolution without inserting zeros into the map.

    Output pixels that are a stride apart use the same taps. So each phase of the stride is a
    channel of a convolution over the small map, with every s-th tap of the kernel, reversed. Only
    the kernel may be padded with zeros, to a multiple of the stride:

        full[o, s * i + r] = sum over a of x[i - a] * weight[o, s * a + r]

    Args:
        x: Map [N, C, H, W].
        weight: Weight [C, out / groups, rows, columns].
        bias: Bias [out], or None.
        how: Stride, padding, output padding, groups and dilation.
    """
    (s, t), groups = how.stride, how.groups
    for dim in (2, 3):
        weight = zeros_between(weight, dim, how.dilation[dim - 2])
    rows, columns = weight.shape[2:]
    k, l = -(-rows // s), -(-columns // t)  # noqa: E741 - as in `lowering/convolution.py`
    taps = _phases(weight, groups, (k, s), (l, t))
    y = torch.conv2d(x, taps, None, 1, [k - 1, l - 1], 1, groups)
    y = _spread(y, s, t)
    for dim, size, taken in ((2, x.shape[2], rows), (3, x.shape[3], columns)):
        i = dim - 2
        length = (size - 1) * how.stride[i] - 2 * how.padding[i] + taken + how.output_padding[i]
        y = _cut(y, dim, how.padding[i], length)
    return y if bias is None else y + bias.reshape(1, -1, 1, 1)


def _phases(weight: Tensor, groups: int, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Return [C, O, k * s, l * t] as [groups * O * s * t, C / groups, k, l], with reversed taps."""
    (k, s), (l, t) = rows, columns  # noqa: E741 - as above
    c, o = weight.shape[0] // groups, weight.shape[1]
    below, right = k * s - weight.shape[2], l * t - weight.shape[3]
    if below or right:
        weight = _PAD(weight, [0, right, 0, below], 0.0)
    # No delegate permutes more than six axes, so the channels are moved to the end first.
    weight = weight.reshape(groups, c, o * k * s * l * t).permute(0, 2, 1)
    weight = weight.reshape(groups * o, k, s, l, t, c).permute(0, 2, 4, 5, 1, 3)
    weight = weight.reshape(groups * o * s * t, c, k, l)
    return flipped(flipped(weight, 2), 3)


def _spread(y: Tensor, s: int, t: int) -> Tensor:
    """Rearrange [N, C * s * t, H, W] to [N, C, H * s, W * t]."""
    if s == t == 1:
        return y
    n, channels, h, w = y.shape
    c = channels // (s * t)
    return y.reshape(n * c, s, t, h, w).permute(0, 3, 1, 4, 2).reshape(n, c, h * s, w * t)


def _cut(y: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Return y[start : start + length] along `dim`, with zeros beyond its end."""
    beyond = start + length - y.shape[dim]
    if beyond > 0:
        y = _PAD(y, [0, 0, 0, beyond] if dim == 2 else [0, beyond], 0.0)
    return part(y, dim, start, length)
