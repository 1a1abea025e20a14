"""Lower repetition: make the operands of a concatenation of one tensor with itself different."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["LowerRepetition"]

_ATEN = torch.ops.aten


class LowerRepetition:
    """Replace the concatenation of a tensor with itself by one with a copy.

    cat([x, x, ...], d) -> cat([x, x * 1.0, ...], d), where x is the only operand

    ExecuTorch's partitioner counts the different operands, and leaves a cat of only one outside.
    Patches two pixels wide cause this: the reflection of one pixel is the neighbour of the next.
    """

    name = "lower_repetition"
    why = "ExecuTorch does not delegate the concatenation of a tensor with only itself to XNNPACK"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
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

    editor.replace(node, joined, [parts[0]], f"{count} equal operands became two different ones")
