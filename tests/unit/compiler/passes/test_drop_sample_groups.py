import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.drop_sample_groups import DropSampleGroups
from tests.programs import exported, run_checked, targets


def grouped(x, weight):
    n, o, c, k, _ = weight.shape
    y = F.conv2d(
        x.reshape(1, n * c, *x.shape[2:]), weight.reshape(n * o, c, k, k), groups=n, padding=1
    )
    return y.reshape(n, o, *y.shape[2:])


def test_one_sample_leaves_a_plain_convolution():
    inputs = (torch.rand(1, 3, 6, 7), torch.rand(1, 5, 3, 3, 3))
    result = run_checked(DropSampleGroups(), exported(grouped, *inputs), *inputs)
    # The weight's own reshape changes its rank, so it stays.
    assert sorted(targets(result.program)) == ["conv2d", "view"]
    assert len(result.notes) == 2


def test_two_samples_keep_their_groups():
    inputs = (torch.rand(2, 3, 6, 7), torch.rand(2, 5, 3, 3, 3))
    result = run_checked(DropSampleGroups(), exported(grouped, *inputs), *inputs)
    assert not result.modified


def test_free_sizes_are_compared_as_expressions():
    shapes = ({2: 4 * torch.export.Dim("h", min=1, max=9)},)

    class Module(torch.nn.Module):
        def forward(self, x):
            return x.reshape(1, 2, x.shape[2], 8).relu().reshape(1, 2, 4, -1)

    x = torch.randn(1, 2, 12, 8)
    program = torch.export.export(Module(), (x,), dynamic_shapes=shapes).run_decompositions({})
    result = run_checked(DropSampleGroups(), program, x)
    assert targets(result.program).count("view") == 1
