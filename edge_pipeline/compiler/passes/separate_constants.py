"""Separate constants: copy those that one operator packs and another operator reads."""

from __future__ import annotations

from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.packing import give_copy, packs
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["SeparateConstants"]


class SeparateConstants:
    """Copy constants that are packed by one operator and read by another.

    conv2d(x, weight);  weight * gain
    becomes
    conv2d(x, weight);  copy * gain

    XNNPACK packs the weights and the bias of a convolution when a program is loaded, and then frees
    them; an operator that reads the same values then crashes the process.
    """

    name = "separate_constants"
    why = "XNNPACK frees the constants that it packs, and another reader of them crashes"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in list(editor.graph.nodes):
            value = editor.constant(node)
            if value is None:
                continue
            readers = [user for user in node.users if not packs(user, node)]
            if not readers or len(readers) == len(node.users):
                continue
            give_copy(editor, node, value, f"copy_of_{node.name}", readers)
        return editor.finish()
