"""Lower reductions: rewrite maxima, sums and means in the forms that XNNPACK supports."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerReductions"]

_ATEN = torch.ops.aten


def _arguments(node: fx.Node) -> tuple[fx.Node, tuple[int, ...], bool]:
    """Return the operand, the reduced axes, sorted, and whether they are kept with size 1."""
    source: Any = node.args[0]
    rank = value_of(source).dim()
    dims: Any = node.args[1] if len(node.args) > 1 and node.args[1] else range(rank)
    keep = bool(node.args[2]) if len(node.args) > 2 else bool(node.kwargs.get("keepdim", False))
    dims = [dims] if isinstance(dims, int) else dims
    return source, tuple(sorted(d % rank for d in dims)), keep


class LowerReductions:
    """Rewrite six reductions in the forms that XNNPACK supports.

    max_pool2d(x, k)                        -> max_pool2d(x, k, k)
    amax(x [N, C, H, W], (2, 3))            -> max_pool2d over H x W with stride H x W
    sum(f [1, O, C, k, k], (3, 4))          -> mean of [O, C, k, k] over (2, 3), times k * k
    mean(x [N, C, H, W], (2, 3))            -> mean with dimensions kept, then reshaped
    mean(x [N, C, H, W], 1, keepdim)        -> constant 1x1 convolution
    mean(v [N, C], 1)                       -> mean of [N, 1, 1, C] over (2, 3)

    Pooling has an explicit stride, since the partitioner reads it and fails if it is missing.
    """

    name = "lower_reductions"
    why = "XNNPACK reduces only the last two axes of tensors of rank 4, by mean and by pooling"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; other reductions are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_ATEN.max_pool2d.default):
            _state_stride(editor, node)
        for node in editor.calls(_ATEN.amax.default):
            _lower_maximum(editor, node)
        for node in editor.calls(_ATEN.sum.dim_IntList):
            _lower_sum(editor, node)
        for node in editor.calls(_ATEN.mean.dim):
            _lower_mean(editor, node)
        return editor.finish()


def _state_stride(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    kernel = node.args[1]
    if len(node.args) > 2 and node.args[2]:
        return

    def pooled(x: Tensor) -> Tensor:
        maximum: Tensor = _ATEN.max_pool2d.default(x, kernel, kernel, *node.args[3:])
        return maximum

    editor.replace(node, pooled, [source], "max pooling has an explicit stride")


def _lower_maximum(editor: Editor, node: fx.Node) -> None:
    source, dims, _ = _arguments(node)
    if value_of(source).dim() != 4 or dims != (2, 3):
        return
    size, shape = list(value_of(source).shape[2:]), value_of(node).shape

    def pooled(x: Tensor) -> Tensor:
        maximum: Tensor = _ATEN.max_pool2d.default(x, size, size)
        return maximum.reshape(shape)

    editor.replace(node, pooled, [source], "the maximum over the map became max pooling")


def _lower_sum(editor: Editor, node: fx.Node) -> None:
    source, dims, _ = _arguments(node)
    shape, rank = value_of(source).shape, value_of(source).dim()
    if rank < 4 or dims != (rank - 2, rank - 1):
        return
    result = value_of(node).shape
    flat = (shape[:-3].numel(), *shape[-3:])

    def averaged(f: Tensor) -> Tensor:
        mean = f.reshape(flat).mean((2, 3), keepdim=True)
        return (mean * float(shape[-1] * shape[-2])).reshape(result)

    editor.replace(node, averaged, [source], "the sum over a kernel became a mean times its size")


def _lower_mean(editor: Editor, node: fx.Node) -> None:
    source, dims, keep = _arguments(node)
    if value_of(source).dim() == 2 and dims == (1,):
        _lower_mean_of_rows(editor, node, source)
    if value_of(source).dim() != 4:
        return
    if dims == (2, 3) and not keep:
        shape = value_of(node).shape

        def averaged(x: Tensor) -> Tensor:
            return x.mean((2, 3), keepdim=True).reshape(shape)

        editor.replace(node, averaged, [source], "the mean over the map keeps its axes")
    elif dims == (1,) and keep:
        channels = int(value_of(source).shape[1])
        weight = editor.add_constant(
            torch.full((1, channels, 1, 1), 1.0 / channels), f"mean_of_{channels}"
        )

        def convolved(x: Tensor, weight: Tensor) -> Tensor:
            return torch.conv2d(x, weight)

        note = "the mean over channels became a 1x1 convolution"
        editor.replace(node, convolved, [source, weight], note)


def _lower_mean_of_rows(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    n, length = value_of(source).shape
    shape = value_of(node).shape

    def averaged(x: Tensor) -> Tensor:
        return x.reshape(n, 1, 1, length).mean((2, 3), keepdim=True).reshape(shape)

    editor.replace(node, averaged, [source], "the mean of a vector became one over a map")
