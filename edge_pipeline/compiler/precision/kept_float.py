"""Operators that int8 leaves in float32: layers that read the input, and statistics."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import constants_of, user_inputs

__all__ = ["Step", "fingerprint", "input_layers", "layers_of", "statistics", "steps_of"]

_ATEN = torch.ops.aten
_WEIGHTED = (_ATEN.conv2d.default, _ATEN.convolution.default, _ATEN.linear.default)
_PRODUCTS = (_ATEN.bmm.default, _ATEN.mm.default, _ATEN.matmul.default)
_ROOTS = (_ATEN.rsqrt.default, _ATEN.sqrt.default, _ATEN.reciprocal.default)
_POINTWISE = (_ATEN.mul.Tensor, _ATEN.add.Tensor, _ATEN.reshape.default, _ATEN.view.default)
# The largest share of the constant weights that may stay in float32; more would cost int8's gain.
_MOST = 0.1


@dataclass(frozen=True)
class Step:
    """An operator of a program, in any format.

    Attributes:
        name: Name of the operator.
        operands: Names of its input tensors, the data first.
        results: Names of its output tensors.
        product: Whether it is a convolution, a linear layer or a matrix product.
        weights: Number of values of its constant weight; 0 if it has none.
    """

    name: str
    operands: tuple[str, ...]
    results: tuple[str, ...]
    product: bool
    weights: int = 0


def input_layers(steps: Iterable[Step], inputs: Iterable[str]) -> frozenset[str]:
    """Return the convolutions and linear layers with constant weights that read a program's input.

    Any operators except products may lie between the input and the layer. A capture is linear light
    of 10 to 14 bits: with the 8 bits of an int8 layer, only a few steps are left for its shadows.

    Args:
        steps: Operators in the order in which they run.
        inputs: Names of the program's inputs.

    Returns:
        Names of the layers; empty if these have more than a tenth of the constant weights.
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


def fingerprint(weight: NDArray[np.float32]) -> str:
    """Return a hash of a weight's values that does not depend on the order of its axes.

    Formats name layers differently and store weights with other axes, but with equal values.
    """
    return hashlib.sha256(np.sort(weight, axis=None).astype("<f4").tobytes()).hexdigest()


def layers_of(program: ExportedProgram) -> list[fx.Node]:
    """Return the convolutions and linear layers with constant weights, in order."""
    constants = constants_of(program)
    return [
        node
        for node in program.graph.nodes
        if node.target in _WEIGHTED and node.args[1].name in constants
    ]


def statistics(program: ExportedProgram) -> frozenset[str]:
    """Return the operators of normalisations that int8 cannot represent.

    Passes write means and variances as convolutions or linear layers whose weights have one value
    besides zero. Int8 would save nothing there, and a variance that it rounds to zero becomes a
    division by zero. So these sums, the operators that only they or an inverse root read (squares,
    a guard added to the variance), and the products with an inverse root stay in float32.

    Returns:
        Names of the operators.
    """
    constants = constants_of(program)
    found: set[str] = set()
    scales: set[str] = set()
    for node in reversed(program.graph.nodes):
        if node.target in _WEIGHTED:
            weight = constants.get(node.args[1].name)
            if weight is not None and torch.unique(weight[weight != 0]).numel() == 1:
                found.add(node.name)
        elif node.target in _ROOTS or (
            node.target in _POINTWISE and all(user.name in found for user in node.users)
        ):
            found.add(node.name)
    for node in program.graph.nodes:
        names = {operand.name for operand in node.all_input_nodes}
        if node.target in _ROOTS or (node.target in _POINTWISE and names & scales):
            found.add(node.name)
            if node.target in _ROOTS or names <= scales | constants.keys():
                scales.add(node.name)
    return frozenset(found)


def steps_of(program: ExportedProgram) -> tuple[list[Step], list[str]]:
    """Return the operators of an exported program, named after their nodes, and its input names."""
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
