"""`unfold` and `fold` by slices, views and sums: windows of a map, and their sum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import part, stepped, zeros_between

__all__ = ["Windows", "folded", "unfolded"]

_PAD = torch.ops.aten.constant_pad_nd.default


class Windows(NamedTuple):
    """The arguments of `unfold` and `fold`; pairs are (rows, columns)."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    stride: tuple[int, int]

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the number of windows along the rows and along the columns of a map."""
        rows, columns = (
            (size[i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return rows, columns

    def apart(self) -> bool:
        """Return whether the windows tile the map without gaps, overlap or padding."""
        plain = self.dilation == (1, 1) and self.padding == (0, 0)
        return plain and self.kernel == self.stride


def unfolded(x: Tensor, windows: Windows) -> Tensor:
    """Return the windows of a map, as `torch.nn.functional.unfold` does.

    Args:
        x: Map [N, C, H, W].
        windows: Kernel, dilation, padding and stride.

    Returns:
        Tensor [N, C * kernel rows * kernel columns, windows].
    """
    n, c, height, width = x.shape
    (k, l), (a, b), (s, t) = windows.kernel, windows.dilation, windows.stride  # noqa: E741
    h, w = windows.grid((height, width))
    if windows.apart():
        x = part(part(x, 2, 0, h * k), 3, 0, w * l)
        x = x.reshape(n * c, h, k, w, l).permute(0, 2, 4, 1, 3)
        return x.reshape(n, c * k * l, h * w)
    if any(windows.padding):
        rows, columns = windows.padding
        x = _PAD(x, [columns, columns, rows, rows], 0.0)
    beside = [stepped(x, 3, j * b, w, t) for j in range(l)]
    taps = [
        stepped(column, 2, i * a, h, s).reshape(n, c, 1, h * w)
        for i in range(k)
        for column in beside
    ]
    whole = taps[0] if len(taps) == 1 else torch.cat(taps, 2)
    return whole.reshape(n, c * k * l, h * w)


def folded(x: Tensor, size: tuple[int, int], windows: Windows) -> Tensor:
    """Add the windows up at their places in a map, as `torch.nn.functional.fold` does.

    Args:
        x: Tensor [N, C * kernel rows * kernel columns, windows].
        size: Rows and columns of the map.
        windows: Kernel, dilation, padding and stride.

    Returns:
        Map [N, C, rows, columns].
    """
    (k, l), (a, b) = windows.kernel, windows.dilation  # noqa: E741
    n, c = x.shape[0], x.shape[1] // (k * l)
    h, w = windows.grid(size)
    if windows.apart():
        x = x.reshape(n * c, k, l, h, w).permute(0, 3, 1, 4, 2).reshape(n, c, h * k, w * l)
        below, right = size[0] - h * k, size[1] - w * l
        return _PAD(x, [0, right, 0, below], 0.0) if below or right else x
    (top, left), whole = windows.padding, x.reshape(n, c, k * l, h * w)
    height, width = size[0] + 2 * top, size[1] + 2 * left
    total: Tensor | None = None
    for i in range(k):
        for j in range(l):
            tap = part(whole, 2, i * l + j, 1).reshape(n, c, h, w)
            tap = zeros_between(zeros_between(tap, 2, windows.stride[0]), 3, windows.stride[1])
            above, before = i * a, j * b
            below, behind = height - above - tap.shape[2], width - before - tap.shape[3]
            tap = _PAD(tap, [before, behind, above, below], 0.0)
            total = tap if total is None else total + tap
    assert total is not None  # noqa: S101 - a kernel has a tap
    return part(part(total, 2, top, size[0]), 3, left, size[1])
