"""The programs of a streamed predictor: maps to reduce over tiles, and the filters from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from edge_pipeline.errors import InputError

__all__ = ["StageEntries", "stage_entries"]

# Sides for which the symbolic sizes of maps are evaluated, in units of the network's stride.
_SOME, _MORE = 64, 64 + 4096
_ROWS = 2


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
            max(_halo(maps, role.name, strides[role.name]) for role in maps.outputs),
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
                Role.of_port(self._port, _rank(self._network.example[0])),
                *(Role.of_filter(self._names[n], _rank(self._filters[n])) for n in used),
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
                    "NCHW"[: _rank(self._values[node])],
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


def _rank(value: Tensor) -> int:
    return value.dim()


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


def _halo(maps: Entry, name: str, stride: int) -> int:
    """Return how far away inputs affect an element of a map, at most, in input pixels.

    One half of the input is set to NaN; elements that are NaN depend on it.

    Raises:
        InputError: If elements depend on inputs at any distance.
    """
    place = [role.name for role in maps.outputs].index(name)
    side = 8 * stride
    while side <= _MORE:
        reach = [_reach(maps, place, stride, side, axis) for axis in (2, 3)]
        if None not in reach:
            return max(r for r in reach if r is not None)
        side *= 2
    raise InputError(
        f"{maps.outputs[place].meaning}: its elements depend on inputs at any distance, so the "
        "predictor cannot be computed tile by tile"
    )


def _reach(maps: Entry, place: int, stride: int, side: int, axis: int) -> int | None:
    first, *others = maps.example
    shape = [*first.shape[:2], side, side]
    half = side // 2 // stride * stride
    farthest = 0
    for is_late in (False, True):
        picture = torch.full(shape, 0.5)
        part = picture.narrow(axis, half, side - half) if is_late else picture.narrow(axis, 0, half)
        part.fill_(float("nan"))
        value = run_program(maps.program, (picture, *others))[place]
        rest = tuple(i for i in range(value.dim()) if i != axis)
        lost = torch.isnan(value).sum(rest).nonzero().flatten()
        if not len(lost):
            continue
        border = int(lost.min()) if is_late else value.shape[axis] - 1 - int(lost.max())
        if border == 0:
            return None
        # An element's own pixels lie anywhere within the stride, hence one stride more.
        if is_late:
            farthest = max(farthest, half - int(lost.min()) * stride + stride)
        else:
            farthest = max(farthest, int(lost.max()) * stride - half + 1 + stride)
    return farthest
