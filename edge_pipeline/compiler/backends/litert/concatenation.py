"""Concatenations of many tensors, as several of at most five: XNNPACK's delegate takes no more.

It is done to the finished file, since the converter makes one of nested ones.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["MOST", "split_concatenations"]

# What the delegate takes; a test holds it to be so.
MOST = 5


def split_concatenations(data: bytes) -> bytes:
    """The same program with at most five tensors put together at a time.

    concatenate(a, b, c, d, e, f, g)
    becomes
    concatenate(concatenate(a, b, c), d, e, f, g)

    Only as many are put together first as there are too many, since those are copied twice.

    Args:
        data: a `.tflite` file in float32; it is given back where none is too wide.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph, wanted = model.subgraphs[0], schema.BuiltinOperator.CONCATENATION
    operators: list[Any] = []
    modified = False
    for operator in graph.operators:
        code = flatbuffer_utils.get_builtin_code_from_operator_code(
            model.operatorCodes[operator.opcodeIndex]
        )
        if code == wanted and len(operator.inputs) > MOST:
            operators += _split(graph, operator)
            modified = True
        operators.append(operator)
    if not modified:
        return data
    graph.operators = operators
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _split(graph: Any, operator: Any) -> list[Any]:
    """Operators to come before `operator`, which then takes five tensors at most."""
    before: list[Any] = []
    rest, done = [int(t) for t in operator.inputs], list[int]()
    while len(done) + len(rest) > MOST:
        if len(rest) < 2:  # there are more groups than one concatenation takes
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
    """The number of a new tensor that holds `parts` beside each other."""
    whole = graph.tensors[operator.outputs[0]]
    tensor = copy.copy(whole)
    axis = operator.builtinOptions.axis
    tensor.shape = list(whole.shape)
    tensor.shape[axis] = sum(int(graph.tensors[part].shape[axis]) for part in parts)
    tensor.shapeSignature = None
    tensor.name = bytes(whole.name) + f";{len(graph.tensors)}".encode()
    tensor.buffer = 0  # nothing is stored in it
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
