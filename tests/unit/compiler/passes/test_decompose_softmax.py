import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.decompose_softmax import DecomposeSoftmax
from tests.programs import exported, run_checked, targets


def axes(program):
    calls = [n for n in program.graph.nodes if "softmax" in str(n.target)]
    return [(n.args[1], n.meta["val"].dim()) for n in calls]


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((2, 5, 3, 4), 1),
        ((2, 5, 3, 4), 2),
        ((2, 5, 3, 4), 0),
        ((5, 1), 0),
        ((1, 5, 1, 1, 1, 1), 1),
        ((1, 2, 3, 2, 2, 2), 2),
        ((1, 2, 3, 2, 2, 4), -1),
    ],
)
def test_any_axis_becomes_the_last(shape, axis):
    x = torch.randn(shape) * 20
    result = run_checked(DecomposeSoftmax(), exported(lambda x: F.softmax(x, axis), x), x)
    ((place, rank),) = axes(result.program)
    assert place in (-1, rank - 1)
    assert rank <= 4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_logarithm_does_not_overflow(axis):
    x = torch.randn(3, 4, 5) * 200
    program = exported(lambda x: F.log_softmax(x, axis), x)
    result = run_checked(DecomposeSoftmax(), program, x)
    assert not [name for name in targets(result.program) if "softmax" in name]


def test_the_last_axis_stays():
    x = torch.randn(2, 3, 4, 5)
    assert not run_checked(DecomposeSoftmax(), exported(lambda x: F.softmax(x, -1), x), x).modified


def test_another_type_stays():
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: F.softmax(x, 1, dtype=torch.float64), x)
    assert not run_checked(DecomposeSoftmax(), program, x).modified
