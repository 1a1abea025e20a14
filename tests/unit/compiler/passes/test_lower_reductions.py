import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.lower_reductions import LowerReductions
from tests.programs import exported, run_checked, targets


@pytest.mark.parametrize(
    ("function", "shape", "expected"),
    [
        (lambda x: F.max_pool2d(x, 2), (1, 3, 6, 8), {"max_pool2d"}),
        (lambda x: x.amax((2, 3)), (1, 3, 5, 7), {"max_pool2d", "reshape"}),
        (lambda x: x.amax((-1, -2), keepdim=True), (1, 3, 5, 7), {"max_pool2d", "reshape"}),
        (lambda x: x.sum((3, 4), keepdim=True), (1, 4, 3, 3, 5), {"mean", "mul", "reshape"}),
        (lambda x: x.sum((2, 3)), (2, 4, 3, 3), {"mean", "mul", "reshape"}),
        (lambda x: x.mean(1, keepdim=True), (1, 5, 4, 6), {"conv2d"}),
        (lambda x: x.mean((2, -1)), (1, 5, 4, 6), {"mean", "reshape"}),
        (lambda x: x.mean(1, keepdim=True), (1, 5), {"mean", "reshape"}),
        (lambda x: x.mean(-1), (3, 5), {"mean", "reshape"}),
    ],
)
def test_each_reduction_takes_the_form_that_is_delegated(function, shape, expected):
    x = torch.randn(shape)
    result = run_checked(LowerReductions(), exported(function, x), x)
    assert set(targets(result.program)) == expected
    assert result.modified


def test_max_pooling_states_its_stride_and_keeps_its_padding():
    x = torch.randn(1, 2, 7, 7)
    program = exported(lambda x: F.max_pool2d(x, 3, stride=None, padding=1), x)
    result = run_checked(LowerReductions(), program, x, tolerance=0)
    (pool,) = [n for n in result.program.graph.nodes if n.op == "call_function"]
    assert pool.args[2] == [3, 3]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: F.max_pool2d(x, 3, 2), (1, 3, 6, 8)),
        (lambda x: x.amax(1), (1, 3, 5, 7)),
        (lambda x: x.sum((1, 2)), (1, 4, 3, 3)),
        (lambda x: x.mean((2, 3), keepdim=True), (1, 5, 4, 6)),
        (lambda x: x.mean(1), (1, 5, 4, 6)),
        (lambda x: x.mean(0), (3, 5)),
    ],
)
def test_other_reductions_stay(function, shape):
    x = torch.randn(shape)
    assert not run_checked(LowerReductions(), exported(function, x), x).modified
