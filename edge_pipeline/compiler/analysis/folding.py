"""Computing ahead of time whatever depends on constants alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, value_of

__all__ = ["fold", "is_sourceless", "known_values", "made_of_numbers"]

_ATEN = torch.ops.aten
# Of the tensor that they take, they read the shape and the type alone.
_LIKE = (
    _ATEN.full_like.default,
    _ATEN.ones_like.default,
    _ATEN.zeros_like.default,
    _ATEN.new_full.default,
    _ATEN.new_ones.default,
    _ATEN.new_zeros.default,
)
# Their content is whatever lies in memory.
_UNDEFINED = ("empty", "new_empty")


def known_values(editor: Editor, *, numbers: bool = False) -> dict[fx.Node, Any]:
    """The value of every node that depends on constants alone, those constants included.

    Args:
        editor: of the program; it is left as it is.
        numbers: whether tensors that are made of numbers alone are known too, such as a map of
            zeros, which is smaller as an operator.

    Returns:
        In the graph's order. What draws random numbers is never known.
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
    """Whether an operator makes a tensor of numbers alone; random and unset ones do not count."""
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
    """The tensor that a sourceless operator of fixed shape makes."""
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
