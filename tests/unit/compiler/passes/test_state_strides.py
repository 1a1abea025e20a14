import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.state_strides import StateStrides
from tests.programs import exported, run_checked


@pytest.mark.parametrize("pool", [F.max_pool2d, F.avg_pool2d])
def test_a_pooling_without_a_stride_gets_its_kernels_size(pool):
    x = torch.randn(1, 2, 6, 8)
    result = run_checked(StateStrides(), exported(lambda x: pool(x, (2, 4)) * 2, x), x)
    assert result.modified
    (node,) = (n for n in result.program.graph.nodes if "pool" in str(n.target))
    assert node.args[1:3] == ([2, 4], [2, 4])
    assert "stride became [2, 4]" in result.notes[0]


def test_a_stated_stride_stays():
    x = torch.randn(1, 2, 7, 8)
    result = run_checked(StateStrides(), exported(lambda x: F.max_pool2d(x, 3, stride=2), x), x)
    assert not result.modified
