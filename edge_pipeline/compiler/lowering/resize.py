"""Resizing by products with constants, for delegates without an operator for it."""

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
# All are separable and linear. Argument 1 is the size, and the last one the scales, if given.
RESIZES = (
    BILINEAR,
    *_NEAREST,
    _ATEN._upsample_bilinear2d_aa.vec,
    _ATEN.upsample_bicubic2d.vec,
    _ATEN._upsample_bicubic2d_aa.vec,
)


def scales_of(node: fx.Node) -> tuple[float, float] | None:
    """Return the scales along rows and columns, if the resize is given scales and not a size."""
    place = 2 if node.target in _NEAREST else 3
    found: Any = node.args[place] if len(node.args) > place else node.kwargs.get("scale_factors")
    return None if found is None else (float(found[0]), float(found[1]))


def axis_matrix(node: fx.Node, dim: int) -> Tensor:
    """Return the matrix of a resize along one dimension, found by resizing the unit vectors.

    Args:
        node: Call of one of `RESIZES` on a map of fixed size.
        dim: 2 for rows, 3 for columns.

    Returns:
        Matrix [out, in], float32.
    """
    source: Any = node.args[0]
    before, after = int(value_of(source).shape[dim]), int(value_of(node).shape[dim])
    # Resized along columns in both cases: torch 2.13 antialiases maps of one column wrongly (CPU).
    maps = torch.eye(before).reshape(1, before, 1, before)
    scales = scales_of(node)
    size, along = ([1, after], None) if scales is None else (None, [1.0, scales[dim - 2]])
    flags = node.args[2:3] if node.target not in _NEAREST else ()
    operator: Any = node.target
    result: Tensor = operator(maps, size, *flags, along)
    return result.reshape(before, after).T.contiguous()


def whole_factor(node: fx.Node) -> tuple[int, int] | None:
    """Return how often a resize repeats rows and columns; None if it does anything else."""
    source: Any = node.args[0]
    (h, w), (tall, wide) = value_of(source).shape[2:], value_of(node).shape[2:]
    if node.target not in _NEAREST or tall % h or wide % w:
        return None
    factors, scales = (tall // h, wide // w), scales_of(node)
    same = scales is None or scales == factors
    return factors if same else None


def enlarged(x: Tensor, factors: tuple[int, int], ones: Sequence[Tensor]) -> Tensor:
    """Repeat each pixel along rows and along columns.

    Args:
        x: Map [N, C, H, W].
        factors: Number of repetitions along rows and along columns.
        ones: Ones [1, rows, 1] and [1, columns, 1] to multiply by; if empty, copies are joined.

    Returns:
        Map [N, C, H * rows, W * columns].
    """
    n, c, h, w = x.shape
    (down, across), held = factors, ones or (None, None)
    if across > 1:
        x = repeated(x.reshape(n * c * h * w, 1, 1), across, held[1])
    if down > 1:
        x = repeated(x.reshape(n * c * h, 1, w * across), down, held[0])
    return x.reshape(n, c, h * down, w * across)


def resized(x: Tensor, rows: Tensor | None, columns: Tensor | None) -> Tensor:
    """Compute rows @ x @ columns^T by linear layers.

    Args:
        x: Map [N, C, H, W].
        rows: Matrix [H', H], or None to keep the rows.
        columns: Matrix [W', W], or None to keep the columns.

    Returns:
        Map [N, C, H', W'].
    """
    if columns is not None:
        x = F.linear(x, columns)
    if rows is not None:
        x = F.linear(x.transpose(2, 3), rows).transpose(2, 3)
    return x
