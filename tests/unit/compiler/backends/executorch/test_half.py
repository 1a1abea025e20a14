"""Half precision: off by rounding, whole in its names, loud about what it cannot hold."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.backends.executorch.half import to_half as converted
from edge_pipeline.compiler.passes.approximate_gelu import ApproximateGelu
from edge_pipeline.compiler.passes.constant_scalars import ConstantScalars
from edge_pipeline.compiler.program import constants_of, layer_of, run_program
from edge_pipeline.errors import CompileError
from tests.programs import exported
from tests.selection import examples

SIZE = (1, 3, 8, 12)


def to_half(program):
    """After the passes that half precision needs."""
    for step in (ApproximateGelu(), ConstantScalars()):
        program = step.run(program).program
    return converted(program)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        y = F.gelu(self.first(x)) * 0.5
        return y / (y.abs().mean((2, 3), keepdim=True) + 1e-12)


@examples(8)
@given(seed=st.integers(0, 1000))
def test_off_by_rounding(seed):
    torch.manual_seed(seed)
    program, x = exported(Net(), torch.rand(SIZE)), torch.rand(SIZE)
    expected = run_program(program, [x])[0]
    found = run_program(to_half(program), [x.half()])[0]
    assert found.dtype == torch.float16
    error = (found.float() - expected).norm() / expected.norm()
    assert 1e-6 < error < 0.02


def test_names_layers_and_the_source_stay():
    program = exported(Net(), torch.rand(SIZE))
    text = str(program.graph)
    half = to_half(program)
    assert str(program.graph) == text
    assert all(value.dtype == torch.float16 for value in constants_of(half).values())
    (convolution,) = (node for node in half.graph.nodes if "conv2d" in str(node.target))
    assert layer_of(convolution) == "first"


@pytest.mark.parametrize("least", [1e-12, 1e-30])
def test_a_guard_against_division_by_zero_stays_one(least):
    program = exported(lambda x: x / (x.abs() + least), torch.rand(SIZE))
    found = run_program(to_half(program), [torch.zeros(SIZE).half()])[0]
    assert torch.equal(found, torch.zeros(SIZE).half())


def test_a_weight_beyond_its_range_is_named():
    model = Net()
    model.first.weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(CompileError, match=r"first: the constant .* reaches 1e\+06.*65504"):
        to_half(exported(model, torch.rand(SIZE)))
