"""Lower padding: reflection becomes slices and concatenation."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.lowering.padding import Padding, padded
from edge_pipeline.compiler.program import Editor, Result

__all__ = ["LowerPadding", "Reflection", "reflection"]

_PAD = torch.ops.aten.pad.default
_REFLECT = torch.ops.aten.reflection_pad2d.default


class Reflection(NamedTuple):
    """What is padded, and by how much."""

    source: fx.Node
    padding: Padding


def reflection(node: fx.Node) -> Reflection | None:
    """What `node` reflects, if it pads both ends of rows and of columns alike by reflection."""
    if node.target is _PAD:
        mode: Any = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    elif node.target is _REFLECT:
        mode = "reflect"
    else:
        return None
    amounts: Any = node.args[1]
    if mode != "reflect" or len(amounts) != 4:
        return None
    left, right, top, bottom = amounts
    if left != right or top != bottom or not isinstance(node.args[0], fx.Node):
        return None
    return Reflection(node.args[0], Padding(top, left, "reflect"))


class LowerPadding:
    """Make padding by reflection of edge slices.

    pad(x, (1, 1, 1, 1), reflect)
    becomes
    cat(x[:, :, 1:2], x, x[:, :, -2:-1]) along rows, then the same along columns
    """

    name = "lower_padding"
    why = "no delegate of XNNPACK takes padding by reflection"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; uneven padding and other modes stay."""
        editor = Editor(program)
        for node in editor.calls(_PAD, _REFLECT):
            found = reflection(node)
            if found is None:
                continue
            padding = found.padding

            def lowered(x: Tensor, padding: Padding = padding) -> Tensor:
                return padded(x, padding)

            editor.replace(node, lowered, [found.source], "padding by reflection became slices")
        return editor.finish()
