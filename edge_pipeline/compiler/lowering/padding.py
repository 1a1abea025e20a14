"""Padding by slices and concatenation, which every delegate supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.lowering.movement import part

__all__ = ["PADS", "Padding", "Reflection", "filled", "padded", "reflection", "window"]

_PAD = torch.ops.aten.pad.default
_REFLECT = torch.ops.aten.reflection_pad2d.default
# The operators that `reflection` recognises.
PADS = (_PAD, _REFLECT)


@dataclass(frozen=True)
class Padding:
    """The padding of a map.

    Attributes:
        rows: Number of rows above and of rows below, at least 0.
        columns: Number of columns on the left and on the right, at least 0.
        mode: `reflect` about the edge pixel, which is not repeated, or `zeros`.
    """

    rows: int
    columns: int
    mode: Literal["reflect", "zeros"]

    def along(self, dim: int) -> int:
        """Return the amount along dimension 2 (rows) or 3 (columns)."""
        return self.rows if dim == 2 else self.columns


class Reflection(NamedTuple):
    """A node that is padded by reflection, and the padding."""

    source: fx.Node
    padding: Padding


def reflection(node: fx.Node) -> Reflection | None:
    """Return the reflection that `node` computes; None for others, or if opposite sides differ."""
    if node.target is _PAD:
        mode: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    elif node.target is _REFLECT:
        mode = "reflect"
    else:
        return None
    amounts: Any = node.args[1]
    if mode != "reflect" or len(amounts) != 4:
        return None
    left, right, top, bottom = amounts
    if left != right or top != bottom or not isinstance(node.args[0], fx.Node):
        return None
    return Reflection(node.args[0], Padding(top, left, "reflect"))


def window(x: Tensor, dim: int, start: int, length: int, padding: Padding) -> Tensor:
    """Return a slice of the padded map without computing the whole padded map.

    Args:
        x: Map [N, C, H, W].
        dim: 2 for rows, 3 for columns.
        start: First row or column, counted in the padded map.
        length: Number of rows or columns, at least 1; all must be inside the padded map.
        padding: Padding; by reflection, less than the size along `dim`.

    Returns:
        Tensor of the shape of x, except for the size `length` along `dim`.
    """
    size, amount = x.shape[dim], padding.along(dim)
    first, last = start - amount, start - amount + length - 1  # in the map's own coordinates
    inner_first, inner_last = max(first, 0), min(last, size - 1)
    if padding.mode == "zeros":
        if inner_first > inner_last:
            # All of it is padding. It is made from the map, since no delegate can create a tensor.
            inner, before, after = part(x, dim, 0, 1) * 0.0, 0, length - 1
        else:
            inner = part(x, dim, inner_first, inner_last - inner_first + 1)
            before, after = inner_first - first, last - inner_last
        if before == after == 0:
            return inner
        edges = [0, 0, before, after] if dim == 2 else [before, after]
        zeroed: Tensor = torch.ops.aten.constant_pad_nd.default(inner, edges, 0.0)
        return zeroed
    parts = [part(x, dim, -i, 1) for i in range(first, min(last + 1, 0))]
    if inner_first <= inner_last:
        parts.append(part(x, dim, inner_first, inner_last - inner_first + 1))
    parts += [part(x, dim, 2 * (size - 1) - i, 1) for i in range(max(first, size), last + 1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def padded(x: Tensor, padding: Padding) -> Tensor:
    """Return the padded map.

    Args:
        x: Map [N, C, H, W].
        padding: Padding; by reflection, less than H and W.

    Returns:
        Tensor [N, C, H + 2 * rows, W + 2 * columns].
    """
    for dim in (2, 3):
        x = window(x, dim, 0, x.shape[dim] + 2 * padding.along(dim), padding)
    return x


def filled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return `x` cropped, or padded with zeros at the end, to rows and columns of `size`."""
    for dim in (2, 3):
        if x.shape[dim] > size[dim - 2]:
            x = torch.ops.aten.slice.Tensor(x, dim, 0, size[dim - 2])
    below, right = size[0] - x.shape[2], size[1] - x.shape[3]
    if below == right == 0:
        return x
    filled: Tensor = torch.ops.aten.constant_pad_nd.default(x, [0, right, 0, below], 0.0)
    return filled
