"""Fold batch norm at inference into the weights of the convolution before it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.computed_convolution import (
    CONVOLUTIONS,
    change_nothing,
    scale_computed,
    serves_input,
)
from edge_pipeline.compiler.analysis.extent import Extent, extents
from edge_pipeline.compiler.analysis.mapped_weights import Refusal, scale_mapped
from edge_pipeline.compiler.analysis.movement import arrived, chain, has_fixed_shape
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of

__all__ = ["FoldBatchNorm", "scale_and_shift"]

_ATEN = torch.ops.aten
_NORM, _EXPORTED_NORM = _ATEN.batch_norm.default, _ATEN._native_batch_norm_legit_no_training.default
_TRANSPOSED = (
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
)
_GROUPS = 6  # position of the argument, forward and transposed


def scale_and_shift(
    gamma: Tensor | None, beta: Tensor | None, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return the factor and the addend of batch norm at inference, [C] each, in float64.

    Args:
        gamma: Learned factor, [C]; None for ones.
        beta: Learned addend, [C]; None for zeros.
        mean: Running mean, [C].
        variance: Running variance, [C], at least 0.
        epsilon: Constant that is added to the variance.

    Source: [HyperSeg], appendix E.
    """
    scale = (variance.double() + epsilon).rsqrt()
    if gamma is not None:
        scale = scale * gamma.double()
    shift = -mean.double() * scale
    return scale, shift if beta is None else shift + beta.double()


@dataclass(frozen=True)
class _Norm:
    """A normalisation: its result, its operand, its factor [C] and its addend [C]."""

    result: fx.Node
    source: fx.Node
    scale: Tensor
    shift: Tensor


class FoldBatchNorm:
    """Fold batch norm with constant statistics into the convolution that feeds it.

    conv2d(x, weight, bias) -> batch_norm
    becomes
    conv2d(x, scale * weight, scale * bias + shift)

    conv2d(signal, mapper) -> slice, view -> weight;  conv2d(x, weight) -> view -> batch_norm
    becomes ([HyperSeg], appendix E)
    conv2d(signal, scale * mapper) -> slice, view -> weight;  conv2d(x, weight) -> view -> + shift

    conv2d(x, weight), where weight is computed once for the whole input -> batch_norm
    becomes
    conv2d(x, scale * weight, shift)

    Transposed and grouped convolutions are treated likewise. The shift is added after the views of
    a patch-wise convolution, so that the lowering still recognises its pattern; if a mapper
    computes the bias, the shift goes into the mapper's bias. A norm without a convolution of its
    own before it becomes a 1x1 depth-wise convolution, which reads and writes the map once; a
    product and a sum do so twice. Arithmetic is in float64 and rounded once.
    """

    name = "fold_batch_norm"
    why = "a separate normalisation reads and writes every map once more"

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; norms in training mode or with computed statistics stay."""
        editor = Editor(program)
        of_input = {n.name for n, extent in extents(program).items() if extent is Extent.GLOBAL}
        for node in editor.calls(_NORM, _EXPORTED_NORM):
            norm = _read(editor, node)
            if isinstance(norm, str):
                editor.notes.append(f"{layer_of(node)}: batch norm was not folded, since {norm}")
                continue
            try:
                _fold(editor, norm, of_input)
            except Refusal as refusal:
                _stand_alone(editor, norm, str(refusal))
            if not node._erased and not node.users:
                editor.graph.erase_node(node)  # or it would count as a user of its operand
        return editor.finish()


def _read(editor: Editor, node: fx.Node) -> _Norm | str:
    """Return the normalisation, or the reason why it cannot be folded."""
    source: Any = node.args[0]
    result = node
    if node.target is _NORM:
        if node.args[5]:
            return "it is in training mode"
        epsilon: Any = node.args[7]
    else:
        epsilon = node.args[6]
        if any(user.target is not operator.getitem or user.args[1] != 0 for user in node.users):
            return "other operators use its statistics"
        if len(node.users) != 1:
            return "nothing uses its result"
        result = next(iter(node.users))
    given = [None if part is None else editor.constant(part) for part in node.args[1:5]]
    if any(
        part is not None and value is None
        for part, value in zip(node.args[1:5], given, strict=True)
    ):
        return "its statistics are computed at run time"
    gamma, beta, mean, variance = given
    if mean is None or variance is None:
        return "it has no running statistics"
    return _Norm(result, source, *scale_and_shift(gamma, beta, mean, variance, epsilon))


def _fold(editor: Editor, norm: _Norm, of_input: set[str]) -> None:
    """Fold the norm into the convolution before it, or raise Refusal before any change."""
    convolution, *movements = chain(norm.source)
    if convolution.target not in (*CONVOLUTIONS, *_TRANSPOSED):
        raise Refusal("no convolution feeds it")
    if any(len(node.users) != 1 for node in (convolution, *movements)):
        raise Refusal("the convolution before it has other users")
    channels = _channels(norm, convolution, movements)
    weight = editor.constant(convolution.args[1])
    bias_node = convolution.args[2] if len(convolution.args) > 2 else None
    bias = editor.constant(bias_node)
    if weight is None:
        if convolution.target in _TRANSPOSED:
            raise Refusal("a transposed convolution with run-time weights feeds it")
        try:
            shifted = scale_mapped(editor, convolution, channels, norm.scale, norm.shift)
        except Refusal:
            if not (change_nothing(convolution, movements) and serves_input(convolution, of_input)):
                raise
            _scale_computed(editor, norm, convolution)
            return
        if shifted:
            editor.substitute(norm.result, norm.source, "folded batch norm into the weight mapper")
        else:
            _add_shift(editor, norm)
        return
    if bias_node is not None and bias is None:
        raise Refusal("the convolution before it has a bias that is computed at run time")
    scale, shift = norm.scale[channels], norm.shift[channels]
    before = torch.zeros_like(shift) if bias is None else bias.double()
    scaled = _scaled(convolution, weight.double(), scale).to(weight.dtype)
    name = f"{convolution.name}_with_batch_norm"
    new = (
        editor.add_constant(scaled, f"{name}_weight"),
        editor.add_constant((before * scale + shift).to(weight.dtype), f"{name}_bias"),
    )
    convolution.args = (convolution.args[0], *new, *convolution.args[3:])
    into = layer_of(convolution)
    editor.substitute(norm.result, norm.source, f"folded batch norm into the convolution {into}")


def _scale_computed(editor: Editor, norm: _Norm, convolution: fx.Node) -> None:
    """Scale a computed weight, which is small, instead of the convolution's output."""
    dtype, name = value_of(convolution).dtype, f"batch_norm_{norm.result.name}"
    scale = editor.add_constant(norm.scale.to(dtype), f"{name}_scale")
    shift = editor.add_constant(norm.shift.to(dtype), f"{name}_shift")
    note = "folded batch norm into the weight that is computed for the whole input"
    scale_computed(editor, norm.result, convolution, scale, note, shift)


def _channels(norm: _Norm, convolution: fx.Node, movements: list[fx.Node]) -> Tensor:
    """Return, for each channel of the convolution, the norm's channel that it becomes."""
    count, normalised = int(value_of(convolution).shape[1]), len(norm.scale)
    if not movements:
        return torch.arange(count)
    if not has_fixed_shape(convolution):
        raise Refusal("views of a map of dynamic shape lie between it and the convolution")
    shape = value_of(convolution).shape
    index = torch.arange(count).reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape)
    moved = arrived(index, movements)
    expected = torch.arange(normalised).reshape(1, -1, *[1] * (moved.dim() - 2)).expand(moved.shape)
    channels = torch.zeros(count, dtype=torch.long)
    channels[moved.flatten()] = expected.flatten()
    if not torch.equal(channels[moved], expected):
        raise Refusal("it mixes channels of the convolution before it")
    return channels


def _scaled(convolution: fx.Node, weight: Tensor, scale: Tensor) -> Tensor:
    """Scale the weight by output channel; a transposed weight is [in, out / groups, ...]."""
    taps = [1] * (weight.dim() - 2)
    if convolution.target in CONVOLUTIONS:
        return weight * scale.reshape(-1, 1, *taps)
    found: Any = convolution.args[_GROUPS] if len(convolution.args) > _GROUPS else 1
    groups = int(found)
    apart = weight.reshape(
        groups, -1, *weight.shape[1:]
    )  # [groups, in / groups, out / groups, ...]
    return (apart * scale.reshape(groups, 1, -1, *taps)).reshape(weight.shape)


def _add_shift(editor: Editor, norm: _Norm) -> None:
    shape = [1, -1, *[1] * (value_of(norm.source).dim() - 2)]
    dtype = value_of(norm.source).dtype
    shift = editor.add_constant(norm.shift.reshape(shape).to(dtype), f"shift_{norm.result.name}")

    def added(x: Tensor, shift: Tensor) -> Tensor:
        return x + shift

    note = "folded batch norm's scale into the weight mapper, and added its shift separately"
    editor.replace(norm.result, added, [norm.source, shift], note)


def _stand_alone(editor: Editor, norm: _Norm, reason: str) -> None:
    """Replace the norm by a depth-wise 1x1 convolution of a map, or else a product and a sum."""
    value = value_of(norm.source)
    name, channels = f"batch_norm_{norm.result.name}", len(norm.scale)
    maps = value.dim() == 4
    shape = [channels, 1, 1, 1] if maps else [1, -1, *[1] * (value.dim() - 2)]
    scale = editor.add_constant(norm.scale.reshape(shape).to(value.dtype), f"{name}_scale")
    shift = norm.shift if maps else norm.shift.reshape(shape)
    added = editor.add_constant(shift.to(value.dtype), f"{name}_shift")

    def convolved(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return torch.conv2d(x, scale, shift, groups=channels)

    def multiplied(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return x * scale + shift

    replacement = "a depth-wise 1x1 convolution" if maps else "a product and a sum"
    note = f"batch norm became {replacement}, since {reason}"
    editor.replace(
        norm.result, convolved if maps else multiplied, [norm.source, scale, added], note
    )
