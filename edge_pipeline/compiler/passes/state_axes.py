"""State axes: name all axes of a maximum or minimum over a whole tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["StateAxes"]

_ATEN = torch.ops.aten
_EXTREMES: dict[Any, Callable[[Tensor, list[int]], Tensor]] = {
    _ATEN.amax.default: torch.amax,
    _ATEN.max.default: torch.amax,
    _ATEN.amin.default: torch.amin,
    _ATEN.min.default: torch.amin,
}


class StateAxes:
    """Name the axes of a maximum or minimum over a whole tensor.

    amax(x [N, C, H, W]), max(x) -> amax(x, [0, 1, 2, 3])
    """

    name = "state_axes"
    why = "exporters and delegates support extremes along axes, and torch's default has none"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; extremes along given axes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(*_EXTREMES):
            if not (node.args[1:2] and node.args[1]):
                _state(editor, node)
        return editor.finish()


def _state(editor: Editor, node: fx.Node) -> None:
    source: Any = node.args[0]
    target: Any = node.target
    axes, extreme = list(range(value_of(source).dim())), _EXTREMES[target]
    keep = bool(node.args[2]) if len(node.args) > 2 else False

    def along(x: Tensor) -> Tensor:
        y = extreme(x, axes)
        return y.reshape([1] * len(axes)) if keep else y

    editor.replace(node, along, [source], f"{target} names its axes")
