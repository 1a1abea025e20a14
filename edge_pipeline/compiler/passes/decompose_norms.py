"""Decompose normalisation by the statistics of its input into means, products and a root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.movement import has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["DecomposeNorms"]

_ATEN = torch.ops.aten
_LAYER = (_ATEN.layer_norm.default, _ATEN.rms_norm.default)
_GROUP, _INSTANCE = _ATEN.group_norm.default, _ATEN.instance_norm.default


class DecomposeNorms:
    """Rewrite layer, RMS, group and instance normalisation.

    layer_norm(x, shape) -> d = x - mean(x);  d * rsqrt(mean(d * d) + epsilon) * gamma + beta
    rms_norm(x, shape)   -> x * rsqrt(mean(x * x) + epsilon) * gamma
    group_norm(x [N, C, H, W], G) -> the same with means over the map, and over the channels of a
        group by a 1x1 convolution; for other ranks, means of [N, G, C / G * ...]
    instance_norm(x)     -> group_norm with one group per channel

    Args:
        layers: Whether to rewrite layer and RMS normalisation too.
    """

    name = "decompose_norms"
    why = "delegates support no whole normalisation, but support its parts"

    def __init__(self, *, layers: bool = True) -> None:
        self.layers = layers

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; dynamic shapes and running statistics stay."""
        editor = Editor(program)
        for node in editor.calls(*(_LAYER if self.layers else ()), _GROUP, _INSTANCE):
            source: Any = node.args[0]
            if not has_fixed_shape(source):
                note = "the norm was not rewritten, since its shape is dynamic"
                editor.notes.append(f"{layer_of(node)}: {note}")
            elif node.target in _LAYER:
                _decompose_layer(editor, node, source)
            elif node.target is _GROUP:
                epsilon: Any = _argument(node, 4, 1e-5)
                _decompose_group(editor, node, int(_argument(node, 1, 1)), (2, 3), epsilon)
            elif _argument(node, 5, default=True):
                channels = int(value_of(source).shape[1])
                _decompose_group(editor, node, channels, (1, 2), _argument(node, 7, 1e-5))
        return editor.finish()


def _argument(node: fx.Node, place: int, default: Any) -> Any:
    found = node.args[place] if len(node.args) > place else default
    return default if found is None else found


def _decompose_layer(editor: Editor, node: fx.Node, source: fx.Node) -> None:
    shape: Any = node.args[1]
    dims = list(range(-len(shape), 0))
    centred = node.target is _ATEN.layer_norm.default
    smallest = torch.finfo(value_of(source).dtype).eps
    epsilon = float(_argument(node, 4 if centred else 3, 1e-5 if centred else smallest))
    operands, gamma, beta = _affine(node, source, (2, 3) if centred else (2,))

    def normalised(x: Tensor, *affine: Tensor) -> Tensor:
        x = x - x.mean(dims, keepdim=True) if centred else x
        y = x * ((x * x).mean(dims, keepdim=True) + epsilon).rsqrt()
        y = y if gamma is None else y * affine[gamma]
        return y if beta is None else y + affine[beta]

    editor.replace(node, normalised, operands, f"{node.target} became means and products")


def _affine(
    node: fx.Node, source: fx.Node, places: Sequence[int]
) -> tuple[list[fx.Node], int | None, int | None]:
    """Return the operands, and the indices of gamma and beta after the source (None if absent)."""
    found = [node.args[i] if len(node.args) > i else None for i in places]
    given = [operand for operand in found if isinstance(operand, fx.Node)]
    gamma = 0 if isinstance(found[0], fx.Node) else None
    last = found[1] if len(found) > 1 else None
    beta = len(given) - 1 if isinstance(last, fx.Node) else None
    return [source, *given], gamma, beta


def _decompose_group(
    editor: Editor, node: fx.Node, groups: int, places: Sequence[int], epsilon: float
) -> None:
    source: Any = node.args[0]
    shape, channels = value_of(source).shape, int(value_of(source).shape[1])
    operands, gamma, beta = _affine(node, source, places)
    maps, each = len(shape) == 4, channels // groups
    count = 0
    if maps and each > 1:
        same = torch.arange(channels) // each
        spread = (same[:, None] == same[None, :]).to(value_of(source).dtype) / each
        weight = spread.reshape(channels, channels, 1, 1)
        operands.insert(1, editor.add_constant(weight, f"mean_of_{each}_of_{channels}"))
        count = 1
    wide = [1, channels, *[1] * (len(shape) - 2)]

    def mean(x: Tensor, across: Sequence[Tensor]) -> Tensor:
        if not maps:
            return x.mean(-1, keepdim=True)
        of_each = x.mean((2, 3), keepdim=True)
        return torch.conv2d(of_each, across[0]) if across else of_each

    def normalised(x: Tensor, *rest: Tensor) -> Tensor:
        across, affine = rest[:count], rest[count:]
        x = x if maps else x.reshape(shape[0], groups, -1)
        d = x - mean(x, across)
        scale = (mean(d * d, across) + epsilon).rsqrt()
        if maps and gamma is not None:
            # Multiplying one value per channel is cheaper than multiplying the map.
            y = d * (scale * affine[gamma].reshape(wide))
        else:
            y = (d * scale).reshape(shape)
            y = y if gamma is None else y * affine[gamma].reshape(wide)
        return y if beta is None else y + affine[beta].reshape(wide)

    editor.replace(node, normalised, operands, f"{node.target} became means and products")
