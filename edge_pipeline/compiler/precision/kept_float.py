"""Layers that int8 leaves in float32: those that read the network's input, if they are few."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import constants_of, user_inputs

__all__ = ["Step", "input_layers", "steps_of"]

_ATEN = torch.ops.aten
_WEIGHTED = (_ATEN.conv2d.default, _ATEN.convolution.default, _ATEN.linear.default)
_PRODUCTS = (_ATEN.bmm.default, _ATEN.mm.default, _ATEN.matmul.default)
# Of all constant weights; above it they are what int8 is for.
_MOST = 0.1


@dataclass(frozen=True)
class Step:
    """An operator of a program, in any format.

    Attributes:
        name: its name.
        operands: names of the tensors that it takes, the data first.
        results: names of the tensors that it gives.
        product: whether it is a convolution, a linear layer or a matrix product.
        weights: how many values its constant weight has; 0 if it has none.
    """

    name: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    product: bool
    weights: int = 0


def input_layers(steps: Iterable[Step], inputs: Iterable[str]) -> frozenset[str]:
    """Convolutions and linear layers with constant weights that read an input of the program.

    Between the input and the layer may be anything but products. A capture is linear light of 10
    to 14 bits: the 8 bits of an int8 layer leave its shadows a few steps.

    Args:
        steps: the operators in the order in which they run.
        inputs: names of the program's inputs.

    Returns:
        Their names; none if they hold over a tenth of the constant weights.
    """
    seen, listed = set(inputs), list(steps)
    first: list[Step] = []
    for step in listed:
        if not step.product:
            if seen.intersection(step.operands):
                seen.update(step.results)
        elif step.weights and step.operands[0] in seen:
            first.append(step)
    if sum(step.weights for step in first) > _MOST * sum(step.weights for step in listed):
        return frozenset()
    return frozenset(step.name for step in first)


def steps_of(program: ExportedProgram) -> tuple[list[Step], list[str]]:
    """The operators and the inputs of an exported program; operators have their nodes' names."""
    constants = constants_of(program)

    def steps() -> Iterator[Step]:
        for node in program.graph.nodes:
            if node.op != "call_function":
                continue
            operands = tuple(operand.name for operand in node.all_input_nodes)
            weighted = node.target in _WEIGHTED
            held = constants.get(node.args[1].name) if weighted else None
            weights = 0 if held is None else math.prod(held.shape)
            product = weighted or node.target in _PRODUCTS
            yield Step(node.name, operands, (node.name,), product, weights)

    return list(steps()), user_inputs(program.graph_signature)
