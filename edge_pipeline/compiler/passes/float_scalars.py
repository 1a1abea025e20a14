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
    _ATEN.clamp.default,
)


class FloatScalars:
    """Make the type of a scalar that of the tensor it is combined with.

    clamp(x / 2, 0, 1)
    becomes
    clamp(x / 2.0, 0.0, 1.0)

    ExecuTorch makes a tensor of each scalar, in the scalar's own type, and the conversion of an
    integer one to float stays outside the delegate. ONNX writes a clamp to integers as two
    operators.
    """

    name = "float_scalars"
    why = "an integer beside floats costs a conversion, or a second operator, at every run"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; scalars beside integer tensors stay."""
        editor = Editor(program)
        for node in editor.calls(*_ARITHMETIC):
            if not value_of(node).is_floating_point():
                continue
            for i, scalar in enumerate(node.args):
                if type(scalar) is int:
                    node.update_arg(i, float(scalar))
                    editor.notes.append(f"{layer_of(node)}: the scalar {scalar} became a float")
                    editor.modified = True
        return editor.finish()
