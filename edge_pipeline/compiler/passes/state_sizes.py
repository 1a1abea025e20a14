"""State sizes: specify the output size of a resize instead of a factor."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.resize import BILINEAR, scales_of
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["StateSizes"]


class StateSizes:
    """Specify bilinear resizing of a fixed-shape map by its output size; drop it if it is a no-op.

    upsample_bilinear2d(x, scales=(2.0, 2.0)) -> upsample_bilinear2d(x, (2H, 2W))
    upsample_bilinear2d(x, (H, W))            -> x

    With aligned corners the sampling positions depend only on the sizes. Otherwise they depend on
    the factor as it was given, so a factor stays if it is not exactly the ratio of the sizes:
    13 rows times 1.5 are 19 rows, which is 1.46 times as many.
    """

    name = "state_sizes"
    why = "exporters use the ratio of sizes as the factor, and a resize to the same size is a copy"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; tensors of dynamic shape are left unchanged."""
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
    """Return whether the sizes alone determine the resize."""
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

    editor.replace(node, resized, [source], f"a resize has the output size {size[0]} x {size[1]}")
