"""Repairs of a program that PT2E quantised, before ExecuTorch lowers it."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

__all__ = ["quantise_pads", "restore_origins", "separate_readers"]

_ATEN: Any = torch.ops.aten
# What a traced operator records about its place in the network.
_ORIGIN = ("nn_module_stack", "stack_trace")
_QUANTIZE = "quantized_decomposed.quantize_per_tensor.default"
_DEQUANTIZE = "quantized_decomposed.dequantize_per_tensor.default"


def quantise_pads(module: fx.GraphModule) -> None:
    """Quantise the result of each padding of a dequantised map, with the map's own scale.

    If the result of such a padding is not quantised, ExecuTorch 1.4.1 declares it as int8 but its
    input as float32, and XNNPACK refuses the program when it is loaded.

    Args:
        module: Module after `convert_pt2e`; it is modified. Its values stay the same, since the
            values of the map and zero are multiples of the scale.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if not _pads_with_zero(node):
            continue
        source = node.args[0]
        if str(source.target) != _DEQUANTIZE or any(_quantises(user) for user in node.users):
            continue
        with graph.inserting_after(node):
            quantised = graph.call_function(
                torch.ops.quantized_decomposed.quantize_per_tensor.default,
                (node, *source.args[1:]),
            )
        with graph.inserting_after(quantised):
            back = graph.call_function(source.target, (quantised, *source.args[1:]))
        node.replace_all_uses_with(back, delete_user_cb=lambda user, own=quantised: user is not own)
    module.recompile()


def _pads_with_zero(node: fx.Node) -> bool:
    given: tuple[Any, ...] = node.args
    if node.target is _ATEN.constant_pad_nd.default:
        return not node.kwargs.get("value", given[2] if len(given) > 2 else 0)
    if node.target is not _ATEN.pad.default:
        return False
    mode = node.kwargs.get("mode", given[2] if len(given) > 2 else "constant")
    value = node.kwargs.get("value", given[3] if len(given) > 3 else None)
    return mode == "constant" and not value


def separate_readers(module: fx.GraphModule) -> None:
    """Give each operator whose result is quantised its own conversions of its operands to float.

    If an operator runs in int8, ExecuTorch omits the conversions that it reads. An operator in
    float32 that shares such a conversion would then read int8, and XNNPACK refuses the program when
    it is loaded. Operators whose results stay float continue to share one conversion.

    Args:
        module: Module after `convert_pt2e`; it is modified.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if str(node.target) != _DEQUANTIZE or len(node.users) < 2:
            continue
        for reader in [user for user in node.users if _is_quantised(user)]:
            with graph.inserting_before(node):
                reader.replace_input_with(node, graph.call_function(node.target, node.args))
        if not node.users:
            graph.erase_node(node)
    module.recompile()


def _is_quantised(node: fx.Node) -> bool:
    """Return whether a result is only quantised, directly or after one other operator."""
    if len(node.users) != 1:
        return False
    (reader,) = node.users
    return _quantises(reader) or (len(reader.users) == 1 and _quantises(next(iter(reader.users))))


def _quantises(node: fx.Node) -> bool:
    return str(node.target) == _QUANTIZE


def restore_origins(found: ExportedProgram, program: ExportedProgram) -> None:
    """Copy the layers and source lines of a program's operators to its quantised form.

    A conversion to or from int8 gets the origin of the operator whose result it converts, or that
    of its reader if it converts a constant.

    Args:
        found: Quantised program, traced again; it is modified.
        program: Program from which it was made.
    """
    origins = {node.name: node for node in program.graph.nodes if node.op == "call_function"}
    named: dict[fx.Node, fx.Node] = {}
    calls = [node for node in found.graph.nodes if node.op == "call_function"]
    for node in calls:
        sources = node.meta.get("from_node") or ()
        made_from = [origins[source.name] for source in sources if source.name in origins]
        made_from += [named[operand] for operand in node.all_input_nodes if operand in named]
        if made_from:
            named[node] = made_from[0]
    for node in reversed(calls):
        readers = [named[user] for user in node.users if user in named]
        if node not in named and readers:
            named[node] = readers[0]
    for node, origin in named.items():
        for key in _ORIGIN:
            node.meta.pop(key, None)
            if key in origin.meta:
                node.meta[key] = origin.meta[key]
