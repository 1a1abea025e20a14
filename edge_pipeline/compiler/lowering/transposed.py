"""A transposed convolution as a convolution of stride 1 whose channels are then spread out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import flipped, part, zeros_between

__all__ = ["Transposition", "transposed"]

_PAD = torch.ops.aten.constant_pad_nd.default


class Transposition(NamedTuple):
    """How a transposed convolution goes over its map, as torch has it; pairs are rows, columns."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    output_padding: tuple[int, int]
    groups: int
    dilation: tuple[int, int]


def transposed(x: Tensor, weight: Tensor, bias: Tensor | None, how: Transposition) -> Tensor:
    """The transposed convolution, without a zero multiplied but those that fill the kernel up.

    Pixels of the result that lie a stride apart meet the same taps, so each phase of the stride is
    a channel of a convolution over the small map, with every s-th tap of the kernel, turned round:

        full[o, s * i + r] = sum over a of x[i - a] * weight[o, s * a + r]

    Args:
        x: [N, C, H, W].
        weight: [C, out / groups, rows, columns].
        bias: [out].
        how: see `Transposition`.
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
    """[C, O, k * s, l * t] as [groups * O * s * t, C / groups, k, l], taps turned round."""
    (k, s), (l, t) = rows, columns  # noqa: E741 - as above
    c, o = weight.shape[0] // groups, weight.shape[1]
    below, right = k * s - weight.shape[2], l * t - weight.shape[3]
    if below or right:
        weight = _PAD(weight, [0, right, 0, below], 0.0)
    # No delegate permutes more than six axes, so the channels move behind first.
    weight = weight.reshape(groups, c, o * k * s * l * t).permute(0, 2, 1)
    weight = weight.reshape(groups * o, k, s, l, t, c).permute(0, 2, 4, 5, 1, 3)
    weight = weight.reshape(groups * o * s * t, c, k, l)
    return flipped(flipped(weight, 2), 3)


def _spread(y: Tensor, s: int, t: int) -> Tensor:
    """[N, C * s * t, H, W] as [N, C, H * s, W * t]."""
    if s == t == 1:
        return y
    n, channels, h, w = y.shape
    c = channels // (s * t)
    return y.reshape(n * c, s, t, h, w).permute(0, 3, 1, 4, 2).reshape(n, c, h * s, w * t)


def _cut(y: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The stretch along `dim`, with zeros for what lies beyond the end."""
    beyond = start + length - y.shape[dim]
    if beyond > 0:
        y = _PAD(y, [0, 0, 0, beyond] if dim == 2 else [0, beyond], 0.0)
    return part(y, dim, start, length)
