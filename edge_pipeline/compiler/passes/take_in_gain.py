"""Take in a gain: move a factor per channel of a map into the computed weights before it."""

from __future__ import annotations

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.computed_convolution import (
    CONVOLUTIONS,
    change_nothing,
    scale_computed,
    serves_input,
)
from edge_pipeline.compiler.analysis.extent import Extent, extents
from edge_pipeline.compiler.analysis.movement import chain
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["TakeInGain"]


class TakeInGain:
    """Multiply the computed weight of a convolution by a gain, instead of the output map.

    conv2d(x, weight [O, C, 3, 3]) * gain [1, O, 1, 1]
    becomes
    conv2d(x, weight * gain [O, 1, 1, 1])

    Both the weight and the gain are computed once for the whole input. Views that change nothing
    may lie between the convolution and the product, and a bias is multiplied too.
    """

    name = "take_in_gain"
    why = "a gain reads and writes a whole map, but the weight before it is small"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; convolutions with constant weights are left unchanged."""
        editor = Editor(program)
        of_input = {n.name for n, extent in extents(program).items() if extent is Extent.GLOBAL}
        for node in editor.calls(torch.ops.aten.mul.Tensor):
            for source, gain in (node.args[:2], node.args[1::-1]):
                convolution = _scaled_by(editor, source, gain, of_input)
                if convolution is not None and isinstance(gain, fx.Node):
                    note = "the gain became part of the computed weight"
                    scale_computed(editor, node, convolution, gain, note)
                    break
        return editor.finish()


def _scaled_by(editor: Editor, source: object, gain: object, of_input: set[str]) -> fx.Node | None:
    """Return the convolution with computed weights behind `source` if `gain` fits; else None."""
    if not isinstance(source, fx.Node) or not isinstance(gain, fx.Node):
        return None
    convolution, *movements = chain(source)
    if convolution.target not in CONVOLUTIONS or gain.name not in of_input:
        return None
    shape = value_of(convolution).shape
    fits = value_of(gain).shape == (1, shape[1], *[1] * (len(shape) - 2))
    alone = all(len(node.users) == 1 for node in (convolution, *movements))
    computed = editor.constant(convolution.args[1]) is None
    whole = change_nothing(convolution, movements) and serves_input(convolution, of_input)
    return convolution if fits and alone and computed and whole else None
