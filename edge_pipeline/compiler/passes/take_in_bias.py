"""Take in bias: make a computed value that is added to every pixel the convolution's bias."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import Conv2d
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["TakeInBias"]


class TakeInBias:
    """Move the addition of a computed bias into a convolution with computed weights.

    conv2d(x, weight) + addend [1, O, 1, 1]
    becomes
    conv2d(x, weight, addend reshaped to [O])

    With constant weights the addition stays, since no delegate supports a computed bias with them.
    Core ML supports no computed bias at all.
    """

    name = "take_in_bias"
    why = "a separate addition reads and writes the whole map; a matrix product adds it for free"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; convolutions with other users are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(torch.ops.aten.add.Tensor):
            if node.kwargs:
                continue
            for conv_side, addend in (node.args[:2], node.args[1::-1]):
                conv = Conv2d.of(conv_side)
                if conv is None or not conv.accepts_bias or not isinstance(addend, fx.Node):
                    continue
                if editor.constant(addend) is not None or editor.constant(conv.weight) is not None:
                    continue
                if value_of(addend).shape == (1, value_of(conv.node).shape[1], 1, 1):
                    _take_in(editor, node, conv, addend)
                    break
        return editor.finish()


def _take_in(editor: Editor, addition: fx.Node, conv: Conv2d, addend: fx.Node) -> None:
    def biased(x: Tensor, weight: Tensor, addend: Tensor) -> Tensor:
        y: Tensor = torch.conv2d(x, weight, addend.reshape(-1), *conv.settings)
        return y

    # At the place of the addition, since the addend may be computed after the convolution.
    operands = [conv.source, conv.weight, addend]
    editor.replace(addition, biased, operands, "the computed addend became the bias")
