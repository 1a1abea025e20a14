"""The programs of a streamed predictor: maps to reduce over tiles, and the filters from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, lcm, nan
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import ProgramSpec, Reduction, Stage
from edge_pipeline.compiler.analysis.computed import frontier
from edge_pipeline.compiler.analysis.cutting import cut_at, inputs_left
from edge_pipeline.compiler.analysis.exchange import constant_name
from edge_pipeline.compiler.analysis.stages import StageNodes, kind_of, stages
from edge_pipeline.compiler.program import run_program
from edge_pipeline.compiler.source.entries import Entry, Role
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.size_probe import nan_reach
from edge_pipeline.errors import InputError

__all__ = ["StageEntries", "stage_entries"]

# Sides for which the symbolic sizes of maps are evaluated, in units of the network's stride.
_SOME, _MORE = 64, 64 + 4096
# Largest side of an input, in pixels, on which the reach of a map is measured.
_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class StageEntries:
    """The two programs of a stage, and how the maps of the first become values of the second.

    Attributes:
        maps: Program from the input, and filters of earlier stages, to maps.
        filters: Program from reduced maps to filters.
        reductions: Reduction for each input of `filters`.
        strides: Input pixels for each element of a map, by the map's name.
        halo: Distance, in input pixels, up to which input affects an element of a map.
    """

    maps: Entry
    filters: Entry
    reductions: tuple[Reduction, ...]
    strides: Mapping[str, int]
    halo: int

    def stage(self, maps: ProgramSpec, filters: ProgramSpec) -> Stage:
        """Return the manifest's entry for the stage after its programs were built."""
        return Stage(
            maps=maps,
            filters=filters,
            reductions=self.reductions,
            strides=dict(self.strides),
            halo=self.halo,
        )


def stage_entries(network: SourceNetwork) -> tuple[StageEntries, ...]:
    """Return the programs of a network's filter predictor that see a picture tile by tile.

    Args:
        network: Network with free sizes and one input, a map of one picture.

    Raises:
        InputError: If the network has fixed sizes or several inputs, or its predictor cannot be
            computed tile by tile.
        CompileError: If torch cannot trace the network.
    """
    if not network.free_sizes or len(network.example) != 1:
        raise InputError(
            "--streamed requires one input with free sizes; compile for a backend that supports "
            "them, such as onnx"
        )
    whole = network.traced()
    names = frontier(whole)
    if not names:
        raise InputError(
            f"{type(network.module).__name__} computes no weights that a whole input shares; leave "
            "out --streamed"
        )
    plan = stages(whole, names)
    cutter = _Cutter(network, whole, _all_names(plan, names))
    return tuple(cutter.stage(i + 1, nodes) for i, nodes in enumerate(plan))


def _all_names(plan: Sequence[StageNodes], names: Mapping[fx.Node, str]) -> dict[fx.Node, str]:
    """Name the values that only later stages use after their operators."""
    nodes = [node for stage in plan for node in stage.filters]
    return {node: names.get(node, f"value_{i}") for i, node in enumerate(nodes)}


class _Cutter:
    """Cuts the programs of one stage after another, and computes their examples."""

    def __init__(
        self, network: SourceNetwork, whole: ExportedProgram, names: Mapping[fx.Node, str]
    ) -> None:
        self._network, self._whole, self._names = network, whole, names
        self._filters: dict[fx.Node, Tensor] = {}
        self._values: dict[fx.Node, Tensor] = {}
        self._port = network.geometry.inputs[0]

    def stage(self, number: int, nodes: StageNodes) -> StageEntries:
        """Return the programs of the stage with this number, which follows those before it."""
        maps = self._maps(number, nodes)
        found = dict(zip(nodes.maps, maps.run(), strict=True))
        for node in nodes.reductions:
            self._values[node] = _reduced(node, found[node.all_input_nodes[0]])
        filters = self._finished(number, nodes)
        self._filters |= dict(zip(nodes.filters, filters.run(), strict=True))
        named = {node: role.name for node, role in zip(nodes.maps, maps.outputs, strict=True)}
        strides = {named[node]: _stride(self._whole, node) for node in nodes.maps}
        return StageEntries(
            maps,
            filters,
            tuple(
                Reduction(
                    value=self._value_name(node),
                    map=named[node.all_input_nodes[0]],
                    kind=kind_of(node),
                )
                for node in nodes.reductions
            ),
            strides,
            _halo(maps, [strides[role.name] for role in maps.outputs]),
        )

    def _maps(self, number: int, nodes: StageNodes) -> Entry:
        given = {node: constant_name(self._names[node]) for node in self._filters}
        program = cut_at(self._whole, nodes.maps, given=given)
        if not inputs_left(self._whole, program):
            raise InputError("a map of the predictor does not depend on the input")
        used = self._still_used(program, given)
        return Entry(
            f"maps_{number}",
            program,
            (*self._network.example, *(self._filters[node] for node in used)),
            (
                Role.of_port(self._port, self._network.example[0].dim()),
                *(Role.of_filter(self._names[n], self._filters[n].dim()) for n in used),
            ),
            tuple(
                Role(f"map_{i}", "NCHW", f"output of {node.name}, to reduce over the picture")
                for i, node in enumerate(nodes.maps)
            ),
            weights={},
        )

    def _finished(self, number: int, nodes: StageNodes) -> Entry:
        given = {node: self._value_name(node) for node in self._values}
        program = cut_at(self._whole, nodes.filters, given=given)
        if inputs_left(self._whole, program):
            raise InputError(
                "a filter depends on pixels otherwise than by a reduction over the picture"
            )
        used = self._still_used(program, given)
        return Entry(
            f"filters_{number}",
            program,
            tuple(self._values[node] for node in used),
            tuple(
                Role(
                    self._value_name(node),
                    "NCHW"[: self._values[node].dim()],
                    f"{kind_of(node)} of a map over the picture",
                )
                for node in used
            ),
            tuple(Role.of_filter(self._names[n], n.meta["val"].dim()) for n in nodes.filters),
            weights={},
        )

    def _value_name(self, reduction: fx.Node) -> str:
        return f"pooled_{list(self._values).index(reduction)}"

    @staticmethod
    def _still_used(program: ExportedProgram, given: Mapping[fx.Node, str]) -> list[fx.Node]:
        left = {node.name for node in program.graph.nodes if node.op == "placeholder"}
        return [node for node, name in given.items() if name in left]


def _reduced(reduction: fx.Node, value: Tensor) -> Tensor:
    """Return the result of a reduction for a map."""
    result: Any = reduction.target(value, *reduction.args[1:], **reduction.kwargs)  # type: ignore[operator]
    return torch.as_tensor(result)


def _stride(whole: ExportedProgram, node: fx.Node) -> int:
    """Return the number of input pixels for each element of a map along an axis.

    Raises:
        InputError: If the number is not a whole one, or differs between the axes.
    """
    first = next(n for n in whole.graph.nodes if n.name == _input_name(whole))
    found = set()
    for axis in (2, 3):
        sizes = [_growth(n.meta["val"].shape[axis]) for n in (first, node)]
        if not sizes[1] or sizes[0] % sizes[1]:
            raise InputError(
                f"the sizes of the map {node.name} do not grow evenly with those of the input"
            )
        found.add(sizes[0] // sizes[1])
    if len(found) > 1:
        raise InputError(f"the strides of the map {node.name} differ: {sorted(found)}")
    return found.pop()


def _input_name(whole: ExportedProgram) -> str:
    return str(whole.graph_signature.user_inputs[0])


def _growth(size: int | torch.SymInt) -> int:
    """Return how much a free size grows between two values of its symbol."""
    if isinstance(size, int):
        return 0
    expression = size.node.expr
    (symbol,) = expression.free_symbols
    return int(expression.subs(symbol, _MORE)) - int(expression.subs(symbol, _SOME))


def _halo(maps: Entry, strides: Sequence[int]) -> int:
    """Return how far away inputs affect an element of a map, at most, in input pixels.

    One half of the input is set to NaN; elements that are NaN depend on it.

    Args:
        maps: Program of the maps.
        strides: Input pixels for each element, of each map.

    Raises:
        InputError: If elements depend on inputs at any distance.
    """
    step = lcm(*strides)
    side = 8 * step
    while True:
        reaches = [max(both) for both in zip(*_reaches(maps, strides, side, step), strict=True)]
        if max(reaches) < inf:
            return int(max(reaches))
        side *= 2
        if side > _LARGEST_SIDE:
            break
    role = maps.outputs[reaches.index(inf)]
    raise InputError(
        f"{role.meaning}: its elements depend on inputs at any distance, so the predictor cannot "
        "be computed tile by tile"
    )


def _reaches(maps: Entry, strides: Sequence[int], side: int, step: int) -> Iterator[list[float]]:
    """Yield the reach of each map, for each axis and each half; infinity if all elements are NaN.

    An element's own pixels lie anywhere within its stride, so a late half reaches a stride further.
    """
    first, *others = maps.example
    half = side // 2 // step * step
    for axis, is_late in product((2, 3), (False, True)):
        start, stop = (half, side) if is_late else (0, half)
        picture = torch.full((*first.shape[:2], side, side), 0.5)
        picture.narrow(axis, start, stop - start).fill_(nan)
        values = run_program(maps.program, (picture, *others))
        yield [
            _reach(value, axis, (start // stride, stop // stride), stride, is_late=is_late)
            for value, stride in zip(values, strides, strict=True)
        ]


def _reach(value: Tensor, axis: int, span: tuple[int, int], stride: int, *, is_late: bool) -> float:
    elements = nan_reach(value, axis, span)
    outside = span[0] if is_late else value.shape[axis] - span[1]
    return inf if elements >= outside else elements * stride + (stride if is_late else 1)
