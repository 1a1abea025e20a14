"""Specialise: replace weights that depend only on fixed inputs and parameters by constants."""

from __future__ import annotations

from collections.abc import Container
from itertools import count
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.exchange import constant_name
from edge_pipeline.compiler.analysis.folding import fold, is_sourceless, known_values
from edge_pipeline.compiler.program import Editor, Result, constants_of, layer_of

__all__ = ["Specialise", "specialised_weights"]

_MARK = "c_fixed_"
# A constant with more values is folded only if it depends on parameters: a map of zeros takes less
# space as an operator.
_FEW = 4096


class Specialise:
    """Compute values that depend only on numbers and parameters, and remove their operators.

    full([1], 0.35) -> linear -> leaky_relu -> linear -> view -> conv2d(x, .)
    becomes
    constant [O, C, 3, 3] -> conv2d(x, .)

    A constant is named after the layer that uses it and the operand that it becomes. The program
    no longer contains the hypernetwork's operators and parameters.
    """

    name = "specialise"
    why = "a hypernetwork has a hundred times as many parameters as the network that runs"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; random tensors and large ones without parameters stay."""
        editor = Editor(program)
        known = known_values(editor, numbers=True)
        fold(editor, known, _candidates(editor, known), _named)
        return editor.finish()


def specialised_weights(program: ExportedProgram) -> dict[str, Tensor]:
    """Return the weights that `Specialise` computed, by `LAYER.OPERAND`, in the order of use.

    Args:
        program: The program that the pass returned.

    Returns:
        Float32 tensors with at least one axis.
    """
    held = constants_of(program)
    found: dict[str, Tensor] = {}
    seen: set[str] = set()
    for user in program.graph.nodes:
        for node in user.all_input_nodes:
            value = held.get(node.name)
            if value is None or not node.name.startswith(_MARK) or node.name in seen:
                continue
            seen.add(node.name)
            if value.dtype == torch.float32 and value.dim() > 0:
                found[_unique(_label(node), found)] = value
    return found


def _unique(label: str, taken: Container[str]) -> str:
    names = (f"{label}_{i}" if i else label for i in count())
    return next(name for name in names if name not in taken)


def _candidates(editor: Editor, known: dict[fx.Node, Any]) -> list[fx.Node]:
    """Return the known operators whose results may become constants."""
    trained: set[fx.Node] = set()
    chosen = []
    for node in known:
        if node.op == "placeholder":
            trained.add(node)
            continue
        if not trained.isdisjoint(node.all_input_nodes) and not is_sourceless(node):
            trained.add(node)
        value = known[node]
        if isinstance(value, Tensor) and (node in trained or value.numel() <= _FEW):
            chosen.append(node)
    return chosen


def _named(node: fx.Node) -> tuple[str, str]:
    """Return the constant's name, and the note."""
    label = _label(node)
    return constant_name(label, "fixed"), f"computed {label} from fixed values"


def _label(node: fx.Node) -> str:
    """Return the layer and the operand that a computed tensor is for."""
    user = next((user for user in node.users if user.op == "call_function"), node)
    return f"{layer_of(user)}.{_operand(user, node)}"


def _operand(user: fx.Node, node: fx.Node) -> str:
    """Return the name of the argument in which `user` takes `node`."""
    schema = getattr(user.target, "_schema", None)
    for i, argument in enumerate(user.args):
        if argument is node and schema is not None:
            return str(schema.arguments[i].name)
    return "operand"
