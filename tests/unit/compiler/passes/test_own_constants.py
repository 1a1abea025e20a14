import torch
from torch import nn

from edge_pipeline.compiler.passes.own_constants import OwnConstants
from edge_pipeline.compiler.program import constants_of
from tests.programs import exported, run_checked


class Twice(nn.Module):
    """A convolution that is applied to two maps, and a linear layer that is applied once."""

    def __init__(self, *, bias=True):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear = nn.Conv2d(3, 3, 3, bias=bias), nn.Linear(3, 2)

    def forward(self, x):
        y = self.conv(self.conv(x))
        return self.linear(y.mean((2, 3)))


def test_each_layer_reads_its_own_weights_and_bias():
    x = torch.rand(1, 3, 9, 9)
    program = exported(Twice(), x)
    result = run_checked(OwnConstants(), program, x, tolerance=0)
    assert len(constants_of(result.program)) == len(constants_of(program)) + 2
    read = [n.args[1:3] for n in result.program.graph.nodes if "conv2d" in str(n.target)]
    assert len({constant.name for pair in read for constant in pair}) == 4
    assert all(note.startswith("conv: ") and "reads a copy" in note for note in result.notes)


def test_a_layer_that_is_applied_once_is_left_alone():
    x = torch.rand(1, 3, 9, 9)
    program = exported(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), x)
    assert not run_checked(OwnConstants(), program, x).modified


def test_an_operator_that_does_not_pack_reads_the_original():
    x = torch.rand(1, 3, 9, 9)
    scale = torch.rand(1, 3, 1, 1)
    program = exported(lambda x: x * scale + scale, x)
    assert not run_checked(OwnConstants(), program, x).modified
