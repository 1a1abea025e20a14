"""Drop no-ops: operators that return their operand unchanged, and checks."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.checks import is_check
from edge_pipeline.compiler.analysis.movement import same_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of

__all__ = ["DropNoops"]

_ATEN = torch.ops.aten
# Operators that copy or rename their operand.
_COPIES = (
    _ATEN.alias.default,
    _ATEN.clone.default,
    _ATEN.contiguous.default,
    _ATEN.detach.default,
    _ATEN.lift_fresh.default,
    _ATEN.lift_fresh_copy.default,
)
# Operators that do nothing if the result has the shape and the type of the operand.
_MOVERS = (
    _ATEN._to_copy.default,
    _ATEN.to.dtype,
    _ATEN.to.dtype_layout,
    _ATEN.expand.default,
    _ATEN.flatten.using_ints,
    _ATEN.repeat.default,
    _ATEN.slice.Tensor,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
)
_DROPOUTS = (
    _ATEN.dropout.default,
    _ATEN.feature_dropout.default,
    _ATEN.alpha_dropout.default,
    _ATEN.feature_alpha_dropout.default,
)
_PADS = (_ATEN.pad.default, _ATEN.constant_pad_nd.default)
_TUPLES = (_ATEN.split.Tensor, _ATEN.split_with_sizes.default, _ATEN.chunk.default)


class DropNoops:
    """Remove operators that compute nothing.

    relu(alias(x [1, 8, 4, 4])) -> relu(x)

    alias, clone, contiguous, detach, dropout in eval, conversion to the same type
    expand, repeat, slice, squeeze, padding and permutation that change nothing; cat of one tensor
    assertions and size constraints

    A no-op stays if it is an output of the program and its operand is an input or another output,
    since each output must be a tensor of its own.
    """

    name = "drop_noops"
    why = "delegates support few no-ops, and each of the others cuts the program in two"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in list(editor.graph.nodes):
            if is_check(node) and not node.users:
                editor.notes.append(f"{layer_of(node)}: dropped the check {node.target}")
                editor.graph.erase_node(node)
                editor.modified = True
        for node in editor.calls(*{n.target for n in editor.graph.nodes}):
            source = _same(node)
            if source is not None and not _is_output_of_its_own(editor, node, source):
                editor.substitute(node, source, f"dropped {node.target}, which changed nothing")
        return editor.finish()


def _same(node: fx.Node) -> fx.Node | None:
    """Return the operand that `node` returns unchanged; None if there is none."""
    target: Any = node.target
    source: Any = node.args[0] if node.args else None
    if target is operator.getitem:
        return _whole_of_a_tuple(node)
    if target is _ATEN.cat.default and len(source) == 1:
        source = source[0]
    elif target in _DROPOUTS:
        return None if node.args[2] and node.args[1] else source
    elif target in (_ATEN.permute.default, _ATEN.transpose.int):
        return source if _is_in_order(node) else None
    elif target not in (*_COPIES, *_MOVERS, *_PADS) or _is_padded(node):
        return None
    return source if isinstance(source, fx.Node) and _is_alike(node, source) else None


def _is_alike(node: fx.Node, source: fx.Node) -> bool:
    new, old = node.meta["val"], source.meta["val"]
    tensors = isinstance(new, Tensor) and isinstance(old, Tensor)
    return tensors and new.dtype == old.dtype and same_shape(node, source)


def _is_padded(node: fx.Node) -> bool:
    amounts: Any = node.args[1] if node.target in _PADS else ()
    return any(amounts)


def _is_in_order(node: fx.Node) -> bool:
    rank = node.meta["val"].dim()
    dims: Any = node.args[1:] if node.target is _ATEN.transpose.int else node.args[1]
    places = [d % rank for d in dims]
    if node.target is _ATEN.transpose.int:
        return bool(places[0] == places[1])
    return places == list(range(rank))


def _whole_of_a_tuple(node: fx.Node) -> fx.Node | None:
    """Return the tensor of which `node` is the only part, or the input of dropout in eval mode."""
    origin: Any = node.args[0]
    if node.args[1] != 0:
        return None
    if origin.target is _ATEN.native_dropout.default and not origin.args[2]:
        return _only(origin)
    if origin.target in _TUPLES and len(origin.meta["val"]) == 1:
        return _only(origin)
    return None


def _only(node: fx.Node) -> fx.Node | None:
    return node.args[0] if isinstance(node.args[0], fx.Node) else None


def _is_output_of_its_own(editor: Editor, node: fx.Node, source: fx.Node) -> bool:
    output = editor.graph.output_node()
    return output in node.users and (source.op == "placeholder" or output in source.users)
