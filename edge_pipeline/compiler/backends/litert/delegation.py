"""Delegation of a `.tflite` file's operators to XNNPACK, and the time of those left outside."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter_ns
from typing import Any

import numpy as np

from edge_pipeline.compiler.backends.litert.convert import layer_in

__all__ = ["Operator", "Placement", "measured_share", "place"]

_DELEGATE = "DELEGATE"
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
_PRODUCTS = ("BATCH_MATMUL",)
_CONVERSIONS = ("CAST", "TRANSPOSE", "RESHAPE")
_SHARE_RUNS = 15


@dataclass(frozen=True)
class Operator:
    """One operator of the file.

    Attributes:
        index: Position in the order of computation.
        kind: TensorFlow Lite's name of the operator, such as `CONV_2D`.
        layer: Source layer.
        shapes: Shapes of the input tensors that are not constants.
        types: NumPy names of the types of all inputs and outputs.
        weights_computed: Whether the operator requires constant weights and has computed ones.
        computed_product: Whether the operator multiplies two computed tensors.
        converts: Whether the operator converts an input or an output between integers and floats,
            or rearranges the integers before or after such a conversion.
    """

    index: int
    kind: str
    layer: str
    shapes: tuple[tuple[int, ...], ...]
    types: frozenset[str]
    weights_computed: bool = False
    computed_product: bool = False
    converts: bool = False

    def reason(self) -> str:
        """Return the probable reason for the delegate's refusal; the delegate reports none."""
        if self.weights_computed:
            return "XNNPACK packs weights ahead of time, and these are computed at run time"
        if wide := sorted(self.types & {"int64", "float64"}):
            return f"XNNPACK does not compute in {wide[0]}"
        shapes = ", ".join("x".join(map(str, shape)) or "a scalar" for shape in self.shapes)
        return f"XNNPACK's delegate has no such operator, or not for inputs of {shapes}"


@dataclass(frozen=True)
class Placement:
    """The file's operators inside and outside the delegate."""

    inside: tuple[Operator, ...]
    outside: tuple[Operator, ...]

    @property
    def operators(self) -> tuple[Operator, ...]:
        """All operators, in the order of computation."""
        return tuple(sorted(self.inside + self.outside, key=lambda operator: operator.index))


def place(data: bytes) -> Placement:
    """Apply the delegate to a file, and return the operators inside and outside of it.

    The interpreter lists the file's operators first, and then a DELEGATE node for each part that
    the delegate runs. An operator is delegated if it lies between such a node's inputs and outputs.

    Args:
        data: Content of a `.tflite` file.
    """
    plain, delegated = _interpreters(data)
    nodes = plain._get_ops_details()
    tensors = {int(t["index"]): t for t in plain.get_tensor_details()}
    parts = [n for n in delegated._get_ops_details()[len(nodes) :] if n["op_name"] == _DELEGATE]
    producer = {int(t): node for node in nodes for t in node["outputs"]}
    taken: set[int] = set()
    for part in parts:
        given = {int(t) for t in part["inputs"]}
        reached = [int(t) for t in part["outputs"]]
        while reached:
            tensor = reached.pop()
            node = producer.get(tensor)
            if tensor in given or node is None or node["index"] in taken:
                continue
            taken.add(node["index"])
            reached += [int(t) for t in node["inputs"]]
    arguments = {int(t["index"]) for t in plain.get_input_details()}
    converts = _conversions(plain, nodes, tensors)
    operators = [
        replace(_operator(node, tensors, producer, arguments), converts=node["index"] in converts)
        for node in nodes
    ]
    return Placement(
        inside=tuple(o for o in operators if o.index in taken),
        outside=tuple(o for o in operators if o.index not in taken),
    )


def _conversions(plain: Any, nodes: Sequence[Any], tensors: dict[int, Any]) -> set[int]:
    """Return the indices of the operators that convert the file's inputs and outputs.

    The converter may rearrange the axes of the integers instead of the floats.
    """
    found: set[int] = set()
    ends = {int(t["index"]) for t in plain.get_input_details()}
    for node in nodes:
        if _whole(node, tensors, "inputs") and int(node["inputs"][0]) in ends:
            found.add(int(node["index"]))
            ends |= {int(t) for t in node["outputs"]}
    read: set[int] = set()  # by operators that compute
    for node in reversed(nodes):  # readers first
        if _whole(node, tensors, "outputs") and int(node["outputs"][0]) not in read:
            found.add(int(node["index"]))
        else:
            read |= {int(t) for t in node["inputs"]}
    return found


def _whole(node: Any, tensors: dict[int, Any], side: str) -> bool:
    """Return whether an operator only converts or rearranges whole numbers on one of its sides."""
    kind = np.dtype(tensors[int(node[side][0])]["dtype"]).kind
    return node["op_name"] in _CONVERSIONS and kind != "f"


def _operator(
    node: Any, tensors: dict[int, Any], producer: dict[int, Any], arguments: set[int]
) -> Operator:
    taken = [int(t) for t in node["inputs"] if int(t) >= 0]
    given = [int(t) for t in node["outputs"]]
    variable = [t for t in taken if t in producer or t in arguments]
    kind = str(node["op_name"])
    computed = kind in _WEIGHTED and len(taken) > 1 and taken[1] in variable
    return Operator(
        index=int(node["index"]),
        kind=kind,
        layer=layer_in(str(tensors[given[0]]["name"])),
        shapes=tuple(tuple(int(s) for s in tensors[t]["shape"]) for t in variable),
        types=frozenset(np.dtype(tensors[t]["dtype"]).name for t in taken + given),
        weights_computed=computed,
        computed_product=computed or (kind in _PRODUCTS and len(variable) > 1),
    )


def _interpreters(data: bytes) -> tuple[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = Interpreter(
        model_content=data,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    delegated = Interpreter(model_content=data, num_threads=1)
    delegated.allocate_tensors()
    return plain, delegated


def measured_share(data: bytes, outside: Sequence[Operator]) -> float:
    """Measure the share of a run's time, 0 to 1, that is spent in operators outside the delegate.

    These operators are copied into a separate file, which is timed in turns with the whole program
    on one thread. The share is the ratio of the two medians. Inputs are random, since the time of
    few operators depends on the values.

    Args:
        data: Content of a `.tflite` file.
        outside: Operators of the file outside the delegate, at least one.
    """
    whole = _ready(data)
    alone = _ready(_cut(data, [operator.index for operator in outside]))
    times: dict[int, list[int]] = {0: [], 1: []}
    for _ in range(_SHARE_RUNS):
        for key, interpreter in enumerate((whole, alone)):
            start = perf_counter_ns()
            interpreter.invoke()
            times[key].append(perf_counter_ns() - start)
    return min(1.0, statistics.median(times[1]) / statistics.median(times[0]))


def _ready(data: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    generator = np.random.default_rng(0)
    for tensor in interpreter.get_input_details():
        shape, dtype = tuple(tensor["shape"]), np.dtype(tensor["dtype"])
        value = generator.random(shape) if dtype.kind == "f" else np.zeros(shape)
        interpreter.set_tensor(tensor["index"], value.astype(dtype))
    interpreter.invoke()  # warm-up: the first run also sets up buffers
    return interpreter


def _cut(data: bytes, indices: Sequence[int]) -> bytes:
    """Return a file with only some operators of a file; tensors from other operators are inputs."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph = model.subgraphs[0]
    graph.operators = [graph.operators[index] for index in sorted(indices)]
    made = [int(t) for operator in graph.operators for t in operator.outputs]
    taken = [int(t) for operator in graph.operators for t in operator.inputs if int(t) >= 0]
    constant = {i for i, t in enumerate(graph.tensors) if model.buffers[t.buffer].data is not None}
    graph.inputs = sorted(set(taken) - set(made) - constant)
    graph.outputs = sorted(set(made))
    model.signatureDefs = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
