"""The map sizes and costs of a network as functions of its fixed number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_pipeline.artifact.size_table import LayerColumns, SizeTable, TableSpec
from edge_pipeline.compiler.source.breaks import breaks_of
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.trail import UNSUPPORTED, Shadow, Shape, Step, Trail
from edge_pipeline.errors import first_line
from edge_pipeline.models.cost import operand_place

__all__ = ["NotEveryValue", "Tabulated", "tabulated"]


# Runs of a network, each of a few milliseconds.
_MOST_RUNS = 1 << 14


class NotEveryValue(Exception):  # noqa: N818 - caught by the compiler, becomes a note
    """A reason why one program cannot serve every value of the fixed number."""


@dataclass(frozen=True)
class Tabulated:
    """Sizes and costs over the whole range, and the value for which the program is first written.

    Attributes:
        table: Integers by value.
        anchor: Value at which no two map sizes that differ elsewhere are equal, so that each size
            in a program for this value shows its column. It depends on the table alone.
        columns: Column by axis of the map, counted from the last, and size at the anchor; None for
            a size that never changes.
    """

    table: SizeTable
    anchor: float
    columns: Mapping[tuple[int, int], int | None]


@dataclass(frozen=True)
class _Row:
    """What one run shows: sizes of resized maps, which resizes change nothing, and costs."""

    sizes: tuple[int, ...]
    idle: frozenset[int]
    macs: tuple[int, ...]
    activations: tuple[int, ...]
    results: tuple[Shape | None, ...]


def tabulated(
    network: SourceNetwork, name: str, trail: Trail, limits: tuple[float, float]
) -> Tabulated:
    """Tabulate a network over a range of its fixed number.

    Args:
        network: Network with example inputs and fixed values.
        name: Name of the fixed number.
        trail: Trail of the network at any value of the range.
        limits: Lowest and highest value.

    Raises:
        NotEveryValue: If anything changes except weights and the sizes of resized maps.
    """
    reader = _Reader(network, name, trail, limits[1])
    bases = [side for value in network.example for side in value.shape[2:]]
    found = breaks_of(lambda value: reader.at(value).sizes, *limits, bases)
    breaks = [limits[0], *found]
    rows = [reader.at(value) for value in breaks]
    columns = _Columns()
    for vector in zip(*(row.sizes for row in rows), strict=True):
        columns.add(vector)
    spec = _costs(reader.layers(), trail.depends, rows, columns)
    numbers = np.array(list(zip(*columns.vectors, strict=True)), np.int64)
    table = SizeTable(spec, np.array(breaks), numbers.reshape(len(breaks), len(columns.vectors)))
    place, named = _anchor(rows, reader.axes, columns, name)
    return Tabulated(table, breaks[place], named)


class _Columns:
    """The vectors of integers over the rows that are not constant, each once."""

    def __init__(self) -> None:
        self.vectors: list[tuple[int, ...]] = []

    def add(self, vector: Sequence[int]) -> int | None:
        """Return the column of a vector; None if it is constant."""
        if len(set(vector)) == 1:
            return None
        if tuple(vector) not in self.vectors:
            self.vectors.append(tuple(vector))
        return self.vectors.index(tuple(vector))


class _Reader:
    """Runs a network without memory, and compares each run with the one at the highest value."""

    def __init__(self, network: SourceNetwork, name: str, trail: Trail, highest: float) -> None:
        self._shadow = Shadow(network)
        self._fixed, self._name, self._highest = dict(network.fixed), name, highest
        self._depends = trail.depends
        self._known: dict[float, _Row] = {}
        self._equal: set[tuple[int, Step]] = set()
        try:
            first = self._shadow.run(self._with(highest))
        except UNSUPPORTED as error:
            raise NotEveryValue(
                f"the network does not run at {name}={highest:g} without its parameters"
            ) from error
        self._steps, self._outputs = first.steps, first.outputs
        own = [step.func for step, own in self._dependent(first.steps) if own]
        if len(first.steps) != len(trail.depends) or own != [step.func for step in trail.steps]:
            raise NotEveryValue(
                f"its operators at {name}={highest:g} differ from those at the fixed value"
            )
        self._resizes = [
            i for i, (step, own) in enumerate(self._dependent(first.steps)) if own and _sizes(step)
        ]
        self.axes = [
            axis - len(_sizes(self._steps[i]))
            for i in self._resizes
            for axis in range(len(_sizes(self._steps[i])))
        ]

    def at(self, value: float) -> _Row:
        """Return what a run at a value shows.

        Raises:
            NotEveryValue: If it differs from other runs in more than sizes.
        """
        if value not in self._known:
            if len(self._known) >= _MOST_RUNS:
                raise NotEveryValue("its map sizes change at too many values, by an unknown rule")
            self._known[value] = self._read(value)
        return self._known[value]

    def layers(self) -> list[str]:
        """Return the name of the module that runs each operator."""
        names = self._shadow.layers(self._with(self._highest))
        return [name or self._shadow.name for name in names]

    def _with(self, value: float) -> dict[str, object]:
        return {**self._fixed, self._name: value}

    def _dependent(self, steps: Sequence[Step]) -> Iterator[tuple[Step, bool]]:
        return zip(steps, self._depends, strict=False)

    def _read(self, value: float) -> _Row:
        try:
            found = self._shadow.run(self._with(value))
        except UNSUPPORTED as error:
            raise NotEveryValue(
                f"the network does not support {self._name}={value:g}: {first_line(error)}"
            ) from error
        at = f"{self._name}={value:g} and {self._highest:g}"
        if [s.func for s in found.steps] != [s.func for s in self._steps]:
            raise NotEveryValue(f"its operators differ between {at}")
        if found.outputs != self._outputs:
            raise NotEveryValue(f"its outputs have different shapes at {at}")
        for i, (step, depends) in enumerate(self._dependent(found.steps)):
            if depends and (i, step) not in self._equal:
                if not _is_alike(step, self._steps[i]):
                    raise NotEveryValue(f"{step.func} has different numbers at {at}")
                self._equal.add((i, step))
        sizes = [_sizes(found.steps[i]) for i in self._resizes]
        idle = {
            i
            for i, size in zip(self._resizes, sizes, strict=True)
            if found.steps[i].args[0].shape[-len(size) :] == size
        }
        flat = tuple(side for size in sizes for side in size)
        results = tuple(
            shape if macs else None for shape, macs in zip(found.results, found.macs, strict=True)
        )
        activations = tuple(map(_activations, found.steps, results))
        return _Row(flat, frozenset(idle), tuple(found.macs), activations, results)


def _activations(step: Step, result: Shape | None) -> int:
    """Return the number of values that an operator reads and writes; 0 if it has no result."""
    if result is None:
        return 0
    source: Shape = step.args[operand_place(step.func.overloadpacket)]
    return math.prod(source.shape) + math.prod(result.shape)


def _sizes(step: Step) -> tuple[int, ...]:
    """Return the output size of an operator that resizes maps; empty for other operators."""
    name = step.func._schema.name
    if not name.startswith(("aten::upsample_", "aten::_upsample_")) or len(step.args) < 2:
        return ()
    size = step.args[1]
    return size if isinstance(size, tuple) and all(type(side) is int for side in size) else ()


def _is_alike(step: Step, other: Step) -> bool:
    """Return whether two calls of an operator differ in shapes and output sizes only."""
    args, others = step.args, other.args
    if _sizes(step) and len(_sizes(step)) == len(_sizes(other)):
        args, others = (*args[:1], *args[2:]), (*others[:1], *others[2:])
    return _are_alike(args, others) and _are_alike(step.kwargs, other.kwargs)


def _are_alike(one: Any, other: Any) -> bool:
    if isinstance(one, Shape) and isinstance(other, Shape):
        return len(one.shape) == len(other.shape) and one.dtype == other.dtype
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_are_alike, one, other))
    return bool(one == other)


def _costs(
    layers: Sequence[str], depends: Sequence[bool], rows: Sequence[_Row], columns: _Columns
) -> TableSpec:
    """Return the columns of the program's cost, and of each layer whose cost changes."""
    total = columns.add([sum(itertools.compress(row.macs, depends)) for row in rows])
    calls: dict[str, list[int]] = {}
    for i, layer in enumerate(layers):
        if rows[0].macs[i]:
            calls.setdefault(layer, []).append(i)
    found = []
    for layer, own in calls.items():
        macs = columns.add([sum(row.macs[i] for i in own) for row in rows])
        shapes = [result.shape for row in rows if (result := row.results[own[-1]]) is not None]
        sides = tuple(columns.add(vector) for vector in zip(*shapes, strict=True))
        values = columns.add([sum(row.activations[i] for i in own) for row in rows])
        if any(column is not None for column in (macs, values, *sides)):
            found.append(
                LayerColumns(name=layer, macs=macs, output_shape=sides, activations=values)
            )
    return TableSpec(macs=total, layers=tuple(found))


def _anchor(
    rows: Sequence[_Row], axes: Sequence[int], columns: _Columns, name: str
) -> tuple[int, dict[tuple[int, int], int | None]]:
    """Return the highest row whose sizes show their columns, and the columns by axis and size."""
    always_idle = frozenset.intersection(*(row.idle for row in rows))
    vectors = list(zip(*(row.sizes for row in rows), strict=True))
    for place in reversed(range(len(rows))):
        if rows[place].idle != always_idle:
            continue
        named: dict[tuple[int, int], set[int | None]] = {}
        for axis, vector in zip(axes, vectors, strict=True):
            named.setdefault((axis, vector[place]), set()).add(columns.add(vector))
        if all(len(own) == 1 for own in named.values()):
            return place, {key: own.pop() for key, own in named.items()}
    raise NotEveryValue(f"at each value of {name}, some of its map sizes are equal by chance")
