"""A convolution with weights computed at run time, out of operators that XNNPACK runs.

XNNPACK's convolution packs its weights ahead of time, so one whose weights are computed cannot be
delegated, and ExecuTorch's portable kernel is a hundred times slower. A batched matrix product
takes any operands. Both forms work on strips of rows, so that what they put beside each other stays
in the cache: a quarter less time for the whole dynamic network, see
`docs/decisions/0003-lowering-dynamic-convolution.md`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.padding import Padding, window

__all__ = ["Form", "Shape", "convolve", "is_narrow", "matmul_first", "stacked_columns"]

# What a strip's widest intermediate may take: about a core's second-level cache.
_STRIP_BYTES = 2 << 20
_FEWEST_ROWS = 8


class Shape(NamedTuple):
    """A convolution's sizes: channels, kernel, and the map that it gives."""

    n_out: int
    n_in: int
    rows: int
    columns: int
    height: int
    width: int


class Form(Protocol):
    """One way to compute the rows [top, top + height) of a convolution."""

    def __call__(
        self, x: Tensor, weight: Tensor, padding: Padding, shape: Shape, top: int, height: int
    ) -> Tensor:
        """The rows, [1, n_out, height, shape.width].

        Args:
            x: [1, n_in, H, W], the map without its padding.
            weight: [n_out, n_in, shape.rows, shape.columns].
            padding: what lies around the map.
            shape: the whole convolution's sizes.
            top: the first row of the output that is wanted.
            height: how many rows are.
        """
        ...


def _part(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    part: Tensor = torch.ops.aten.slice.Tensor(x, dim, start, start + length)
    return part


def stacked_columns(
    x: Tensor, weight: Tensor, padding: Padding, shape: Shape, top: int, height: int
) -> Tensor:
    """Lay the columns that a kernel row takes beside each other; multiply; shift rows and add.

        [in, strip + k - 1, W] -> k column shifts, stacked: [k * in, (strip + k - 1) * W]
        times [k * out, k * in] -> [k * out, ...]; kernel row i is taken i rows further down.

    Rows lie one after the other, so shifting by a row is a plain stretch of memory. Arguments are
    those of `Form`.
    """
    o, c, kh, kw, _, width = shape
    strip = window(x, 2, top, height + kh - 1, padding)
    columns = [window(strip, 3, j, width, padding) for j in range(kw)]
    stacked = columns[0] if kw == 1 else torch.cat(columns, 1)
    flat = stacked.reshape(1, kw * c, (height + kh - 1) * width)
    # [out, in, kh, kw] -> [1, kh * out, kw * in]
    taps = weight.permute(2, 0, 3, 1).reshape(1, kh * o, kw * c)
    product = torch.bmm(taps, flat)
    y = _part(_part(product, 1, 0, o), 2, 0, height * width)
    for i in range(1, kh):
        y = y + _part(_part(product, 1, i * o, o), 2, i * width, height * width)
    return y.reshape(1, o, height, width)


def matmul_first(
    x: Tensor, weight: Tensor, padding: Padding, shape: Shape, top: int, height: int
) -> Tensor:
    """Multiply each pixel once for every tap; then shift the few output channels and add.

    [in, (strip + k - 1) * (W + k - 1)] times [k * k * out, in], kernel rows outermost;
    rows are shifted and added first, all kernel columns at once, then columns. Arguments are those
    of `Form`.
    """
    o, c, kh, kw, _, width = shape
    wide = width + kw - 1
    strip = window(window(x, 2, top, height + kh - 1, padding), 3, 0, wide, padding)
    flat = strip.reshape(1, c, (height + kh - 1) * wide)
    # [out, in, kh, kw] -> [1, kh * kw * out, in]
    taps = weight.permute(2, 3, 0, 1).reshape(1, kh * kw * o, c)
    product = torch.bmm(taps, flat)
    y = _part(_part(product, 1, 0, kw * o), 2, 0, height * wide)
    for i in range(1, kh):
        y = y + _part(_part(product, 1, i * kw * o, kw * o), 2, i * wide, height * wide)
    rows = y.reshape(1, kw * o, height, wide)
    z = _part(_part(rows, 1, 0, o), 3, 0, width)
    for j in range(1, kw):
        z = z + _part(_part(rows, 1, j * o, o), 3, j, width)
    return z


def is_narrow(n_out: int, n_in: int) -> bool:
    """Whether so few channels come out that shifting them, after the product, costs less.

    Args:
        n_out: channels that come out.
        n_in: channels that go in.

    Source: `docs/decisions/0003-lowering-dynamic-convolution.md`.
    """
    return 3 * n_out <= n_in


def _strip_rows(shape: Shape, form: Form) -> int:
    """Rows a strip, so that its widest intermediate fits, and strips are of like height."""
    o, c, kh, kw, height, width = shape
    channels = kh * kw * o if form is matmul_first else max(kw * c, kh * o)
    most = max(_FEWEST_ROWS, _STRIP_BYTES // (4 * channels * width) - (kh - 1))
    strips = -(-height // most)
    return -(-height // strips)


def convolve(x: Tensor, weight: Tensor, padding: Padding, form: Form | None = None) -> Tensor:
    """What `conv2d` does with stride and dilation 1 and one group, for one sample.

    Args:
        x: [1, in, H, W], float32.
        weight: [out, in, kernel rows, kernel columns].
        padding: by reflection, less than H and W.
        form: one of the forms of this file; chosen by the sizes when left out.

    Returns:
        [1, out, H + 2 * padding.rows - kernel rows + 1, and likewise W].
    """
    o, c, kh, kw = weight.shape
    height = x.shape[2] + 2 * padding.rows - kh + 1
    width = x.shape[3] + 2 * padding.columns - kw + 1
    shape = Shape(o, c, kh, kw, height, width)
    if form is None:
        form = matmul_first if is_narrow(o, c) else stacked_columns
    rows = _strip_rows(shape, form)
    strips = [
        form(x, weight, padding, shape, top, min(rows, height - top))
        for top in range(0, height, rows)
    ]
    return strips[0] if len(strips) == 1 else torch.cat(strips, 2)
