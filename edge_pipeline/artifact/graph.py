"""A network as an artifact carries it: the calls of its graph as JSON, its weights beside them.

The file is a safetensors file whose one metadata entry is the graph. Nothing in it is code: a call
names an ATen operator, and what may stand among its arguments is listed in `Call`. So it can be
read without unpickling and without evaluating text, by any later torch that has the operators.
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
from edge_pipeline.errors import ArtifactError, first_line

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
    """One operator with its arguments; its result is called `name`.

    `target` is `aten.` with an operator and its overload (`aten.conv2d.default`), or `math.` with
    arithmetic on sizes (`math.mul`), or `getitem`. An argument is null, a boolean, a number, a
    text, a list of arguments, or an object with one key: `node` (an earlier result, an input or a
    weight, by name), `float` (`inf`, `-inf` or `nan`), `dtype`, `layout`, `memory_format` (by
    torch's name), or `device` (always `session`: where the session computes).
    """

    name: str
    target: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Field(default_factory=dict)


class Graph(Schema):
    """A network: names of inputs, of weights (tensors of the file), of outputs; calls in order."""

    format: Literal["edge_pipeline.graph"] = "edge_pipeline.graph"
    version: Literal[1] = 1
    inputs: tuple[str, ...]
    weights: tuple[str, ...]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Every name is given once, and before it is used."""
        known: set[str] = set()
        for name in (*self.inputs, *self.weights):
            _give(name, known)
        for call in self.calls:
            for used in references_in([*call.args, *call.kwargs.values()]):
                if used not in known:
                    raise ValueError(f"{call.name} uses {used}, which nothing before it gives")
            _give(call.name, known)
        missing = [name for name in self.outputs if name not in known]
        if missing or not self.outputs:
            raise ValueError(f"the outputs {', '.join(missing) or '(none)'} are not computed")
        return self


def _give(name: str, known: set[str]) -> None:
    if name in known:
        raise ValueError(f"{name} is given twice")
    known.add(name)


def references_in(arguments: Any) -> Iterator[str]:
    """The names that arguments refer to, however deep in lists."""
    if isinstance(arguments, dict):
        name = arguments.get("node")
        if isinstance(name, str):
            yield name
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from references_in(argument)


def graph_file_bytes(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """The file's bytes; the same graph and weights always give the same.

    Args:
        graph: names the weights.
        weights: C-contiguous arrays by name.
    """
    text = json.dumps(graph.model_dump(mode="json"), allow_nan=False, separators=(",", ":"))
    # One metadata entry: safetensors would write several in an order that changes.
    return safetensors.numpy.save(dict(weights), {_KEY: text})


def read_graph(path: Path, content: bytes | None = None) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """Read and check a graph file.

    Args:
        path: the file.
        content: what to read in its place; `path` then only names it in errors.

    Raises:
        ArtifactError: the file is damaged, or of another kind.
    """
    try:
        data = path.read_bytes() if content is None else content
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        weights = safetensors.numpy.load(data)
        text = header.get("__metadata__", {}).get(_KEY)
        if text is None:
            raise ArtifactError(f"{path} holds no graph; compile the artifact again")
        graph = Graph.model_validate(json.loads(text))
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise ArtifactError(f"{path} holds a damaged graph: {reason}") from error
    except _UNREADABLE as error:
        reason = first_line(error)
        raise ArtifactError(f"{path} is not a readable graph file: {reason}") from error
    if sorted(weights) != sorted(graph.weights):
        raise ArtifactError(
            f"{path} holds {len(weights)} weights, and its graph names {len(graph.weights)}, or "
            "others; compile the artifact again"
        )
    return graph, weights
