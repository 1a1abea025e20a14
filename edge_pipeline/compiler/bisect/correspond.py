"""Correspondences between the values of a program before and after a pass.

Only the two programs are needed, nothing from the pass. A node that is in both programs and has the
same operands has the same value. If one of its operands differs, the new operand corresponds to the
old one. Results that one rewritten layer passes to another are paired by the layer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

__all__ = ["correspondences", "operands_of"]


def correspondences(
    before: ExportedProgram, after: ExportedProgram
) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Yield pairs (node before, node after) that should have equal values, in the order of `after`.

    Args:
        before: Program before a pass.
        after: Program that the pass returned.
    """
    old = {node.name: node for node in before.graph.nodes}
    claims = _claims(old, after.graph)
    _claim_by_layer(before.graph, after.graph, claims)
    kept: set[str] = set()
    for node in after.graph.nodes:
        if node.op == "output":
            continue
        if node.name in old and _is_kept(old[node.name], node, kept, claims):
            kept.add(node.name)
            if node.op == "call_function":
                yield old[node.name], node
        for name in sorted(claims[node.name]):
            yield old[name], node


def operands_of(node: fx.Node) -> list[Any]:
    """Return the node's arguments with lists flattened, then its keyword arguments by name."""
    found: list[Any] = []

    def open_list(value: Any) -> None:
        if isinstance(value, list | tuple):
            found.append(len(value))
            for item in value:
                open_list(item)
        else:
            found.append(value)

    open_list(node.args)
    for key in sorted(node.kwargs):
        found.append(key)
        open_list(node.kwargs[key])
    return found


def _claims(old: dict[str, fx.Node], graph: fx.Graph) -> defaultdict[str, set[str]]:
    """Map the name of each node after the pass to the names of the operators that it replaced."""
    claims: defaultdict[str, set[str]] = defaultdict(set)
    for node in graph.nodes:
        twin = old.get(node.name)
        if twin is None or twin.target != node.target:
            continue
        first, second = operands_of(twin), operands_of(node)
        if len(first) != len(second):
            continue
        for was, now in zip(first, second, strict=True):
            if not (isinstance(was, fx.Node) and isinstance(now, fx.Node)):
                continue
            # A weight that replaces another weight is a change, so the two need not be equal.
            if was.name != now.name and was.op == "call_function":
                claims[now.name].add(was.name)
    return claims


def _is_kept(
    twin: fx.Node, node: fx.Node, kept: set[str], claims: defaultdict[str, set[str]]
) -> bool:
    """Return whether a node has the operands of its twin, or replacements of them."""
    if twin.op != node.op or twin.target != node.target:
        return False
    first, second = operands_of(twin), operands_of(node)
    if len(first) != len(second):
        return False
    for was, now in zip(first, second, strict=True):
        if isinstance(was, fx.Node) and isinstance(now, fx.Node):
            same = was.name == now.name and now.name in kept
            if not same and was.name not in claims[now.name]:
                return False
        elif isinstance(was, fx.Node) or isinstance(now, fx.Node) or was != now:
            return False
    return True


def _claim_by_layer(before: fx.Graph, after: fx.Graph, claims: defaultdict[str, set[str]]) -> None:
    """Pair the results of a rewritten layer before and after the pass, by the layer's name."""
    taken = {name for names in claims.values() for name in names}
    survivors = {node.name for node in after.nodes}
    gone = _results(before, lambda node: node.name not in survivors and node.name not in taken)
    known = {node.name for node in before.nodes}
    new = _results(after, lambda node: node.name not in known and not claims[node.name])
    for layer in gone.keys() & new.keys():
        if _shape(gone[layer]) == _shape(new[layer]):
            claims[new[layer].name].add(gone[layer].name)


def _results(graph: fx.Graph, accepts: Any) -> dict[str, fx.Node]:
    """Map each layer to the operator whose result other layers use, if it has exactly one."""
    found: dict[str, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        layer = _layer(node)
        leaves = any(_layer(user) != layer for user in node.users)
        if node.op == "call_function" and layer and leaves:
            found[layer].append(node)
    return {
        layer: nodes[0] for layer, nodes in found.items() if len(nodes) == 1 and accepts(nodes[0])
    }


def _layer(node: fx.Node) -> str:
    stack = [entry[0] for entry in node.meta.get("nn_module_stack", {}).values()]
    return str(stack[-1]) if stack else ""


def _shape(node: fx.Node) -> list[str]:
    value = node.meta.get("val")
    return [str(size) for size in value.shape] if isinstance(value, Tensor) else []
