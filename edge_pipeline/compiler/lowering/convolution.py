"""Convolution with weights computed at run time, built from operators that any delegate runs.

The algorithms of `lowering/algorithms.py` compute a convolution of stride 1 for one sample. This
module reduces a convolution of any stride, dilation and number of groups to that case, and computes
it in strips of rows, so that the intermediate results of a strip fit into the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS, Layer, Shape, Strip
from edge_pipeline.compiler.lowering.depthwise import depthwise, phases
from edge_pipeline.compiler.lowering.padding import Padding, filled, padded

__all__ = [
    "DEPTHWISE",
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
    """An algorithm and the size limit of its strips.

    Attributes:
        algorithm: Name of the algorithm, a key of `ALGORITHMS`, or `constant` or `native`.
        strip_bytes: Largest size of a strip's widest intermediate tensor in bytes; 0 for no limit.
    """

    algorithm: str
    strip_bytes: int

    def __str__(self) -> str:
        return f"{self.algorithm}/{self.strip_bytes >> 10}K" if self.strip_bytes else self.algorithm


# Each strip adds a dozen operators to the program, and three dozen if each tap is a product. Finer
# strips than these gain nothing; see `docs/decisions/0011-cost-model.md`.
PLANS = (
    *(ConvPlan(name, 0) for name in ALGORITHMS),
    *(ConvPlan(name, 2 << 20) for name in ALGORITHMS if name != "shifted_products"),
)


# For depth-wise convolutions alone; see `lowering/depthwise.py`.
DEPTHWISE = ConvPlan("tap_sum", 0)


@dataclass(frozen=True)
class ConvGeometry:
    """The arguments of a convolution besides its tensors.

    Attributes:
        padding: Padding of the map.
        stride: Rows and columns from one output pixel to the next, at least 1.
        dilation: Rows and columns from one tap to the next, at least 1.
        groups: Number of groups into which the channels are divided.
    """

    padding: Padding
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


def output_size(
    size: tuple[int, int], kernel: tuple[int, int], geometry: ConvGeometry
) -> tuple[int, int]:
    """Return the rows and columns of a convolution's output for a map of `size`."""
    amounts = (geometry.padding.rows, geometry.padding.columns)
    height, width = (
        (length + 2 * amount - dilation * (taps - 1) - 1) // stride + 1
        for length, amount, dilation, taps, stride in zip(
            size, amounts, geometry.dilation, kernel, geometry.stride, strict=True
        )
    )
    return height, width


def strip_rows(shape: Shape, plan: ConvPlan) -> int:
    """Return the rows per strip: within the limit of `plan`, and similar for all strips."""
    if not plan.strip_bytes:
        return shape.height
    row_bytes = 4 * ALGORITHMS[plan.algorithm].channels(shape) * shape.width
    most = max(_FEWEST_ROWS, plan.strip_bytes // row_bytes - shape.row_span)
    strips = -(-shape.height // most)
    return -(-shape.height // strips)


def plans_for(shape: Shape) -> list[ConvPlan]:
    """Return the plans for a convolution of this shape, in order, without equivalent ones."""
    return [
        plan for plan in PLANS if not plan.strip_bytes or strip_rows(shape, plan) < shape.height
    ]


def shape_of(
    size: tuple[int, int], weight: tuple[int, int, int, int], geometry: ConvGeometry
) -> Shape:
    """Return the shape that an algorithm computes, in which strides are turned into channels.

    Args:
        size: Rows and columns of the map.
        weight: Shape of the weight, [out, in / groups, rows, columns].
        geometry: Padding, stride, dilation and groups.
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
    """Return the convolution of one sample, as `torch.conv2d` computes it.

    Args:
        x: Map [1, in, H, W], float32.
        weight: Weight [out, in / groups, rows, columns].
        geometry: Padding (by reflection, less than H and W), stride, dilation and groups.
        plan: Algorithm and strip size.
        bias: Bias [out].
        ones: Constant of ones, see `Layer.ones`, if the matrix product is to add the bias.

    Returns:
        Tensor [1, out, rows, columns]; `output_size` returns the rows and columns.
    """
    n_out, n_in, kernel_rows, kernel_columns = weight.shape
    sizes = (n_out, n_in, kernel_rows, kernel_columns)
    shape = shape_of((x.shape[2], x.shape[3]), sizes, geometry)
    if plan == DEPTHWISE:
        y = depthwise(x, weight, geometry, (shape.height, shape.width))
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)
    padding, g, algorithm = geometry.padding, geometry.groups, ALGORITHMS[plan.algorithm]
    if geometry.stride != (1, 1):
        x, weight = _without_stride(x, weight, geometry, shape)
        padding = Padding(0, 0, "zeros")
    inside = ones is not None and bias is not None and algorithm.adds_bias and g == 1
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
    """Return the map and the weight of an equal convolution with stride 1 and more channels.

    Taps that are a stride apart read the same phase of the map. So each phase becomes a channel of
    its own, and the kernel is padded with zeros to a multiple of the stride:

        x [1, C, s * h, t * w] -> [1, C * s * t, h, w]
        weight [O, C, s * k, t * l] -> [O, C * s * t, k, l]
    """
    (s, t), (k, l) = geometry.stride, (shape.rows, shape.columns)  # noqa: E741
    n_out, c = weight.shape[:2]
    weight = filled(_dilated(weight, geometry.dilation), (s * k, t * l))
    weight = weight.reshape(n_out, c, k, s, l, t).permute(0, 1, 3, 5, 2, 4)
    weight = weight.reshape(n_out, c * s * t, k, l)
    size = (shape.height + k - 1, shape.width + l - 1)
    x = phases(padded(x, geometry.padding), (s, t), size)
    return x.reshape(1, x.shape[0] * s * t, *size), weight


def _dilated(weight: Tensor, dilation: tuple[int, int]) -> Tensor:
    """Return the kernel with zeros between its taps, as its dilation spaces them."""
    if dilation == (1, 1):
        return weight
    (n_out, c, rows, columns), (a, b) = weight.shape, dilation
    spread = weight.reshape(n_out * c, rows, 1, columns, 1)
    spread = torch.ops.aten.constant_pad_nd.default(spread, [0, b - 1, 0, 0, 0, a - 1], 0.0)
    whole: Tensor = spread.reshape(n_out, c, rows * a, columns * b)
    return filled(whole, ((rows - 1) * a + 1, (columns - 1) * b + 1))
