"""Float scalars: whole numbers that meet float tensors are written as floats."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["FloatScalars"]

_ATEN = torch.ops.aten
_ARITHMETIC = (
    _ATEN.add.Tensor,
    _ATEN.sub.Tensor,
    _ATEN.mul.Tensor,
    _ATEN.div.Tensor,
)


class FloatScalars:
    """Make the type of a scalar that of the tensor it is combined with.

    x / 2
    becomes
    x / 2.0

    ExecuTorch makes a tensor of each scalar, in the scalar's own type, and the conversion of an
    integer one to float stays outside the delegate.
    """

    name = "float_scalars"
    why = "an integer scalar costs a conversion outside the delegate at every run"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; scalars beside integer tensors stay."""
        editor = Editor(program)
        for node in editor.calls(*_ARITHMETIC):
            scalar = node.args[1]
            if type(scalar) is int and value_of(node).is_floating_point():
                node.update_arg(1, float(scalar))
                editor.notes.append(f"{layer_of(node)}: the scalar {scalar} became a float")
                editor.modified = True
        return editor.finish()
