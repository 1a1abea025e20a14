"""Keep blocks: use operators that keep ONNX Runtime's layout in blocks of channels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["KeepBlocks"]

_ATEN = torch.ops.aten


class KeepBlocks:
    """Rewrite two broadcasting operators in forms that exist for blocks of channels.

    y [1, O, H, W] + mean(x [1, C, H, W], 1, keepdim)
    becomes
    y + conv2d(x, constant [O, C, 1, 1] of 1 / C)

    y [1, O, H, W] * 0.25
    becomes
    y * constant [1, O, 1, 1] of 0.25

    ONNX Runtime keeps maps in blocks of 16 channels between convolutions. It reorders them to
    planes and back around every operator that it lacks for blocks: it adds blocks only to blocks,
    and multiplies blocks only by one value per channel. It does not compute convolutions with
    computed weights in blocks, so a program that has one is left unchanged. For measurements see
    decision 10.
    """

    name = "keep_blocks"
    why = "ONNX Runtime reorders whole maps twice around a broadcast, and resizes them slowly"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        convolutions = list(editor.calls(_ATEN.conv2d.default))
        if not convolutions or any(editor.constant(n.args[1]) is None for n in convolutions):
            return editor.finish()
        for node in editor.calls(_ATEN.add.Tensor):
            _spread_mean(editor, node)
        for node in editor.calls(_ATEN.mul.Tensor):
            _state_channels(editor, node)
        return editor.finish()


def _spread_mean(editor: Editor, node: fx.Node) -> None:
    for addend, map_side in (node.args[:2], node.args[1::-1]):
        if not _is_channel_mean(addend) or not isinstance(map_side, fx.Node):
            continue
        mean: Any = addend
        source = mean.args[0]
        n_out, n_in = int(value_of(map_side).shape[1]), int(value_of(source).shape[1])
        if node.kwargs or len(mean.users) != 1 or value_of(map_side).shape != value_of(node).shape:
            continue
        weight = editor.add_constant(
            torch.full((n_out, n_in, 1, 1), 1 / n_in), f"mean_of_{n_in}_to_{n_out}"
        )

        def spread(y: Tensor, x: Tensor, weight: Tensor) -> Tensor:
            return y + torch.conv2d(x, weight)

        note = "the mean over channels became a convolution to the channels of the other addend"
        editor.replace(node, spread, [map_side, source, weight], note)
        return


def _is_channel_mean(node: object) -> bool:
    if not isinstance(node, fx.Node) or node.target is not _ATEN.mean.dim:
        return False
    keep = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)
    return value_of(node).dim() == 4 and node.args[1] in ([1], [-3]) and bool(keep)


def _state_channels(editor: Editor, node: fx.Node) -> None:
    source, factor = node.args
    if not isinstance(source, fx.Node) or not isinstance(factor, float):
        return
    if value_of(source).dim() != 4 or editor.constant(source) is not None:
        return
    channels = int(value_of(source).shape[1])
    # The name omits the value: two factors for the same number of channels are two constants.
    scale = editor.add_constant(torch.full((1, channels, 1, 1), factor), f"scale_of_{channels}")
    editor.replace(node, lambda x, s: x * s, [source, scale], "a factor became one per channel")
