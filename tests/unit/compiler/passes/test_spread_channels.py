import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.export import Dim

from edge_pipeline.compiler.passes.spread_channels import SpreadChannels
from edge_pipeline.compiler.program import run_program
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = SpreadChannels()


def repeats(channels, times):
    return torch.eye(channels).repeat_interleave(times, 0)[:, :, None, None]


@examples(12)
@given(
    st.integers(1, 5),
    st.integers(2, 4),
    st.sampled_from([torch.add, torch.sub, torch.mul]),
    st.booleans(),
    st.booleans(),
)
def test_repeated_channels_are_broadcast_and_equal_to_the_last_bit(
    channels, times, operator, first, biased
):
    weight = repeats(channels, times)
    bias = torch.zeros(channels * times) if biased else None

    def function(y, x):
        repeated = torch.conv2d(x, weight, bias)
        return operator(repeated, y) if first else operator(y, repeated)

    y, x = torch.randn(1, channels * times, 4, 5), torch.randn(1, channels, 4, 5)
    program = exported(function, y, x)
    result = run_checked(STEP, program, y, x)
    assert result.modified
    assert "conv2d" not in targets(result.program)
    (before,), (after,) = (run_program(one, (y, x)) for one in (program, result.program))
    assert torch.equal(before, after)


def test_free_sizes_stay_free():
    weight = repeats(3, 4)

    class Network(torch.nn.Module):
        def forward(self, y, x):
            return y * torch.conv2d(x, weight)

    rows = Dim("h", min=2, max=64)
    shapes = ({2: 4 * rows, 3: 4 * rows}, {2: 4 * rows, 3: 4 * rows})
    example = torch.rand(1, 12, 8, 8), torch.rand(1, 3, 8, 8)
    program = torch.export.export(Network(), example, dynamic_shapes=shapes)
    result = STEP.run(program.run_decompositions({}))
    assert result.modified
    y, x = torch.rand(1, 12, 16, 16), torch.rand(1, 3, 16, 16)
    (output,) = run_program(result.program, (y, x))
    assert torch.equal(output, y * torch.conv2d(x, weight))


REPEATS = repeats(2, 3)
TILED = torch.eye(2).repeat(3, 1)[:, :, None, None]
ONES = torch.ones(6)


def other_order(y, x):
    return y * torch.conv2d(x, TILED)


def other_factor(y, x):
    return y * torch.conv2d(x, 0.5 * REPEATS)


def with_bias(y, x):
    return y * torch.conv2d(x, REPEATS, ONES)


def with_stride(y, x):
    return y[:, :, ::2, ::2] * torch.conv2d(x, REPEATS, stride=2)


def computed_weight(y, x):
    return y * torch.conv2d(x, REPEATS * x.sum())


def broadcast_map(y, x):
    return y[:, :1] * torch.conv2d(x, REPEATS)


def scaled_sum(y, x):
    return torch.add(y, torch.conv2d(x, REPEATS), alpha=2)


def no_partner(y, x):
    return torch.conv2d(x, REPEATS).relu() + y


@pytest.mark.parametrize(
    "function",
    [
        other_order,
        other_factor,
        with_bias,
        with_stride,
        computed_weight,
        broadcast_map,
        scaled_sum,
        no_partner,
    ],
)
def test_what_stays(function):
    inputs = torch.rand(1, 6, 4, 4), torch.rand(1, 2, 4, 4)
    result = run_checked(STEP, exported(function, *inputs), *inputs)
    assert not result.modified


def test_whole_blocks_stay():
    weight = repeats(16, 2)
    inputs = torch.rand(1, 32, 4, 4), torch.rand(1, 16, 4, 4)
    result = run_checked(STEP, exported(lambda y, x: y * torch.conv2d(x, weight), *inputs), *inputs)
    assert not result.modified
