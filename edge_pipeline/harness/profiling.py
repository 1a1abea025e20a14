"""Times of a program's operators, and the layers of the network from which they were compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edge_pipeline.artifact.graph import Call, Graph, read_graph, references_in
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.harness.cost import multiplying_rows, recorded_cost
from edge_pipeline.harness.devices.base import Device, DeviceLostError, Profiles
from edge_pipeline.harness.job import Job
from edge_pipeline.record import LayerCost, OperatorTime
from edge_pipeline.runtime.base import ProfiledOperator

__all__ = ["Profile", "layers_in_order", "layers_of_calls", "operators_of", "profile_of"]

_RUNS = 20
_CONVOLVES = re.compile(r"aten\.(conv|convolution|_convolution)")
_MULTIPLIES = re.compile(r"aten\.(linear|addmm|mm|bmm|baddbmm|matmul)\b")
# Calls that a runtime computes within the convolution or the product before them.
_FUSED = re.compile(r"aten\.(relu|relu_|relu6|clamp|clamp_min|hardtanh|sigmoid|leaky_relu|add)\b")
# What the exporter and ONNX Runtime add to the name of a call.
_BEFORE = re.compile(r"^(fused )?(node_)?")
_AFTER = re.compile(r"(_nchwc|_token_\d+|_quant|_bn|/\w+)+$")
_MOST_FUSED = 4
# Kinds of the operators of XNNPACK and of LiteRT that multiply.
_CONVOLUTION = re.compile(r"conv(olution|_2d)|deconvolution", re.IGNORECASE)
_PRODUCT = re.compile(r"fully.connected|batch.mat", re.IGNORECASE)
_WRAPPER = re.compile(r"^(c_filter_|[pbc]_(network_)?)")


@dataclass(frozen=True)
class Profile:
    """Operators of a program, longest first; `warnings` says why there are none."""

    operators: tuple[OperatorTime, ...] = ()
    warnings: tuple[str, ...] = ()


def profile_of(job: Job, device: Device, on_step: Callable[[str], None]) -> Profile:
    """Time the operators of a job in a worker of its own.

    Args:
        job: The job.
        device: A held device.
        on_step: Function that is called with a description.

    Raises:
        DeviceLostError: If the connection to the device ended.
    """
    if device.emulated:
        return _without(job, "the device is emulated, so times mean nothing")
    on_step(f"timing the operators of {job.label}")
    worker = device.place(job)
    try:
        if not isinstance(worker, Profiles):
            return _without(job, f"{worker.runner} has no profiler")
        return Profile(operators_of(job.artifact, job.program, worker.profile(_RUNS)))
    except DeviceLostError:
        raise
    except EdgePipelineError as error:
        return _without(job, str(error))
    finally:
        worker.close()


def _without(job: Job, reason: str) -> Profile:
    return Profile(warnings=(f"the operators of {job.label} were not timed: {reason}",))


def operators_of(
    artifact: Artifact, program: str, found: Sequence[ProfiledOperator]
) -> tuple[OperatorTime, ...]:
    """Return the share of each operator in the time of all, longest first, with its layer.

    Args:
        artifact: A checked artifact.
        program: Name of the program.
        found: Times of its operators.
    """
    total = sum(one.elapsed_ns for one in found)
    if total <= 0:
        return ()
    file = artifact.program(program).graph
    graph = None if file is None else read_graph(artifact.path(file))[0]
    rows = _rows(artifact, artifact.program(program).macs)
    layers = {} if graph is None else layers_of_calls(graph, rows)
    calls = {} if graph is None else {call.name: call for call in graph.calls}
    known = [_layer_of(one, calls, layers) for one in found]
    if not any(known):
        known = layers_in_order(found, rows)
    times = [
        OperatorTime(name=one.name, kind=one.kind, layer=layer, share=one.elapsed_ns / total)
        for one, layer in zip(found, known, strict=True)
    ]
    return tuple(sorted(times, key=lambda time: -time.share))


def _rows(artifact: Artifact, macs: int) -> list[LayerCost]:
    """Return the layers that multiply in a program with this number of multiply-accumulates."""
    cost = recorded_cost(artifact)
    return [] if cost is None else multiplying_rows(cost, macs)


def layers_in_order(
    found: Sequence[ProfiledOperator], rows: Sequence[LayerCost]
) -> list[str | None]:
    """Return the layer of each operator of a runtime that does not name its operators.

    The operators that multiply are assigned to the layers in order, if both have the same kinds in
    the same order. The compiler can split a layer with computed weights into several operators;
    then no operator is assigned.

    Args:
        found: Operators in the order in which they run.
        rows: Layers that multiply, in the order in which they run.
    """
    multiply = [
        (index, _CONVOLUTION.search(one.kind) is not None)
        for index, one in enumerate(found)
        if _CONVOLUTION.search(one.kind) or _PRODUCT.search(one.kind)
    ]
    layers: list[str | None] = [None] * len(found)
    if [is_convolution for _, is_convolution in multiply] != ["conv" in row.op for row in rows]:
        return layers
    for (index, _), row in zip(multiply, rows, strict=True):
        layers[index] = row.name
    return layers


def layers_of_calls(graph: Graph, rows: Sequence[LayerCost]) -> dict[str, str]:
    """Return the layers of those calls of a graph that multiply, by the name of the call.

    The name of a constant weight contains that of its layer. Computed weights have other names, so
    their convolutions are assigned in order, if there are as many as layers that are left.

    Args:
        graph: The network's graph.
        rows: Layers that multiply, in the order in which they run.
    """
    names: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for row in rows:
        names["conv" in row.op][row.name.replace(".", "_")] = row.name
    weights = set(graph.weights)
    layers: dict[str, str] = {}
    computed = []
    for call in graph.calls:
        if not (_is_convolution(call) or _is_product(call)):
            continue
        used = next((n for n in references_in(list(call.args[1:2])) if n in weights), None)
        layer = None if used is None else _layer_in(used, names[_is_convolution(call)])
        if layer is not None:
            layers[call.name] = layer
        elif used is None and _is_convolution(call):
            computed.append(call.name)
    known = set(layers.values())
    left = [row.name for row in rows if row.op == "dynamic_conv2d" and row.name not in known]
    if len(computed) == len(left):
        layers |= dict(zip(computed, left, strict=True))
    return layers


def _layer_in(weight: str, names: Mapping[str, str]) -> str | None:
    """Return the layer of a weight, the longest that its name begins with.

    torch.export calls the weight of `embed.0` in a wrapper's `network` p_network_embed_0_weight.
    """
    inside = _WRAPPER.sub("", weight)
    fitting = [name for name in names if inside.startswith(f"{name}_")]
    return names[max(fitting, key=len)] if fitting else None


def _is_convolution(call: Call) -> bool:
    return _CONVOLVES.match(call.target) is not None


def _is_product(call: Call) -> bool:
    return _MULTIPLIES.match(call.target) is not None


def _layer_of(
    operator: ProfiledOperator, calls: Mapping[str, Call], layers: Mapping[str, str]
) -> str | None:
    """Return the layer of an operator whose name is that of a call.

    An operator that a runtime fused has the name of its last call, so the calls before it are
    followed to the one that multiplies.
    """
    name = _AFTER.sub("", _BEFORE.sub("", operator.name))
    is_fused = re.search(r"conv|gemm|matmul", operator.kind, re.IGNORECASE) is not None
    for _ in range(_MOST_FUSED):
        if name in layers or not is_fused:
            return layers.get(name)
        call = calls.get(name)
        if call is None or not _FUSED.match(call.target):
            return None
        name = next(references_in(list(call.args)), "")
    return None
