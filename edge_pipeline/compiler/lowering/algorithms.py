"""Algorithms for a convolution, built from operators that any delegate runs with any operands.

A runtime that packs the weights of convolutions ahead of time rejects computed weights, but its
batched matrix product accepts any operands. Each function here is one algorithm, for a strip of
rows. The fastest depends on channels, size and device; see `docs/decisions/0011-cost-model.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.movement import part
from edge_pipeline.compiler.lowering.padding import Padding, window

__all__ = [
    "ALGORITHMS",
    "ConvAlgorithm",
    "Layer",
    "Shape",
    "Strip",
    "im2col",
    "matmul_first",
    "shifted_products",
    "stacked_columns",
    "stacked_rows",
]


class Shape(NamedTuple):
    """The sizes of a convolution: channels per group, kernel, dilation and output map."""

    n_out: int
    n_in: int
    rows: int
    columns: int
    row_step: int
    column_step: int
    height: int
    width: int

    @property
    def row_span(self) -> int:
        """Number of rows from the first to the last tap of the kernel."""
        return (self.rows - 1) * self.row_step

    @property
    def column_span(self) -> int:
        """Number of columns from the first to the last tap of the kernel."""
        return (self.columns - 1) * self.column_step


@dataclass(frozen=True)
class Layer:
    """A convolution of stride 1 and its operands.

    Attributes:
        x: Map without its padding, [g, n_in, H, W], with the groups along the first axis.
        weight: Weight [g, n_out, n_in, rows, columns].
        padding: Padding of the map.
        shape: Sizes of the convolution.
        bias: Bias [n_out] that the product adds; None if it is added later. Requires one group
            and an algorithm with `adds_bias`.
        ones: Constant of ones [1, 1, h, shape.width + column_span] if there is a bias; h is at
            least the rows of a strip plus `row_span`.
    """

    x: Tensor
    weight: Tensor
    padding: Padding
    shape: Shape
    bias: Tensor | None = None
    ones: Tensor | None = None


class Strip(NamedTuple):
    """The rows [top, top + height) of the output."""

    top: int
    height: int


# Computes the output rows of a strip, [g, n_out, strip.height, shape.width].
Compute = Callable[[Layer, Strip], Tensor]


@dataclass(frozen=True)
class ConvAlgorithm:
    """One way to compute a convolution.

    Attributes:
        compute: Function that computes one strip.
        channels: Function that returns the number of channels of the widest intermediate tensor,
            which determines the height of strips.
        adds_bias: Whether the matrix product can add a bias, by one more row of ones.
    """

    compute: Compute
    channels: Callable[[Shape], int]
    adds_bias: bool


def _rows(layer: Layer, strip: Strip) -> Tensor:
    """Return the padded rows that a strip reads: [g, n_in, strip.height + row_span, W]."""
    return window(layer.x, 2, strip.top, strip.height + layer.shape.row_span, layer.padding)


def _wide(layer: Layer, strip: Strip) -> Tensor:
    """Return these rows with padded columns: [g, n_in, strip.height + row_span, wide]."""
    wide = layer.shape.width + layer.shape.column_span
    return window(_rows(layer, strip), 3, 0, wide, layer.padding)


def _with_ones(parts: list[Tensor], layer: Layer, height: int, width: int) -> Tensor:
    """Concatenate the parts along channels, followed by a channel of ones if there is a bias."""
    if layer.ones is not None:
        ones = part(part(layer.ones, 2, 0, height), 3, 0, width)
        parts = [*parts, ones.reshape(1, 1, *parts[0].shape[2:])]
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _with_bias(taps: Tensor, layer: Layer) -> Tensor:
    """Return taps [g, m, k] with a column for the bias in the first n_out rows, if there is one."""
    if layer.bias is None:
        return taps
    column = layer.bias.reshape(1, layer.shape.n_out, 1)
    below = taps.shape[1] - layer.shape.n_out
    if below:
        column = torch.ops.aten.constant_pad_nd.default(column, [0, 0, 0, below], 0.0)
    return torch.cat([taps, column], 2)


def _added_rows(product: Tensor, shape: Shape, height: int, pitch: int, n: int) -> Tensor:
    """Add the blocks of n channels, block i shifted by i kernel rows: [g, n, height * pitch].

    Args:
        product: Tensor [g, rows * n, (height + row_span) * pitch].
        shape: Sizes of the convolution.
        height: Rows of the strip.
        pitch: Number of values in a row.
        n: Number of channels in a block.
    """
    y = part(part(product, 1, 0, n), 2, 0, height * pitch)
    for i in range(1, shape.rows):
        start = i * shape.row_step * pitch
        y = y + part(part(product, 1, i * n, n), 2, start, height * pitch)
    return y


def _added_columns(product: Tensor, shape: Shape) -> Tensor:
    """Add the blocks of n_out channels, block j shifted by j kernel columns: [g, n_out, h, width].

    Args:
        product: Tensor [g, columns * n_out, h, width + column_span].
        shape: Sizes of the convolution.
    """
    o = shape.n_out
    y = part(part(product, 1, 0, o), 3, 0, shape.width)
    for j in range(1, shape.columns):
        start = j * shape.column_step
        y = y + part(part(product, 1, j * o, o), 3, start, shape.width)
    return y


def stacked_columns(layer: Layer, strip: Strip) -> Tensor:
    """Stack the map shifted by each kernel column, multiply by the taps, then shift rows and add.

        [in, h + span, W] -> one shift per kernel column, stacked: [columns * in, (h + span) * W]
        multiplied by [rows * out, columns * in] -> [rows * out, ...]; block i is shifted by i rows

    The rows are contiguous in memory, so a shift by rows is a slice of contiguous memory.
    """
    shape = layer.shape
    g, height = layer.x.shape[0], strip.height
    taken = _rows(layer, strip)
    shifts = range(0, shape.column_span + 1, shape.column_step)
    columns = [window(taken, 3, j, shape.width, layer.padding) for j in shifts]
    stacked = _with_ones(columns, layer, taken.shape[2], shape.width)
    flat = stacked.reshape(g, stacked.shape[1], taken.shape[2] * shape.width)
    # [g, out, in, rows, columns] -> [g, rows * out, columns * in]
    taps = layer.weight.permute(0, 3, 1, 4, 2)
    taps = taps.reshape(g, shape.rows * shape.n_out, shape.columns * shape.n_in)
    product = torch.bmm(_with_bias(taps, layer), flat)
    y = _added_rows(product, shape, height, shape.width, shape.n_out)
    return y.reshape(g, shape.n_out, height, shape.width)


def stacked_rows(layer: Layer, strip: Strip) -> Tensor:
    """Stack the map shifted by each kernel row, multiply by the taps, then shift columns and add.

    [in, (h + span) * wide] -> one slice per kernel row, stacked: [rows * in, h * wide]
    multiplied by [columns * out, rows * in] -> [columns * out, h, wide]; block j is shifted by j
    columns
    """
    shape = layer.shape
    g, height, wide = layer.x.shape[0], strip.height, layer.shape.width + layer.shape.column_span
    taken = _wide(layer, strip)
    shifts = range(0, shape.row_span + 1, shape.row_step)
    stacked = _with_ones([part(taken, 2, i, height) for i in shifts], layer, height, wide)
    flat = stacked.reshape(g, stacked.shape[1], height * wide)
    # [g, out, in, rows, columns] -> [g, columns * out, rows * in]
    taps = layer.weight.permute(0, 4, 1, 3, 2)
    taps = taps.reshape(g, shape.columns * shape.n_out, shape.rows * shape.n_in)
    product = torch.bmm(_with_bias(taps, layer), flat)
    return _added_columns(product.reshape(g, taps.shape[1], height, wide), shape)


def matmul_first(layer: Layer, strip: Strip) -> Tensor:
    """Multiply each pixel by every tap in one product, then shift the output channels and add.

    [in, (h + span) * wide] is multiplied by [rows * columns * out, in], kernel rows outermost. Then
    rows are shifted and added, for all kernel columns at once, and after that columns.
    """
    shape = layer.shape
    g, height, wide = layer.x.shape[0], strip.height, layer.shape.width + layer.shape.column_span
    taken = _wide(layer, strip)
    flat = taken.reshape(g, shape.n_in, taken.shape[2] * wide)
    # [g, out, in, rows, columns] -> [g, rows * columns * out, in]
    taps = layer.weight.permute(0, 3, 4, 1, 2)
    taps = taps.reshape(g, shape.rows * shape.columns * shape.n_out, shape.n_in)
    n = shape.columns * shape.n_out
    y = _added_rows(torch.bmm(taps, flat), shape, height, wide, n)
    return _added_columns(y.reshape(g, n, height, wide), shape)


def shifted_products(layer: Layer, strip: Strip) -> Tensor:
    """Multiply the flattened padded map, shifted by each tap, by that tap, and add the products.

    The rows include their padded columns, so a shift in either direction is one contiguous slice.
    The values that are computed for these columns are cut off.
    """
    shape = layer.shape
    g, height, wide = layer.x.shape[0], strip.height, layer.shape.width + layer.shape.column_span
    taken = _wide(layer, strip)
    flat = taken.reshape(g, shape.n_in, taken.shape[2] * wide)
    length = height * wide - shape.column_span
    y: Tensor | None = None
    for i in range(shape.rows):
        for j in range(shape.columns):
            tap = part(part(layer.weight, 3, i, 1), 4, j, 1)
            tap = tap.reshape(g, shape.n_out, shape.n_in)
            start = i * shape.row_step * wide + j * shape.column_step
            product = torch.bmm(tap, part(flat, 2, start, length))
            y = product if y is None else y + product
    assert y is not None  # noqa: S101 - a kernel has a tap
    if shape.column_span:
        y = torch.ops.aten.constant_pad_nd.default(y, [0, shape.column_span], 0.0)
    return part(y.reshape(g, shape.n_out, height, wide), 3, 0, shape.width)


def im2col(layer: Layer, strip: Strip) -> Tensor:
    """Stack the map shifted by every tap and multiply once, so that no products are added."""
    shape = layer.shape
    g, height = layer.x.shape[0], strip.height
    taken = _rows(layer, strip)
    shifts = range(0, shape.column_span + 1, shape.column_step)
    columns = [window(taken, 3, j, shape.width, layer.padding) for j in shifts]
    rows = range(0, shape.row_span + 1, shape.row_step)
    parts = [part(column, 2, i, height) for i in rows for column in columns]
    stacked = _with_ones(parts, layer, height, shape.width)
    flat = stacked.reshape(g, stacked.shape[1], height * shape.width)
    # [g, out, in, rows, columns] -> [g, out, rows * columns * in]
    taps = layer.weight.permute(0, 1, 3, 4, 2)
    taps = taps.reshape(g, shape.n_out, shape.rows * shape.columns * shape.n_in)
    product = torch.bmm(_with_bias(taps, layer), flat)
    return product.reshape(g, shape.n_out, height, shape.width)


ALGORITHMS: Mapping[str, ConvAlgorithm] = {
    "stacked_columns": ConvAlgorithm(
        stacked_columns, lambda s: max(s.columns * s.n_in, s.rows * s.n_out), adds_bias=True
    ),
    "stacked_rows": ConvAlgorithm(
        stacked_rows, lambda s: max(s.rows * s.n_in, s.columns * s.n_out), adds_bias=True
    ),
    "matmul_first": ConvAlgorithm(
        matmul_first, lambda s: max(s.n_in, s.rows * s.columns * s.n_out), adds_bias=False
    ),
    "shifted_products": ConvAlgorithm(
        shifted_products, lambda s: max(s.n_in, s.n_out), adds_bias=False
    ),
    "im2col": ConvAlgorithm(
        im2col, lambda s: max(s.rows * s.columns * s.n_in, s.n_out), adds_bias=True
    ),
}
