import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.drop_noops import DropNoops
from tests.programs import exported, run_checked, targets


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.clone(),
        lambda x: x.detach(),
        lambda x: torch.ops.aten.alias.default(x),
        lambda x: F.dropout(x, 0.5, training=False),
        lambda x: x.expand(2, 3, 4),
        lambda x: x.expand(-1, -1, -1),
        lambda x: x[:, 0:3],
        lambda x: x[:, :, -4:],
        lambda x: x.repeat(1, 1, 1),
        lambda x: x.to(torch.float32),
        lambda x: x.squeeze(1),
        lambda x: x.permute(0, 1, 2),
        lambda x: x.transpose(1, -2),
        lambda x: F.pad(x, (0, 0)),
        lambda x: torch.cat([x], 1),
        lambda x: x.split(3, 1)[0],
        lambda x: nn.Dropout2d(0.5).eval()(x),
    ],
)
def test_what_changes_nothing_goes(function):
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: function(x * 2) + 1, x)
    result = run_checked(DropNoops(), program, x, tolerance=0)
    assert targets(result.program) == ["mul", "add"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.expand(5, 2, 3, 4),
        lambda x: x[:, 1:],
        lambda x: x[:, ::2],
        lambda x: x.repeat(1, 2, 1),
        lambda x: x.to(torch.float64),
        lambda x: x.transpose(1, 2),
        lambda x: F.pad(x, (1, -1)),
        lambda x: torch.roll(x, 1, 1),
        lambda x: x.flip(1),
        lambda x: x.narrow(1, 0, 2),
    ],
)
def test_what_changes_anything_stays(function):
    x = torch.randn(2, 3, 4)
    program = exported(lambda x: function(x * 2) + 1, x)
    result = run_checked(DropNoops(), program, x, tolerance=0)
    assert _computing(result.program) == _computing(program)


def _computing(program):
    return [name for name in targets(program) if "assert" not in name]


def test_checks_go():
    def network(x):
        y = x.to(torch.float64).to(torch.float32)
        torch._check(y.shape[0] == 2)
        return y + 1

    x = torch.randn(2, 3)
    result = run_checked(DropNoops(), exported(network, x), x)
    assert not [name for name in targets(result.program) if "assert" in name]


def test_a_copy_that_is_the_output_of_an_input_stays():
    x = torch.randn(2, 3)
    assert not run_checked(DropNoops(), exported(lambda x: x.clone(), x), x).modified


def test_two_outputs_stay_two():
    x = torch.randn(2, 3)
    program = exported(lambda x: (x.relu(), x.relu().clone()), x)
    result = DropNoops().run(program)
    (output,) = (node for node in result.program.graph.nodes if node.op == "output")
    assert len(set(output.args[0])) == 2


def test_a_no_op_on_a_free_size_goes():
    size = torch.export.Dim("n", min=2, max=64)
    module = nn.Sequential(nn.ReLU(), nn.Flatten(1, 1))
    program = torch.export.export(module, (torch.randn(4, 3),), dynamic_shapes=({0: size},))
    result = DropNoops().run(program.run_decompositions({}))
    assert targets(result.program) == ["relu"]
