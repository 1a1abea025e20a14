"""Lower convolution: matrix products in the place of convolutions that XNNPACK does badly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.lowering.convolution import convolve, is_narrow
from edge_pipeline.compiler.lowering.padding import Padding, reflection
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of
from edge_pipeline.errors import CompileError

__all__ = ["LowerConvolution"]

_CONV = torch.ops.aten.conv2d.default


@dataclass(frozen=True)
class _Call:
    """The arguments of a conv2d."""

    x: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    stride: tuple[int, ...]
    padding: tuple[int, int]
    dilation: tuple[int, ...]
    groups: int

    @classmethod
    def of(cls, node: fx.Node) -> _Call:
        given = dict(enumerate(node.args))

        def pair(index: int, default: int) -> tuple[int, int]:
            value: Any = given.get(index, default)
            first, second = (value, value) if isinstance(value, int) else value * (2 // len(value))
            return first, second

        nodes: Any = given
        return cls(
            nodes[0],
            nodes[1],
            nodes.get(2),
            stride=pair(3, 1),
            padding=pair(4, 0),
            dilation=pair(5, 1),
            groups=nodes.get(6, 1),
        )

    def not_covered(self) -> str | None:
        """What the forms do not cover, in words; None if they cover all."""
        found = {
            "stride": self.stride,
            "dilation": self.dilation,
            "groups": (self.groups,),
            "batch": (int(value_of(self.x).shape[0]),),
        }
        for what, values in found.items():
            if any(value != 1 for value in values):
                return f"{what} {'x'.join(map(str, values))}, and only {what} 1 can be lowered"
        return None


class LowerConvolution:
    """Replace convolutions with computed weights, and narrow ones, by batched matrix products.

    x -> pad(reflect) -> conv2d(., weight)
    becomes
    x -> strips: slices, concatenation, bmm, slices, additions -> concatenation

    A narrow one has a third of its input's channels or fewer. XNNPACK computes 16 or more output
    channels at a time, so it wastes most of the work, and the form for narrow ones, in strips, is
    faster even where the weights are constants. Padding by reflection is taken in, so that no
    padded map is made.
    """

    name = "lower_convolution"
    why = "XNNPACK packs weights ahead of time; with computed ones the fallback is 100 x slower"

    def run(self, program: ExportedProgram) -> Result:
        """See the class.

        Raises:
            CompileError: a convolution with computed weights has a stride, dilation, group count
                or batch that the forms do not cover.
        """
        editor = Editor(program)
        for node in editor.calls(_CONV):
            call = _Call.of(node)
            computed = editor.constant(call.weight) is None
            problem = call.not_covered()
            if computed and problem is not None:
                raise CompileError(
                    f"{layer_of(node)}: its weights are computed at run time and it has {problem}; "
                    "give --filters folded, or change the layer"
                )
            if computed or (problem is None and is_narrow(*value_of(call.weight).shape[:2])):
                _lower(editor, node, call)
        return editor.finish()


def _lower(editor: Editor, node: fx.Node, call: _Call) -> None:
    source, padding = call.x, Padding(*call.padding, "zeros")
    reflected = reflection(call.x)
    if reflected is not None and call.padding == (0, 0):
        source, padding = reflected.source, reflected.padding
    operands = [source, call.weight] + ([] if call.bias is None else [call.bias])

    def lowered(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        y = convolve(x, weight, padding)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    n_out, n_in, rows, columns = value_of(call.weight).shape
    note = f"a {rows}x{columns} convolution {n_in} -> {n_out} became matrix products"
    editor.replace(node, lowered, operands, note)
