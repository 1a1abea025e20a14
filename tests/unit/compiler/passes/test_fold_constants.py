import torch
from torch import nn

from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.program import constants_of
from tests.programs import exported, run_checked, targets


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.raw = nn.Parameter(torch.randn(1, 4, 3, 3, 3))
        self.register_buffer("gain", torch.tensor(2.0))

    def forward(self, x):
        return torch.conv2d(x, (self.raw * self.gain).reshape(4, 3, 3, 3), padding=1)


def test_a_weight_that_is_an_expression_of_constants_becomes_one():
    module, x = Computed(), torch.rand(1, 3, 5, 5)
    result = run_checked(FoldConstants(), exported(module, x), x)
    assert targets(result.program) == ["conv2d"]
    (weight,) = constants_of(result.program).values()
    assert torch.equal(weight, (module.raw * 2).detach()[0])
    # What only the expression used is gone from the program.
    assert not result.program.state_dict


def test_what_depends_on_an_input_stays():
    x = torch.rand(1, 3, 5, 5)
    result = run_checked(FoldConstants(), exported(lambda x: (x * 2).relu(), x), x)
    assert not result.modified
