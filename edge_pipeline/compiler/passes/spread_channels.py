"""Spread channels: repeat the channels of a small map by broadcasting, not by a convolution."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import Conv2d
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["SpreadChannels"]

_ATEN = torch.ops.aten
_OPERATORS = (_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor)
_BLOCK = 16


class SpreadChannels:
    """Combine a map with the repeated channels of another one without computing the repetition.

    y [N, C R, H, W] * conv2d(x [N, C, H, W], constant [C R, C, 1, 1] that repeats each channel R
    times)
    becomes
    (y as [N, C, R, H, W] * x as [N, C, 1, H, W]) as [N, C R, H, W]

    Sums and differences are rewritten likewise. The result is the same in every bit. ONNX Runtime
    computes a convolution in blocks of 16 channels, and reorders its output to planes for an
    operator that needs planes. If C is a multiple of 16, maps stay in blocks, and the convolution
    is left unchanged. For measurements see decision 36.
    """

    name = "spread_channels"
    why = "ONNX Runtime pads few channels to a block of 16, and reorders blocks to planes"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in editor.calls(*_OPERATORS):
            _rewrite(editor, node)
        return editor.finish()


def _rewrite(editor: Editor, node: fx.Node) -> None:
    if node.kwargs or len(node.args) != 2:
        return
    for place, argument in enumerate(node.args):
        repeated, other = Conv2d.of(argument), node.args[1 - place]
        if repeated is None or not isinstance(other, fx.Node):
            continue
        times = _times(editor, repeated)
        if times == 0 or value_of(other).shape != value_of(node).shape:
            continue
        channels = int(value_of(repeated.source).shape[1])
        function = partial(_spread, node.target, (channels, times), place)
        note = f"{channels} channels are repeated {times} times by broadcasting"
        editor.replace(node, function, [other, repeated.source], note)
        return


def _spread(operator: Any, size: tuple[int, int], place: int, y: Tensor, x: Tensor) -> Tensor:
    """Return an operator's result for y [N, C R, H, W] and, as operand `place`, repeated x."""
    operands = [torch.unflatten(y, 1, size)]
    operands.insert(place, x.unsqueeze(2))
    result: Tensor = operator(*operands).flatten(1, 2)
    return result


def _times(editor: Editor, convolution: Conv2d) -> int:
    """Return how often a convolution repeats each channel; 0 if it does something else."""
    weight = editor.constant(convolution.weight)
    if weight is None or not convolution.is_plain or not _is_zero(editor, convolution.bias):
        return 0
    n_out, n_in = weight.shape[:2]
    if tuple(weight.shape[2:]) != (1, 1) or n_in % _BLOCK == 0 or n_out % n_in or n_out == n_in:
        return 0
    times = int(n_out // n_in)
    pattern = torch.eye(n_in, dtype=weight.dtype).repeat_interleave(times, 0)
    return times if torch.equal(weight[:, :, 0, 0], pattern) else 0


def _is_zero(editor: Editor, bias: fx.Node | None) -> bool:
    value = editor.constant(bias)
    return bias is None or (value is not None and not bool(value.any()))
