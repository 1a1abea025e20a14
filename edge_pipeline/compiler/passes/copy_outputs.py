"""Copy outputs: return a copy of an input or of another output, not the tensor itself."""

from __future__ import annotations

from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["CopyOutputs"]


class CopyOutputs:
    """Return copies of inputs and of repeated outputs.

    return x, y, y
    becomes
    return clone(x), y, clone(y)
    """

    name = "copy_outputs"
    why = "ONNX has one name for a tensor, so an output cannot be an input or another output"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; other outputs are left unchanged."""
        editor = Editor(program)
        seen: set[fx.Node] = set()
        for place, node in enumerate(editor.graph.output_node().args[0]):  # type: ignore[arg-type]
            if isinstance(node, fx.Node) and (node.op == "placeholder" or node in seen):
                editor.copy_output(place)
            elif isinstance(node, fx.Node):
                seen.add(node)
        return editor.finish()
