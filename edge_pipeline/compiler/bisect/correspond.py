"""Which value of a program, after a pass, stands for which value before it.

Nothing is asked of the pass but its two programs. A node that is in both and takes the same things
gives the same. Where it takes another thing than before, that thing stands for what it took: such
are all places at which a pass put something in another's place.
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
    """Pairs (node before, node after) that should give the same values, in the order of `after`.

    Args:
        before: what a pass was given.
        after: what it gave.
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
    """Its arguments, lists opened, in order; keyword arguments by name after them."""
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
    """For nodes after the pass, the operators before it whose place they took."""
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
            # Another weight in the place of a weight is a change, not a stand-in.
            if was.name != now.name and was.op == "call_function":
                claims[now.name].add(was.name)
    return claims


def _is_kept(
    twin: fx.Node, node: fx.Node, kept: set[str], claims: defaultdict[str, set[str]]
) -> bool:
    """Whether a node takes what its twin took, or what stands for that."""
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
    """Pair what layers give where one that was rewritten feeds another that was, too."""
    taken = {name for names in claims.values() for name in names}
    survivors = {node.name for node in after.nodes}
    gone = _results(before, lambda node: node.name not in survivors and node.name not in taken)
    known = {node.name for node in before.nodes}
    new = _results(after, lambda node: node.name not in known and not claims[node.name])
    for layer in gone.keys() & new.keys():
        if _shape(gone[layer]) == _shape(new[layer]):
            claims[new[layer].name].add(gone[layer].name)


def _results(graph: fx.Graph, wanted: Any) -> dict[str, fx.Node]:
    """By layer, the one operator whose result others take, where there is just one."""
    found: dict[str, list[fx.Node]] = defaultdict(list)
    for node in graph.nodes:
        layer = _layer(node)
        leaves = any(_layer(user) != layer for user in node.users)
        if node.op == "call_function" and layer and leaves:
            found[layer].append(node)
    return {
        layer: nodes[0] for layer, nodes in found.items() if len(nodes) == 1 and wanted(nodes[0])
    }


def _layer(node: fx.Node) -> str:
    stack = [entry[0] for entry in node.meta.get("nn_module_stack", {}).values()]
    return str(stack[-1]) if stack else ""


def _shape(node: fx.Node) -> list[str]:
    value = node.meta.get("val")
    return [str(size) for size in value.shape] if isinstance(value, Tensor) else []
