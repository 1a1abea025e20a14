"""Lower views: rewrite operators that change axes as reshapes and slices."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.movement import part
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerViews"]

_ATEN = torch.ops.aten
_RESHAPES = (
    _ATEN.unsqueeze.default,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.flatten.using_ints,
    _ATEN.unflatten.int,
)
_SELECT, _STACK = _ATEN.select.int, _ATEN.stack.default
# Each returns parts along one axis; `unbind` removes that axis.
_PARTS = (
    _ATEN.split.Tensor,
    _ATEN.split_with_sizes.default,
    _ATEN.chunk.default,
    _ATEN.tensor_split.sections,
    _ATEN.unbind.int,
)


class LowerViews:
    """Rewrite operators that add, remove, split or select axes.

    unsqueeze, squeeze, flatten, unflatten -> reshape
    select(x, d, i)   -> slice and reshape
    split, chunk, tensor_split, unbind -> slices
    stack(xs, d)      -> reshapes and a concatenation
    """

    name = "lower_views"
    why = "XNNPACK has reshape and slice, but no operator that adds, selects or splits axes"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; tensors of dynamic shape are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_RESHAPES, _SELECT, _STACK, operator.getitem):
            if not isinstance(node.meta.get("val"), Tensor) or not has_fixed_shape(node):
                continue
            if node.target in _RESHAPES:
                _reshape(editor, node)
            elif node.target is _SELECT and isinstance(node.args[2], int):
                _select(editor, node)
            elif node.target is _STACK:
                _stack(editor, node)
            elif isinstance(node.args[0], fx.Node) and node.args[0].target in _PARTS:
                _slice(editor, node, node.args[0])
        return editor.finish()


def _reshape(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    shape = [int(size) for size in value_of(node).shape]
    editor.replace(node, lambda x: x.reshape(shape), [source], f"{node.target} became a reshape")


def _select(editor: Editor, node: fx.Node) -> None:
    source, dim, index = node.args
    operand: Any = source
    shape, given = value_of(node).shape, value_of(operand).shape
    place = int(dim) % len(given)  # type: ignore[arg-type] # fx has one type for all arguments
    start = int(index) % given[place]  # type: ignore[arg-type] # as above

    def chosen(x: Tensor) -> Tensor:
        return part(x, place, start, 1).reshape(shape)

    editor.replace(node, chosen, [operand], "a selection along an axis became a slice")


def _stack(editor: Editor, node: fx.Node) -> None:
    parts: Any = node.args[0]
    given: Any = node.args[1] if len(node.args) > 1 else 0
    dim = int(given) % value_of(node).dim()
    shape = [int(size) for size in value_of(node).shape]
    shape[dim] = 1

    def stacked(*xs: Tensor) -> Tensor:
        return torch.cat([x.reshape(shape) for x in xs], dim)

    editor.replace(node, stacked, list(parts), "a stack became a concatenation")


def _slice(editor: Editor, node: fx.Node, origin: fx.Node) -> None:
    source: Any = origin.args[0]
    index: Any = node.args[1]
    unbound = origin.target is _ATEN.unbind.int
    place = 1 if unbound else 2
    given: Any = origin.args[place] if len(origin.args) > place else origin.kwargs.get("dim", 0)
    dim = int(given) % value_of(source).dim()
    shape = value_of(node).shape
    sizes = [1 if unbound else int(value.shape[dim]) for value in origin.meta["val"]]
    start = sum(sizes[:index])

    def sliced(x: Tensor) -> Tensor:
        y = part(x, dim, start, sizes[index])
        # If the part is the whole tensor, this makes a new value, not the operand itself.
        return y.reshape(shape)

    editor.replace(node, sliced, [source], f"a part of {origin.target} became a slice")
