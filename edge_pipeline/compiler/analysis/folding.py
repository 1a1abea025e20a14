"""Computing ahead of time whatever depends on constants alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.program import Editor

__all__ = ["fold", "known_values"]


def known_values(editor: Editor) -> dict[fx.Node, Any]:
    """The value of every node that depends on constants alone, those constants included.

    Args:
        editor: of the program; it is left as it is.

    Returns:
        In the graph's order. What draws random numbers is never known, nor is what has no tensor
        among its operands, such as a map of zeros, which is smaller as an operator.
    """
    known: dict[fx.Node, Any] = {}
    for node in editor.graph.nodes:
        if node.op == "placeholder" and node.name in editor.constants:
            known[node] = editor.constants[node.name]
        elif node.op == "call_function" and _is_foldable(node, known):
            known[node] = _evaluate(node, known)
    return known


def _is_foldable(node: fx.Node, known: dict[fx.Node, Any]) -> bool:
    operands = node.all_input_nodes
    return bool(operands) and all(n in known for n in operands) and "rand" not in str(node.target)


def _evaluate(node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    operator: Any = node.target
    args: Any = fx.node.map_arg(node.args, lambda n: known[n])
    kwargs: Any = fx.node.map_arg(node.kwargs, lambda n: known[n])
    with torch.no_grad():
        return operator(*args, **kwargs)


def fold(
    editor: Editor,
    known: dict[fx.Node, Any],
    candidates: Iterable[fx.Node],
    named: Callable[[fx.Node], tuple[str, str]],
) -> None:
    """Put constants in the place of those candidates that something not known still needs.

    Args:
        editor: it changes.
        known: as known_values gives it.
        candidates: operators among the known.
        named: the constant's name and the note, for an operator.
    """
    for node in candidates:
        value = known[node]
        if not isinstance(value, Tensor) or all(user in known for user in node.users):
            continue
        name, note = named(node)
        editor.substitute(node, editor.add_constant(value.clone(), name), note)
