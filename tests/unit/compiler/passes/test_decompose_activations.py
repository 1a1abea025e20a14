import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.decompose_activations import ACTIVATIONS, DecomposeActivations
from tests.programs import exported, run_checked, targets

ALL = DecomposeActivations(*ACTIVATIONS)
# Zero, the limits of each piece, and values for which a plain exponential overflows.
POINTS = torch.cat([torch.linspace(-8, 8, 129), torch.tensor([-120.0, -20, 0.0, 20, 120])])


@pytest.mark.parametrize(
    "function",
    [
        F.hardsigmoid,
        F.hardswish,
        F.silu,
        F.softplus,
        lambda x: F.softplus(x, 2.0, 20.0),
        F.mish,
        F.logsigmoid,
        F.elu,
        lambda x: F.elu(x, 0.3),
        F.celu,
        lambda x: F.celu(x, 2.0),
        F.selu,
        lambda x: F.gelu(x, approximate="tanh"),
        F.rrelu,
        lambda x: F.glu(x.reshape(2, -1), 0),
        lambda x: F.glu(x.reshape(1, 2, -1), -2),
    ],
)
def test_an_activation_becomes_its_definition(function):
    before = targets(exported(function, POINTS))
    result = run_checked(ALL, exported(function, POINTS), POINTS, tolerance=2e-7)
    assert not set(before) & set(ACTIVATIONS) & set(targets(result.program))


@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 4), (4,)])
def test_a_slope_for_each_channel(shape):
    x = torch.randn(shape)
    layer = nn.PReLU(4 if len(shape) > 1 else 1)
    nn.init.normal_(layer.weight)
    result = run_checked(ALL, exported(layer, x), x)
    assert "prelu" not in targets(result.program)


@pytest.mark.parametrize("function", [F.gelu, lambda x: F.softplus(x, 1.0, 4.0), F.relu])
def test_what_has_no_exact_form_or_is_taken_stays(function):
    assert not run_checked(ALL, exported(function, POINTS), POINTS).modified


def test_only_those_that_are_named_are_rewritten():
    program = exported(lambda x: F.mish(x) + F.hardswish(x), POINTS)
    result = run_checked(DecomposeActivations("mish"), program, POINTS)
    assert "hardswish" in targets(result.program)
    assert "mish" not in targets(result.program)
