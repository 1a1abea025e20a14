"""Narrow before resize: compute a narrow convolution of an enlarged map on the small map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import Conv2d, conv2ds
from edge_pipeline.compiler.lowering.padding import PADS, reflection
from edge_pipeline.compiler.lowering.resize import BILINEAR, scales_of
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["NarrowBeforeResize"]

Resize = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Found:
    """The resize and the padding before a narrow convolution.

    Attributes:
        source: The small map.
        columns: Function that enlarges only the columns.
        rows: Function that enlarges only the rows.
        amount: Number of reflected rows and columns on each side.
    """

    source: fx.Node
    columns: Resize
    rows: Resize
    amount: tuple[int, int]


class NarrowBeforeResize:
    """Enlarge the rows of a map after the convolution, when few channels are left.

    x [in] -> bilinear 2H x 2W -> pad(reflect) -> conv2d 3x3 to out channels
    becomes
    x [in] -> bilinear H x 2W -> pad(reflect) columns -> conv2d 1x3 to 3 * out channels
           -> bilinear 2H x 2W -> shift each kernel row's channels, reflected, and add

    Bilinear resizing consists of a resizing of columns and one of rows. The latter mixes no columns
    or channels, so operations along columns may come before it. ONNX Runtime computes 16 channels
    at a time: a layer from 16 to 3 channels costs a quarter as much at half the rows, since it
    uses 9 of 16 channels instead of 3 of 16. For measurements see decision 10.
    """

    name = "narrow_before_resize"
    why = "ONNX Runtime pads channels to 16, so 3 channels at full size cost as much as 16"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; layers that would get more channels are left unchanged."""
        editor = Editor(program)
        for convolution in conv2ds(editor):
            found = _find(convolution)
            if found is not None:
                _rewrite(editor, convolution.node, found)
        return editor.finish()


def _find(convolution: Conv2d) -> _Found | None:
    pad = convolution.source
    if not convolution.is_plain or pad.target not in PADS or len(pad.users) != 1:
        return None
    reflected = reflection(pad)
    resize = None if reflected is None else reflected.source
    if reflected is None or resize is None or resize.target is not BILINEAR:
        return None
    n_out, n_in, height, width = value_of(convolution.weight).shape
    amount = (reflected.padding.rows, reflected.padding.columns)
    fits = amount == (height // 2, width // 2) and height % 2 == width % 2 == 1
    if len(resize.users) != 1 or not fits or height == 1 or height * n_out > n_in:
        return None
    ways = _ways(resize)
    return None if ways is None else _Found(_node(resize.args[0]), *ways, amount)


def _node(argument: Any) -> fx.Node:
    found: fx.Node = argument
    return found


def _ways(resize: fx.Node) -> tuple[Resize, Resize] | None:
    """Return functions that enlarge columns and rows; None if either shrinks or is computed."""
    align, scales, size = resize.args[2], scales_of(resize), resize.args[1]
    if scales is not None:
        first: Any = (None, align, [1.0, scales[1]])
        second: Any = (None, align, [scales[0], 1.0])
        grows = min(scales) >= 1
    else:
        before = value_of(_node(resize.args[0])).shape[2:]
        sides: Any = size
        if not all(isinstance(side, int) for side in (*before, *(sides or [None]))):
            return None
        first = ([int(before[0]), sides[1]], align, None)
        second = (list(sides), align, None)
        grows = sides[0] >= before[0] and sides[1] >= before[1]
    if not grows:
        return None
    return (lambda x: BILINEAR(x, *first)), (lambda x: BILINEAR(x, *second))


def _rewrite(editor: Editor, node: fx.Node, found: _Found) -> None:
    n_out, n_in, height, width = (int(side) for side in value_of(_node(node.args[1])).shape)
    reach, aside = found.amount

    def narrow(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        # [in, H, W] -> [in, H, sW + 2 * aside]
        wide = torch.ops.aten.pad.default(found.columns(x), [aside, aside, 0, 0], "reflect")
        # [out, in, kh, kw] -> [kh * out, in, 1, kw], a kernel row's outputs side by side
        taps = weight.permute(2, 0, 1, 3).reshape(height * n_out, n_in, 1, width)
        made = found.rows(torch.conv2d(wide, taps))  # [kh * out, sH, sW]
        parts = [_shifted(_channels(made, i * n_out, n_out), i - reach) for i in range(height)]
        y = parts[0]
        for part in parts[1:]:
            y = y + part
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    operands = [found.source, *(_node(argument) for argument in node.args[1:3] if argument)]
    note = f"a {height}x{width} convolution {n_in} -> {n_out} now comes before enlarging rows"
    editor.replace(node, narrow, operands, note)


def _channels(x: Tensor, start: int, count: int) -> Tensor:
    part: Tensor = torch.ops.aten.slice.Tensor(x, 1, start, start + count)
    return part


def _rows(x: Tensor, start: int, end: int) -> Tensor:
    part: Tensor = torch.ops.aten.slice.Tensor(x, 2, start, end)
    return part


def _shifted(x: Tensor, by: int) -> Tensor:
    """Return x with row r + `by` as row r, reflected at the edges; sizes may be dynamic."""
    if by == 0:
        return x
    if by < 0:
        edge = [_rows(x, -by - i, -by - i + 1) for i in range(-by)]
        return torch.cat([*edge, _rows(x, 0, by)], 2)
    edge = [_rows(x, -2 - i, -1 - i) for i in range(by)]
    return torch.cat([_rows(x, by, _END), *edge], 2)


# The end of a slice that torch writes for an open end.
_END = 2**63 - 1
