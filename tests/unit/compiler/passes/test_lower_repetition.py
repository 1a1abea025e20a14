import pytest
import torch

from edge_pipeline.compiler.passes.lower_repetition import LowerRepetition
from tests.programs import exported, run_checked


def operands(program):
    (cat,) = [n for n in program.graph.nodes if n.target is torch.ops.aten.cat.default]
    return cat.all_input_nodes


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_what_is_joined_to_itself_becomes_two_operands(count, dim):
    x = torch.randn(1, 3, 4, 5)
    program = exported(lambda x: torch.cat([x] * count, dim), x)
    result = run_checked(LowerRepetition(), program, x, tolerance=0)
    assert result.modified
    assert len(operands(result.program)) == 2


def test_others_stay():
    x, y = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 4, 5)
    program = exported(lambda x, y: torch.cat([x, y, x], 1), x, y)
    assert not run_checked(LowerRepetition(), program, x, y).modified
