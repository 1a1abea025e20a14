"""Compute ahead of time the values that depend only on constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, value_of

__all__ = ["fold", "is_sourceless", "known_values", "made_of_numbers"]

_ATEN = torch.ops.aten
# Operators that read only the shape and the type of their operand.
_LIKE = (
    _ATEN.full_like.default,
    _ATEN.ones_like.default,
    _ATEN.zeros_like.default,
    _ATEN.new_full.default,
    _ATEN.new_ones.default,
    _ATEN.new_zeros.default,
)
# Operators that return uninitialised memory.
_UNDEFINED = ("empty", "new_empty")


def known_values(editor: Editor, *, numbers: bool = False) -> dict[fx.Node, Any]:
    """Compute the value of every node that depends on constants only, including the constants.

    Args:
        editor: Editor of the program; it is not modified.
        numbers: Whether to include tensors that are made from numbers alone, such as a map of
            zeros, which takes less space as an operator.

    Returns:
        Values by node, in the graph's order, without those of random operators.
    """
    known: dict[fx.Node, Any] = {}
    for node in editor.graph.nodes:
        if node.op == "placeholder" and node.name in editor.constants:
            known[node] = editor.constants[node.name]
        elif node.op == "call_function" and _is_foldable(node, known):
            known[node] = _evaluate(node, known)
        elif numbers and is_sourceless(node) and has_fixed_shape(node):
            known[node] = made_of_numbers(node)
    return known


def is_sourceless(node: fx.Node) -> bool:
    """Return whether an operator makes a tensor from numbers alone, except random or empty ones."""
    target: Any = node.target
    if not isinstance(target, torch._ops.OpOverload) or not isinstance(node.meta["val"], Tensor):
        return False
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    name = target._schema.name.removeprefix("aten::")
    if name.startswith(_UNDEFINED):
        return False
    return target in _LIKE or not node.all_input_nodes


def made_of_numbers(node: fx.Node) -> Tensor:
    """Return the tensor that a sourceless operator of fixed shape makes."""
    target: Any = node.target

    def stand_in(operand: fx.Node) -> Tensor:
        value = value_of(operand)
        return torch.empty(tuple(map(int, value.shape)), dtype=value.dtype)

    with torch.no_grad():
        args: Any = fx.node.map_arg(node.args, stand_in)
        kwargs: Any = dict(node.kwargs)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        result: Tensor = target(*args, **kwargs)
    return result


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
    """Replace candidates by constants, except those that only known nodes use.

    Args:
        editor: Editor of the program; it is modified.
        known: Values by node, as returned by `known_values`.
        candidates: Operators among the known nodes.
        named: Function that returns the constant's name and the note for an operator.
    """
    for node in candidates:
        value = known[node]
        if not isinstance(value, Tensor) or all(user in known for user in node.users):
            continue
        name, note = named(node)
        editor.substitute(node, editor.add_constant(value.clone(), name), note)
