import pytest
import torch

from edge_pipeline.compiler.passes.state_axes import StateAxes
from tests.programs import exported, run_checked

X = torch.randn(2, 3, 4)


@pytest.mark.parametrize(
    "function",
    [torch.amax, torch.amin, torch.max, torch.min, lambda x: torch.amax(x, (), keepdim=True)],
)
def test_an_extreme_of_the_whole_tensor_names_its_axes(function):
    result = run_checked(StateAxes(), exported(lambda x: function(x) * 2, X), X)
    assert result.modified
    (node,) = (n for n in result.program.graph.nodes if "ama" in n.name or "ami" in n.name)
    assert node.args[1] == [0, 1, 2]


def test_an_extreme_along_an_axis_stays():
    result = run_checked(StateAxes(), exported(lambda x: x.amax(1), X), X)
    assert not result.modified
