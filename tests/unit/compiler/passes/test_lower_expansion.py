import pytest
import torch

from edge_pipeline.compiler.passes.lower_expansion import LowerExpansion
from tests.programs import exported, run_checked, targets

REPEATING = {"expand", "repeat", "repeat_interleave"}


@pytest.mark.parametrize("ones", [True, False])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.expand(5, 2, 3, 4),
        lambda x: x[:, :1].expand(-1, 7, -1),
        lambda x: x[:1, :, :1].expand(3, 3, 6),
        lambda x: x.repeat(1, 2, 3),
        lambda x: x.repeat(2, 1, 5, 1),
        lambda x: x.repeat_interleave(3, 1),
        lambda x: x.repeat_interleave(2, -1),
    ],
)
def test_repeated_values(function, ones):
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: function(x).relu(), x)
    result = run_checked(LowerExpansion(ones=ones), program, x, tolerance=0)
    assert not REPEATING & set(targets(result.program))
    assert ("mul" in targets(result.program)) == ones
    assert ("cat" in targets(result.program)) == (not ones)


def test_what_is_broadcast_needs_no_expansion():
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: x[:, :1].expand(-1, 3, -1) * x, x)
    result = run_checked(LowerExpansion(), program, x, tolerance=0)
    assert targets(result.program) == ["slice", "mul"]


def test_two_expansions_that_make_a_map_together_stay_one():
    x = torch.randn(2, 3)
    program = exported(lambda x: x[:, :, None].expand(2, 3, 4) + x[:, :1, None].expand(2, 3, 4), x)
    result = run_checked(LowerExpansion(), program, x, tolerance=0)
    assert "expand" not in targets(result.program)


def test_nothing_to_repeat():
    x = torch.randn(2, 3)
    assert not run_checked(LowerExpansion(), exported(lambda x: x + 1, x), x).modified
