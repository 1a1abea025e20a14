import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.merge_duplicates import MergeDuplicates
from tests.programs import exported, run_checked, targets


def test_the_same_pooling_is_done_once():
    x = torch.rand(1, 3, 8, 8)
    program = exported(lambda x: F.max_pool2d(x, 2).relu() + F.max_pool2d(x, 2).relu(), x)
    result = run_checked(MergeDuplicates(), program, x)
    assert targets(result.program) == ["max_pool2d", "relu", "add"]


def test_other_arguments_are_other_values():
    x = torch.rand(1, 3, 8, 8)
    program = exported(lambda x: x.clamp(0, 1) + x.clamp(0, 2) + F.max_pool2d(x, 1) * 1, x)
    assert not run_checked(MergeDuplicates(), program, x).modified


def test_a_whole_number_is_not_the_float_that_equals_it():
    x = torch.rand(3)
    program = exported(lambda x: torch.stack([x + 1, x + 1.0]), x)
    assert not run_checked(MergeDuplicates(), program, x).modified


def test_other_keyword_arguments_are_other_values():
    def function(x, y):
        added = torch.add(x, y, alpha=2) * torch.add(x, y, alpha=3)
        return added + F.gelu(x) * F.gelu(x, approximate="tanh")

    inputs = torch.rand(3), torch.rand(3)
    program = exported(function, *inputs)
    assert sum(bool(node.kwargs) for node in program.graph.nodes) == 3
    assert not run_checked(MergeDuplicates(), program, *inputs).modified


def test_the_same_keyword_arguments_are_the_same_value():
    inputs = torch.rand(3), torch.rand(3)
    program = exported(
        lambda x, y: torch.add(x, y, alpha=2).relu() * torch.add(x, y, alpha=2).sin(), *inputs
    )
    result = run_checked(MergeDuplicates(), program, *inputs)
    assert targets(result.program) == ["add", "relu", "sin", "mul"]


def test_two_equal_outputs_stay_two():
    x = torch.rand(3)
    program = exported(lambda x: (x.sin(), x.sin(), x.sin() + 1), x)
    result = run_checked(MergeDuplicates(), program, x)
    assert targets(result.program) == ["sin", "sin", "add"]
