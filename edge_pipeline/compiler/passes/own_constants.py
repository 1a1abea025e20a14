"""Own constants: give each of several layers with the same weights a copy of them."""

from __future__ import annotations

from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.packing import give_copy, packs
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["OwnConstants"]


class OwnConstants:
    """Copy constants that several operators pack, for programs in int8.

    conv2d(x, weight, bias);  conv2d(y, weight, bias)
    becomes
    conv2d(x, weight, bias);  conv2d(y, weight_copy, bias_copy)

    XNNPACK's quantiser quantises a weight for one operator and leaves the other in float32. The
    lowering writes a bias once, in steps of the product of a layer's scales of input and weight, so
    that the other layer would read it in the wrong unit or not load.
    """

    name = "own_constants"
    why = "in int8, XNNPACK stores a bias in the unit of one layer, which no other layer can read"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in list(editor.graph.nodes):
            value = editor.constant(node)
            if value is None:
                continue
            readers = [user for user in node.users if packs(user, node)]
            for index, user in enumerate(readers[1:], start=2):
                give_copy(editor, node, value, f"copy_{index}_of_{node.name}", [user])
        return editor.finish()
