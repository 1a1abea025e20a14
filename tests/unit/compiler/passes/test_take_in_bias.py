import pytest
import torch

from edge_pipeline.compiler.passes.take_in_bias import TakeInBias
from tests.programs import exported, run_checked, targets

X, WEIGHT = torch.rand(1, 2, 6, 5), torch.randn(3, 2, 3, 3)


@pytest.mark.parametrize("first", [True, False])
def test_a_computed_addend_becomes_the_bias(first):
    def layer(x, weight, bias):
        y, addend = torch.conv2d(x, weight * 2, padding=1), (bias * 3)[:, :, None, None]
        return y + addend if first else addend + y

    inputs = (X, WEIGHT, torch.randn(1, 3))
    result = run_checked(TakeInBias(), exported(layer, *inputs), *inputs)
    assert result.modified
    assert "add" not in targets(result.program)


def _twice(x, weight, bias):
    y = torch.conv2d(x, weight)
    return y + bias[:, :, None, None] + y.mean()


def _constant(x, weight, bias):
    return torch.conv2d(x, WEIGHT) + bias[:, :, None, None]


def _one_for_all(x, weight, bias):
    return torch.conv2d(x, weight) + bias.mean()


def _scaled(x, weight, bias):
    return torch.add(torch.conv2d(x, weight), bias[:, :, None, None], alpha=2)


def _scaled_convolution(x, weight, bias):
    return torch.add(bias[:, :, None, None], torch.conv2d(x, weight), alpha=2)


@pytest.mark.parametrize("layer", [_twice, _constant, _one_for_all, _scaled, _scaled_convolution])
def test_other_additions_stay(layer):
    inputs = (X, WEIGHT, torch.randn(1, 3))
    assert not run_checked(TakeInBias(), exported(layer, *inputs), *inputs).modified
