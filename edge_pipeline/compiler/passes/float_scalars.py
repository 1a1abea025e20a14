"""Float scalars: write integers that are combined with float tensors as floats."""

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
    """Convert integer scalars that are combined with float tensors to float.

    clamp(x / 2, 0, 1)
    becomes
    clamp(x / 2.0, 0.0, 1.0)

    ExecuTorch writes each scalar as a tensor of the scalar's own type, and the conversion from
    integer to float stays outside the delegate. The ONNX exporter writes a clamp with integer
    limits as two operators.
    """

    name = "float_scalars"
    why = "an integer beside a float tensor costs a conversion or a second operator in every run"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; scalars beside integer tensors are left unchanged."""
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
