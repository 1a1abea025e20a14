import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.drop_noops import DropNoops
from edge_pipeline.compiler.passes.lower_rank import LowerRank
from edge_pipeline.compiler.passes.relax_views import RelaxViews
from tests.programs import exported, run_checked
from tests.selection import examples

SIZES = st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.booleans()), min_size=6, max_size=7)


def highest(program):
    """The most axes that an operator's result has."""
    return max(n.meta["val"].dim() for n in program.graph.nodes if n.op == "call_function")


def test_a_kernel_a_pixel_is_applied_on_five_axes():
    """Involution: a product and a sum of six axes, which Core ML lacks."""
    weight, windows = torch.randn(1, 36, 8, 8), torch.randn(1, 144, 64)

    def involved(weight, windows):
        w = weight.view(1, 4, 9, 8, 8).unsqueeze(2)
        return (w * windows.view(1, 4, 4, 9, 8, 8)).sum(3).view(1, 16, 8, 8)

    program = exported(involved, weight, windows)
    assert highest(program) == 6
    result = run_checked(LowerRank(5), program, weight, windows)
    assert highest(result.program) <= 5


@examples(25)
@given(SIZES, st.sampled_from(["add", "mul"]), st.data())
def test_any_axes_that_can_be_merged_are(sizes, name, data):
    first = torch.randn([1 if one else n for n, one, _ in sizes])
    second = torch.randn([1 if one else n for n, _, one in sizes])
    axis = data.draw(st.integers(-len(sizes), len(sizes) - 1))
    keep = data.draw(st.booleans())

    def function(a, b):
        return getattr(torch, name)(a, b).sum(axis, keepdim=keep).flatten() * 2

    run_checked(LowerRank(5), exported(function, first, second), first, second, tolerance=1e-5)


def test_pixels_are_spread_out_on_five_axes():
    """What a transposed convolution ends with."""
    x = torch.randn(1, 12, 5, 6)

    def spread(x):
        return x.reshape(1, 3, 2, 2, 5, 6).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 10, 12)

    program = DropNoops().run(RelaxViews().run(exported(spread, x)).program).program
    result = run_checked(LowerRank(5), program, x, tolerance=0)
    assert highest(result.program) <= 5


@examples(25)
@given(st.permutations(range(6)), st.lists(st.integers(1, 2), min_size=6, max_size=6))
def test_any_permutation(order, sizes):
    x = torch.randn(sizes)
    program = exported(lambda x: x.permute(order).flatten() * 2, x)
    run_checked(LowerRank(5), program, x, tolerance=0)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 1, 2, 1, 2)])
def test_few_axes_stay(shape):
    x = torch.randn(shape)
    assert not run_checked(LowerRank(5), exported(lambda x: (x * x).sum(1), x), x).modified
