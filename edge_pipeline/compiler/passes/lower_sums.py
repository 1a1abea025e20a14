"""Lower sums, means and extremes over any axes to forms that XNNPACK supports."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.sums import ones_for, summed
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerSums"]

_ATEN = torch.ops.aten
_SUMS = (_ATEN.sum.dim_IntList, _ATEN.sum.default)
_MEANS = (_ATEN.mean.dim, _ATEN.mean.default)
_EXTREMES = (_ATEN.amax.default, _ATEN.amin.default)
# The axes of the mean that delegates support.
_OWN = (2, 3)


class LowerSums:
    """Rewrite the reductions that the delegate lacks.

    sum(x [..., n, A], -2)      -> bmm(ones [1, n], x), after a permutation of the axes
    sum(x [..., n], -1)         -> linear(x, ones [1, n])
    mean(x, dims)               -> the same, with 1 / n
    amax(x [..., n, A], -2)     -> max_pool2d of kernel n x 1
    amin(x, dims)               -> -amax(-x, dims)

    The delegate supports a mean over rows and columns that keeps these axes, so that one stays.
    """

    name = "lower_sums"
    why = "XNNPACK supports only the mean over the rows and columns of a map"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes, integers and type conversions stay."""
        editor = Editor(program)
        for node in editor.calls(*_SUMS, *_MEANS, *_EXTREMES):
            source: Any = node.args[0]
            if not has_fixed_shape(source) or value_of(source).dim() == 0:
                continue
            if value_of(source).dtype != value_of(node).dtype or not _is_float(source):
                continue
            dims, keep = _arguments(node)
            own = node.target in _MEANS and dims == _OWN and keep and value_of(source).dim() == 4
            if own:
                continue
            if node.target in _EXTREMES:
                _lower_extreme(editor, node, source, dims)
            else:
                _lower_sum(editor, node, source, dims)
        return editor.finish()


def _is_float(node: fx.Node) -> bool:
    return value_of(node).is_floating_point()


def _arguments(node: fx.Node) -> tuple[tuple[int, ...], bool]:
    """Return the reduced axes, sorted, and whether they are kept with size 1."""
    rank = value_of(node.all_input_nodes[0]).dim()
    dims: Any = node.args[1] if len(node.args) > 1 else None
    keep = bool(node.args[2]) if len(node.args) > 2 else bool(node.kwargs.get("keepdim", False))
    dims = [dims] if isinstance(dims, int) else dims or range(rank)
    return tuple(sorted(d % rank for d in dims)), keep


def _lower_sum(editor: Editor, node: fx.Node, source: fx.Node, dims: Sequence[int]) -> None:
    shape = [int(size) for size in value_of(source).shape]
    n = prod(shape[d] for d in dims)
    weight = 1.0 / n if node.target in _MEANS else 1.0
    ones = ones_for(shape, dims, weight).to(value_of(source).dtype)
    constant = editor.add_constant(ones, f"ones_{n}")
    result = value_of(node).shape

    def product(x: Tensor, ones: Tensor) -> Tensor:
        return summed(x, dims, ones).reshape(result)

    kind = "mean" if node.target in _MEANS else "sum"
    editor.replace(node, product, [source, constant], f"the {kind} of {n} became a product")


def _lower_extreme(editor: Editor, node: fx.Node, source: fx.Node, dims: Sequence[int]) -> None:
    result, sign = value_of(node).shape, -1.0 if node.target is _ATEN.amin.default else 1.0
    rank = value_of(source).dim()
    order = [d for d in range(rank) if d not in dims] + list(dims)

    def pooled(x: Tensor) -> Tensor:
        n = prod(x.shape[d] for d in dims)
        x = x if sign > 0 else -x
        x = x if order == list(range(rank)) else x.permute(order)
        y: Tensor = _ATEN.max_pool2d.default(x.reshape(1, -1, 1, n), [1, n], [1, n])
        y = y.reshape(result)
        return y if sign > 0 else -y

    editor.replace(node, pooled, [source], f"{node.target} became max pooling")
