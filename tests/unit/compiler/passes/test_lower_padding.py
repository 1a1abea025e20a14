import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.lower_padding import LowerPadding
from tests.programs import exported, run_checked, targets


@pytest.mark.parametrize("amounts", [(1, 1, 1, 1), (2, 2, 1, 1), (0, 0, 2, 2)])
def test_reflection_becomes_slices(amounts):
    x = torch.rand(1, 2, 5, 6)
    program = exported(lambda x: F.pad(x, amounts, mode="reflect"), x)
    result = run_checked(LowerPadding(), program, x, tolerance=0)
    assert set(targets(result.program)) == {"slice", "cat"}


@pytest.mark.parametrize(("amounts", "mode"), [((1, 0, 1, 1), "reflect"), ((1,) * 4, "constant")])
def test_other_padding_stays(amounts, mode):
    x = torch.rand(1, 2, 5, 6)
    program = exported(lambda x: F.pad(x, amounts, mode=mode), x)
    assert not run_checked(LowerPadding(), program, x).modified
