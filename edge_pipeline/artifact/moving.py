"""Rewriting of the map sizes in a program's files for another value of a fixed input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_pipeline.artifact.graph import Call, Graph, graph_file_bytes, read_graph
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.size_places import Sizes
from edge_pipeline.errors import ArtifactError

__all__ = ["moved"]

_BYTES = 8


def moved(
    files: Mapping[str, bytes], spec: ProgramSpec, old: Sequence[int], new: Sequence[int]
) -> tuple[dict[str, bytes], ProgramSpec]:
    """Return a program's files with other map sizes, and its description.

    Args:
        files: Contents of the program's file and of its graph file by name.
        spec: Description of the program; programs without `sizes` are returned unchanged.
        old: Row of the size table for which the files were written.
        new: Row of the size table for the other value.

    Raises:
        ArtifactError: If a listed place does not contain its old size.
    """
    sizes = spec.sizes
    if sizes is None or spec.graph is None:
        return dict(files), spec
    named = [place.column for place in sizes.numbers] + [place.column for place in sizes.calls]
    if any(column >= len(new) or new[column] < 1 for column in named):
        raise ArtifactError("the manifest names a column that the table of sizes does not have")
    program = _with_numbers(files[spec.file], spec.file, sizes, old, new)
    before = files[spec.graph]
    after = _with_calls(before, spec.graph, sizes, old, new)
    shift = _header(after) - _header(before)
    constants = tuple(
        constant.model_copy(update={"offsets": tuple(o + shift for o in constant.offsets)})
        if constant.file == spec.graph
        else constant
        for constant in spec.constants
    )
    changed = {**files, spec.file: program, spec.graph: after}
    return changed, spec.model_copy(update={"constants": constants})


def _header(data: bytes) -> int:
    """Return the length of a safetensors file's header."""
    return int.from_bytes(data[:8], "little")


def _with_numbers(
    data: bytes, file: str, sizes: Sizes, old: Sequence[int], new: Sequence[int]
) -> bytes:
    buffer = bytearray(data)
    for place in sizes.numbers:
        span = slice(place.offset, place.offset + _BYTES)
        if data[span] != old[place.column].to_bytes(_BYTES, "little"):
            raise ArtifactError(
                f"the manifest lists a map size at byte {place.offset} of {file}, where the file "
                "does not contain it; compile the artifact again"
            )
        buffer[span] = new[place.column].to_bytes(_BYTES, "little")
    return bytes(buffer)


def _with_calls(
    data: bytes, file: str, sizes: Sizes, old: Sequence[int], new: Sequence[int]
) -> bytes:
    graph, weights = read_graph(Path(file), data)
    changes: dict[str, dict[int, int]] = {}
    for place in sizes.calls:
        changes.setdefault(place.call, {})[place.item] = place.column
    calls = [_changed(call, changes.pop(call.name, {}), old, new, file) for call in graph.calls]
    if changes:
        raise ArtifactError(f"the manifest lists a map size of {min(changes)}, which {file} lacks")
    made: Graph = graph.model_copy(update={"calls": tuple(calls)})
    return graph_file_bytes(made, weights)


def _changed(
    call: Call, items: Mapping[int, int], old: Sequence[int], new: Sequence[int], file: str
) -> Call:
    if not items:
        return call
    size: Any = call.args[1] if len(call.args) > 1 else None
    held = list(size) if isinstance(size, list | tuple) else []
    for item, column in items.items():
        if item >= len(held) or held[item] != old[column]:
            raise ArtifactError(
                f"the manifest lists a map size of {call.name} in {file}, where the file does not "
                "contain it; compile the artifact again"
            )
        held[item] = new[column]
    args = (call.args[0], held, *call.args[2:])
    return call.model_copy(update={"args": args})
