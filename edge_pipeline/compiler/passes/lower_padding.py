"""Lower padding by reflection to slices and concatenations."""

from __future__ import annotations

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.lowering.padding import PADS, Padding, padded, reflection
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["LowerPadding"]


class LowerPadding:
    """Replace padding by reflection by a concatenation of edge slices.

    pad(x, (1, 1, 1, 1), reflect)
    becomes
    cat(x[:, :, 1:2], x, x[:, :, -2:-1]) along rows, then the same along columns
    """

    name = "lower_padding"
    why = "no XNNPACK delegate supports padding by reflection"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; uneven padding and other modes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*PADS):
            found = reflection(node)
            if found is None:
                continue
            padding = found.padding

            def lowered(x: Tensor, padding: Padding = padding) -> Tensor:
                return padded(x, padding)

            editor.replace(node, lowered, [found.source], "padding by reflection became slices")
        return editor.finish()
