"""The network of a graph file as a torch module, for GPUs and for `torch.compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_pipeline.artifact.graph import read_graph
from edge_pipeline.runtime.eager import decoded, operator_of, preload, resolved

__all__ = ["graph_module"]


def graph_module(path: Path, device: str) -> Any:
    """Return the network as a `torch.fx.GraphModule` that takes and returns tensors by position.

    Args:
        path: Path of the graph file.
        device: Device of the weights, and of the tensors that the network creates.

    Raises:
        MissingExtraError: If torch is not installed.
        ArtifactError: If the file is damaged.
        RuntimeFailure: If this version of torch lacks an operator.
    """
    torch = preload()
    graph, arrays = read_graph(path)
    root = torch.nn.Module()
    made = torch.fx.Graph()
    nodes: dict[str, Any] = {name: made.placeholder(name) for name in graph.inputs}
    for number, (name, value) in enumerate(arrays.items()):
        root.register_buffer(f"weight{number}", torch.from_numpy(value).to(device))
        nodes[name] = made.get_attr(f"weight{number}")
    for call in graph.calls:
        args = resolved(decoded(torch, call.args, path, device), nodes)
        kwargs = {
            key: resolved(decoded(torch, value, path, device), nodes)
            for key, value in call.kwargs.items()
        }
        nodes[call.name] = made.call_function(
            operator_of(torch, call.target, path), tuple(args), kwargs
        )
    made.output(tuple(nodes[name] for name in graph.outputs))
    return torch.fx.GraphModule(root, made)
