"""Windows of a map laid side by side, and added back, by slices, views and sums."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import part, stepped, zeros_between

__all__ = ["Windows", "folded", "unfolded"]

_PAD = torch.ops.aten.constant_pad_nd.default


class Windows(NamedTuple):
    """Which windows of a map; pairs are of rows and columns."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    stride: tuple[int, int]

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many windows fit below and beside each other."""
        rows, columns = (
            (size[i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return rows, columns

    def apart(self) -> bool:
        """Whether they lie edge to edge, without gaps, overlap or padding."""
        plain = self.dilation == (1, 1) and self.padding == (0, 0)
        return plain and self.kernel == self.stride


def unfolded(x: Tensor, windows: Windows) -> Tensor:
    """The windows of a map, as `torch.nn.functional.unfold` gives them.

    Args:
        x: [N, C, H, W].
        windows: which.

    Returns:
        [N, C * rows * columns of the kernel, windows].
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
    """The windows added up where they lie, as `torch.nn.functional.fold` does it.

    Args:
        x: [N, C * rows * columns of the kernel, windows].
        size: rows and columns of the map.
        windows: which.

    Returns:
        [N, C, rows, columns].
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
