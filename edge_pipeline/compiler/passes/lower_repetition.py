"""Lower repetition: a tensor that is joined to itself becomes two operands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["LowerRepetition"]

_ATEN = torch.ops.aten


class LowerRepetition:
    """Join a tensor to a copy of itself.

    cat([x, x, ...], d) -> cat([x, x * 1.0, ...], d), where x is the only operand

    ExecuTorch's partitioner counts the operands that differ, and leaves a cat of one outside.
    Patches two pixels wide give such ones: the reflection of one is the neighbour of the next.
    """

    name = "lower_repetition"
    why = "XNNPACK is given no concatenation of a tensor with nothing but itself"

    def run(self, program: ExportedProgram) -> Result:
        """See the class."""
        editor = Editor(program)
        for node in editor.calls(_ATEN.cat.default):
            parts: Any = node.args[0]
            if len(parts) > 1 and len(set(parts)) == 1:
                _lower(editor, node, parts)
        return editor.finish()


def _lower(editor: Editor, node: fx.Node, parts: list[fx.Node]) -> None:
    count, dim = len(parts), node.args[1] if len(node.args) > 1 else 0

    def joined(x: Tensor) -> Tensor:
        whole: Tensor = _ATEN.cat.default([x, x * 1.0, *[x] * (count - 2)], dim)
        return whole

    editor.replace(node, joined, [parts[0]], f"{count} times the same became two that differ")
