"""Peak memory of activations against arithmetic by hand, and against operators written down."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.activation_memory import peak_activation_bytes
from edge_pipeline.models.base import build_model
from tests.fakes.untrained_segmenters import TINY
from tests.selection import examples

MAP = 4 * 4 * 4  # bytes of one channel of 4 x 4


class _Skip(nn.Module):
    """Adds the input to the output, so that the input is in use until the end."""

    def __init__(self, *, skip: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)
        self.skip = skip

    def forward(self, x):
        y = torch.relu(self.first(x))
        y = self.second(y)
        return x + y if self.skip else y


@pytest.mark.parametrize(("skip", "maps"), [(False, 4), (True, 5)])
def test_by_hand(skip, maps):
    # The peak is at the relu: two channels in, two channels out, and the input if it is kept.
    assert peak_activation_bytes(_Skip(skip=skip), (1, 1, 4, 4)) == maps * MAP


def test_a_view_shares_memory_and_a_copy_does_not():
    class Reshaped(nn.Module):
        def __init__(self, *, copied: bool) -> None:
            super().__init__()
            self.copied = copied

        def forward(self, x):
            y = x.flatten(1)
            return y.clone() if self.copied else y

    assert peak_activation_bytes(Reshaped(copied=False), (1, 1, 4, 4)) == MAP
    assert peak_activation_bytes(Reshaped(copied=True), (1, 1, 4, 4)) == 2 * MAP


def test_weights_and_what_a_hypernetwork_computes_are_not_counted():
    few, many = (build_model("phi_unet_pets", TINY | {"hidden2": h}) for h in (4, 400))
    sizes = [peak_activation_bytes(m, (1, 3, 8, 8), {"phi": 0.3}) for m in (few, many)]
    assert sizes[0] == sizes[1]


class _Program:
    """Operators in execution order, each with the bytes of its result and what it reads."""

    def __init__(self, size: int) -> None:
        self.sizes, self.readers = [size], [[0]]

    def add(self, size: int, *reads: int) -> int:
        self.sizes.append(size)
        self.readers.append([len(self.sizes) - 1])
        for value in reads:
            self.readers[value].append(len(self.sizes) - 1)
        return len(self.sizes) - 1

    def peak(self) -> int:
        return max(
            sum(
                size
                for value, size in enumerate(self.sizes)
                if value <= at <= max(self.readers[value])
            )
            for at in range(len(self.sizes))
        )


def _restated(encoder, decoder, height, width, phi):
    """The peak of a UNet whose operators are written down by hand, without torch."""
    areas, program = [(height, width)], _Program(3 * height * width * 4)
    for _ in encoder[1:]:
        areas.append(tuple(max(1, math.floor(side * phi + 1e-6)) for side in areas[-1]))

    def size(channels, level):
        return channels * areas[level][0] * areas[level][1] * 4

    def stage(value, channels, level):
        for _ in range(2):  # a convolution and its activation
            value = program.add(size(channels, level), program.add(size(channels, level), value))
        return value

    def scaled(value, channels, level):
        return program.add(size(channels, level), value)

    # `stage` adds the convolution before the activation, which reads it.
    skips = [stage(0, encoder[0], 0)]
    for level in range(1, len(encoder)):
        skips.append(stage(scaled(skips[-1], encoder[level - 1], level), encoder[level], level))
    value, channels = skips[-1], encoder[-1]
    for level, out in zip(reversed(range(len(decoder))), decoder, strict=True):
        larger = scaled(value, channels, level)
        joined = program.add(size(encoder[level] + channels, level), skips[level], larger)
        value, channels = stage(joined, out, level), out
    program.add(size(1, 0), value)
    return program.peak()


@examples(60, 15)
@given(
    st.floats(0.1, 0.6),
    st.integers(1, 60),
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=4),
)
def test_operators_written_down_by_hand_give_the_same_peak(phi, height, width, channels):
    encoder, decoder = [a for a, _ in channels], [b for _, b in channels[1:]]
    texts = {"encoder": "-".join(map(str, encoder)), "decoder": "-".join(map(str, decoder))}
    model = build_model("phi_unet_pets", TINY | texts)
    found = peak_activation_bytes(model, (1, 3, height, width), {"phi": phi})
    assert found == _restated(encoder, decoder, height, width, phi)


def test_larger_phi_needs_no_less():
    # Maps of the second level dominate for a large phi, those of the first level for a small one.
    model = build_model("phi_unet_pets", TINY | {"encoder": "2-64-2", "decoder": "2-2"})
    sizes = [peak_activation_bytes(model, (1, 3, 64, 64), {"phi": p}) for p in (0.1, 0.3, 0.6)]
    assert sizes[0] <= sizes[1] < sizes[2]


def test_unsupported_shapes_and_values_are_refused():
    model = build_model("phi_unet_pets", TINY)
    with pytest.raises(InputError, match="expects 3 channels"):
        peak_activation_bytes(model, (1, 4, 8, 8), {"phi": 0.3})
    with pytest.raises(InputError, match="outside the range"):
        peak_activation_bytes(model, (1, 3, 8, 8), {"phi": 0.9})
    with pytest.raises(InputError, match="requires phi"):
        peak_activation_bytes(model, (1, 3, 8, 8))
