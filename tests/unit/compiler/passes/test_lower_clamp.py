import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.lower_clamp import LowerClamp
from tests.programs import exported, run_checked, targets
from tests.selection import examples

VALUES = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 1.5, 6.0, 7.0, torch.inf])


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: x.clamp(0, 1),
        lambda x: x.clamp(0.0, max=1.0),
        lambda x: x.clamp(min=0.0, max=1.0),
        lambda x: F.hardtanh(x, 0.0, 1.0),
    ],
)
def test_to_the_unit_interval_in_two_steps_with_the_same_values(layer):
    x = VALUES * 1.0
    program = exported(layer, x)
    result = LowerClamp().run(program)
    assert result.modified
    assert targets(result.program) == ["clamp", "clamp"]
    assert torch.equal(result.program.module()(x), layer(x))
    assert not LowerClamp().run(result.program).modified


@examples(100, 8)
@given(st.sampled_from([None, -1.0, 0.0, 0.5]), st.sampled_from([None, 1.0, 2.0, 6.0]))
def test_other_limits_stay(low, high):
    if (low, high) in ((0.0, 1.0), (None, None)):
        return
    x = torch.randn(1, 2, 3, 3)
    assert not run_checked(LowerClamp(), exported(lambda x: x.clamp(low, high), x), x).modified


def test_the_layer_is_kept():
    x = torch.randn(1, 2, 3, 3)
    program = exported(torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Hardtanh(0.0, 1.0)), x)
    result = run_checked(LowerClamp(), program, x)
    assert result.notes[0].startswith("1: ")
