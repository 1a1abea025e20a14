"""Lower clamp: clamp to [0, 1] in two steps, since XNNPACK's delegate for LiteRT lacks it."""

from __future__ import annotations

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["LowerClamp"]

_ATEN = torch.ops.aten
_UNIT = (0.0, 1.0)
_SIX = 6.0


class LowerClamp:
    """Replace a clamp to [0, 1] by a clamp to [0, 6] and a clamp to at most 1.

    clamp(x, 0, 1)
    becomes
    clamp(clamp(x, 0, 6), max=1)

    LiteRT's converter combines a maximum with 0 and a minimum with 1, in either order and of any
    shape, into RELU_0_TO_1. The XNNPACK delegate supports RELU, RELU6 and RELU_N1_TO_1 but not
    RELU_0_TO_1, and would split the program there. It supports RELU6 and MINIMUM, and the values
    are the same.
    """

    name = "lower_clamp"
    why = (
        "XNNPACK's delegate for LiteRT has no RELU_0_TO_1, so a clamp to [0, 1] would stay outside"
    )

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in editor.calls(_ATEN.clamp.default, _ATEN.hardtanh.default):
            if _limits(node) == _UNIT and isinstance(node.args[0], fx.Node):
                editor.replace(node, _stepwise, [node.args[0]], "a clamp to [0, 1] became two")
        return editor.finish()


def _limits(node: fx.Node) -> tuple[object, object]:
    default = (None, None) if node.target is _ATEN.clamp.default else (-1.0, 1.0)
    given = [*node.args[1:3], *default[len(node.args) - 1 :]]
    names = ("min", "max") if node.target is _ATEN.clamp.default else ("min_val", "max_val")
    low, high = (node.kwargs.get(name, value) for name, value in zip(names, given, strict=True))
    return low, high


def _stepwise(x: Tensor) -> Tensor:
    return x.clamp(0.0, _SIX).clamp(max=1.0)
