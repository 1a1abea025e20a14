import torch

from edge_pipeline.compiler.passes.copy_outputs import CopyOutputs
from tests.programs import exported, run_checked, targets

X = torch.randn(2, 3)


def test_inputs_and_repeated_outputs_are_copied():
    def function(x):
        y = x.sin()
        return x, y, y

    result = run_checked(CopyOutputs(), exported(function, X), X)
    assert targets(result.program) == ["sin", "clone", "clone"]
    (_, returned) = result.program.graph_signature.user_inputs, result.program.graph_signature
    assert len(set(returned.user_outputs)) == 3
    assert not CopyOutputs().run(result.program).modified


def test_other_outputs_stay():
    program = exported(lambda x: (x.sin(), x.cos()), X)
    assert not run_checked(CopyOutputs(), program, X).modified
