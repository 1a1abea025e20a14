import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.decompose_scatter import DecomposeScatter
from tests.programs import exported, run_checked, targets

STEP = DecomposeScatter()
X = torch.randn(2, 5, 6)


def assign(place, value):
    def function(x):
        y = x * 2
        y[place] = value(x) if callable(value) else value
        return y

    return function


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((slice(None), 0), 0.0),
        ((slice(None), slice(1, 4)), 3.0),
        ((slice(None), slice(None), -1), lambda x: x[:, :, 0]),
        ((slice(None), slice(-2, None), slice(1, 3)), lambda x: x[:, :2, :2]),
        ((0,), lambda x: x[1]),
        ((slice(None),), 1.0),
    ],
)
def test_assignments_become_concatenations(place, value):
    result = run_checked(STEP, exported(assign(place, value), X), X)
    assert not {"slice_scatter", "select_scatter", "fill", "copy"} & set(targets(result.program))


@given(st.integers(-7, 7), st.integers(-7, 7))
def test_any_range_is_assigned(first, last):
    def function(x):
        y = x + 1
        y[:, first:last] *= 3
        return y

    run_checked(STEP, exported(function, X), X)


def test_steps_stay():
    program = exported(assign((slice(None), slice(0, 5, 2)), lambda x: x[:, :3]), X)
    assert "slice_scatter" in targets(run_checked(STEP, program, X).program)
