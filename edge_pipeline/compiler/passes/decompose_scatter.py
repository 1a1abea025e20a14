"""Decompose scatter: write assignments to a part of a tensor as concatenations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DecomposeScatter"]

_ATEN = torch.ops.aten
_SLICE, _SELECT = _ATEN.slice_scatter.default, _ATEN.select_scatter.default
_COPY = _ATEN.copy.default
_FILLS = (_ATEN.fill.Scalar, _ATEN.fill.Tensor)


class DecomposeScatter:
    """Write assignments to slices as concatenations of slices.

    slice_scatter(x [.., n, ..], y, d, a, b)  (x[a:b] = y)  -> cat(x[:a], y, x[b:])
    select_scatter(x, y, d, i)                (x[i] = y)    -> cat(x[:i], y, x[i + 1:])
    fill(x, number)                                         -> zeros like x, plus the number
    copy(x, y)                                              -> y, expanded to the shape of x
    """

    name = "decompose_scatter"
    why = "torch exports an assignment to a part of a map as a scatter, which no delegate supports"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; assignments with steps and other types stay."""
        editor = Editor(program)
        for node in editor.calls(*_FILLS, _COPY):
            if has_fixed_shape(node):
                _overwrite(editor, node)
        for node in editor.calls(_SLICE, _SELECT):
            if has_fixed_shape(node):
                _join(editor, node)
        return editor.finish()


def _overwrite(editor: Editor, node: fx.Node) -> None:
    """Replace a tensor whose values are all overwritten."""
    value, given = value_of(node), node.args[1]
    if isinstance(given, int | float):
        constant = torch.full(tuple(value.shape), given, dtype=value.dtype)
        name = f"filled_{node.name}"
        editor.substitute(node, editor.add_constant(constant, name), "a fill became a constant")
    elif isinstance(given, fx.Node) and value_of(given).dtype == value.dtype:
        shape = list(value.shape)
        editor.replace(node, lambda y: y.expand(shape), [given], "a copy became its source")


def _join(editor: Editor, node: fx.Node) -> None:
    given: tuple[Any, ...] = node.args
    source, part, *rest = given
    dim, first, last, step = _range(value_of(source), node.target, rest)
    if step != 1 or value_of(source).dtype != value_of(part).dtype:
        return
    size = value_of(source).shape[dim]

    def joined(x: Tensor, y: Tensor) -> Tensor:
        y = y.unsqueeze(dim) if node.target is _SELECT else y
        before = [_ATEN.slice.Tensor(x, dim, 0, first)] if first else []
        after = [_ATEN.slice.Tensor(x, dim, last, size)] if last < size else []
        parts = [*before, y, *after]
        return torch.cat(parts, dim) if len(parts) > 1 else y

    editor.replace(node, joined, [source, part], f"{node.target} became a concatenation")


def _range(value: Tensor, target: Any, rest: list[Any]) -> tuple[int, int, int, int]:
    """Return the axis, and the first place, the place after the last, and the step along it."""
    dim = int(rest[0] if rest else 0) % value.dim()
    size = int(value.shape[dim])
    if target is _SELECT:
        place = int(rest[1]) % size
        return dim, place, place + 1, 1
    first, last, step = (*rest[1:], *(None, None, 1)[len(rest[1:]) :]) if rest else (None, None, 1)
    begin, end, _ = slice(first, last).indices(size)
    return dim, begin, max(begin, end), int(step)
