"""Merge duplicates: compute equal operators on equal operands once."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["MergeDuplicates"]


def _key(node: fx.Node) -> tuple[Any, ...] | None:
    """Return a key that equal operators share; None if an argument cannot be hashed."""
    key = (node.target, _frozen(node.args), _frozen(dict(node.kwargs)))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _frozen(argument: Any) -> Any:
    if isinstance(argument, list | tuple):
        return tuple(_frozen(part) for part in argument)
    if isinstance(argument, dict):
        return tuple(sorted((name, _frozen(part)) for name, part in argument.items()))
    # 1, 1.0 and True are equal in Python but differ as arguments.
    return argument if isinstance(argument, fx.Node) else (type(argument), argument)


class MergeDuplicates:
    """Replace equal operators on the same operands by one operator.

    max_pool2d(y, 2) -> embedding;  max_pool2d(y, 2) -> convolution
    becomes
    max_pool2d(y, 2) -> both

    Exported programs are functional, so equal operators on equal operands return equal values. Two
    outputs of the program stay two, since each must be a tensor of its own.
    """

    name = "merge_duplicates"
    why = "networks repeat pooling in each place that uses it, and a runtime would compute each"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; random operators and those without a tensor result stay."""
        editor = Editor(program)
        output = editor.graph.output_node()
        first: dict[tuple[Any, ...], fx.Node] = {}
        for node in editor.calls(*{n.target for n in editor.graph.nodes}):
            if not isinstance(node.meta.get("val"), Tensor) or "rand" in str(node.target):
                continue
            key = _key(node)
            if key is None:
                continue
            earlier = first.setdefault(key, node)
            if earlier is not node and not (output in node.users and output in earlier.users):
                editor.substitute(node, earlier, f"{node.target} is computed once")
        return editor.finish()
