"""Times of a program's operators, and the layers of the network from which they were compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_pipeline.artifact.graph import Graph, read_graph, references_in
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.harness.cost import multiplying_rows, recorded_cost
from edge_pipeline.harness.devices.base import Device, DeviceLostError, Profiles
from edge_pipeline.harness.job import Job
from edge_pipeline.record import LayerCost, OperatorTime
from edge_pipeline.runtime.base import ProfiledOperator

__all__ = [
    "Profile", "Use", "layers_in_onnx", "layers_in_order", "layers_of_uses", "operators_of",
    "profile_of", "uses_in_graph",
]  # fmt: skip

_RUNS = 20
_CONVOLVES = re.compile(r"aten\.(conv|convolution|_convolution)")
_MULTIPLIES = re.compile(r"aten\.(linear|addmm|mm|bmm|baddbmm|matmul)\b")
_MOST_FUSED = 4
# What precedes and follows the name of a node in that of an operator of ONNX Runtime.
_ONNX_BEFORE = re.compile(r"^(fused )?(node_)?")
_ONNX_AFTER = re.compile(r"(_nchwc|_token_\d+|_quant|_bn|/\w+)+$")
_ONNX_MULTIPLIES = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# Kinds of operators that multiply, of ONNX Runtime, LiteRT and XNNPACK.
_CONVOLUTION = re.compile(r"conv(olution|_2d|transpose)?\b|deconvolution|_conv_2d", re.IGNORECASE)
_PRODUCT = re.compile(r"fully.connected|batch.mat|matmul|gemm", re.IGNORECASE)
# What precedes the name of a weight: its kind in torch.export, whether the compiler folded or
# computed it for fixed values, and the name of the attribute of a wrapper.
_KIND = re.compile(r"^[pbc]_")
_COMPUTED = re.compile(r"^(filter|fixed)_")
_WRAPPER = re.compile(r"^network_")


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
    known = _layers_of(artifact, program, found)
    times = [
        OperatorTime(name=one.name, kind=one.kind, layer=layer, share=one.elapsed_ns / total)
        for one, layer in zip(found, known, strict=True)
    ]
    return tuple(sorted(times, key=lambda time: -time.share))


@dataclass(frozen=True)
class Use:
    """A call that multiplies by a weight.

    Attributes:
        is_convolution: Whether it convolves; otherwise it is a matrix product.
        weight: Name of the weight; None if it is computed.
    """

    is_convolution: bool
    weight: str | None


def _layers_of(
    artifact: Artifact, program: str, found: Sequence[ProfiledOperator]
) -> Sequence[str | None]:
    """Return the layer of each operator of a program; None if it is unknown."""
    spec = artifact.program(program)
    cost = recorded_cost(artifact)
    rows = [] if cost is None else multiplying_rows(cost, spec.macs)
    if artifact.manifest.backend == "onnx":
        return layers_in_onnx(found, artifact.path(spec.file), rows)
    if spec.graph is None:
        return [None] * len(found)
    return layers_in_order(found, uses_in_graph(read_graph(artifact.path(spec.graph))[0]), rows)


def uses_in_graph(graph: Graph) -> list[Use]:
    """Return the calls of a graph that multiply, in order."""
    weights, found = set(graph.weights), []
    for call in graph.calls:
        is_convolution = _CONVOLVES.match(call.target) is not None
        if is_convolution or _MULTIPLIES.match(call.target):
            used = [name for name in references_in(list(call.args[1:3])) if name in weights]
            # `addmm` has the weight as the third argument, after the bias.
            is_last = "addmm" in call.target
            found.append(Use(is_convolution, used[-1 if is_last else 0] if used else None))
    return found


def layers_in_onnx(
    found: Sequence[ProfiledOperator], path: Path, rows: Sequence[LayerCost]
) -> list[str | None]:
    """Return the layer of each operator of an ONNX file; None for those that do not multiply.

    ONNX Runtime runs nodes in an order of its own. An operator has the name of its node or of its
    output; if it is several nodes, that of the last one, so the others are found by the inputs.

    Args:
        found: Operators of ONNX Runtime.
        path: Path of the file.
        rows: Layers that multiply, in the order in which they run.

    Returns:
        The layers; no operator has one if the package `onnx`, which reads the file, is missing.
    """
    if find_spec("onnx") is None:
        return [None] * len(found)
    onnx: Any = import_module("onnx")
    graph = onnx.load(path, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    nodes = {_ONNX_BEFORE.sub("", node.name): node for node in graph.node}
    uses = {
        name: Use("Conv" in node.op_type, next((w for w in node.input[1:2] if w in weights), None))
        for name, node in nodes.items()
        if node.op_type in _ONNX_MULTIPLIES
    }
    layers = dict(zip(uses, layers_of_uses(list(uses.values()), rows), strict=True))
    names = [_ONNX_AFTER.sub("", _ONNX_BEFORE.sub("", one.name)) for one in found]
    return [
        layers.get(_joined(name, nodes, uses, set(names))) if _multiplies(one) else None
        for name, one in zip(names, found, strict=True)
    ]


def _joined(
    name: str, nodes: Mapping[str, Any], uses: Collection[str], operators: Collection[str]
) -> str:
    """Return the node that multiplies in the operator called `name`; empty if none is found.

    It is the nearest one before the node or the output of this name, except those that are other
    operators.
    """
    producers = {output: node for node in nodes for output in nodes[node].output}
    near = [name if name in nodes else producers.get(name, "")]
    for _ in range(_MOST_FUSED):
        for one in near:
            if one in uses:
                return one
        inputs = [i for one in near if one in nodes for i in nodes[one].input]
        near = [producers[i] for i in inputs if i in producers and producers[i] not in operators]
    return ""


def _multiplies(operator: ProfiledOperator) -> bool:
    return any(kind.search(operator.kind) for kind in (_CONVOLUTION, _PRODUCT))


def layers_in_order(
    found: Sequence[ProfiledOperator], uses: Sequence[Use], rows: Sequence[LayerCost]
) -> list[str | None]:
    """Return the layer of each operator that multiplies; None for the others.

    For a runtime that runs operators in the order of the program, without their names: they are
    assigned to the calls that multiply, in order, if both have the same kinds in the same order. If
    the compiler or the runtime split or joined some, none is assigned.

    Args:
        found: Operators in the order in which they run.
        uses: Calls that multiply, in order.
        rows: Layers that multiply, in the order in which they run.
    """
    kinds = [
        (index, _CONVOLUTION.search(one.kind) is not None)
        for index, one in enumerate(found)
        if _multiplies(one)
    ]
    assigned: list[str | None] = [None] * len(found)
    if [is_convolution for _, is_convolution in kinds] != [use.is_convolution for use in uses]:
        return assigned
    for (index, _), layer in zip(kinds, layers_of_uses(uses, rows), strict=True):
        assigned[index] = layer
    return assigned


def layers_of_uses(uses: Sequence[Use], rows: Sequence[LayerCost]) -> list[str | None]:
    """Return the layer of each call that multiplies; None if it is unknown.

    The name of a constant weight contains that of its layer. Computed weights have other names, so
    their convolutions are assigned in order, if there are as many as layers that are left.

    Args:
        uses: Calls that multiply, in order.
        rows: Layers that multiply, in the order in which they run.
    """
    names: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for row in rows:
        names["conv" in row.op][row.name.replace(".", "_")] = row.name
    layers = [
        None if use.weight is None else _layer_in(use.weight, names[use.is_convolution])
        for use in uses
    ]
    computed = [k for k, use in enumerate(uses) if use.weight is None and use.is_convolution]
    left = [row.name for row in rows if row.op == "dynamic_conv2d" and row.name not in layers]
    if len(computed) == len(left):
        for index, name in zip(computed, left, strict=True):
            layers[index] = name
    return layers


def _layer_in(weight: str, names: Mapping[str, str]) -> str | None:
    """Return the layer of a weight, the longest that its name begins with.

    torch.export calls the weight of `embed.0` in a wrapper's `network` p_network_embed_0_weight;
    the compiler calls a weight that it computed for a fixed phi c_fixed_network_embed_0_weight, and
    ONNX files have names with dots.
    """
    weight = _KIND.sub("", weight.replace(".", "_"))
    computed = _COMPUTED.sub("", weight)
    forms = {weight, _WRAPPER.sub("", weight), computed, _WRAPPER.sub("", computed)}
    fitting = [name for name in names if any(form.startswith(f"{name}_") for form in forms)]
    return names[max(fitting, key=len)] if fitting else None
