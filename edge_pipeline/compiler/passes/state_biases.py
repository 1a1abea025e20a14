"""State biases: give 3-D convolutions without a bias one of zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["StateBiases"]

_ATEN = torch.ops.aten
_KINDS = (_ATEN.conv3d.default, _ATEN.conv3d.padding)


class StateBiases:
    """Give 3-D convolutions without a bias one of zeros.

    conv3d(x, w [O, C, d, h, w])
    becomes
    conv3d(x, w, zeros [O])
    """

    name = "state_biases"
    why = "torch's ONNX exporter writes the missing bias with two axes, which ONNX Runtime rejects"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; convolutions with a bias are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_KINDS):
            weight: Any = node.args[1]
            if len(node.args) > 2 and node.args[2] is not None:
                continue
            value = value_of(weight)
            zeros = torch.zeros(int(value.shape[0]), dtype=value.dtype)
            bias = editor.add_constant(zeros, f"{node.name}_bias")
            node.args = (*node.args[:2], bias, *node.args[3:])
            editor.notes.append(f"{layer_of(node)}: a 3-D convolution has a bias of zeros")
            editor.modified = True
        return editor.finish()
