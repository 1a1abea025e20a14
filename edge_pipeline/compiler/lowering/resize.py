"""Resizing as products with constants, where a delegate has no operator for it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, fx

from edge_pipeline.compiler.program import value_of

__all__ = ["BILINEAR", "RESIZES", "axis_matrix", "repeated", "resized", "scales_of", "whole_factor"]

_ATEN = torch.ops.aten
BILINEAR = _ATEN.upsample_bilinear2d.vec
_NEAREST = (_ATEN.upsample_nearest2d.vec, _ATEN._upsample_nearest_exact2d.vec)
# Each is separable and linear; the size is argument 1, and scales are the last, if given.
RESIZES = (
    BILINEAR,
    *_NEAREST,
    _ATEN._upsample_bilinear2d_aa.vec,
    _ATEN.upsample_bicubic2d.vec,
    _ATEN._upsample_bicubic2d_aa.vec,
)


def scales_of(node: fx.Node) -> tuple[float, float] | None:
    """The scales that a resize is asked for along rows and columns, if not a size."""
    place = 2 if node.target in _NEAREST else 3
    found: Any = node.args[place] if len(node.args) > place else node.kwargs.get("scale_factors")
    return None if found is None else (float(found[0]), float(found[1]))


def axis_matrix(node: fx.Node, dim: int) -> Tensor:
    """What a resize does along one dimension, found by resizing the unit vectors.

    Args:
        node: one of RESIZES, of a map of fixed size.
        dim: 2 for rows, 3 for columns.

    Returns:
        [out, in], float32.
    """
    source: Any = node.args[0]
    before, after = int(value_of(source).shape[dim]), int(value_of(node).shape[dim])
    # Along columns either way: antialiasing of a map of one column is wrong (torch 2.13, CPU).
    maps = torch.eye(before).reshape(1, before, 1, before)
    scales = scales_of(node)
    size, along = ([1, after], None) if scales is None else (None, [1.0, scales[dim - 2]])
    flags = node.args[2:3] if node.target not in _NEAREST else ()
    operator: Any = node.target
    result: Tensor = operator(maps, size, *flags, along)
    return result.reshape(before, after).T.contiguous()


def whole_factor(node: fx.Node) -> tuple[int, int] | None:
    """How often nearest-neighbour sampling repeats rows and columns, if simply that."""
    source: Any = node.args[0]
    (h, w), (tall, wide) = value_of(source).shape[2:], value_of(node).shape[2:]
    if node.target not in _NEAREST or tall % h or wide % w:
        return None
    factors, scales = (tall // h, wide // w), scales_of(node)
    same = scales is None or scales == factors
    return factors if same else None


def repeated(x: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Each pixel as often as there are ones: products that broadcast.

    XNNPACK takes neither an expansion nor a concatenation of a map with itself.

    Args:
        x: [N, C, H, W].
        down: ones, [1, 1, D, 1].
        across: ones, [1, 1, 1, A].

    Returns:
        [N, C, H * D, W * A].
    """
    n, c, h, w = x.shape
    rows, columns = h * down.shape[2], w * across.shape[3]
    if columns > w:
        # [N, C, H * W, 1] -> [N, C, H * W, A]
        x = (x.reshape(n, c, h * w, 1) * across).reshape(n, c, h, columns)
    if rows > h:
        # [N, C * H, 1, W * A] -> [N, C * H, D, W * A]
        x = (x.reshape(n, c * h, 1, columns) * down).reshape(n, c, rows, columns)
    return x


def resized(x: Tensor, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    """The product rows @ x @ columns^T, as linear layers.

    Args:
        x: [N, C, H, W].
        rows: [H', H], or None where rows stay.
        columns: [W', W], or None where columns stay.

    Returns:
        [N, C, H', W'].
    """
    if columns is not None:
        x = F.linear(x, columns)
    if rows is not None:
        x = F.linear(x.transpose(2, 3), rows).transpose(2, 3)
    return x
