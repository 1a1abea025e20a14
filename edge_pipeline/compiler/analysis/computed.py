"""Find the weights that a program computes, their dependences, and where to cut them off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.extent import LINEAR, PRODUCTS, Extent, extents, samples_of
from edge_pipeline.compiler.analysis.origin import layer_of, nearest_layer

__all__ = ["ComputedWeight", "Operand", "ancestors", "computed_weights", "frontier"]

_ATEN = torch.ops.aten
_CONVOLUTIONS = (
    _ATEN.conv1d.default,
    _ATEN.conv1d.padding,
    _ATEN.conv2d.default,
    _ATEN.conv2d.padding,
    _ATEN.conv3d.default,
    _ATEN.conv3d.padding,
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
    _ATEN.convolution.default,
)
_GAINS = (_ATEN.mul.Tensor, _ATEN.div.Tensor)

Operand = Literal["weight", "bias", "factor"]
Kind = Literal["capture", "sample", "patch"]


@dataclass(frozen=True)
class ComputedWeight:
    """A convolution or product whose weight is computed from inputs.

    Attributes:
        node: The operator.
        weight: The operator that computes its weight.
        layer: The module of the source network that the operator belongs to, as in `layer_of`.
        operand: `weight` for a convolution or linear layer, `factor` for a product.
        kind: `capture` if one set of weights serves the whole input, `sample` if each sample of a
            batch has its own set, `patch` if the weights differ between parts of the picture.
    """

    node: fx.Node
    weight: fx.Node
    layer: str
    operand: Operand
    kind: Kind


def computed_weights(program: ExportedProgram) -> tuple[ComputedWeight, ...]:
    """Find the convolutions and products whose weights are computed from inputs.

    A product of two maps, as in attention, has no weights.

    Args:
        program: A functional program.
    """
    return _weights(program, extents(program))


def _weights(program: ExportedProgram, known: dict[fx.Node, Extent]) -> tuple[ComputedWeight, ...]:
    found = []
    for node in program.graph.nodes:
        if node.op == "call_function":
            found += [_weight(node, *place, known) for place in _places(node, known)]
    return tuple(found)


def _places(node: fx.Node, known: dict[fx.Node, Extent]) -> Iterator[tuple[fx.Node, Operand]]:
    """Yield the computed operands of a node that are weights."""
    if node.target in (*_CONVOLUTIONS, *LINEAR):
        weight = node.args[1]
        if isinstance(weight, fx.Node) and known[weight] is not Extent.CONSTANT:
            yield weight, "weight"
    elif node.target in PRODUCTS:
        factors = [node.args[place] for place in PRODUCTS[node.target]]
        pair = [n for n in factors if isinstance(n, fx.Node)]
        if sorted(known[n] for n in pair) == [Extent.GLOBAL, Extent.MAP]:
            yield next(n for n in pair if known[n] is Extent.GLOBAL), "factor"


def _weight(
    node: fx.Node, weight: fx.Node, operand: Operand, known: dict[fx.Node, Extent]
) -> ComputedWeight:
    if known[weight] is Extent.MAP:
        kind: Kind = "patch"
    else:
        inputs = (n for n in ancestors([weight], stop=set()) if known[n] is not Extent.CONSTANT)
        kind = "sample" if samples_of(inputs) > 1 else "capture"
    return ComputedWeight(node, weight, layer_of(node), operand, kind)


def frontier(program: ExportedProgram) -> dict[fx.Node, str]:
    """Find where to cut a program into a filter predictor and a path that uses the weights.

    The cut contains the computed weights that serve a capture or a sample, the computed biases of
    the same convolutions and linear layers, and every global value, such as a gain, for which the
    path would otherwise compute maps that it does not need. A value that the path can compute from
    its own maps, such as a squeeze-and-excitation gate, stays in the path.

    Args:
        program: A functional program.

    Returns:
        The operators at the cut, in the graph's order, with unique names such as `conv1.weight`,
        `conv1.bias`, `conv1.gain`; empty if there is nothing to cut off, or if all computed
        weights differ between parts of the picture.
    """
    known = extents(program)
    found = _weights(program, known)
    weights = [w for w in found if w.kind != "patch"]
    if found and not weights:
        return {}
    cut = {w.weight for w in weights} | _biases(weights, known)
    candidates = {
        node
        for node, extent in known.items()
        if extent is Extent.GLOBAL
        and node.op == "call_function"
        and any(known.get(user) is Extent.MAP for user in node.users)
    }
    (end,) = [node for node in program.graph.nodes if node.op == "output"]
    path = ancestors([end], stop=cut | candidates)
    # Each candidate is compared with the cut at the weights and biases only: if one candidate
    # depends on another, both are cut, and the path computes neither of them.
    reasons = {node: ancestors([node], stop=cut) - path for node in candidates - cut}
    cut |= {
        node
        for node, needed in reasons.items()
        if any(known[n] is Extent.MAP and n.op == "call_function" for n in needed)
    }
    return _named([node for node in program.graph.nodes if node in cut], weights)


def _biases(weights: Iterable[ComputedWeight], known: dict[fx.Node, Extent]) -> set[fx.Node]:
    """Return the computed biases of the convolutions and linear layers in `weights`."""
    operands = [w.node.args[2] for w in weights if w.operand == "weight" and len(w.node.args) > 2]
    nodes = (operand for operand in operands if isinstance(operand, fx.Node))
    return {node for node in nodes if known[node] is Extent.GLOBAL and node.op == "call_function"}


def ancestors(nodes: Iterable[fx.Node], stop: set[fx.Node]) -> set[fx.Node]:
    """Return `nodes` and every node that they depend on, up to and without those in `stop`."""
    queue, seen = list(nodes), set(nodes)
    while queue:
        for operand in queue.pop().all_input_nodes:
            if operand not in seen and operand not in stop:
                seen.add(operand)
                queue.append(operand)
    return seen


def _named(nodes: list[fx.Node], weights: list[ComputedWeight]) -> dict[fx.Node, str]:
    """Name each value after the layer that uses it; a repeated name gets a number."""
    operands = {w.weight: f"{nearest_layer(w.node)}.{w.operand}" for w in weights}
    found: dict[fx.Node, str] = {}
    for node in nodes:
        user = next(iter(node.users))
        other = "gain" if user.target in _GAINS else "bias"
        name = operands.get(node) or f"{nearest_layer(user)}.{other}"
        name = "".join(c if c.isalnum() or c in "._" else "_" for c in name)
        taken = set(found.values())
        numbered = (f"{name}{i or ''}" for i in range(len(nodes) + 1))
        found[node] = next(n for n in numbered if n not in taken)
    return found
