import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.lower_slices import LowerSlices
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = LowerSlices()
MOVING = {"slice", "cat", "reshape", "constant_pad_nd", "transpose", "linear"}


@examples(15)
@given(st.integers(0, 2), st.integers(-6, 6), st.integers(1, 12), st.integers(2, 4))
def test_steps_along_any_axis(dim, start, end, step):
    x = torch.randn(6, 7, 8)
    index = [slice(None)] * 3
    index[dim] = slice(start, end, step)
    if 0 in x[tuple(index)].shape:
        return
    result = run_checked(STEP, exported(lambda x: x[tuple(index)] * 2, x), x, tolerance=0)
    slices = [n for n in result.program.graph.nodes if "slice" in str(n.target)]
    assert all(len(n.args) < 5 or n.args[4] == 1 for n in slices)


class Indexed(torch.nn.Module):
    def __init__(self, count, dim):
        super().__init__()
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        self.register_buffer("order", order)
        self.dim = dim

    def forward(self, x):
        return x.index_select(self.dim, self.order) * 2


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flip(1),
        lambda x: x.flip((0, -1)),
        lambda x: torch.roll(x, (1, -2), (0, 2)),
        lambda x: F.pad(x, (1, 2), mode="replicate"),
        lambda x: F.pad(x, (2, 1), mode="circular"),
        lambda x: F.pad(x, (0, 3), mode="reflect"),
        lambda x: F.pad(x, (-1, -2, 0, -1)),
        Indexed(4, 1),
    ],
)
def test_a_choice_becomes_stretches(function):
    x = torch.randn(3, 4, 5)
    result = run_checked(STEP, exported(function, x), x, tolerance=0)
    assert set(targets(result.program)) <= {"slice", "cat", "mul"}


def test_indices_in_brackets():
    class Bracketed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("order", torch.tensor([2, -1, 0, 1]))

        def forward(self, x):
            return x[:, self.order] * 2

    x = torch.randn(3, 4, 5)
    assert run_checked(STEP, exported(Bracketed(), x), x, tolerance=0).modified


@pytest.mark.parametrize("dim", [1, 2])
def test_many_stretches_become_a_product(dim):
    x = torch.randn(2, 40, 40)
    result = run_checked(STEP, exported(Indexed(40, dim), x), x, tolerance=0)
    assert "linear" in targets(result.program)


def test_plain_slices_constant_padding_and_computed_indices_stay():
    x = torch.randn(3, 4, 5)
    program = exported(lambda x: F.pad(x[:, 1:3], (1, 1)), x)
    assert not run_checked(STEP, program, x).modified
    program = exported(lambda x: x[:, x[0, :, 0].argsort()], x)
    assert not run_checked(STEP, program, x).modified
