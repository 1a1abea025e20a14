"""Scale weights that a weight mapper computes, by scaling the mapper's own weights.

A weight mapper is a convolution or linear layer with constant weights. Its outputs, sliced and
rearranged, are the weights of other convolutions.
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


class Refusal(Exception):  # noqa: N818 - not an error: the caller has a fallback
    """The reason, a clause, why something cannot be folded as intended."""


@dataclass
class _Change:
    """The change to a mapper: a factor and an addend for each of its outputs, in float64."""

    factor: Tensor
    addend: Tensor


def scale_mapped(
    editor: Editor, convolution: fx.Node, channels: Tensor, scale: Tensor, shift: Tensor
) -> bool:
    """Scale the output of `convolution` by changing the mapper that computes its weight and bias.

    Args:
        editor: Editor of the program; it is modified, unless Refusal is raised.
        convolution: A convolution, not transposed, whose weight is computed at run time.
        channels: For each of its output channels, the index into `scale` and `shift`.
        scale: Factors, float64.
        shift: Addends after scaling, float64.

    Returns:
        Whether `shift` was included; if not, the convolution has no bias that could include it.

    Raises:
        Refusal: If no mapper computes the weight, or if other operators use the mapper's outputs.

    Source: [HyperSeg], appendix E.
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
    """Record the change to a mapper that scales an operand of the convolution.

    Args:
        editor: Editor of the program.
        changes: Changes by mapper; one is added or updated.
        convolution: The convolution that takes the operand.
        place: Position of the operand among its arguments; its first axis is the output channel.
        scale: One factor per output channel.
        shift: One addend per output channel, or None.
    """
    operand = convolution.args[place]
    if not isinstance(operand, fx.Node):
        raise Refusal("the convolution's weight is not a tensor")
    mapper, *movements = chain(operand)
    if mapper.target not in _MAPPERS or editor.constant(mapper.args[1]) is None:
        raise Refusal("no weight mapper computes the convolution's weight")
    if len(mapper.args) > 2 and mapper.args[2] and editor.constant(mapper.args[2]) is None:
        raise Refusal("the weight mapper's bias is computed at run time")
    if not has_fixed_shape(mapper):
        raise Refusal("the weight mapper has a dynamic shape")
    outputs = _outputs(mapper)
    rows = arrived(outputs, movements)
    channels = torch.arange(len(scale)).reshape(-1, *[1] * (rows.dim() - 1)).expand(rows.shape)
    taken = torch.full((_width(mapper),), -1)
    taken[rows.flatten()] = channels.flatten()
    # Several channels, one per patch, may share an output of the mapper if their factors agree.
    factors = scale[taken]
    if not torch.equal(factors[rows], scale[channels]):
        raise Refusal("one output of the weight mapper serves channels with different scales")
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
    """Return the axis of a mapper's result that holds its outputs."""
    return value_of(mapper).dim() - 1 if mapper.target is _ATEN.linear.default else 1


def _width(mapper: fx.Node) -> int:
    """Return the number of outputs of a mapper."""
    return int(value_of(mapper).shape[_dim(mapper)])


def _outputs(mapper: fx.Node) -> Tensor:
    """Return, for each value of a mapper's result, the index of its output."""
    shape = value_of(mapper).shape
    sides = [1] * len(shape)
    sides[_dim(mapper)] = -1
    return torch.arange(_width(mapper)).reshape(sides).expand(shape)


def _check_alone(
    mapper: fx.Node, operand: fx.Node, convolution: fx.Node, outputs: Tensor, taken: Tensor
) -> None:
    """Raise Refusal if another operator uses the outputs that are to be scaled."""
    for user, movements in uses(mapper):
        end = movements[-1] if movements else mapper
        if user is convolution and end is operand:
            continue
        if bool(taken[arrived(outputs, movements).flatten()].any()):
            raise Refusal(f"the weight mapper's outputs also serve {layer_of(user)}")


def _rewrite(editor: Editor, mapper: fx.Node, change: _Change) -> None:
    """Replace the mapper's weight, and its bias if it has or requires one."""
    weight = editor.constant(mapper.args[1])
    if weight is None:
        raise Refusal("the weight mapper's weights are not constant")
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
