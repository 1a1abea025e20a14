"""Conversion of a program to half precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch._guards import detect_fake_mode
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.compiler.rebuilding import Parts, copied_graph, rebuilt
from edge_pipeline.errors import CompileError

__all__ = ["to_half"]

_LARGEST = torch.finfo(torch.float16).max
# The smallest positive float16, since a guard against division by zero (1e-12) must not become 0.
_SMALLEST = 2.0**-24


def to_half(program: ExportedProgram) -> ExportedProgram:
    """Return `program` in float16: weights, arithmetic, inputs and outputs.

    A scalar that float16 would round to zero becomes the float16 number of the same sign with the
    smallest magnitude. Operators keep their names and source layers.

    Args:
        program: Functional float32 program of fixed sizes, after `ConstantScalars`; it is not
            modified.

    Raises:
        CompileError: If a weight exceeds float16's range; the message names its layer and value.
    """
    _check_range(program)
    graph = copied_graph(program)
    for node in graph.nodes:
        if node.op == "call_function":
            node.args = fx.node.map_aggregate(node.args, _halved)
            node.kwargs = fx.node.map_aggregate(node.kwargs, _halved)
    module = fx.GraphModule(program.graph_module, graph)
    module.meta.update(program.graph_module.meta)
    _propagate(module)
    return rebuilt(
        program,
        Parts(
            module,
            state={name: _half_of(value) for name, value in program.state_dict.items()},
            constants={name: _half_of(value) for name, value in program.constants.items()},
            examples=pytree.tree_map(_half_of, program.example_inputs),
        ),
    )


def _check_range(program: ExportedProgram) -> None:
    users = {node.name: node for node in program.graph.nodes}
    for name, value in constants_of(program).items():
        if value.is_floating_point() and value.numel():
            largest = float(value.abs().max())
            if not largest <= _LARGEST:
                reader = next(iter(users[name].users), users[name])
                raise CompileError(
                    f"{layer_of(reader)}: the constant {name} reaches {largest:.3g}, and the "
                    f"largest float16 is {_LARGEST:.0f}; compile with --precision fp32"
                )


def _halved(argument: Any) -> Any:
    """Return float16 for float32, and a nonzero scalar as one that float16 keeps nonzero."""
    if argument is torch.float32:
        return torch.float16
    if isinstance(argument, float) and 0 < abs(argument) < _SMALLEST:
        return _SMALLEST if argument > 0 else -_SMALLEST
    return argument


def _half_of(value: Any) -> Any:
    if not (isinstance(value, Tensor) and value.dtype == torch.float32):
        return value
    half = value.detach().to(torch.float16)
    lost = (half == 0) & (value != 0)
    # A tensor of one value is a scalar that a pass has turned into a constant.
    if value.numel() == 1 and bool(lost.any()):
        half = torch.full_like(half, _SMALLEST if float(value) > 0 else -_SMALLEST)
    return torch.nn.Parameter(half) if isinstance(value, torch.nn.Parameter) else half


def _propagate(module: fx.GraphModule) -> None:
    """Recompute every node's `meta["val"]` in float16."""
    mode = detect_fake_mode([node.meta.get("val") for node in module.graph.nodes])
    if mode is None:
        raise CompileError("the program has no fake tensors; export it with torch.export first")
    values: dict[fx.Node, Any] = {}
    with mode, torch.no_grad():
        for node in module.graph.nodes:
            if node.op == "placeholder":
                value = node.meta["val"]
                if value.dtype == torch.float32:
                    value = value.to(torch.float16)
                node.meta["val"] = values[node] = value
            elif node.op == "call_function":
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                node.meta["val"] = values[node] = node.target(*args, **kwargs)
    module.recompile()
