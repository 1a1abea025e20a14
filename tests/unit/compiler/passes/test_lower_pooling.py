import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.lower_pooling import LowerPooling
from tests.programs import exported, run_checked, targets
from tests.selection import examples


def pools(program, name):
    return [n for n in program.graph.nodes if n.op == "call_function" and name in str(n.target)]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.avg_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, (1, 3), 1, (0, 1)),
    ],
)
def test_an_average_counts_no_padding_of_its_own(function):
    x = torch.randn(2, 3, 8, 9)
    result = run_checked(LowerPooling(), exported(function, x), x)
    (pool,) = pools(result.program, "avg_pool2d")
    assert pool.args[3] == [0, 0]
    assert pool.args[5] is False


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, {"mean"}), ((4, 3), {"avg_pool2d"}), (5, {"linear", "transpose"})],
)
def test_adaptive_averages(size, expected):
    x = torch.randn(1, 3, 8, 9)
    program = exported(lambda x: F.adaptive_avg_pool2d(x, size), x)
    result = run_checked(LowerPooling(), program, x)
    assert set(targets(result.program)) == expected


def test_adaptive_maxima_of_equal_windows():
    x = torch.randn(1, 3, 8, 9)
    program = exported(lambda x: F.adaptive_max_pool2d(x, (4, 3)), x)
    result = run_checked(LowerPooling(), program, x, tolerance=0)
    assert targets(result.program) == ["max_pool2d"]


@examples(100, 8)
@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 2), st.tuples(*[st.integers(5, 9)] * 2))
def test_maxima_pool_repeated_edges(kernel, stride, padding, size):
    if padding > kernel // 2:
        return
    x = torch.randn(1, 2, *size) - 5
    program = exported(lambda x: F.max_pool2d(x, kernel, stride, padding), x)
    result = run_checked(LowerPooling(edges=True), program, x, tolerance=0)
    (pool,) = pools(result.program, "max_pool2d")
    assert len(pool.args) < 4


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.avg_pool2d(x, 2, count_include_pad=False),
        lambda x: F.max_pool2d(x, 3, 2, 1),
    ],
)
def test_others_stay(function):
    x = torch.randn(1, 3, 8, 9)
    assert not run_checked(LowerPooling(), exported(function, x), x).modified


@examples(100, 8)
@given(
    st.tuples(*[st.integers(1, 4)] * 2),
    st.integers(1, 3),
    st.integers(0, 2),
    st.tuples(*[st.integers(5, 9)] * 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 3]),
)
def test_averages_of_any_windows(kernel, stride, padding, size, ceil, counted, divisor):
    if padding > min(kernel) // 2:
        return
    x = torch.randn(1, 2, *size)

    def pooled(x):
        return F.avg_pool2d(x, kernel, stride, padding, ceil, counted, divisor)

    result = run_checked(LowerPooling(), exported(pooled, x), x)
    (pool,) = pools(result.program, "avg_pool2d")
    assert list(pool.args[3:]) == [[0, 0], False, False]


def test_halving_an_even_map_needs_no_factors():
    """A residual network's shortcut: ceil_mode and uncounted padding that change nothing."""
    x = torch.randn(1, 2, 8, 8)
    program = exported(lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False), x)
    assert targets(run_checked(LowerPooling(), program, x).program) == ["avg_pool2d"]
