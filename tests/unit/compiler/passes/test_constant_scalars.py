import torch

from edge_pipeline.compiler.passes.constant_scalars import ConstantScalars
from edge_pipeline.compiler.program import constants_of, run_program
from tests.programs import exported

X = torch.rand(1, 3, 4, 4)


def test_numbers_in_the_place_of_tensors_become_constants_one_for_each_value():
    program = exported(lambda x: ((x * 0.5 + 2) * 0.5).clamp(0.25, 1), X)
    result = ConstantScalars().run(program)
    assert result.modified
    values = sorted(float(value) for value in constants_of(result.program).values())
    assert values == [0.5, 2]  # limits of a clamp are no tensors
    assert torch.equal(run_program(result.program, [X])[0], run_program(program, [X])[0])
    assert len(result.notes) == 3


def test_a_second_run_changes_nothing():
    once = ConstantScalars().run(exported(lambda x: x * 0.5, X)).program
    assert not ConstantScalars().run(once).modified


def test_programs_without_numbers_stay():
    program = exported(lambda x: x + x, X)
    assert ConstantScalars().run(program).program is program
