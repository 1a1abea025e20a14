"""Lower rank: merge axes of tensors that have more axes than a runtime supports."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerRank"]

_ATEN = torch.ops.aten
_RESHAPE = _ATEN.reshape.default
_VIEWS = (
    _ATEN.view.default,
    _RESHAPE,
    _ATEN.unsqueeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
)
_ELEMENTWISE = (
    _ATEN.add.Tensor,
    _ATEN.sub.Tensor,
    _ATEN.mul.Tensor,
    _ATEN.div.Tensor,
    _ATEN.sigmoid.default,
    _ATEN.relu.default,
    _ATEN.exp.default,
    _ATEN.tanh.default,
)
_PERMUTE = _ATEN.permute.default
_SUMS = (_ATEN.sum.dim_IntList, _ATEN.mean.dim)


class LowerRank:
    """Merge axes of tensors that have more than `most` axes.

    w [1, G, 1, K, H, W] * x [1, G, C, K, H, W] -> sum over axis 3
    becomes
    reshape to [G, 1, K, H * W] and [G, C, K, H * W], product, sum over axis 2, reshape

    Neighbouring axes are merged if no operand is broadcast along only one of them and no sum is
    over only one of them, or if a permutation keeps them together. Consecutive views become one, so
    that no tensor of the old shape is left.

    Args:
        most: Largest number of axes that the runtime supports.
    """

    name = "lower_rank"
    why = "Core ML supports tensors of up to five axes"

    def __init__(self, most: int) -> None:
        self.most = most

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes and axes that cannot be merged stay."""
        editor = Editor(program)
        for node in editor.calls(*_ELEMENTWISE, *_SUMS):
            operands = [a for a in node.args if isinstance(a, fx.Node)]
            tensors = [node, *operands]
            if all(map(has_fixed_shape, tensors)) and self._is_high(tensors):
                self._merge(editor, node, operands)
        for node in editor.calls(_PERMUTE):
            if has_fixed_shape(node) and self._is_high([node]):
                self._permute(editor, node)
        for node in editor.calls(*_VIEWS):
            source: Any = node.args[0]
            if source.target in _VIEWS and has_fixed_shape(node) and self._is_high([source]):
                shape = list(value_of(node).shape)
                first = source.args[0]
                note = "consecutive views became one"
                editor.replace(node, partial(_reshaped, shape=shape), [first], note)
        return editor.finish()

    def _is_high(self, nodes: Sequence[fx.Node]) -> bool:
        return max(value_of(node).dim() for node in nodes) > self.most

    def _merge(self, editor: Editor, node: fx.Node, operands: list[fx.Node]) -> None:
        rank = max(value_of(operand).dim() for operand in operands)
        shapes = [[1] * (rank - value_of(o).dim()) + list(value_of(o).shape) for o in operands]
        given: Any = node.args[1] if node.target in _SUMS else ()
        summed = {d % rank for d in given}
        groups = _groups(shapes, summed)
        if len(groups) > self.most:
            return
        new = [[_size(shape, group) for group in groups] for shape in shapes]
        target: Any = node.target
        shape = list(value_of(node).shape)
        dims = [i for i, group in enumerate(groups) if group[0] in summed]
        if target in _SUMS and not dims:
            return

        def merged(*xs: Tensor) -> Tensor:
            held = iter(x.reshape(s) for x, s in zip(xs, new, strict=True))
            args = [next(held) if isinstance(a, fx.Node) else a for a in node.args]
            if target in _SUMS:
                args = [args[0], dims]
            return _reshaped(target(*args, **node.kwargs), shape)

        editor.replace(node, merged, operands, f"merged {rank} axes of {target} to {len(groups)}")

    def _permute(self, editor: Editor, node: fx.Node) -> None:
        source: Any = node.args[0]
        order: Any = node.args[1]
        before, after = list(value_of(source).shape), list(value_of(node).shape)
        together = _runs([d % len(before) for d in order if before[d] > 1])
        if len(together) > self.most:
            return
        runs = sorted(together)
        sizes = [_size(before, run) for run in runs]
        places = [runs.index(run) for run in together]

        def permuted(x: Tensor) -> Tensor:
            return _reshaped(x.reshape(sizes).permute(places), after)

        editor.replace(node, permuted, [source], f"a permutation became one of {len(runs)} axes")


def _reshaped(x: Tensor, shape: Sequence[int]) -> Tensor:
    y: Tensor = _RESHAPE(x, list(shape))
    return y


def _runs(order: Sequence[int]) -> list[list[int]]:
    """Return runs of axes that a permutation keeps together, in the order after it."""
    runs: list[list[int]] = []
    for axis in order:
        if runs and runs[-1][-1] == axis - 1:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs or [[0]]


def _groups(shapes: Sequence[Sequence[int]], summed: set[int]) -> list[list[int]]:
    """Return groups of axes that can be merged, in order, without unsummed axes of size 1."""
    groups: list[list[int]] = []
    for axis in range(len(shapes[0])):
        kind = _kind(shapes, summed, axis)
        if kind is None and axis not in summed:
            continue
        if groups and _kind(shapes, summed, groups[-1][-1]) == kind:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    return groups or [[0]]


def _kind(
    shapes: Sequence[Sequence[int]], summed: set[int], axis: int
) -> tuple[tuple[bool, ...], bool] | None:
    """Return which operands are broadcast along an axis, and if it is summed; None for size 1."""
    sizes = [shape[axis] for shape in shapes]
    if max(sizes) == 1:
        return None
    return tuple(size == 1 for size in sizes), axis in summed


def _size(shape: Sequence[int], group: Sequence[int]) -> int:
    total = 1
    for axis in group:
        total *= shape[axis]
    return total
