"""Lower pooling to averages and maxima over windows that delegates support."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.lowering.movement import taken
from edge_pipeline.compiler.lowering.resize import resized
from edge_pipeline.compiler.program import Editor, Result, value_of

__all__ = ["LowerPooling"]

_ATEN = torch.ops.aten
_AVERAGE, _ADAPTIVE = _ATEN.avg_pool2d.default, _ATEN.adaptive_avg_pool2d.default
_MAXIMUM, _ADAPTIVE_MAXIMUM = _ATEN.max_pool2d.default, _ATEN.adaptive_max_pool2d.default
# padding, ceil_mode and count_include_pad: no padding, and no partial windows.
_PLAIN = ([0, 0], False, False)


class LowerPooling:
    """Rewrite pooling in the forms that delegates support.

    avg_pool2d(x, k)                -> avg_pool2d(x, k, k, 0, count_include_pad=False)
    avg_pool2d(x, k, s, p, ...)     -> pad(x, p), then the same; times constant factors if windows
                                       at the edges count fewer pixels or a divisor is given
    adaptive_avg_pool2d(x, 1)       -> mean over rows and columns
    adaptive_avg_pool2d(x, size)    -> avg_pool2d if all windows are equal, else products with
                                       matrices for rows and columns
    adaptive_max_pool2d(x, size)    -> max_pool2d if all windows are equal
    max_pool2d(x, k, s, p)          -> the edges repeated p times by concatenation, then no padding

    The last form is exact, since a window that extends beyond an edge contains the edge.

    Args:
        edges: Whether to rewrite max pooling with padding; LiteRT's converter pads by minus
            infinity, which XNNPACK's delegate does not support.
    """

    name = "lower_pooling"
    why = "XNNPACK pools only over the pixels of the map, in windows of one size"

    def __init__(self, *, edges: bool = False) -> None:
        self.edges = edges

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dilated maxima and dynamic shapes are left unchanged."""
        editor = Editor(program)
        for node in editor.calls(_AVERAGE, _ADAPTIVE, _MAXIMUM, operator.getitem):
            source: Any = node.args[0]
            if node.target is operator.getitem:
                if source.target is _ADAPTIVE_MAXIMUM and node.args[1] == 0:
                    _fix_maximum(editor, node, source.args[0])
            elif not has_fixed_shape(source) or value_of(source).dim() != 4:
                continue
            elif node.target is _ADAPTIVE:
                _fix(editor, node, source)
            elif node.target is _AVERAGE:
                _state(editor, node, source)
            elif self.edges:
                _repeat_edges(editor, node, source)
        return editor.finish()


def _window(source: fx.Node, node: fx.Node) -> list[int] | None:
    """Return the rows and columns of adaptive pooling's windows; None if their sizes differ."""
    sides = list(zip(value_of(source).shape[2:], value_of(node).shape[2:], strict=True))
    if any(before % after for before, after in sides):
        return None
    return [int(before // after) for before, after in sides]


def _fix(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    window, single = _window(source, node), value_of(node).shape[2:] == (1, 1)
    if window is None:
        matrices = [
            editor.add_constant(_averages(source, node, dim), f"{node.name}_{dim}")
            for dim in (2, 3)
        ]
        note = "adaptive pooling became products with matrices"
        editor.replace(node, resized, [source, *matrices], note)
        return

    def averaged(x: Tensor) -> Tensor:
        if single:
            return x.mean((2, 3), keepdim=True)
        y: Tensor = _AVERAGE(x, window, window, *_PLAIN)
        return y

    editor.replace(node, averaged, [source], "adaptive pooling became a mean over equal windows")


def _averages(source: fx.Node, node: fx.Node, dim: int) -> Tensor:
    """Return the matrix [out, in] of adaptive pooling along one axis, by pooling unit vectors."""
    before, after = int(value_of(source).shape[dim]), int(value_of(node).shape[dim])
    maps = torch.eye(before).reshape(1, before, 1, before)
    matrix: Tensor = _ADAPTIVE(maps, [1, after]).reshape(before, after).T
    return matrix.to(value_of(source).dtype)


def _fix_maximum(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    if not has_fixed_shape(source) or value_of(source).dim() != 4:
        return
    window = _window(source, node)
    if window is None:
        return

    def pooled(x: Tensor) -> Tensor:
        y: Tensor = _MAXIMUM(x, window, window)
        return y

    editor.replace(node, pooled, [source], "adaptive max pooling became one over equal windows")


def _pair(given: dict[int, Any], index: int, default: list[int]) -> list[int]:
    value = list(given.get(index) or default)
    return value * (2 // len(value))


def _state(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    given: dict[int, Any] = dict(enumerate(node.args))
    kernel = _pair(given, 1, [])
    stride, padding = _pair(given, 2, kernel), _pair(given, 3, [0, 0])
    if not any(padding) and not given.get(4) and not given.get(5, True) and not given.get(6):
        return
    size, pooled = value_of(source).shape[2:], value_of(node).shape[2:]
    # Number of pixels by which the last window extends beyond the map; negative if pixels remain.
    behind = [
        (int(after) - 1) * s + k - p - int(before)
        for before, after, s, k, p in zip(size, pooled, stride, kernel, padding, strict=True)
    ]
    amounts = [padding[1], max(0, behind[1]), padding[0], max(0, behind[0])]

    def plain(x: Tensor) -> Tensor:
        if any(amounts):
            x = _ATEN.constant_pad_nd.default(x, amounts, 0.0)
        y: Tensor = _AVERAGE(x, kernel, stride, *_PLAIN)
        return y

    ones = torch.ones(1, 1, *size, dtype=value_of(source).dtype)
    factors = _AVERAGE(ones, *node.args[1:]) / plain(ones)  # ratio of divisors
    if bool((factors == 1).all()):
        editor.replace(node, plain, [source], "average pooling was written without its own padding")
        return
    note = "average pooling became one over full windows, times constant factors"
    held = editor.add_constant(factors, f"factors_{node.name}")
    editor.replace(node, lambda x, each: plain(x) * each, [source, held], note)


def _repeat_edges(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    given: dict[int, Any] = dict(enumerate(node.args))
    kernel = _pair(given, 1, [])
    stride, padding = _pair(given, 2, kernel), _pair(given, 3, [0, 0])
    if not any(padding) or given.get(5) or _pair(given, 4, [1, 1]) != [1, 1]:
        return

    def pooled(x: Tensor) -> Tensor:
        for dim, amount in zip((2, 3), padding, strict=True):
            last = x.shape[dim] - 1
            x = taken(x, dim, [0] * amount + list(range(last + 1)) + [last] * amount)
        y: Tensor = _MAXIMUM(x, kernel, stride)
        return y

    editor.replace(node, pooled, [source], "the padding of max pooling became repeated edges")
