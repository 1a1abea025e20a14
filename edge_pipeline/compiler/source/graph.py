"""Serialise the network for its artifact, as torch exported it and before any pass.

`torch.export.save` is not used. Its archive contains pickles (non-contiguous weights, constants and
example inputs), and reading it evaluates the text of symbolic expressions; both would execute code
from the file. See `docs/decisions/0012-proof.md`.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.graph import Call, Graph, graph_file_bytes
from edge_pipeline.compiler.analysis.checks import is_check
from edge_pipeline.compiler.program import constants_of, layer_of, user_inputs
from edge_pipeline.errors import CompileError

__all__ = ["graph_bytes"]

_MATH = {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.floordiv: "floordiv",
    operator.truediv: "truediv",
    operator.mod: "mod",
    operator.neg: "neg",
    operator.pow: "pow",
    torch.sym_max: "max",
    torch.sym_min: "min",
    torch.sym_int: "int",
    torch.sym_float: "float",
}


def graph_bytes(program: ExportedProgram) -> bytes:
    """Return the file that `runtime/eager.py` runs; two exports of a network have equal bytes.

    Args:
        program: Program of an `Entry`; sizes may be symbolic.

    Raises:
        CompileError: If a call cannot be stored; the layer is named.
    """
    constants = constants_of(program)
    signature = program.graph_signature
    inputs = user_inputs(signature)
    calls: list[Call] = []
    outputs: list[str] = []
    dropped = _unused_guards(program.graph)
    for node in program.graph.nodes:
        if node.op == "call_function" and node not in dropped:
            calls.append(_call(node))
        elif node.op == "output":
            outputs = [_output(value) for value in node.args[0]]
        elif node.op not in ("placeholder", "call_function"):
            raise CompileError(f"{layer_of(node)}: a {node.op} node cannot be stored")
    weights = {name: _array(name, value) for name, value in constants.items()}
    graph = Graph(
        inputs=tuple(inputs), weights=tuple(weights), calls=tuple(calls), outputs=tuple(outputs)
    )
    return graph_file_bytes(graph, weights)


def _unused_guards(graph: fx.Graph) -> set[fx.Node]:
    """Return the checks of sizes, which the manifest makes unnecessary, and nodes only they use."""
    found: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op != "call_function":
            continue
        if is_check(node) or (node.users and set(node.users) <= found):
            found.add(node)
    return found


def _call(node: fx.Node) -> Call:
    return Call(
        name=node.name,
        target=_target(node),
        args=tuple(_argument(value, node) for value in node.args),
        kwargs={key: _argument(value, node) for key, value in sorted(node.kwargs.items())},
    )


def _target(node: fx.Node) -> str:
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return str(target)
    if target is operator.getitem:
        return "getitem"
    if target in _MATH:
        return f"math.{_MATH[target]}"
    raise CompileError(
        f"{layer_of(node)}: {target} is not an ATen operator, so the network cannot be stored in "
        "the artifact; write the layer with torch's own operators"
    )


def _argument(value: Any, node: fx.Node) -> Any:
    """Return an argument as JSON; see `artifact.graph.Call`."""
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, list | tuple):
        return [_argument(item, node) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.device):
        return {"device": "session"}
    for kind, name in (
        (torch.dtype, "dtype"),
        (torch.layout, "layout"),
        (torch.memory_format, "memory_format"),
    ):
        if isinstance(value, kind):
            return {name: str(value).removeprefix("torch.")}
    raise CompileError(
        f"{layer_of(node)}: the argument {value!r:.60} of {node.target} cannot be stored"
    )


def _output(value: Any) -> str:
    if not isinstance(value, fx.Node):
        raise CompileError(f"an output of the network is {value!r:.60}; expected a tensor")
    return value.name


def _array(name: str, value: torch.Tensor) -> Any:
    try:
        return value.detach().cpu().contiguous().numpy()
    except TypeError as error:  # bfloat16 and other types that NumPy does not have
        raise CompileError(f"the weight {name} is {value.dtype}, which cannot be stored") from error
