"""Scaling weights that a weight mapper computes, by scaling the mapper's own weights.

A weight mapper is a convolution or linear layer with constant weights whose outputs, cut and
arranged, are the weights of other convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edge_pipeline.compiler.analysis.movement import arrived, chain, has_fixed_shape, uses
from edge_pipeline.compiler.program import Editor, layer_of, value_of

__all__ = ["Refusal", "scale_mapped"]

_ATEN = torch.ops.aten
_MAPPERS = (
    _ATEN.conv1d.default,
    _ATEN.conv2d.default,
    _ATEN.conv3d.default,
    _ATEN.linear.default,
)


class Refusal(Exception):  # noqa: N818 - it is no error: something else is done instead
    """Why something cannot be folded where it was meant to be; a clause."""


@dataclass
class _Change:
    """What happens to a mapper: a factor and an addend for each of its outputs, in float64."""

    factor: Tensor
    addend: Tensor


def scale_mapped(
    editor: Editor, convolution: fx.Node, channels: Tensor, scale: Tensor, shift: Tensor
) -> bool:
    """Scale what `convolution` computes, by way of the mapper that computes its weight and bias.

    Args:
        editor: it changes, unless Refusal is raised.
        convolution: forward, with a weight that is computed at run time.
        channels: for each of its output channels, the entry of `scale` that is meant.
        scale: factors, float64.
        shift: what is to be added after scaling, float64.

    Returns:
        Whether `shift` is in too; if not, the convolution has no bias that could take it.

    Raises:
        Refusal: the weight is not a mapper's, or the mapper serves something else too.

    Source: papers/001, appendix E.
    """
    changes: dict[fx.Node, _Change] = {}
    _collect(editor, changes, convolution, 1, scale[channels], None)
    bias = convolution.args[2] if len(convolution.args) > 2 else None
    constant = editor.constant(bias)
    if isinstance(bias, fx.Node) and constant is None:
        _collect(editor, changes, convolution, 2, scale[channels], shift[channels])
    for mapper, change in changes.items():
        _rewrite(editor, mapper, change)
    if constant is not None:
        value = constant.double() * scale[channels] + shift[channels]
        new = editor.add_constant(value.to(constant.dtype), f"{convolution.name}_with_batch_norm")
        convolution.args = (*convolution.args[:2], new, *convolution.args[3:])
    return bias is not None


def _collect(
    editor: Editor,
    changes: dict[fx.Node, _Change],
    convolution: fx.Node,
    place: int,
    scale: Tensor,
    shift: Tensor | None,
) -> None:
    """Book what scaling an operand of the convolution asks of its mapper.

    Args:
        editor: of the program.
        changes: by mapper; one more or one changed.
        convolution: whose operand it is.
        place: of the operand among its arguments, with the output channel as first dimension.
        scale: a factor an output channel.
        shift: an addend an output channel, if any.
    """
    operand = convolution.args[place]
    if not isinstance(operand, fx.Node):
        raise Refusal("its weight is no tensor")
    mapper, *movements = chain(operand)
    if mapper.target not in _MAPPERS or editor.constant(mapper.args[1]) is None:
        raise Refusal("its weights are computed by something else than a constant convolution")
    if len(mapper.args) > 2 and mapper.args[2] and editor.constant(mapper.args[2]) is None:
        raise Refusal("its mapper has a bias that is computed at run time")
    if not has_fixed_shape(mapper):
        raise Refusal("its weights are of free size")
    outputs = _outputs(mapper)
    rows = arrived(outputs, movements)
    wanted = torch.arange(len(scale)).reshape(-1, *[1] * (rows.dim() - 1)).expand(rows.shape)
    taken = torch.full((_width(mapper),), -1)
    taken[rows.flatten()] = wanted.flatten()
    # Several channels of the convolution, one a patch, may share a row; not with two factors.
    factors = scale[taken]
    if not torch.equal(factors[rows], scale[wanted]):
        raise Refusal("its mapper gives one weight to channels that differ in scale")
    _check_alone(mapper, operand, convolution, outputs, taken >= 0)
    change = changes.setdefault(
        mapper,
        _Change(
            torch.ones(len(taken), dtype=torch.float64),
            torch.zeros(len(taken), dtype=torch.float64),
        ),
    )
    chosen = taken >= 0
    change.factor[chosen] = factors[chosen]
    if shift is not None:
        change.addend[chosen] = shift[taken[chosen]]


def _dim(mapper: fx.Node) -> int:
    """The dimension of a mapper's outputs."""
    return value_of(mapper).dim() - 1 if mapper.target is _ATEN.linear.default else 1


def _width(mapper: fx.Node) -> int:
    """How many outputs a mapper has."""
    return int(value_of(mapper).shape[_dim(mapper)])


def _outputs(mapper: fx.Node) -> Tensor:
    """For each value that a mapper gives, the number of the output that it is."""
    shape = value_of(mapper).shape
    sides = [1] * len(shape)
    sides[_dim(mapper)] = -1
    return torch.arange(_width(mapper)).reshape(sides).expand(shape)


def _check_alone(
    mapper: fx.Node, operand: fx.Node, convolution: fx.Node, outputs: Tensor, taken: Tensor
) -> None:
    """Refuse where something else uses the outputs that are to be scaled."""
    for user, movements in uses(mapper):
        end = movements[-1] if movements else mapper
        if user is convolution and end is operand:
            continue
        if bool(taken[arrived(outputs, movements).flatten()].any()):
            raise Refusal(f"its mapper's weights serve {layer_of(user)} too")


def _rewrite(editor: Editor, mapper: fx.Node, change: _Change) -> None:
    """Give the mapper its changed weight and, where it has one or needs one, bias."""
    weight = editor.constant(mapper.args[1])
    if weight is None:
        raise Refusal("its mapper's weights are not constant")
    sides = [-1, *[1] * (weight.dim() - 1)]
    scaled = (weight.double() * change.factor.reshape(sides)).to(weight.dtype)
    new = editor.add_constant(scaled, f"{mapper.name}_with_batch_norm_weight")
    given = mapper.args[2] if len(mapper.args) > 2 else None
    bias = editor.constant(given)
    bias_node = given
    if bias is not None or bool(change.addend.any()):
        before = torch.zeros_like(change.addend) if bias is None else bias.double()
        value = (before * change.factor + change.addend).to(weight.dtype)
        bias_node = editor.add_constant(value, f"{mapper.name}_with_batch_norm_bias")
    mapper.args = (mapper.args[0], new, bias_node, *mapper.args[3:])
