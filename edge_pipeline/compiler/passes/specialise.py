"""Specialise: weights that follow from the values of fixed inputs become constants."""

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
# A constant of more values is folded only if parameters determine it: a map of zeros is smaller as
# an operator.
_FEW = 4096


class Specialise:
    """Compute what numbers and parameters alone determine, and drop what computed it.

    full([1], 0.35) -> linear -> leaky_relu -> linear -> view -> conv2d(x, .)
    becomes
    constant [O, C, 3, 3] -> conv2d(x, .)

    A constant is called after the layer that takes it and the operand that it becomes. A
    hypernetwork's operators and parameters leave the program.
    """

    name = "specialise"
    why = "a hypernetwork has a hundred parameters for each one of the network that runs"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; random tensors, and large ones without parameters, stay operators."""
        editor = Editor(program)
        known = known_values(editor, numbers=True)
        fold(editor, known, _candidates(editor, known), _named)
        return editor.finish()


def specialised_weights(program: ExportedProgram) -> dict[str, Tensor]:
    """The weights that `Specialise` computed, by `LAYER.OPERAND`, in the order of their use.

    Args:
        program: as the pass returns it.

    Returns:
        float32 tensors of at least one axis.
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
    """The known operators whose results may become constants."""
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
    """The constant's name, and the note."""
    label = _label(node)
    return constant_name(label, "fixed"), f"computed {label} from fixed values"


def _label(node: fx.Node) -> str:
    """The layer and operand that a computed tensor is for."""
    user = next((user for user in node.users if user.op == "call_function"), node)
    return f"{layer_of(user)}.{_operand(user, node)}"


def _operand(user: fx.Node, node: fx.Node) -> str:
    """The name that `user` has for the operand that `node` is."""
    schema = getattr(user.target, "_schema", None)
    for i, argument in enumerate(user.args):
        if argument is node and schema is not None:
            return str(schema.arguments[i].name)
    return "operand"
