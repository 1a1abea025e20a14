"""Fold sourceless operators: replace tensors made from numbers alone by constants."""

from __future__ import annotations

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.folding import is_sourceless, made_of_numbers
from edge_pipeline.compiler.analysis.movement import BROADCASTING, has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["FoldSourceless"]


class FoldSourceless:
    """Compute operators without tensor operands ahead of time.

    arange(8) -> constant [8]
    zeros(1, 64, 256, 256) -> constant [1, 1, 1, 1] if all users broadcast it
    zeros(1, 64, 256, 256) -> constant [1, 64, 256, 256] otherwise, up to `limit_bytes`

    Operators such as `zeros_like`, which read only a shape, are computed too.

    Args:
        limit_bytes: Largest size of a constant, in bytes; an operator with a larger result stays.
    """

    name = "fold_sourceless"
    why = "delegates support no operator without operands, and values computed from it cannot fold"

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; random, uninitialised and dynamic-shape tensors stay."""
        editor = Editor(program)
        for node in editor.calls(*{n.target for n in editor.graph.nodes}):
            if not is_sourceless(node) or not has_fixed_shape(node):
                continue
            value = made_of_numbers(node)
            small = _broadcastable(node, value)
            if small is None and value.numel() * value.element_size() > self.limit_bytes:
                note = f"{node.target} was not folded: its {value.numel()} values are too many"
                editor.notes.append(f"{layer_of(node)}: {note}")
                continue
            constant = editor.add_constant(value if small is None else small, f"made_{node.name}")
            editor.substitute(node, constant, f"computed {node.target} ahead of time")
        return editor.finish()


def _broadcastable(node: fx.Node, value: Tensor) -> Tensor | None:
    """Return a single value for many equal ones if all users broadcast it; otherwise None."""
    if value.numel() < 2 or not node.users or not bool((value == value.flatten()[0]).all()):
        return None
    for user in node.users:
        others = [n for n in user.args if isinstance(n, fx.Node) and n is not node]
        if user.target not in BROADCASTING or len(others) != 1 or not has_fixed_shape(others[0]):
            return None
        if value_of(others[0]).shape != value_of(user).shape:
            return None
    return value.flatten()[:1].reshape([1] * value.dim()).clone()
