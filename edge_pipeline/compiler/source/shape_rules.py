"""Shapes of the results of frequent operators, in less time than torch needs to compute them.

torch computes the shapes of a convolution in about a millisecond, because much of this is Python
code. A rule is compared with torch the first times that it is used, and is given up if it differs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Rules"]

_ATEN = torch.ops.aten
# How often each rule is compared with torch.
_TRIALS = 4

Sides = tuple[int, ...]


class Rules:
    """Rules that agreed with torch so far."""

    def __init__(self) -> None:
        self._left: dict[Any, int] = {}

    def result(self, func: Any, args: Sequence[Any], call: Callable[[], Any]) -> Any:
        """Return an operator's result on tensors without memory.

        Args:
            func: The operator.
            args: Its arguments.
            call: Function that applies the operator.
        """
        left = self._left.get(func, _TRIALS)
        shape = _shape(func, args) if left >= 0 else None
        if shape is None:
            return call()
        if left == 0:
            return torch.empty(shape, dtype=_tensors(args)[0].dtype, device="meta")
        found = call()
        made = (found.shape, found.is_contiguous(), found.dtype)
        right = made == (shape, True, _tensors(args)[0].dtype)
        self._left[func] = left - 1 if right else -1
        return found


def _tensors(args: Sequence[Any]) -> list[Tensor]:
    parts = (part if isinstance(part, list | tuple) else (part,) for part in args)
    return [value for value in itertools.chain(*parts) if isinstance(value, Tensor)]


def _shape(func: Any, args: Sequence[Any]) -> Sides | None:
    """Return the shape of the result by a rule; None without one."""
    tensors = _tensors(args)
    if not tensors or not all(value.is_contiguous() for value in tensors):
        return None
    shapes = [tuple(value.shape) for value in tensors]
    if func is _ATEN.convolution.default:
        return _convolved(shapes[0], shapes[1], args)
    if func is _ATEN.upsample_bilinear2d.default and len(shapes[0]) == 4:
        return (*shapes[0][:2], *args[1])
    if func is _ATEN.cat.default:
        dim = args[1] if len(args) > 1 else 0
        rest = {(*shape[:dim], *shape[dim + 1 :]) for shape in shapes}
        if dim < 0 or len(rest) > 1:
            return None
        return (*shapes[0][:dim], sum(shape[dim] for shape in shapes), *shapes[0][dim + 1 :])
    if torch.Tag.pointwise in func.tags and len({(v.shape, v.dtype) for v in tensors}) == 1:
        return None if func._schema.is_mutable else shapes[0]
    return None


def _convolved(x: Sides, weight: Sides, args: Sequence[Any]) -> Sides | None:
    _, _, _, strides, paddings, dilations, transposed = args[:7]
    rank = len(x) - 2
    if transposed or len(weight) != len(x) or {*map(len, (strides, paddings, dilations))} != {rank}:
        return None
    sides = [
        (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for side, kernel, stride, padding, dilation in zip(
            x[2:], weight[2:], strides, paddings, dilations, strict=True
        )
    ]
    return (x[0], weight[0], *sides) if min(sides) > 0 else None
