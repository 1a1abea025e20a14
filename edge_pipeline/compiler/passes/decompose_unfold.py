"""Decompose unfold into slices of a map, and fold into slices, padding and additions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.movement import part, stepped
from edge_pipeline.compiler.lowering.unfold import Windows, folded, unfolded
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DecomposeUnfold"]

_ATEN = torch.ops.aten
_UNFOLD, _FOLD = _ATEN.im2col.default, _ATEN.col2im.default
_ALONG = _ATEN.unfold.default


class DecomposeUnfold:
    """Rewrite `unfold` (im2col) and `fold` (col2im) of any kernel, dilation, padding and stride.

    im2col(x, kernel) -> pad -> a slice for each tap -> concatenation -> reshape
    col2im(x, size)   -> a slice for each tap -> padded to its place -> sum
    x.unfold(d, size, step) -> a slice for each place in the window -> concatenation
    windows without overlap or gaps -> reshape, permute, reshape
    """

    name = "decompose_unfold"
    why = "runtimes gather and scatter by tables of indices, which no delegate supports"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; tensors of dynamic shape are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_UNFOLD, _FOLD, _ALONG):
            if has_fixed_shape(node) and has_fixed_shape(node.all_input_nodes[0]):
                _decompose_along(editor, node) if node.target is _ALONG else _decompose(
                    editor, node
                )
        return editor.finish()


def _decompose(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    folds = node.target is _FOLD
    settings: Any = node.args[2:] if folds else node.args[1:]
    windows = Windows(*((int(first), int(second)) for first, second in settings))
    size: Any = node.args[1]
    shape, batched = value_of(node).shape, value_of(source).dim() == (3 if folds else 4)

    def decomposed(x: Tensor) -> Tensor:
        x = x if batched else x.reshape(1, *x.shape)
        y = folded(x, (size[0], size[1]), windows) if folds else unfolded(x, windows)
        return y if batched else y.reshape(shape)

    editor.replace(node, decomposed, [source], f"{node.target} became slices")


def _decompose_along(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    given: Any = node.args[1:4]
    dim, size, step = int(given[0]) % value_of(source).dim(), int(given[1]), int(given[2])
    count = int(value_of(node).shape[dim])

    def decomposed(x: Tensor) -> Tensor:
        if size == step:
            x = part(x, dim, 0, count * size)
            x = x.reshape(x.shape[:dim].numel(), count, size, x.shape[dim + 1 :].numel())
            return x.permute(0, 1, 3, 2).reshape(value_of(node).shape)
        parts = [stepped(x, dim, i, count, step) for i in range(size)]
        parts = [y.reshape(*y.shape, 1) for y in parts]
        return parts[0] if size == 1 else torch.cat(parts, -1)

    editor.replace(node, decomposed, [source], "windows along an axis became slices")
