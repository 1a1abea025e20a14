"""A depth-wise convolution with weights computed at run time, as products and sums of maps.

A matrix product with one output channel per group is limited by the copies that it requires. A
product of the map with one value per channel requires one copy per tap, of contiguous memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import part
from edge_pipeline.compiler.lowering.padding import filled, padded

if TYPE_CHECKING:
    from edge_pipeline.compiler.lowering.convolution import ConvGeometry

__all__ = ["depthwise", "phases", "tap_sum"]


def tap_sum(values: Tensor, taps: Tensor, starts: Sequence[int], length: int) -> Tensor:
    """Return the sum over the taps of stretches of `values`, each times the tap of its channel.

    Args:
        values: Maps [n, channels, pixels], each as one line.
        taps: Weights [n, channels, taps].
        starts: First pixel of each tap's stretch.
        length: Pixels of a stretch.

    Returns:
        Tensor [n, channels, length].
    """
    total: Tensor | None = None
    for tap, start in enumerate(starts):
        product = part(values, 2, start, length) * part(taps, 2, tap, 1)
        # Added immediately: many products would not stay in the cache until a later sum.
        total = product if total is None else total + product
    assert total is not None  # noqa: S101 - a kernel has a tap
    return total


def phases(x: Tensor, stride: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Return the pixels of a map sorted by their phase within the stride.

    Args:
        x: Map [1, C, H, W] with its padding.
        stride: Rows and columns from one output pixel to the next, (s, t).
        size: Rows and columns of a phase, (h, w); x is cropped, or padded with zeros at the end.

    Returns:
        Tensor [C, s * t, h, w]; the phase of row r and column c is t * (r % s) + c % t.
    """
    (s, t), (height, width), channels = stride, size, x.shape[1]
    x = filled(x, (s * height, t * width)).reshape(channels, height, s, width, t)
    return x.permute(0, 2, 4, 1, 3).reshape(channels, s * t, height, width)


def depthwise(x: Tensor, weight: Tensor, geometry: ConvGeometry, size: tuple[int, int]) -> Tensor:
    """Return the depth-wise convolution of one sample, without its bias.

    For a kernel of 3 x 3 and stride 2: x [1, C, H, W] -> four phases, one after the other,
    [1, C, 4 * h * w] -> nine stretches of it, each times its tap, added.

    Args:
        x: Map [1, C, H, W], float32.
        weight: Weight [C, 1, rows, columns].
        geometry: Padding, stride, dilation and C groups.
        size: Rows and columns of the output.

    Returns:
        Tensor [1, C, rows, columns] of the output.
    """
    (s, t), (a, b), (height, width) = geometry.stride, geometry.dilation, size
    channels, _, rows, columns = weight.shape
    below, pitch = height + (rows - 1) * a // s, width + (columns - 1) * b // t
    maps = padded(x, geometry.padding)
    if (s, t) != (1, 1):
        maps = phases(maps, (s, t), (below, pitch))
    else:
        maps = filled(maps, (below, pitch))
    values = maps.reshape(1, channels, s * t * below * pitch)
    starts = [
        (t * (i * a % s) + j * b % t) * below * pitch + i * a // s * pitch + j * b // t
        for i in range(rows)
        for j in range(columns)
    ]
    taps = weight.reshape(1, channels, rows * columns)
    y = tap_sum(values, taps, starts, (height - 1) * pitch + width)
    if pitch > width:
        y = torch.ops.aten.constant_pad_nd.default(y, [0, pitch - width], 0.0)
    return part(y.reshape(1, channels, height, pitch), 3, 0, width)
