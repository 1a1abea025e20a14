"""The operands and settings of a call of `conv2d`, read in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from edge_pipeline.compiler.program import Editor

__all__ = ["CONV2D", "Conv2d", "conv2ds"]

CONV2D = torch.ops.aten.conv2d.default


@dataclass(frozen=True)
class Conv2d:
    """A call of `aten.conv2d`.

    Attributes:
        node: The call.
        source: Map [N, C, H, W].
        weight: Weight [out, in / groups, rows, columns].
        bias: Bias [out], or None.
        stride: Rows and columns from one output pixel to the next.
        padding: Rows and columns of zeros on each side.
        dilation: Rows and columns from one tap to the next.
        groups: Number of groups of channels.
    """

    node: fx.Node
    source: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def of(cls, node: object) -> Conv2d | None:
        """Return the call that `node` is; None if it is not a call of `conv2d`."""
        if not isinstance(node, fx.Node) or node.target is not CONV2D:
            return None
        given: dict[int, Any] = dict(enumerate(node.args))
        stride, padding, dilation = (
            _pair(given.get(place, usual)) for place, usual in ((3, 1), (4, 0), (5, 1))
        )
        bias, groups = given.get(2), given.get(6, 1)
        return cls(node, given[0], given[1], bias, stride, padding, dilation, groups)

    @property
    def settings(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
        """Stride, padding, dilation and groups, in the order of `torch.conv2d`."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def is_plain(self) -> bool:
        """Whether stride and dilation are 1, there is no padding, and there is one group."""
        return self.settings == ((1, 1), (0, 0), (1, 1), 1)

    @property
    def accepts_bias(self) -> bool:
        """Whether an addition after the call can become its bias: it has none, and one user."""
        return self.bias is None and len(self.node.users) == 1


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))
    return first, second


def conv2ds(editor: Editor) -> list[Conv2d]:
    """Return all calls of `conv2d` in a program, in order."""
    found = [Conv2d.of(node) for node in editor.calls(CONV2D)]
    return [convolution for convolution in found if convolution is not None]
