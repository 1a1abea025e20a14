import torch

from edge_pipeline.compiler.passes.float_scalars import FloatScalars
from tests.programs import exported, run_checked


def test_whole_numbers_become_floats():
    x = torch.rand(1, 2)
    program = exported(lambda x: ((x / 2 + 1) * 0.5).clamp(0, 1).clamp(min=0), x)
    result = run_checked(FloatScalars(), program, x, tolerance=0)
    scalars = [s for n in result.program.graph.nodes if n.op == "call_function" for s in n.args[1:]]
    assert [type(s) for s in scalars] == [float] * 6
    assert len(result.notes) == 5


def test_integer_tensors_keep_integer_scalars():
    x = torch.arange(4)
    assert not run_checked(FloatScalars(), exported(lambda x: x * 3, x), x).modified
