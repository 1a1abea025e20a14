"""Fold constants: compute ahead of time the values that depend only on constants."""

from __future__ import annotations

from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.folding import fold, known_values
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["FoldConstants"]


class FoldConstants:
    """Replace an expression of constants by its value.

    constant [1, O, C, 3, 3] -> reshape [O, C, 3, 3] -> conv2d(x, .)
    becomes
    constant [O, C, 3, 3] -> conv2d(x, .)

    ExecuTorch's lowering does not do this for parameters, and a convolution whose weight is a
    computed constant then stays outside the delegate (pytorch/executorch issue 22078).
    """

    name = "fold_constants"
    why = "a backend packs a weight ahead of time only if it is a constant, not an expression"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; operators without tensor operands are left unchanged."""
        editor = Editor(program)
        known = known_values(editor)
        operators = [node for node in known if node.op == "call_function"]

        def named(node: fx.Node) -> tuple[str, str]:
            return f"folded_{node.name}", f"computed {node.target} ahead of time"

        fold(editor, known, operators, named)
        return editor.finish()
