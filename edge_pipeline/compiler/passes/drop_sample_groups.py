"""Drop sample groups: a grouped convolution over a batch of one is an ordinary convolution.

A HyperConv moves its batch into channel groups so that each sample meets its own filters. For one
sample the moving is a reshape to the shape that is there already; what it guards is one group.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import statically_known_true

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DropSampleGroups"]

_RESHAPES = (
    torch.ops.aten.view.default,
    torch.ops.aten.reshape.default,
    torch.ops.aten._unsafe_view.default,
)


class DropSampleGroups:
    """Remove reshapes that give back the shape they take.

    x [1, C, H, W] -> reshape [1, 1 * C, H, W] -> conv2d(groups=1) -> reshape [1, O, H, W]
    becomes
    x [1, C, H, W] -> conv2d
    """

    name = "drop_sample_groups"
    why = "one sample needs no group of its own, and later passes look for a plain convolution"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; a reshape that changes anything stays."""
        editor = Editor(program)
        for node in editor.calls(*_RESHAPES):
            source = node.args[0]
            if not isinstance(source, torch.fx.Node):
                continue
            before, after = value_of(source).shape, value_of(node).shape
            if len(before) == len(after) and all(
                statically_known_true(a == b) for a, b in zip(before, after, strict=True)
            ):
                editor.substitute(node, source, "removed a reshape that changed nothing")
        return editor.finish()
