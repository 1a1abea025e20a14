"""Find the weights that a program computes, their dependences, and where to cut them off."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.origin import layer_of, nearest_layer
from edge_pipeline.compiler.program import constants_of

__all__ = [
    "ComputedWeight",
    "Extent",
    "Operand",
    "ancestors",
    "computed_weights",
    "extents",
    "frontier",
]

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
_LINEAR = (_ATEN.linear.default,)
# Products of two tensors, with the positions of the two factors among the arguments.
_PRODUCTS: dict[Any, tuple[int, int]] = {
    _ATEN.mm.default: (0, 1),
    _ATEN.bmm.default: (0, 1),
    _ATEN.matmul.default: (0, 1),
    _ATEN.addmm.default: (1, 2),
    _ATEN.baddbmm.default: (1, 2),
}
# Operators that can reduce a map to one value for all pixels, by the beginning of the name.
_REDUCING = (
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "amax",
    "amin",
    "avg_pool",
    "conv",
    "logsumexp",
    "max",
    "mean",
    "norm",
    "std",
    "sum",
    "var",
)

# Operators that can copy one value to many pixels, by the beginning of the name.
_SPREADING = ("expand", "repeat", "upsample")
_GAINS = (_ATEN.mul.Tensor, _ATEN.div.Tensor)

Operand = Literal["weight", "bias", "factor"]
Kind = Literal["capture", "sample", "patch"]


class Extent(IntEnum):
    """The kind of data that a value depends on, and whether the value has pixels.

    Attributes:
        CONSTANT: The value depends on parameters and constants only.
        GLOBAL: The value depends on inputs and has no pixels: a pooled feature, a computed weight.
        MAP: The value depends on inputs and has pixels.
    """

    CONSTANT = 0
    GLOBAL = 1
    MAP = 2


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


def extents(program: ExportedProgram) -> dict[fx.Node, Extent]:
    """Classify every input and operator of a program.

    A value is a map if it depends on an input that is a map, until a reduction over the pixels:
    an operator that returns one pixel, or that returns at most two axes after a mean, a maximum,
    a sum or a matrix product. A value of one pixel that is copied to many pixels becomes a map.

    Args:
        program: A functional program; its inputs with at least three axes are maps.
    """
    constants = constants_of(program)
    samples = _samples(n for n in program.graph.nodes if n.name not in constants)
    found: dict[fx.Node, Extent] = {}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            value = node.meta.get("val")
            rank = value.dim() if isinstance(value, Tensor) else 0
            own = Extent.MAP if rank > 2 else Extent.GLOBAL
            found[node] = Extent.CONSTANT if node.name in constants else own
        elif node.op == "call_function":
            widest = max((found[n] for n in node.all_input_nodes), default=Extent.CONSTANT)
            if widest is Extent.MAP and _has_no_pixels(node, samples):
                widest = Extent.GLOBAL
            elif widest is Extent.GLOBAL and _spreads(node, samples):
                widest = Extent.MAP
            found[node] = widest
    return found


def _samples(nodes: Iterable[fx.Node]) -> int:
    """Return the largest size of the first axis among input nodes; 1 if there are none."""
    values = [node.meta.get("val") for node in nodes if node.op == "placeholder"]
    sizes = [v.shape[0] for v in values if isinstance(v, Tensor) and v.dim() > 1]
    return max((size for size in sizes if isinstance(size, int)), default=1)


def _has_no_pixels(node: fx.Node, samples: int) -> bool:
    """Return whether an operator on a map returns one value for the whole map."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return False
    if node.target in _PRODUCTS or node.target in _LINEAR:
        # If there are more rows than samples, the rows are pixels, as in attention.
        rows = value.shape[0] if value.dim() == 2 else 1
        return value.dim() <= 2 and isinstance(rows, int) and rows <= samples
    if value.dim() <= 2:
        return _is_named(node, _REDUCING)
    return value.dim() > 3 and _is_named(node, _REDUCING) and _is_pixel(value)


def _spreads(node: fx.Node, samples: int) -> bool:
    """Return whether an operator copies [N, C, 1, 1] to many pixels."""
    if not _is_named(node, _SPREADING) or not isinstance(node.args[0], fx.Node):
        return False
    old, new = node.args[0].meta.get("val"), node.meta.get("val")
    if not isinstance(old, Tensor) or not isinstance(new, Tensor) or old.dim() < 4:
        return False
    same = old.shape[0] == samples and old.shape[:2] == new.shape[:2]
    return same and _is_pixel(old) and not _is_pixel(new)


def _is_named(node: fx.Node, beginnings: tuple[str, ...]) -> bool:
    """Return whether the name of an operator starts with one of `beginnings`."""
    if node.target is operator.getitem and isinstance(node.args[0], fx.Node):
        node = node.args[0]  # one of the results of an operator such as max.dim
    return str(node.target).removeprefix("aten.").startswith(beginnings)


def _is_pixel(value: Tensor) -> bool:
    """Return whether a map has a single pixel."""
    return all(map(_is_one, value.shape[2:]))


def _is_one(size: int | torch.SymInt) -> bool:
    return isinstance(size, int) and size == 1


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
    if node.target in (*_CONVOLUTIONS, *_LINEAR):
        weight = node.args[1]
        if isinstance(weight, fx.Node) and known[weight] is not Extent.CONSTANT:
            yield weight, "weight"
    elif node.target in _PRODUCTS:
        factors = [node.args[place] for place in _PRODUCTS[node.target]]
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
        kind = "sample" if _samples(inputs) > 1 else "capture"
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
