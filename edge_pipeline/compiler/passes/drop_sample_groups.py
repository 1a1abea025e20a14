"""Drop sample groups: a grouped convolution over a batch of one is an ordinary convolution.

A HyperConv moves its batch into channel groups, so that each sample is convolved with its own
filters. For a single sample this is a reshape to the same shape, and there is one group.
"""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import same_shape
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["DropSampleGroups"]

_RESHAPES = (
    torch.ops.aten.view.default,
    torch.ops.aten.reshape.default,
    torch.ops.aten._unsafe_view.default,
)


class DropSampleGroups:
    """Remove reshapes that do not change the shape.

    x [1, C, H, W] -> reshape [1, 1 * C, H, W] -> conv2d(groups=1) -> reshape [1, O, H, W]
    becomes
    x [1, C, H, W] -> conv2d
    """

    name = "drop_sample_groups"
    why = "one sample needs no group of its own, and later passes search for plain convolutions"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; reshapes that change the shape are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_RESHAPES):
            source = node.args[0]
            if isinstance(source, torch.fx.Node) and same_shape(source, node):
                editor.substitute(node, source, "removed a reshape that changed nothing")
        return editor.finish()
