"""Fold bias: make a constant that is added to a convolution's output its bias."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["FoldBias"]

_CONV = torch.ops.aten.conv2d.default


def _without_bias(node: object) -> fx.Node | None:
    """Return `node` if it is a convolution without bias and with a single user; otherwise None."""
    if not isinstance(node, fx.Node) or node.target is not _CONV or len(node.users) != 1:
        return None
    return node if len(node.args) < 3 or node.args[2] is None else None


class FoldBias:
    """Move the addition of a constant into the convolution before it.

    conv2d(x, constant weight) + constant [1, O, 1, 1]
    becomes
    conv2d(x, constant weight, constant [O])
    """

    name = "fold_bias"
    why = "a separate addition reads and writes the whole map once more"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; computed weights and addends are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(torch.ops.aten.add.Tensor):
            if node.kwargs:
                continue
            for conv_side, bias_side in (node.args[:2], node.args[1::-1]):
                conv, addend = _without_bias(conv_side), editor.constant(bias_side)
                if conv is None or addend is None or editor.constant(conv.args[1]) is None:
                    continue
                if addend.shape == (1, value_of(conv).shape[1], 1, 1):
                    _fold(editor, node, conv, addend)
                    break
        return editor.finish()


def _fold(editor: Editor, addition: fx.Node, conv: fx.Node, addend: Tensor) -> None:
    bias = editor.add_constant(addend.flatten().clone(), f"bias_{conv.name}")
    conv.args = (*conv.args[:2], bias, *conv.args[3:])
    editor.substitute(addition, conv, "the addition became the convolution's bias")
