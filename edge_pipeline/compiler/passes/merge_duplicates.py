"""Merge duplicates: what is computed twice from the same values is computed once."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["MergeDuplicates"]


def _key(node: fx.Node) -> tuple[Any, ...] | None:
    """What makes two operators the same; None where an argument has no value to compare."""
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
    # 1, 1.0 and True are equal to Python and differ as arguments.
    return argument if isinstance(argument, fx.Node) else (type(argument), argument)


class MergeDuplicates:
    """Let one operator stand for all that do the same with the same operands.

    max_pool2d(y, 2) -> embedding;  max_pool2d(y, 2) -> convolution
    becomes
    max_pool2d(y, 2) -> both

    Exported programs are functional, so equal operators on equal operands give equal values.
    """

    name = "merge_duplicates"
    why = "the networks write pooling where it is used; a runtime would do it as often"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; random operators and those without a tensor result stay."""
        editor = Editor(program)
        first: dict[tuple[Any, ...], fx.Node] = {}
        for node in editor.calls(*{n.target for n in editor.graph.nodes}):
            if not isinstance(node.meta.get("val"), Tensor) or "rand" in str(node.target):
                continue
            key = _key(node)
            if key is None:
                continue
            earlier = first.setdefault(key, node)
            if earlier is not node:
                editor.substitute(node, earlier, f"{node.target} is computed once")
        return editor.finish()
