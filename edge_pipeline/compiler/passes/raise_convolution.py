"""Raise convolution: rewrite other kinds with computed weights as conv2d, which is lowered."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.depth import Volume, over_planes, padded
from edge_pipeline.compiler.lowering.transposed import Transposition, transposed
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["RaiseConvolution"]

_ATEN = torch.ops.aten
_TRANSPOSED = (_ATEN.conv_transpose1d.default, _ATEN.conv_transpose2d.input)
_FORWARD = (
    _ATEN.conv1d.default,
    _ATEN.conv1d.padding,
    _ATEN.conv2d.default,
    _ATEN.conv2d.padding,
)
_GENERAL = _ATEN.convolution.default
_SOLID = (_ATEN.conv3d.default, _ATEN.conv3d.padding)


class _Kind(NamedTuple):
    """The settings of a convolution by axis: columns, rows and columns, or planes too."""

    stride: list[int]
    padding: list[int] | str
    dilation: list[int]
    groups: int
    output_padding: list[int] | None


class RaiseConvolution:
    """Rewrite 1-D, 3-D, unbatched, string-padded and transposed convolutions.

    conv1d(x [N, C, L], w)             -> conv2d of height 1
    conv2d(x [C, H, W], w)             -> conv2d of a batch of one
    conv2d(x, w, padding="same")       -> conv2d, after padding if the kernel is even
    conv_transpose2d(x, w, stride=s)   -> conv2d to s * s times the channels, spread out, cropped
    convolution(x, w, ...)             -> the same, by its arguments
    conv3d(x [N, C, D, H, W], w)       -> conv2d for each plane of the result

    Only computed weights are rewritten, since runtimes support these kinds with constant ones.

    Args:
        volumes: Whether 3-D convolutions with constant weights are rewritten too.
    """

    name = "raise_convolution"
    why = "only conv2d with computed weights becomes products; no delegate supports the other kinds"

    def __init__(self, *, volumes: bool = False) -> None:
        self._volumes = volumes

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; transposed 3-D ones and dynamic shapes stay."""
        editor = Editor(program)
        for node in editor.calls(*_FORWARD, *_TRANSPOSED, _GENERAL, *_SOLID):
            is_constant = editor.constant(node.args[1]) is not None
            is_taken = not is_constant or (self._volumes and node.target in _SOLID)
            if is_taken and _is_raised(node):
                _raise(editor, node)
        return editor.finish()


def _is_raised(node: fx.Node) -> bool:
    operands = [n for n in node.args[:2] if isinstance(n, fx.Node)]
    if len(operands) != 2 or not all(map(has_fixed_shape, operands)):
        return False
    axes = value_of(operands[1]).dim() - 2
    already = node.target is _ATEN.conv2d.default and value_of(operands[0]).dim() == 4
    return (axes in (1, 2) and not already) or (axes == 3 and not _is_transposed(node))


def _is_transposed(node: fx.Node) -> bool:
    return node.target in _TRANSPOSED or (node.target is _GENERAL and bool(node.args[6]))


def _raise(editor: Editor, node: fx.Node) -> None:
    kind = _kind(node)
    operands = [n for n in node.args[:3] if isinstance(n, fx.Node)]
    axes, batched = len(kind.stride), value_of(operands[0]).dim() == len(kind.stride) + 2
    shape = value_of(node).shape

    def raised(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x if batched else x.reshape(1, *x.shape)
        if axes == 1:
            x, weight = (v.reshape(*v.shape[:2], 1, v.shape[2]) for v in (x, weight))
        if axes == 3:
            y = over_planes(x, weight, bias, _volume(kind, weight))
        else:
            y = _convolved(x, weight, bias, _of_two_axes(kind))
        return y if y.shape == shape else y.reshape(shape)

    editor.replace(node, raised, operands, f"{node.target} became conv2d")


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None, kind: _Kind) -> Tensor:
    if kind.output_padding is not None:
        pairs: list[Any] = [kind.stride, kind.padding, kind.output_padding, kind.dilation]
        stride, padding, output_padding, dilation = (tuple(pair) for pair in pairs)
        how = Transposition(stride, padding, output_padding, kind.groups, dilation)
        return transposed(x, weight, bias, how)
    x, amounts = padded(x, _amounts(kind, weight))
    y: Tensor = torch.conv2d(x, weight, bias, kind.stride, amounts, kind.dilation, kind.groups)
    return y


def _amounts(kind: _Kind, weight: Tensor) -> list[tuple[int, int]]:
    """Return the zeros before and after each axis; of an odd number, torch puts more at the end."""
    if not isinstance(kind.padding, str):
        return [(amount, amount) for amount in kind.padding]
    if kind.padding == "valid":
        return [(0, 0)] * len(kind.dilation)
    whole = [d * (k - 1) for d, k in zip(kind.dilation, weight.shape[2:], strict=True)]
    return [(amount // 2, amount - amount // 2) for amount in whole]


def _kind(node: fx.Node) -> _Kind:
    given: dict[int, Any] = dict(enumerate(node.args))
    axes = value_of(given[1]).dim() - 2

    def each(index: int, default: int) -> list[int]:
        value = given.get(index, default)
        value = [value] if isinstance(value, int) else list(value)
        return value * axes if len(value) == 1 else value

    def amounts(index: int) -> list[int] | str:
        return given[index] if isinstance(given.get(index), str) else each(index, 0)

    stride = each(3, 1)
    if node.target is _GENERAL:
        output = each(7, 0) if given[6] else None
        return _Kind(stride, amounts(4), each(5, 1), int(given[8]), output)
    if node.target in _TRANSPOSED:
        return _Kind(stride, amounts(4), each(7, 1), int(given.get(6, 1)), each(5, 0))
    return _Kind(stride, amounts(4), each(5, 1), int(given.get(6, 1)), None)


def _volume(kind: _Kind, weight: Tensor) -> Volume:
    stride: Any = tuple(kind.stride)
    padding: Any = tuple(_amounts(kind, weight))
    dilation: Any = tuple(kind.dilation)
    return Volume(stride, padding, dilation, kind.groups)


def _of_two_axes(kind: _Kind) -> _Kind:
    if len(kind.stride) == 2:
        return kind
    padding = kind.padding if isinstance(kind.padding, str) else [0, *kind.padding]
    output = None if kind.output_padding is None else [0, *kind.output_padding]
    return _Kind([1, *kind.stride], padding, [1, *kind.dilation], kind.groups, output)
