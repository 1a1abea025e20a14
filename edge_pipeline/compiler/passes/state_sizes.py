"""State sizes: a resize says how large its result is, not by what factor."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.resize import BILINEAR, scales_of
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["StateSizes"]


class StateSizes:
    """Give bilinear resizing of a fixed map its size, and drop it where the size stays.

    upsample_bilinear2d(x, scales=(2.0, 2.0)) -> upsample_bilinear2d(x, (2H, 2W))
    upsample_bilinear2d(x, (H, W))            -> x

    With aligned corners the positions follow from the sizes alone. Without, they follow from the
    factor as it was given, so a factor stays where the sizes are not just in its proportion:
    13 rows times 1.5 are 19, which is 1.46 times as many.
    """

    name = "state_sizes"
    why = "writers take the ratio of sizes for the factor; and a resize to the same size copies"

    def run(self, program: ExportedProgram) -> Result:
        """See the class; maps of free size stay."""
        editor = Editor(program)
        for node in editor.calls(BILINEAR):
            source: Any = node.args[0]
            if not (has_fixed_shape(source) and has_fixed_shape(node)) or not _by_size(node):
                continue
            if value_of(source).shape == value_of(node).shape:
                editor.substitute(node, source, "dropped a resize to the same size")
            elif scales_of(node) is not None:
                _state(editor, node, source)
        return editor.finish()


def _by_size(node: fx.Node) -> bool:
    """Whether the sizes alone say what the resize does."""
    scales, source = scales_of(node), node.args[0]
    if scales is None or node.args[2] or not isinstance(source, fx.Node):
        return True
    before, after = value_of(source).shape[2:], value_of(node).shape[2:]
    return all(s * b == a for s, b, a in zip(scales, before, after, strict=True))


def _state(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    size, align = [int(side) for side in value_of(node).shape[2:]], node.args[2]

    def resized(x: Tensor) -> Tensor:
        result: Tensor = BILINEAR(x, size, align, None)
        return result

    editor.replace(node, resized, [source], f"stated the size {size[0]} x {size[1]} of a resize")
