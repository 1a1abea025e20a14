"""Divide a filter predictor into stages that can see a picture tile by tile.

A predictor reduces maps to values without pixels, and computes filters from them. A maximum over
the tiles of a picture is the maximum over the picture, and likewise for minima and means. If maps
depend on filters that are themselves predicted, several stages follow each other:

    x -> embed -> amax -> linear -> weight1;  conv2d(x, weight1) -> amax -> linear -> weight2
    stage 1:  maps: embed(x)                 reduce: amax    filters: weight1
    stage 2:  maps: conv2d(x, weight1)       reduce: amax    filters: weight2

Source: [HyperConvISP], section 3.2 (global max pooling of embeddings).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.computed import ancestors
from edge_pipeline.compiler.analysis.extent import Extent, extents
from edge_pipeline.compiler.analysis.origin import nearest_layer
from edge_pipeline.errors import InputError

__all__ = ["Kind", "StageNodes", "kind_of", "stages"]

_ATEN = torch.ops.aten
Kind = Literal["max", "min", "mean"]
_KINDS: dict[Any, Kind] = {
    _ATEN.amax.default: "max",
    _ATEN.amin.default: "min",
    _ATEN.mean.dim: "mean",
}
_RANK, _PIXEL_AXES = 4, {2, 3}


@dataclass(frozen=True)
class StageNodes:
    """The operators of one stage.

    Attributes:
        reductions: Reductions over the pixels of maps.
        filters: Values that this stage completes: computed weights, and other values without
            pixels that maps of later stages depend on.
    """

    reductions: tuple[fx.Node, ...]
    filters: tuple[fx.Node, ...]

    @property
    def maps(self) -> tuple[fx.Node, ...]:
        """The maps that are reduced, each once."""
        return tuple(dict.fromkeys(map(_map_of, self.reductions)))


def stages(program: ExportedProgram, filters: Iterable[fx.Node]) -> tuple[StageNodes, ...]:
    """Divide the computation of filters into stages.

    Args:
        program: A functional program.
        filters: Operators of `program` that compute filters.

    Raises:
        InputError: If a filter depends on pixels otherwise than by maxima, minima and means over
            all pixels of a map, or if no filter depends on pixels.
    """
    wanted = set(filters)
    needed = ancestors(wanted, stop=set())
    known = extents(program)
    levels: dict[fx.Node, int] = {}
    reductions: list[fx.Node] = []
    bridges: list[fx.Node] = []
    for node in program.graph.nodes:
        if node not in needed:
            continue
        operands = node.all_input_nodes
        level = max((levels[operand] for operand in operands), default=0)
        is_map = any(known[operand] is Extent.MAP for operand in operands)
        if node.op == "call_function" and known[node] is Extent.GLOBAL:
            if is_map:
                kind_of(node)
                reductions.append(node)
                level += 1
            if node in wanted or (level and _has_map_user(node, needed, known)):
                bridges.append(node)
        levels[node] = level
    if not reductions:
        raise InputError("the filters do not depend on the pixels of the input")
    return tuple(
        StageNodes(
            tuple(node for node in reductions if levels[node] == level),
            tuple(node for node in bridges if levels[node] == level),
        )
        for level in range(1, max(levels[node] for node in reductions) + 1)
    )


def kind_of(reduction: fx.Node) -> Kind:
    """Return the kind of a reduction over all pixels of a map.

    Raises:
        InputError: If the operator is another one.
    """
    kind = _KINDS.get(reduction.target)
    if kind is not None:
        value = _map_of(reduction).meta["val"]
        given: Any = reduction.args[1]
        axes = {axis % _RANK for axis in given}
        if value.dim() == _RANK and axes == _PIXEL_AXES:
            return kind
    name = str(reduction.target).removeprefix("aten.")
    raise InputError(
        f"the layer {nearest_layer(reduction)} reduces the picture by {name}, which cannot be "
        "computed tile by tile; a predictor that streams uses maxima, minima and means over all "
        "pixels"
    )


def _map_of(reduction: fx.Node) -> fx.Node:
    return reduction.all_input_nodes[0]


def _has_map_user(node: fx.Node, needed: set[fx.Node], known: Mapping[fx.Node, Extent]) -> bool:
    return any(user in needed and known[user] is Extent.MAP for user in node.users)
