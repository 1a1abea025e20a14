"""Check of the places of exchangeable weights that a manifest lists, before they are overwritten.

A manifest that was changed and sealed again could list the bytes of a model's header as a place.
The header of the graph file lists the places of its tensors. So the weights are read from the graph
file, and every other listed place must contain the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.constants import content_of, is_known_encoding, overlapping
from edge_pipeline.artifact.manifest import Constant
from edge_pipeline.errors import ArtifactError

__all__ = ["check_places"]


def check_places(files: Mapping[str, bytes], constants: Sequence[Constant], graph: str) -> None:
    """Check that each place in `constants` contains the weight of that name in the graph file.

    Args:
        files: File contents by name; at least `graph` and the files that `constants` name.
        constants: Places of the exchangeable weights of one program.
        graph: Name of the program's graph file.

    Raises:
        ArtifactError: If a place does not contain its weight, or if two places overlap.
    """
    values = _values_in(files[graph], constants, graph)
    for constant in constants:
        value = values.get(constant.name)
        if value is None:
            raise ArtifactError(
                f"the manifest lists no place for {constant.name} in {graph}; compile the artifact "
                "again"
            )
        content = content_of(constant, value) if is_known_encoding(constant) else None
        for offset in constant.offsets:
            if content is None or not files[constant.file].startswith(content, offset):
                raise _misplaced(constant, offset)
    shared = overlapping(constants)
    if shared is not None:
        raise ArtifactError(
            f"the manifest lists {shared[0]} and {shared[1]} at the same place; compile the "
            "artifact again"
        )


def _values_in(
    data: bytes, constants: Sequence[Constant], graph: str
) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a graph file by name; each place must be that of a whole tensor."""
    spans = _spans(data, graph)
    values: dict[str, NDArray[np.float32]] = {}
    for constant in constants:
        if constant.file != graph:
            continue
        count = int(np.prod(constant.shape))
        plain = (constant.dtype, constant.scale, constant.rounded) == ("float32", 1.0, False)
        for offset in constant.offsets:
            if not plain or (offset, offset + 4 * count) not in spans:
                raise _misplaced(constant, offset)
            turned = [constant.shape[axis] for axis in constant.axes]
            flat = np.frombuffer(data, "<f4", count, offset)
            values[constant.name] = flat.reshape(turned).transpose(np.argsort(constant.axes))
    return values


def _spans(data: bytes, graph: str) -> set[tuple[int, int]]:
    """Return the begin and end of each tensor of a safetensors file, in bytes from its start."""
    start = 8 + int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        pairs = [tuple(about["data_offsets"]) for about in header.values()]
        return {(start + begin, start + end) for begin, end in pairs}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactError(
            f"{graph} is not a readable graph file; compile the artifact again"
        ) from error


def _misplaced(constant: Constant, offset: int) -> ArtifactError:
    return ArtifactError(
        f"the manifest lists {constant.name} at byte {offset} of {constant.file}, where the file "
        "does not contain it; compile the artifact again"
    )
