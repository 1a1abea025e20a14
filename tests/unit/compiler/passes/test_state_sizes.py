import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering.resize import scales_of
from edge_pipeline.compiler.passes.state_sizes import StateSizes
from tests.programs import exported, run_checked, targets
from tests.selection import examples

X = torch.rand(1, 2, 12, 17, generator=torch.Generator().manual_seed(0))


def resize(**how):
    return exported(lambda x: F.interpolate(x, mode="bilinear", **how), X)


def asked(program):
    return [
        (node.args[1], scales_of(node))
        for node in program.graph.nodes
        if "upsample" in str(node.target)
    ]


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), align=st.booleans())
@examples(8)
def test_a_whole_factor_becomes_a_size(rows, columns, align):
    how = {"scale_factor": (float(rows), float(columns)), "align_corners": align}
    result = run_checked(StateSizes(), resize(**how), X)
    same = rows == columns == 1
    assert asked(result.program) == ([] if same else [([12 * rows, 17 * columns], None)])


@pytest.mark.parametrize("factor", [1.5, 0.35])
def test_a_factor_that_is_not_the_ratio_of_sizes_stays_unless_corners_are_aligned(factor):
    result = run_checked(StateSizes(), resize(scale_factor=factor), X)
    assert not result.modified
    aligned = run_checked(StateSizes(), resize(scale_factor=factor, align_corners=True), X)
    assert asked(aligned.program) == [([int(12 * factor), int(17 * factor)], None)]


def test_a_resize_to_the_same_size_is_dropped():
    result = run_checked(
        StateSizes(), exported(lambda x: F.interpolate(x.exp(), X.shape[2:], mode="bilinear"), X), X
    )
    assert targets(result.program) == ["exp"]


def test_a_free_size_stays():
    class Double(torch.nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2.0, mode="bilinear")

    side = torch.export.Dim("side", min=2, max=64)
    program = torch.export.export(Double(), (X,), dynamic_shapes={"x": {2: side}})
    result = run_checked(StateSizes(), program.run_decompositions({}), X)
    assert not result.modified
