"""Convolutions whose weights are computed for the whole input: what follows can go into them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.analysis.movement import same_shape
from edge_pipeline.compiler.program import Editor, value_of

__all__ = ["CONVOLUTIONS", "change_nothing", "scale_computed", "serves_input"]

_ATEN = torch.ops.aten
# Those whose weight has the output channels first.
CONVOLUTIONS = (
    _ATEN.conv1d.default,
    _ATEN.conv2d.default,
    _ATEN.conv2d.padding,
    _ATEN.conv3d.default,
)
_VIEWS = (_ATEN.reshape.default, _ATEN.view.default)


def change_nothing(convolution: fx.Node, movements: list[fx.Node]) -> bool:
    """Whether the movements leave a map as it is, such as views by the number of samples."""
    if not all(node.target in _VIEWS for node in movements):
        return False
    return not movements or same_shape(movements[-1], convolution)


def serves_input(convolution: fx.Node, of_input: set[str]) -> bool:
    """Whether a weight, and a bias if there is one, are constant or the same for a whole input.

    Args:
        convolution: one of `CONVOLUTIONS`.
        of_input: names of the operators of one value for the whole input.
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
    """Replace `result`, the convolution's map times a scale plus a shift, by one convolution.

    Args:
        editor: of the program.
        result: has the map's shape.
        convolution: one of `CONVOLUTIONS`, which nothing else uses.
        scale: of as many values as there are output channels; it scales the weight, which is small.
        note: about the change.
        shift: [output channels]; nothing is added if it is None.
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
