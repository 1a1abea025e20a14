"""Fold bias: make a constant that is added to a convolution's output its bias."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import Conv2d
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["FoldBias"]


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
                conv, addend = Conv2d.of(conv_side), editor.constant(bias_side)
                if conv is None or not conv.accepts_bias or addend is None:
                    continue
                if editor.constant(conv.weight) is None:
                    continue
                if addend.shape == (1, value_of(conv.node).shape[1], 1, 1):
                    _fold(editor, node, conv.node, addend)
                    break
        return editor.finish()


def _fold(editor: Editor, addition: fx.Node, conv: fx.Node, addend: Tensor) -> None:
    bias = editor.add_constant(addend.flatten().clone(), f"bias_{conv.name}")
    conv.args = (*conv.args[:2], bias, *conv.args[3:])
    editor.substitute(addition, conv, "the addition became the convolution's bias")
