import pytest
import torch

from edge_pipeline.compiler.passes.lower_views import LowerViews
from tests.programs import exported, run_checked, targets


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.unsqueeze(1), {"reshape"}),
        (lambda x: x[:, :1].squeeze(1), {"slice", "reshape"}),
        (lambda x: x.flatten(1), {"view", "reshape"}),
        (lambda x: x[:, 2], {"slice", "reshape"}),
        (lambda x: x.select(2, -1), {"slice", "reshape"}),
        (lambda x: x.split([1, 3], 1)[1], {"slice", "reshape"}),
        (lambda x: x.split(3, 2)[1], {"slice", "reshape"}),
        (lambda x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1], {"slice", "reshape"}),
        (lambda x: x.unbind(1)[3], {"slice", "reshape"}),
        (lambda x: torch.stack([x, x + 1], -1), {"cat", "reshape"}),
        (lambda x: torch.stack([x, x + 1]), {"cat", "reshape"}),
    ],
)
def test_an_operator_of_axes_becomes_reshapes_and_slices(function, expected):
    x = torch.randn(2, 4, 5)
    result = run_checked(LowerViews(), exported(lambda x: function(x * 2), x), x, tolerance=0)
    assert set(targets(result.program)) - {"mul", "add"} <= expected


def test_plain_slices_stay():
    x = torch.randn(2, 4, 5)
    assert not run_checked(LowerViews(), exported(lambda x: x[:, 1:] * 2, x), x).modified


def test_a_selection_by_a_computed_number_stays():
    inputs = torch.rand(3, 4), torch.tensor(1)
    program = exported(lambda x, i: x[i.item()] * 2, *inputs)
    assert "select" in targets(LowerViews().run(program).program)
