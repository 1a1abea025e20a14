"""Resizing as products with constants, where a delegate has no operator for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, fx

from edge_pipeline.compiler.lowering.movement import repeated
from edge_pipeline.compiler.program import value_of

__all__ = ["BILINEAR", "RESIZES", "axis_matrix", "enlarged", "resized", "scales_of", "whole_factor"]

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


def enlarged(x: Tensor, factors: tuple[int, int], ones: Sequence[Tensor]) -> Tensor:
    """Each pixel as often as the factors say, along rows and along columns.

    Args:
        x: [N, C, H, W].
        factors: of rows and of columns.
        ones: to multiply with, [1, rows, 1] and [1, columns, 1]; none to join copies.

    Returns:
        [N, C, H * rows, W * columns].
    """
    n, c, h, w = x.shape
    (down, across), held = factors, ones or (None, None)
    if across > 1:
        x = repeated(x.reshape(n * c * h * w, 1, 1), across, held[1])
    if down > 1:
        x = repeated(x.reshape(n * c * h, 1, w * across), down, held[0])
    return x.reshape(n, c, h * down, w * across)


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
