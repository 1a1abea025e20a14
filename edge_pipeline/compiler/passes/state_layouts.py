"""State layouts: store constants with the contiguous strides of their shapes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["StateLayouts"]


class StateLayouts:
    """Copy constants whose strides differ from those of a new tensor of their shape.

    constant [1, 9, 1] with the strides (9, 1, 9)
    becomes
    constant [1, 9, 1] with the strides (9, 1, 1)

    The stride of an axis of size 1 addresses nothing, so torch regards a tensor as contiguous
    whatever that stride is, and reshaping leaves such strides behind. ExecuTorch derives the order
    of axes from strides: the program of a layer with one channel returns wrong values or fails.
    """

    name = "state_layouts"
    why = "ExecuTorch derives an order of axes from the strides of axes of size 1"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in list(editor.graph.nodes):
            value = editor.constant(node)
            if value is None or not node.users or _is_plain(value_of(node)):
                continue
            laid_out = value.clone(memory_format=torch.contiguous_format)
            editor.notes.append(f"{layer_of(next(iter(node.users)))}: made {node.name} contiguous")
            node.replace_all_uses_with(editor.add_constant(laid_out, f"laid_out_{node.name}"))
            editor.modified = True
        return editor.finish()


def _is_plain(value: Tensor) -> bool:
    shape = value.shape
    return all(stride == math.prod(shape[axis + 1 :]) for axis, stride in enumerate(value.stride()))
