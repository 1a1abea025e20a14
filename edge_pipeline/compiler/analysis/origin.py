"""Find the layer of the source network and the line of code that an operator comes from."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import fx

__all__ = ["NETWORK", "is_of_the_network", "layer_of", "line_of", "nearest_layer", "place_of"]

# The attribute under which a program's module holds the source network; layer names omit it.
NETWORK = "network"

_FRAME = re.compile(r'File "(.+?)", line (\d+), in')
# Frames of torch and of this compiler are no lines of the network.
_NOT_THE_NETWORK = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


def layer_of(node: fx.Node) -> str:
    """Return the path of the module in the source network that `node` comes from.

    An operator that the network's own `forward` or a plain function calls belongs to no layer. For
    it, return "the function FILE:LINE", or "the network itself" if no line is known.
    """
    name = _module_of(node)
    if name:
        return name
    line = line_of(node)
    return f"the function {line}" if line else "the network itself"


def _module_of(node: fx.Node) -> str:
    """Return the path of the module that calls an operator; empty for the network itself."""
    path = [entry[0] for entry in node.meta.get("nn_module_stack", {}).values()]
    return str(path[-1]).removeprefix(NETWORK).removeprefix(".") if path else ""


def nearest_layer(node: fx.Node) -> str:
    """Return the module that calls an operator, or else that of the nearest operator before it.

    It serves to name values, since lines of code change; messages about faults use `layer_of`.
    """
    queue, seen = [node], {node}
    while queue:
        current = queue.pop(0)
        name = _module_of(current)
        if name:
            return name
        queue += [n for n in current.all_input_nodes if n not in seen]
        seen.update(current.all_input_nodes)
    return NETWORK


def line_of(node: fx.Node) -> str:
    """Return the line of code that called the operator, as `FILE:LINE`; empty if unknown.

    It is the innermost line outside torch and this compiler. The folder is omitted, so that
    messages and files do not depend on the location of the sources.
    """
    frames = _FRAME.findall(node.meta.get("stack_trace") or "")
    for file, line in reversed(frames):
        if is_of_the_network(file):
            return place_of(file, int(line))
    return ""


def is_of_the_network(file: str) -> bool:
    """Return whether a source file is neither torch's nor this compiler's, nor made at run time."""
    return not file.startswith((*_NOT_THE_NETWORK, "<"))


def place_of(file: str, line: int) -> str:
    """Return a line of source code as `FILE:LINE`, without the folder."""
    return f"{Path(file).name}:{line}"
