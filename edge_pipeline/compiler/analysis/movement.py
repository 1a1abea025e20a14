"""Trace values through operators that only move them: views, slices, permutations.

A tensor of indices is passed through the operators in place of the values. So the result is right
for any sequence of such operators, however the network was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.symbolic_shapes import statically_known_true

from edge_pipeline.compiler.program import value_of

__all__ = ["BROADCASTING", "MOVEMENTS", "arrived", "chain", "has_fixed_shape", "same_shape", "uses"]

_ATEN = torch.ops.aten
# Operators that broadcast their operands.
BROADCASTING = (
    _ATEN.add.Tensor,
    _ATEN.sub.Tensor,
    _ATEN.mul.Tensor,
    _ATEN.div.Tensor,
    _ATEN.maximum.default,
    _ATEN.minimum.default,
)
# Operators that move the values of one tensor, their first argument, and change none.
MOVEMENTS = (
    _ATEN.view.default,
    _ATEN._unsafe_view.default,
    _ATEN.reshape.default,
    _ATEN.permute.default,
    _ATEN.transpose.int,
    _ATEN.t.default,
    _ATEN.slice.Tensor,
    _ATEN.select.int,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.unsqueeze.default,
    _ATEN.flatten.using_ints,
    _ATEN.clone.default,
    _ATEN.alias.default,
    _ATEN.contiguous.default,
)


def has_fixed_shape(node: fx.Node) -> bool:
    """Return whether all sizes of the node's tensor are fixed; else its shape is dynamic."""
    return all(isinstance(size, int) for size in value_of(node).shape)


def _is_movement(node: fx.Node) -> bool:
    return node.target in MOVEMENTS and len(node.all_input_nodes) == 1


def chain(node: fx.Node) -> list[fx.Node]:
    """Return the movements that end in `node`, after the operator that computes the values.

    Returns:
        That operator first and `node` last; `node` alone if it computes the values.
    """
    found = [node]
    while _is_movement(found[0]):
        found.insert(0, found[0].all_input_nodes[0])
    return found


def arrived(indices: Tensor, movements: list[fx.Node]) -> Tensor:
    """Return a tensor of indices after it has passed through movements.

    Args:
        indices: Indices of the values, in the shape of the first movement's operand.
        movements: Movements in order; each is the operand of the next.
    """
    for node in movements:
        operator: Any = node.target
        indices = operator(indices, *node.args[1:], **node.kwargs)
    return indices


def uses(node: fx.Node) -> Iterator[tuple[fx.Node, list[fx.Node]]]:
    """Yield every operator that uses the values of `node`, with the movements in between."""
    waiting: list[tuple[fx.Node, list[fx.Node]]] = [(node, [])]
    while waiting:
        current, path = waiting.pop()
        for user in current.users:
            if _is_movement(user):
                waiting.append((user, [*path, user]))
            else:
                yield user, path


def same_shape(first: fx.Node, second: fx.Node) -> bool:
    """Return whether two tensors have the same shape for all values of free sizes."""
    before, after = value_of(first).shape, value_of(second).shape
    return len(before) == len(after) and all(
        statically_known_true(a == b) for a, b in zip(before, after, strict=True)
    )
