"""Find which values of a program depend on inputs, and which of those have pixels."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import constants_of

__all__ = ["LINEAR", "PRODUCTS", "Extent", "extents", "samples_of"]

_ATEN = torch.ops.aten
LINEAR = (_ATEN.linear.default,)
# Products of two tensors, with the positions of the two factors among the arguments.
PRODUCTS: dict[Any, tuple[int, int]] = {
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


def extents(program: ExportedProgram) -> dict[fx.Node, Extent]:
    """Classify every input and operator of a program.

    A value is a map if it depends on an input that is a map, until a reduction over the pixels:
    an operator that returns one pixel, or that returns at most two axes after a mean, a maximum,
    a sum or a matrix product. A value of one pixel that is copied to many pixels becomes a map.

    Args:
        program: A functional program; its inputs with at least three axes are maps.
    """
    constants = constants_of(program)
    samples = samples_of(n for n in program.graph.nodes if n.name not in constants)
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


def samples_of(nodes: Iterable[fx.Node]) -> int:
    """Return the largest size of the first axis among input nodes; 1 if there are none."""
    values = [node.meta.get("val") for node in nodes if node.op == "placeholder"]
    sizes = [v.shape[0] for v in values if isinstance(v, Tensor) and v.dim() > 1]
    return max((size for size in sizes if isinstance(size, int)), default=1)


def _has_no_pixels(node: fx.Node, samples: int) -> bool:
    """Return whether an operator on a map returns one value for the whole map."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return False
    if node.target in PRODUCTS or node.target in LINEAR:
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
