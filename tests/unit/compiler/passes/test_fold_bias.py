import pytest
import torch
from torch import nn

from edge_pipeline.compiler.passes.fold_bias import FoldBias
from tests.programs import exported, run_checked, targets

WEIGHT, ADDEND = torch.randn(4, 3, 3, 3), torch.randn(1, 4, 1, 1)


class Added(nn.Module):
    def __init__(self, shape, *, bias=False, first=False, twice=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=bias)
        self.register_buffer("addend", torch.randn(shape))
        self.first, self.twice = first, twice

    def forward(self, x):
        y = self.conv(x)
        z = self.addend + y if self.first else y + self.addend
        return z * y if self.twice else z


@pytest.mark.parametrize("first", [False, True])
def test_a_constant_addend_becomes_the_bias(first):
    x = torch.rand(1, 3, 6, 6)
    program = exported(Added((1, 4, 1, 1), first=first), x)
    assert targets(run_checked(FoldBias(), program, x).program) == ["conv2d"]


@pytest.mark.parametrize(
    "module",
    [
        Added((1, 4, 1, 1), bias=True),
        Added((1, 4, 4, 4)),
        Added((1, 1, 1, 1)),
        Added((1, 4, 1, 1), twice=True),
    ],
    ids=["has a bias", "differs by pixel", "one for all channels", "used before the addition"],
)
def test_other_additions_stay(module):
    x = torch.rand(1, 3, 6, 6)
    assert not run_checked(FoldBias(), exported(module, x), x).modified


@pytest.mark.parametrize("first", [False, True])
def test_a_scaled_addition_stays(first):
    """`alpha` multiplies the second operand, whichever of the two that is."""

    def scaled(x):
        y = torch.conv2d(x, WEIGHT)
        return torch.add(ADDEND, y, alpha=2) if first else torch.add(y, ADDEND, alpha=2)

    x = torch.rand(1, 3, 6, 6)
    program = exported(scaled, x)
    assert any(node.kwargs == {"alpha": 2} for node in program.graph.nodes)
    assert not run_checked(FoldBias(), program, x).modified
