import torch

from edge_pipeline.compiler.passes.drop_noops import DropNoops
from edge_pipeline.compiler.passes.relax_views import RelaxViews
from tests.programs import exported, run_checked, targets


def test_a_view_becomes_a_reshape():
    x = torch.randn(2, 6)
    result = run_checked(RelaxViews(), exported(lambda x: x.view(3, 4) * 2, x), x, tolerance=0)
    assert targets(result.program) == ["reshape", "mul"]


def test_a_view_whose_copy_is_dropped_still_runs():
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: x.transpose(1, 2).contiguous().view(2, 12) * 2, x)
    relaxed = RelaxViews().run(program).program
    result = run_checked(DropNoops(), relaxed, x, tolerance=0)
    assert targets(result.program) == ["transpose", "reshape", "mul"]


def test_a_program_without_views_stays():
    x = torch.randn(2, 3)
    assert not run_checked(RelaxViews(), exported(lambda x: x.relu(), x), x).modified
