"""Decompose softmax along any axis into softmax along the last axis."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["DecomposeSoftmax"]

_ATEN = torch.ops.aten
_SOFTMAX = (_ATEN.softmax.int, _ATEN._softmax.default)
_LOG_SOFTMAX = (_ATEN.log_softmax.int, _ATEN._log_softmax.default)
_MOST_AXES = 4


class DecomposeSoftmax:
    """Move the axis of a softmax to the end, and rewrite log_softmax by its definition.

    softmax(x [A, n, B], 1) -> permute [A, B, n] -> softmax(-1) -> permute back
    softmax(x of rank > 4, -1) -> reshape [A, n] -> softmax(-1) -> reshape back
    log_softmax(x, d)       -> z = x - amax(x, d);  z - log(sum(exp(z), d))
    """

    name = "decompose_softmax"
    why = "XNNPACK computes softmax along the last axis only, and has no log_softmax"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes and type conversions are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_SOFTMAX, *_LOG_SOFTMAX):
            source: Any = node.args[0]
            fixed = has_fixed_shape(source) and value_of(source).dim() > 0
            if not fixed or value_of(source).dtype != value_of(node).dtype:
                continue
            axis: Any = node.args[1]
            axis %= value_of(source).dim()
            if node.target in _LOG_SOFTMAX:
                _take_apart(editor, node, source, axis)
            elif axis != value_of(source).dim() - 1 or value_of(source).dim() > _MOST_AXES:
                _move(editor, node, source, axis)
        return editor.finish()


def _move(editor: Editor, node: fx.Node, source: fx.Node, axis: int) -> None:
    shape = value_of(source).shape
    before, n, behind = shape[:axis].numel(), shape[axis], shape[axis + 1 :].numel()

    def moved(x: Tensor) -> Tensor:
        if behind == 1:
            return torch.softmax(x.reshape(before, n), -1).reshape(shape)
        x = x.reshape(before, n, behind).permute(0, 2, 1)
        return torch.softmax(x, -1).permute(0, 2, 1).reshape(shape)

    editor.replace(node, moved, [source], f"the softmax along axis {axis} is now along the last")


def _take_apart(editor: Editor, node: fx.Node, source: fx.Node, axis: int) -> None:
    def apart(x: Tensor) -> Tensor:
        z = x - x.amax(axis, keepdim=True)
        return z - z.exp().sum(axis, keepdim=True).log()

    editor.replace(node, apart, [source], f"the log_softmax along axis {axis} was written out")
