"""The graph file of an artifact: the operator calls of a network as JSON, and its weights.

The file is a safetensors file whose one metadata entry is the graph. It contains no code: a call
names an ATen operator, and `Call` lists the arguments that are allowed. The file is read without
unpickling and without evaluating text, by any later version of torch that has the operators.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edge_pipeline.artifact.schema import Schema
from edge_pipeline.errors import ArtifactError, first_fault, first_line

__all__ = ["Call", "Graph", "graph_file_bytes", "read_graph", "references_in"]

_KEY = "edge_pipeline.graph"
_UNREADABLE = (
    OSError,
    safetensors.SafetensorError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
)


class Call(Schema):
    """Call of one operator; its result is called `name`.

    `target` is `aten.` with an operator and its overload (`aten.conv2d.default`), `math.` with an
    arithmetic function of sizes (`math.mul`), or `getitem`. An argument is null, a boolean, a
    number, a string, a list of arguments, or an object with one key: `node` (the name of an earlier
    result, an input or a weight), `float` (`inf`, `-inf` or `nan`), `dtype`, `layout`,
    `memory_format` (torch's name), or `device` (always `session`: the device of the session).
    """

    name: str
    target: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Field(default_factory=dict)


class Graph(Schema):
    """A network: names of its inputs, weights (tensors of the file) and outputs; calls in order."""

    format: Literal["edge_pipeline.graph"] = "edge_pipeline.graph"
    version: Literal[1] = 1
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Check that every name is defined once, and before it is used."""
        known: set[str] = set()
        for name in (*self.inputs, *self.weights):
            _define(name, known)
        for call in self.calls:
            for used in references_in([*call.args, *call.kwargs.values()]):
                if used not in known:
                    raise ValueError(f"{call.name} uses {used}, which is not defined before it")
            _define(call.name, known)
        missing = [name for name in self.outputs if name not in known]
        if missing or not self.outputs:
            raise ValueError(f"the outputs {', '.join(missing) or '(none)'} are not computed")
        return self


def _define(name: str, known: set[str]) -> None:
    if name in known:
        raise ValueError(f"{name} is defined twice")
    known.add(name)


def references_in(arguments: Any) -> Iterator[str]:
    """Yield the names that arguments refer to, also inside nested lists."""
    if isinstance(arguments, dict):
        name = arguments.get("node")
        if isinstance(name, str):
            yield name
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from references_in(argument)


def graph_file_bytes(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file's bytes, which depend on the graph and the weights alone.

    Args:
        graph: The network's graph, which names the weights.
        weights: C-contiguous arrays by name.
    """
    text = json.dumps(graph.model_dump(mode="json"), allow_nan=False, separators=(",", ":"))
    # One metadata entry only: safetensors writes several entries in a varying order.
    return safetensors.numpy.save(dict(weights), {_KEY: text})


def read_graph(path: Path, content: bytes | None = None) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """Read and check a graph file.

    Args:
        path: Path of the file.
        content: Bytes to use instead of the file's; `path` is then used in errors only.

    Returns:
        The graph, and its weights by name.

    Raises:
        ArtifactError: If the file is damaged, or is not a graph file.
    """
    try:
        data = path.read_bytes() if content is None else content
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        weights = safetensors.numpy.load(data)
        text = header.get("__metadata__", {}).get(_KEY)
        if text is None:
            raise ArtifactError(f"{path} does not contain a graph; compile the artifact again")
        graph = Graph.model_validate(json.loads(text))
    except ValidationError as error:
        where, reason = first_fault(error, "the graph")
        raise ArtifactError(f"{path} contains a damaged graph at {where}: {reason}") from error
    except _UNREADABLE as error:
        reason = first_line(error)
        raise ArtifactError(f"{path} is not a readable graph file: {reason}") from error
    if sorted(weights) != sorted(graph.weights):
        raise ArtifactError(
            f"{path}: its {len(weights)} weights must be the {len(graph.weights)} weights that its "
            "graph names; compile the artifact again"
        )
    return graph, weights
