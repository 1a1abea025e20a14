"""State layouts: constants get the strides that their shapes alone give."""

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

    The stride of an axis of size 1 addresses nothing, so torch counts a tensor as contiguous
    whatever that stride is, and reshaping leaves such strides behind. ExecuTorch reads the order of
    axes out of strides: the program of a layer with one channel gives wrong values or does not run.
    """

    name = "state_layouts"
    why = "ExecuTorch takes the strides of axes of size 1 for an order of axes"

    def run(self, program: ExportedProgram) -> Result:
        """See the class."""
        editor = Editor(program)
        for node in list(editor.graph.nodes):
            value = editor.constant(node)
            if value is None or not node.users or _is_plain(value_of(node)):
                continue
            laid_out = value.clone(memory_format=torch.contiguous_format)
            editor.notes.append(f"{layer_of(next(iter(node.users)))}: laid {node.name} out anew")
            node.replace_all_uses_with(editor.add_constant(laid_out, f"laid_out_{node.name}"))
            editor.modified = True
        return editor.finish()


def _is_plain(value: Tensor) -> bool:
    shape = value.shape
    return all(stride == math.prod(shape[axis + 1 :]) for axis, stride in enumerate(value.stride()))
