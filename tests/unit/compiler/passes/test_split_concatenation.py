import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.split_concatenation import SplitConcatenation
from tests.programs import exported, run_checked, targets


@settings(max_examples=15)
@given(st.integers(2, 60), st.integers(0, 3))
def test_at_most_five_at_a_time_in_the_same_order(count, dim):
    inputs = [torch.rand(1, 2, 3, 2) for _ in range(count)]
    program = exported(lambda *parts: torch.cat(parts, dim), *inputs)
    result = run_checked(SplitConcatenation(), program, *inputs, tolerance=0)
    assert result.modified == (count > 5)
    widths = [len(n.args[0]) for n in result.program.graph.nodes if "cat" in str(n.target)]
    assert max(widths) <= 5
    assert min(widths) >= 2


def test_only_what_is_too_many_is_copied_twice():
    inputs = [torch.rand(1, 2) for _ in range(7)]
    result = SplitConcatenation().run(exported(lambda *parts: torch.cat(parts), *inputs))
    assert targets(result.program) == ["cat", "cat"]
    widths = [len(n.args[0]) for n in result.program.graph.nodes if "cat" in str(n.target)]
    assert widths == [3, 5]


def test_the_same_tensor_may_come_twice():
    x = torch.rand(1, 2, 3, 3)
    program = exported(lambda x: torch.cat([x, x * 2, x, x, x, x], 1), x)
    assert run_checked(SplitConcatenation(), program, x, tolerance=0).modified
