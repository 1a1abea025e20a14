import pytest
import torch
from torch import nn

from edge_pipeline.compiler.passes.take_in_gain import TakeInGain
from edge_pipeline.compiler.program import run_program
from tests.programs import exported

X = torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


class Gated(nn.Module):
    """A convolution of computed weights, and a gate for each of its channels."""

    def __init__(self, *, bias=False, view=False, constant=False, shared=False, wide=False):
        super().__init__()
        torch.manual_seed(0)
        self.kernel, self.gate, self.bias = (nn.Linear(4, n) for n in (4 * 4 * 9, 4, 4))
        self.has_bias, self.view, self.shared, self.wide = bias, view, shared, wide
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3)) if constant else None

    def forward(self, x):
        pooled = x.mean((2, 3))
        computed = self.kernel(pooled).view(4, 4, 3, 3)
        weight = computed if self.weight is None else self.weight
        bias = self.bias(pooled)[0] if self.has_bias else None
        y = torch.conv2d(x, weight, bias, padding=1)
        y = y.view(x.shape[0], 4, 8, 8) if self.view else y
        gate = self.gate(pooled).sigmoid()[:, :, None, None]
        gated = y * (gate.expand(1, 4, 8, 8) * x if self.wide else gate)
        return gated + y if self.shared else gated


def products_of_maps(program):
    return [
        n
        for n in program.graph.nodes
        if n.target is torch.ops.aten.mul.Tensor and n.meta["val"].shape == X.shape
    ]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("view", [False, True])
def test_the_gain_goes_into_the_weight(bias, view):
    program = exported(Gated(bias=bias, view=view), X)
    result = TakeInGain().run(program)
    assert len(products_of_maps(program)) == 1
    assert products_of_maps(result.program) == []
    (found,), (expected,) = (run_program(p, [X]) for p in (result.program, program))
    torch.testing.assert_close(found, expected)
    assert len(result.notes) == 1
    assert not TakeInGain().run(result.program).modified


@pytest.mark.parametrize("option", ["constant", "shared", "wide"])
def test_constant_weights_maps_with_other_readers_and_gains_with_pixels_stay(option):
    program = exported(Gated(**{option: True}), X)
    assert TakeInGain().run(program).notes == ()
