"""Splitting of concatenations, since XNNPACK's delegate concatenates at most five tensors.

The finished file is modified, since the converter merges nested concatenations into one.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["MOST", "split_concatenations"]

# The most tensors that the delegate concatenates; a test checks this limit.
MOST = 5


def split_concatenations(data: bytes) -> bytes:
    """Return the same program with at most five tensors in each concatenation.

    concatenate(a, b, c, d, e, f, g)
    becomes
    concatenate(concatenate(a, b, c), d, e, f, g)

    No more tensors than necessary are concatenated first, since these are copied twice.

    Args:
        data: Content of a `.tflite` file in float32; it is returned unchanged if no concatenation
            has more than five tensors.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph, concatenation = model.subgraphs[0], schema.BuiltinOperator.CONCATENATION
    operators: list[Any] = []
    modified = False
    for operator in graph.operators:
        code = flatbuffer_utils.get_builtin_code_from_operator_code(
            model.operatorCodes[operator.opcodeIndex]
        )
        if code == concatenation and len(operator.inputs) > MOST:
            operators += _split(graph, operator)
            modified = True
        operators.append(operator)
    if not modified:
        return data
    graph.operators = operators
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _split(graph: Any, operator: Any) -> list[Any]:
    """Return operators to insert before `operator`, and reduce its inputs to at most five."""
    before: list[Any] = []
    rest, done = [int(t) for t in operator.inputs], list[int]()
    while len(done) + len(rest) > MOST:
        if len(rest) < 2:  # there are more groups than one concatenation may have
            done, rest = [], done + rest
        size = min(MOST, len(done) + len(rest) - MOST + 1, len(rest))
        part = copy.copy(operator)
        part.builtinOptions = copy.copy(operator.builtinOptions)
        part.builtinOptions.fusedActivationFunction = 0
        part.inputs = rest[:size]
        part.outputs = [_part_of(graph, operator, rest[:size])]
        before.append(part)
        done.append(part.outputs[0])
        rest = rest[size:]
    operator.inputs = done + rest
    return before


def _part_of(graph: Any, operator: Any, parts: list[int]) -> int:
    """Add a tensor for the concatenation of `parts`, and return its index."""
    whole = graph.tensors[operator.outputs[0]]
    tensor = copy.copy(whole)
    axis = operator.builtinOptions.axis
    tensor.shape = list(whole.shape)
    tensor.shape[axis] = sum(int(graph.tensors[part].shape[axis]) for part in parts)
    tensor.shapeSignature = None
    tensor.name = bytes(whole.name) + f";{len(graph.tensors)}".encode()
    tensor.buffer = 0  # the empty buffer
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
