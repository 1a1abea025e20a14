import pytest
import torch

from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.passes.fold_sourceless import FoldSourceless
from edge_pipeline.compiler.program import constants_of
from tests.programs import exported, run_checked, targets

STEP = FoldSourceless(1 << 20)


@pytest.mark.parametrize(
    "made",
    [
        lambda x: torch.arange(4),
        lambda x: torch.arange(1, 9, 2),
        lambda x: torch.linspace(-1, 1, 4),
        lambda x: torch.full((3, 4), 0.5),
        lambda x: torch.zeros(4),
        lambda x: torch.ones(3, 1),
        lambda x: torch.eye(3, 4),
        lambda x: torch.zeros_like(x),
        lambda x: torch.ones_like(x),
        lambda x: torch.full_like(x, 2.0),
        lambda x: x.new_zeros(4),
        lambda x: x.new_full((3, 1), 3.0),
    ],
)
def test_what_is_made_of_numbers_is_a_constant(made):
    x = torch.randn(3, 4)
    result = run_checked(STEP, exported(lambda x: x + made(x), x), x, tolerance=0)
    assert targets(result.program) == ["add"]


def test_what_depends_on_it_folds_then():
    def coordinates(x):
        rows, columns = torch.linspace(-1, 1, 4), torch.arange(5) / 5
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        return torch.cat([x, grid[None].expand(1, -1, -1, -1)], 1)

    x = torch.randn(1, 3, 4, 5)
    folded = run_checked(STEP, exported(coordinates, x), x, tolerance=0)
    result = run_checked(FoldConstants(), folded.program, x, tolerance=0)
    assert targets(result.program) == ["cat"]


def test_equal_values_that_are_broadcast_are_one():
    x = torch.randn(1, 8, 16, 16)
    result = run_checked(STEP, exported(lambda x: x * torch.full_like(x, 3.0), x), x, tolerance=0)
    (constant,) = constants_of(result.program).values()
    assert constant.shape == (1, 1, 1, 1)


def test_equal_values_that_are_joined_are_whole():
    x = torch.randn(1, 8, 4, 4)
    program = exported(lambda x: torch.cat([x, torch.zeros(1, 2, 4, 4)], 1), x)
    result = run_checked(STEP, program, x, tolerance=0)
    (constant,) = constants_of(result.program).values()
    assert constant.shape == (1, 2, 4, 4)


def test_a_result_over_the_limit_stays_and_is_noted():
    x = torch.randn(1, 8, 4, 4)
    program = exported(lambda x: torch.cat([x, torch.zeros(1, 2, 4, 4)], 1), x)
    result = run_checked(FoldSourceless(64), program, x)
    assert not result.modified
    assert "32 values" in result.notes[0]


def test_random_numbers_stay_random():
    x = torch.randn(3, 4)
    program = exported(lambda x: x + torch.rand(3, 4) + torch.rand_like(x), x)
    assert not STEP.run(program).modified
