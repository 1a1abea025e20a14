import pytest
import torch

from edge_pipeline.compiler.passes.lower_sums import LowerSums
from tests.programs import exported, run_checked, targets

REDUCTIONS = {"sum", "mean", "amax", "amin"}


@pytest.mark.parametrize("dims", [0, 1, -1, (0, 1), (0, 2), (1, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("keep", [True, False])
def test_a_reduction_over_any_axes_is_lowered(dims, keep):
    def network(x):
        kinds = (x.sum, x.mean, x.amax, x.amin)
        return tuple(kind(dims, keepdim=keep) for kind in kinds)

    # Drawn by a seed: sums of other draws differ by more than the tolerance in rare cases.
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    program = exported(network, x)
    result = run_checked(LowerSums(), program, x)
    assert not REDUCTIONS & set(targets(result.program))


def test_what_is_infinite_reaches_its_own_sum_alone():
    x = torch.ones(2, 3, 4)
    x[1, 0, 2] = float("inf")
    result = LowerSums().run(exported(lambda x: x.sum(1), x))
    (found,) = (value for value in [result.program.module()(x)])
    assert torch.isinf(found).sum() == 1


@pytest.mark.parametrize("function", [lambda x: x.sum(), lambda x: x.mean()])
def test_a_reduction_of_everything(function):
    x = torch.randn(3, 4)
    assert run_checked(LowerSums(), exported(function, x), x).modified


@pytest.mark.parametrize(
    ("function", "dtype"),
    [
        (lambda x: x.mean((2, 3), keepdim=True), torch.float32),
        (lambda x: x.sum(1), torch.int64),
        (lambda x: x.sum(1, dtype=torch.float64), torch.float32),
    ],
)
def test_the_delegates_own_and_other_types_stay(function, dtype):
    x = torch.ones(1, 3, 4, 5, dtype=dtype)
    assert not run_checked(LowerSums(), exported(function, x), x).modified
