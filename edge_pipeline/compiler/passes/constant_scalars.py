"""Constant scalars: replace numbers that are combined with tensors by constants."""

from __future__ import annotations

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["ConstantScalars"]


class ConstantScalars:
    """Replace each number in a tensor argument of an operator by a constant tensor.

    add(x, 0.5)                                  x [1, 16, 64, 64]
    becomes
    add(x, scalar)                               scalar [], a constant

    ExecuTorch writes such a number as a float32 tensor, whatever the type of the other operand, and
    the conversion stays outside the delegate. A constant has the program's own type.
    """

    name = "constant_scalars"
    why = "ExecuTorch writes a number as float32, which does not match float16 operands"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        made: dict[float, fx.Node] = {}
        for node in list(editor.graph.nodes):
            if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
                continue
            for i, (parameter, value) in enumerate(
                zip(node.target._schema.arguments, node.args, strict=False)
            ):
                if isinstance(parameter.type, torch.TensorType) and isinstance(value, int | float):
                    number = float(value)
                    if number not in made:
                        made[number] = editor.add_constant(torch.tensor(number), "scalar")
                    node.update_arg(i, made[number])
                    editor.notes.append(
                        f"{layer_of(node)}: the number {number:g} became a constant"
                    )
                    editor.modified = True
        return editor.finish()
