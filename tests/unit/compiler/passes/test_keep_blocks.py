import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.keep_blocks import KeepBlocks
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = KeepBlocks()
POINTWISE, ROWS = torch.rand(4, 3, 1, 1), torch.rand(4, 3, 4, 1)


@examples(12)
@given(st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_a_mean_is_spread(n_in, n_out, first):
    weight = torch.randn(n_out, n_in, 1, 1)

    def function(x):
        y, mean = torch.conv2d(x, weight), x.mean(1, keepdim=True)
        return mean + y if first else y + mean

    x = torch.rand(1, n_in, 4, 5)
    result = run_checked(STEP, exported(function, x), x)
    # With one channel there is nothing to broadcast, but nothing is wrong either.
    assert result.modified
    assert sorted(targets(result.program)) == ["add", "conv2d", "conv2d"]


def test_factors_are_stated_a_channel():
    def function(x):
        y = torch.conv2d(x, POINTWISE)
        return y * 0.25 + 0.5 * y

    x = torch.rand(1, 3, 4, 5)
    result = run_checked(STEP, exported(function, x), x)
    assert result.modified
    assert all(
        not isinstance(argument, float)
        for node in result.program.graph.nodes
        if node.op == "call_function" and "mul" in str(node.target)
        for argument in node.args
    )


def computed_weights(x, weight):
    return torch.conv2d(x, weight) * 0.25 + x.mean(1, keepdim=True)


def mean_used_twice(x, weight):
    mean = x.mean(1, keepdim=True)
    return (torch.conv2d(x, POINTWISE) + mean) / mean + weight.sum()


def broadcast_rows(x, weight):
    return torch.conv2d(x, ROWS) + x.mean(1, keepdim=True) + weight.sum()


def factor_of_rows(x, weight):
    return torch.conv2d(x, POINTWISE).flatten(2) * 0.25 + weight.sum()


def factor_of_patches(x, weight):
    return torch.conv2d(x, POINTWISE).unflatten(3, (5, 1)) * 0.25 + weight.sum()


def mean_of_rows(x, weight):
    y = torch.conv2d(x, POINTWISE).flatten(2)
    return y + x.flatten(2).mean(1, keepdim=True) + weight.sum()


def mean_of_one_sample(x, weight):
    return torch.conv2d(x, POINTWISE)[0] + x[0].mean(-3, keepdim=True) + weight.sum()


@pytest.mark.parametrize(
    "function",
    [
        computed_weights,
        mean_used_twice,
        broadcast_rows,
        factor_of_rows,
        factor_of_patches,
        mean_of_rows,
        mean_of_one_sample,
    ],
)
def test_what_stays(function):
    inputs = torch.rand(1, 3, 4, 5), torch.rand(4, 3, 1, 1)
    result = run_checked(STEP, exported(function, *inputs), *inputs)
    assert not result.modified
