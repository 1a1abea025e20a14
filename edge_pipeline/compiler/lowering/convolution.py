"""A convolution with weights computed at run time, out of operators that any delegate runs.

The forms of `lowering/algorithms.py` compute a convolution of stride 1 for one sample. Here a
convolution of any stride, dilation and number of groups becomes one of those, cut into strips of
rows, so that what a form puts beside each other stays in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS, Layer, Shape, Strip
from edge_pipeline.compiler.lowering.padding import Padding, padded

__all__ = [
    "PLANS",
    "ConvGeometry",
    "ConvPlan",
    "convolve",
    "output_size",
    "plans_for",
    "shape_of",
    "strip_rows",
]

_FEWEST_ROWS = 8


class ConvPlan(NamedTuple):
    """A form, and what the widest intermediate of a strip may take in bytes; 0 for no limit."""

    algorithm: str
    strip_bytes: int

    def __str__(self) -> str:
        return f"{self.algorithm}/{self.strip_bytes >> 10}K" if self.strip_bytes else self.algorithm


# Finer strips stay nearer to the core, but every strip is a dozen operators to compile, and three
# dozen where each tap has a product; decision 11 has what finer ones gain: nothing.
PLANS = (
    *(ConvPlan(name, 0) for name in ALGORITHMS),
    *(ConvPlan(name, 2 << 20) for name in ALGORITHMS if name != "shifted_products"),
)


@dataclass(frozen=True)
class ConvGeometry:
    """How a convolution goes over its map.

    Attributes:
        padding: what lies around the map.
        stride: rows and columns from one output pixel to the next, at least 1.
        dilation: rows and columns from one tap to the next, at least 1.
        groups: into which channels are divided.
    """

    padding: Padding
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def output_size(
    size: tuple[int, int], kernel: tuple[int, int], geometry: ConvGeometry
) -> tuple[int, int]:
    """Rows and columns that a convolution gives for a map of `size`."""
    amounts = (geometry.padding.rows, geometry.padding.columns)
    height, width = (
        (length + 2 * amount - dilation * (taps - 1) - 1) // stride + 1
        for length, amount, dilation, taps, stride in zip(
            size, amounts, geometry.dilation, kernel, geometry.stride, strict=True
        )
    )
    return height, width


def strip_rows(shape: Shape, plan: ConvPlan) -> int:
    """Rows a strip, so that its widest intermediate fits, and strips are of like height."""
    if not plan.strip_bytes:
        return shape.height
    row_bytes = 4 * ALGORITHMS[plan.algorithm].channels(shape) * shape.width
    most = max(_FEWEST_ROWS, plan.strip_bytes // row_bytes - shape.row_span)
    strips = -(-shape.height // most)
    return -(-shape.height // strips)


def plans_for(shape: Shape) -> list[ConvPlan]:
    """The plans that differ for a convolution of this shape, in order."""
    return [
        plan for plan in PLANS if not plan.strip_bytes or strip_rows(shape, plan) < shape.height
    ]


def shape_of(
    size: tuple[int, int], weight: tuple[int, int, int, int], geometry: ConvGeometry
) -> Shape:
    """The sizes that the forms see, after strides were turned into channels.

    Args:
        size: rows and columns of the map.
        weight: shape of the weight, [out, in / groups, rows, columns].
        geometry: how it goes over the map.
    """
    n_out, n_in, rows, columns = weight
    height, width = output_size(size, (rows, columns), geometry)
    (a, b), (s, t) = geometry.dilation, geometry.stride
    if geometry.stride != (1, 1):
        rows, columns = -(-((rows - 1) * a + 1) // s), -(-((columns - 1) * b + 1) // t)
        n_in, a, b = n_in * s * t, 1, 1
    return Shape(n_out // geometry.groups, n_in, rows, columns, a, b, height, width)


def convolve(
    x: Tensor,
    weight: Tensor,
    geometry: ConvGeometry,
    plan: ConvPlan,
    bias: Tensor | None = None,
    ones: Tensor | None = None,
) -> Tensor:
    """What `conv2d` does, for one sample.

    Args:
        x: [1, in, H, W], float32.
        weight: [out, in / groups, rows, columns].
        geometry: how it goes over the map; a reflected padding is less than H and W.
        plan: which form, in which strips.
        bias: [out].
        ones: where the form is to take the bias with the product, [1, 1, h, w] as `Layer` has it.

    Returns:
        [1, out, rows, columns] as `output_size` says.
    """
    n_out, n_in, kernel_rows, kernel_columns = weight.shape
    sizes = (n_out, n_in, kernel_rows, kernel_columns)
    shape = shape_of((x.shape[2], x.shape[3]), sizes, geometry)
    padding, g, algorithm = geometry.padding, geometry.groups, ALGORITHMS[plan.algorithm]
    if geometry.stride != (1, 1):
        x, weight = _without_stride(x, weight, geometry, shape)
        padding = Padding(0, 0, "zeros")
    inside = ones is not None and bias is not None and algorithm.takes_bias and g == 1
    layer = Layer(
        x.reshape(g, shape.n_in, x.shape[2], x.shape[3]) if g > 1 else x,
        weight.reshape(g, shape.n_out, shape.n_in, shape.rows, shape.columns),
        padding,
        shape,
        bias if inside else None,
        ones if inside else None,
    )
    rows = strip_rows(shape, plan)
    strips = [
        algorithm.compute(layer, Strip(top, min(rows, shape.height - top)))
        for top in range(0, shape.height, rows)
    ]
    y = strips[0] if len(strips) == 1 else torch.cat(strips, 2)
    y = y.reshape(1, g * shape.n_out, shape.height, shape.width) if g > 1 else y
    return y if bias is None or inside else y + bias.reshape(1, -1, 1, 1)


def _without_stride(
    x: Tensor, weight: Tensor, geometry: ConvGeometry, shape: Shape
) -> tuple[Tensor, Tensor]:
    """The same convolution with stride 1, over a map whose strides became channels.

    Taps a stride apart see the same phase of the map, so each phase is a channel of its own, and
    the kernel is filled up with zeros to a whole number of strides:

        x [1, C, s * h, t * w] -> [1, C * s * t, h, w]
        weight [O, C, s * k, t * l] -> [O, C * s * t, k, l]
    """
    (s, t), (k, l) = geometry.stride, (shape.rows, shape.columns)  # noqa: E741
    n_out, c = weight.shape[:2]
    weight = _filled(_dilated(weight, geometry.dilation), (s * k, t * l))
    weight = weight.reshape(n_out, c, k, s, l, t).permute(0, 1, 3, 5, 2, 4)
    weight = weight.reshape(n_out, c * s * t, k, l)
    height, width = shape.height + k - 1, shape.width + l - 1
    x = _filled(padded(x, geometry.padding), (s * height, t * width))
    channels = x.shape[1]
    x = x.reshape(channels, height, s, width, t).permute(0, 2, 4, 1, 3)
    return x.reshape(1, channels * s * t, height, width), weight


def _dilated(weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    """The kernel with zeros where its dilation leaves gaps."""
    if dilation == (1, 1):
        return weight
    (n_out, c, rows, columns), (a, b) = weight.shape, dilation
    spread = weight.reshape(n_out * c, rows, 1, columns, 1)
    spread = torch.ops.aten.constant_pad_nd.default(spread, [0, b - 1, 0, 0, 0, a - 1], 0.0)
    whole: Tensor = spread.reshape(n_out, c, rows * a, columns * b)
    return _filled(whole, ((rows - 1) * a + 1, (columns - 1) * b + 1))


def _filled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Rows and columns cut off or, with zeros, filled up to `size`."""
    for dim in (2, 3):
        if x.shape[dim] > size[dim - 2]:
            x = torch.ops.aten.slice.Tensor(x, dim, 0, size[dim - 2])
    below, right = size[0] - x.shape[2], size[1] - x.shape[3]
    if below == right == 0:
        return x
    filled: Tensor = torch.ops.aten.constant_pad_nd.default(x, [0, right, 0, below], 0.0)
    return filled
