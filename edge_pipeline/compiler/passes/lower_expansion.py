"""Lower expansion: replace operators that repeat values by broadcasting or products with ones."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import BROADCASTING, has_fixed_shape
from edge_pipeline.compiler.lowering.movement import repeated
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerExpansion"]

_ATEN = torch.ops.aten
_EXPAND, _REPEAT = _ATEN.expand.default, _ATEN.repeat.default
_INTERLEAVE = _ATEN.repeat_interleave.self_int


class LowerExpansion:
    """Rewrite operators that repeat values.

    expand(x) + y     -> x + y, if y has the shape of the sum
    expand(x), repeat -> reshape, product with ones and reshape, one axis after another
    repeat_interleave -> the same, with the ones after the axis

    Args:
        ones: Whether to repeat values by a product with ones; otherwise by concatenations, since
            LiteRT's converter turns such a product back into an expansion.
    """

    name = "lower_expansion"
    why = "XNNPACK broadcasts the operands of arithmetic, but has no operator that expands a tensor"

    def __init__(self, *, ones: bool = True) -> None:
        self.ones = ones

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes and integer tensors are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_EXPAND, _REPEAT, _INTERLEAVE):
            source: Any = node.args[0]
            if not (has_fixed_shape(source) and has_fixed_shape(node)):
                continue
            if not value_of(source).is_floating_point():
                continue
            if node.target is _EXPAND and _is_broadcast(node):
                note = "dropped an expansion that its users broadcast"
                editor.substitute(node, source, note)
            elif (growth := _growth(node, source)) is not None:
                _lower(editor, node, source, growth, ones=self.ones)
        return editor.finish()


def _is_broadcast(node: fx.Node) -> bool:
    """Return whether all users compute the same result without the expansion."""
    for user in node.users:
        others = [n for n in user.args if isinstance(n, fx.Node) and n is not node]
        if user.target not in BROADCASTING or len(others) != 1:
            return False
        if value_of(others[0]).shape != value_of(user).shape:
            return False
    return bool(node.users)


class _Growth(NamedTuple):
    """The growth of a tensor: its shape, with leading ones, and the repetitions along each axis.

    If `behind`, each value is repeated (AABB); otherwise the whole axis is (ABAB).
    """

    shape: list[int]
    counts: list[int]
    behind: bool


def _growth(node: fx.Node, source: fx.Node) -> _Growth | None:
    before = [int(size) for size in value_of(source).shape]
    after = [int(size) for size in value_of(node).shape]
    shape = [1] * (len(after) - len(before)) + before
    if not shape or 0 in after or len(shape) != len(after):
        return None
    counts = [new // old for new, old in zip(after, shape, strict=True)]
    return _Growth(shape, counts, behind=node.target is _INTERLEAVE)


def _lower(editor: Editor, node: fx.Node, source: fx.Node, growth: _Growth, *, ones: bool) -> None:
    axes = [(d, count) for d, count in enumerate(growth.counts) if count > 1]
    dtype, constants = value_of(source).dtype, list[fx.Node]()
    if ones:
        constants = [
            editor.add_constant(torch.ones(1, count, 1, dtype=dtype), f"ones_{count}")
            for _, count in axes
        ]

    def grown(x: Tensor, *held: Tensor) -> Tensor:
        sizes = list(growth.shape)
        for i, (d, count) in enumerate(axes):
            split = d + 1 if growth.behind else d
            x = x.reshape(prod(sizes[:split]), 1, prod(sizes[split:]))
            x = repeated(x, count, held[i] if held else None)
            sizes[d] *= count
        return x.reshape(sizes)

    way = "products with ones" if ones else "concatenations"
    editor.replace(node, grown, [source, *constants], f"{node.target} became {way}")
