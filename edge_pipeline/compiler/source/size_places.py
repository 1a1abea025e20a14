"""Places of the map sizes that a table lists, in the files of a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge_pipeline.artifact.graph import Call, read_graph
from edge_pipeline.artifact.size_places import SizeInCall, SizeInFile, Sizes
from edge_pipeline.compiler.backends.base import StoredSize
from edge_pipeline.compiler.source.tabulate import NotEveryValue

__all__ = ["sizes_of"]

_Columns = Mapping[tuple[int, int], int | None]


def sizes_of(graph: bytes, stored: Sequence[StoredSize], columns: _Columns) -> Sizes:
    """Return the places of the map sizes that change with the fixed number.

    Args:
        graph: Content of the program's graph file.
        stored: Sizes in the program's file.
        columns: Column by axis, counted from the last, and size.

    Raises:
        NotEveryValue: If a size is in no column.
    """
    numbers = []
    for one in stored:
        column = _column(columns, one.axis, one.size)
        if column is not None:
            numbers.append(SizeInFile(offset=one.offset, column=column))
    calls = [
        place
        for call in read_graph(Path("graph"), graph)[0].calls
        for place in _places(call, columns)
    ]
    return Sizes(numbers=tuple(numbers), calls=tuple(calls))


def _places(call: Call, columns: _Columns) -> Iterator[SizeInCall]:
    if not call.target.startswith(("aten.upsample_", "aten._upsample_")) or len(call.args) < 2:
        return
    size = call.args[1]
    if not isinstance(size, list | tuple):
        return
    for item, side in enumerate(size):
        column = _column(columns, item - len(size), side)
        if column is not None:
            yield SizeInCall(call=call.name, item=item, column=column)


def _column(columns: _Columns, axis: int, size: int) -> int | None:
    if (axis, size) not in columns:
        raise NotEveryValue(f"a map is resized to {size}, which is not in the table of sizes")
    return columns[axis, size]
