"""Recurrent layers, unrolled in time into operators that any delegate runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["KINDS", "Layout", "one_step", "recurrent"]

# Computes the next state, whose first tensor is the output, from the projected input of a step,
# [N, gates * hidden], the state, and the recurrent weight and bias.
_Step = Callable[[Tensor, Sequence[Tensor], Tensor, Tensor | None], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Layout:
    """The structure of a recurrent network, as in the arguments of torch's operators.

    Attributes:
        biases: Whether each direction has two biases after its two weights.
        layers: Number of stacked layers.
        bidirectional: Whether each layer runs in both directions of time.
        batch_first: Whether the input is [N, T, C], not [T, N, C].
    """

    biases: bool
    layers: int
    bidirectional: bool
    batch_first: bool


def _gru(
    projected: Tensor, state: Sequence[Tensor], weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, ...]:
    before = state[0]
    reset_x, update_x, new_x = _parts(projected, 3)
    reset_h, update_h, new_h = _parts(F.linear(before, weight, bias), 3)
    reset, update = torch.sigmoid(reset_x + reset_h), torch.sigmoid(update_x + update_h)
    new = torch.tanh(new_x + reset * new_h)
    return (new + update * (before - new),)


def _lstm(
    projected: Tensor, state: Sequence[Tensor], weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, ...]:
    hidden, cell = state
    put, forget, new, out = _parts(projected + F.linear(hidden, weight, bias), 4)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(put) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def _plain(active: Callable[[Tensor], Tensor]) -> _Step:
    def step(
        projected: Tensor, state: Sequence[Tensor], weight: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, ...]:
        return (active(projected + F.linear(state[0], weight, bias)),)

    return step


# For each operator, by torch's name: its step function and the number of tensors in its state.
KINDS: dict[str, tuple[_Step, int]] = {
    "gru": (_gru, 1),
    "lstm": (_lstm, 2),
    "rnn_tanh": (_plain(torch.tanh), 1),
    "rnn_relu": (_plain(torch.relu), 1),
}


def _parts(x: Tensor, count: int) -> list[Tensor]:
    """Split [N, C] into equal parts of its last axis."""
    size = x.shape[1] // count
    return [torch.ops.aten.slice.Tensor(x, 1, i * size, (i + 1) * size) for i in range(count)]


def one_step(
    kind: str, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor | None]
) -> tuple[Tensor, ...]:
    """Compute torch's operator of one step, such as `gru_cell`; return the next state.

    Args:
        kind: Name of the operator without its suffix, a key of `KINDS`.
        x: Input [N, C].
        state: Tensors of the state, each [N, hidden].
        weights: The two weights and the two biases, in torch's order; a bias may be None.
    """
    into, again, bias_in, bias_again = weights
    if into is None or again is None:
        raise TypeError("a recurrent step needs both of its weights")
    return KINDS[kind][0](F.linear(x, into, bias_in), state, again, bias_again)


def recurrent(
    kind: str, layout: Layout, x: Tensor, state: Sequence[Tensor], weights: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Compute torch's recurrent operator of this kind.

    Args:
        kind: Name of the operator, a key of `KINDS`.
        layout: Structure of the network.
        x: Input [T, N, C], or [N, T, C] if `layout.batch_first`.
        state: Tensors of the initial state, each [layers * directions, N, hidden].
        weights: Weights and biases of each layer and direction, in torch's order.

    Returns:
        The outputs of all steps, followed by each tensor of the final state.
    """
    parts, each = iter(weights), 4 if layout.biases else 2
    ends: list[tuple[Tensor, ...]] = []
    for layer in range(layout.layers):
        directions = []
        for direction in range(1 + layout.bidirectional):
            held = [next(parts) for _ in range(each)]
            first = [_at(s, 0, layer * (1 + layout.bidirectional) + direction) for s in state]
            steps, end = _run(kind, x, first, held, layout, backwards=bool(direction))
            directions.append(steps)
            ends.append(end)
        x = torch.cat(directions, 2) if len(directions) > 1 else directions[0]
    last = [torch.stack([end[i] for end in ends]) for i in range(len(state))]
    return (x, *last)


def _run(
    kind: str,
    x: Tensor,
    state: Sequence[Tensor],
    weights: Sequence[Tensor],
    layout: Layout,
    *,
    backwards: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run one layer in one direction; return all outputs in order of time, and the last state."""
    step, _ = KINDS[kind]
    time = 1 if layout.batch_first else 0
    into, again = weights[:2]
    bias_in, bias_again = weights[2:] if layout.biases else (None, None)
    projected = F.linear(x, into, bias_in)  # for all steps at once
    now, outputs = tuple(state), []
    for t in _times(x.shape[time], backwards=backwards):
        now = step(_at(projected, time, t), now, again, bias_again)
        outputs.append(now[0].unsqueeze(time))
    return torch.cat(outputs[::-1] if backwards else outputs, time), now


def _times(count: int, *, backwards: bool) -> Iterator[int]:
    return iter(range(count - 1, -1, -1) if backwards else range(count))


def _at(x: Tensor, dim: int, index: int) -> Tensor:
    """Return x[index] along `dim` of a tensor of rank 3, as [A, B]."""
    shape = [size for axis, size in enumerate(x.shape) if axis != dim]
    part: Tensor = torch.ops.aten.slice.Tensor(x, dim, index, index + 1)
    return part.reshape(shape)
