"""Constants have plain strides, so that ExecuTorch reads their axes in the right order."""

import pytest
import torch
from torch import nn

from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.passes.state_layouts import StateLayouts
from edge_pipeline.compiler.program import constants_of
from tests.compiled import outputs_of
from tests.programs import exported, run_checked


class Weighted(nn.Module):
    def __init__(self, function, shape, strides):
        super().__init__()
        self.register_buffer("weight", torch.randn(shape).as_strided(shape, strides))
        self.function = function

    def forward(self, x):
        return self.function(x, self.weight)


def product():
    net = Weighted(lambda x, w: torch.bmm(w, x), (1, 9, 1), (9, 1, 9))
    return net, torch.randn(1, 1, 100)


def scaling():
    return Weighted(lambda x, w: x * w, (1, 1, 10, 1), (1, 1, 1, 10)), torch.randn(1, 1, 10, 10)


def one_channel():
    """As `lower_convolution` arranges the weight of a convolution from one channel to one."""

    def arranged(x, w):
        return torch.bmm(w.permute(2, 3, 0, 1).reshape(1, 9, 1), x)

    return Weighted(arranged, (1, 1, 3, 3), (9, 9, 3, 1)), torch.randn(1, 1, 100)


def test_strides_become_those_of_the_shape():
    net, x = product()
    result = run_checked(StateLayouts(), exported(net, x), x)
    assert result.modified
    (weight,) = constants_of(result.program).values()
    assert weight.stride() == (9, 1, 1)
    assert torch.equal(weight, net.weight)


def test_plain_constants_stay():
    x = torch.rand(1, 3, 5, 5)
    assert not run_checked(StateLayouts(), exported(nn.Conv2d(3, 4, 3), x), x).modified


def test_a_folded_expression_of_one_channel_is_laid_out():
    net, x = one_channel()
    folded = FoldConstants().run(exported(net, x)).program
    result = run_checked(StateLayouts(), folded, x)
    assert [value.stride() for value in constants_of(result.program).values()] == [(9, 1, 1)]


@pytest.mark.parametrize("case", [product, scaling, one_channel])
def test_executorch_computes_with_them(case, tmp_path):
    pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")
    torch.manual_seed(0)
    net, x = case()
    (found,) = outputs_of("executorch", net, (x,), tmp_path)
    assert abs(found - net(x).numpy()).max() < 1e-5
