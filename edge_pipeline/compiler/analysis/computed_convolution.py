"""Scale convolutions whose weights are computed once for the whole input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.analysis.movement import same_shape
from edge_pipeline.compiler.program import Editor, value_of

__all__ = ["CONVOLUTIONS", "change_nothing", "scale_computed", "serves_input"]

_ATEN = torch.ops.aten
# Convolutions whose weight has the output channels as its first axis.
CONVOLUTIONS = (
    _ATEN.conv1d.default,
    _ATEN.conv2d.default,
    _ATEN.conv2d.padding,
    _ATEN.conv3d.default,
)
_VIEWS = (_ATEN.reshape.default, _ATEN.view.default)


def change_nothing(convolution: fx.Node, movements: list[fx.Node]) -> bool:
    """Return whether the movements leave a map unchanged, as views by the number of samples do."""
    if not all(node.target in _VIEWS for node in movements):
        return False
    return not movements or same_shape(movements[-1], convolution)


def serves_input(convolution: fx.Node, of_input: set[str]) -> bool:
    """Return whether the weight and any bias are constant or the same for the whole input.

    Args:
        convolution: A call of one of `CONVOLUTIONS`.
        of_input: Names of the operators that have one value for the whole input.
    """
    operands = [n for n in convolution.args[1:3] if isinstance(n, fx.Node)]
    return all(n.name in of_input or n.op == "placeholder" for n in operands)


def scale_computed(
    editor: Editor,
    result: fx.Node,
    convolution: fx.Node,
    scale: fx.Node,
    note: str,
    shift: fx.Node | None = None,
) -> None:
    """Replace `result`, the convolution's output times a scale plus a shift, by one convolution.

    Args:
        editor: Editor of the program; it is modified.
        result: The node to replace; it has the shape of the convolution's output.
        convolution: A call of one of `CONVOLUTIONS`, used by nothing else.
        scale: One factor per output channel. It scales the weight, which is small.
        note: Description of the change.
        shift: One addend per output channel, [output channels]; None to add nothing.
    """
    x, weight, *rest = convolution.args
    bias = rest.pop(0) if rest else None
    taps = [1] * (value_of(convolution).dim() - 2)
    target: Any = convolution.target

    def scaled(x: Tensor, weight: Tensor, scale: Tensor, *added: Tensor) -> Tensor:
        own = list(added)
        moved = None if bias is None else own.pop(0) * scale.reshape(-1)
        if own:
            moved = own[0] if moved is None else own[0] + moved
        found: Tensor = target(x, weight * scale.reshape(-1, 1, *taps), moved, *rest)
        return found

    given: list[Any] = [x, weight, scale, *(n for n in (bias, shift) if n is not None)]
    editor.replace(result, scaled, given, note)
