"""State strides: write out the default stride of pooling, the size of its kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["StateStrides"]

_POOLS = (
    torch.ops.aten.max_pool2d.default,
    torch.ops.aten.avg_pool2d.default,
)


class StateStrides:
    """Write out the stride of a pooling operator that uses the default.

    max_pool2d(x, [2, 2])
    becomes
    max_pool2d(x, [2, 2], [2, 2])
    """

    name = "state_strides"
    why = "coremltools counts the arguments of pooling, and rejects it if the stride is missing"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; pooling with an explicit stride is left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_POOLS):
            kernel: Any = node.args[1]
            if len(node.args) > 2 and node.args[2]:
                continue
            node.args = (*node.args[:2], list(kernel), *node.args[3:])
            editor.notes.append(f"{layer_of(node)}: the pooling's stride became {list(kernel)}")
            editor.modified = True
        return editor.finish()
