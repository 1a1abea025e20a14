import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.decompose_unfold import DecomposeUnfold
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = DecomposeUnfold()


@st.composite
def windows(draw):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, dilation, stride = draw(pair), draw(pair), draw(pair)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    return kernel, dilation, padding, stride


@examples(10)
@given(windows(), st.integers(1, 2))
def test_windows_of_any_kind_are_cut_and_added_back(how, batch):
    x = torch.randn(batch, 3, 8, 9)
    program = exported(lambda x: F.unfold(x, *how), x)
    result = run_checked(STEP, program, x, tolerance=0)
    assert "im2col" not in targets(result.program)
    cut = F.unfold(x, *how)
    program = exported(lambda y: F.fold(y, (8, 9), *how), cut)
    result = run_checked(STEP, program, cut, tolerance=1e-6)
    assert "col2im" not in targets(result.program)


def test_windows_edge_to_edge_are_moved_alone():
    x = torch.randn(1, 3, 8, 9)
    cut = run_checked(STEP, exported(lambda x: F.unfold(x, 2, stride=2), x), x, tolerance=0)
    assert set(targets(cut.program)) <= {"slice", "reshape", "permute"}
    y = F.unfold(x, 2, stride=2)
    whole = run_checked(STEP, exported(lambda y: F.fold(y, (8, 9), 2, stride=2), y), y, tolerance=0)
    assert set(targets(whole.program)) <= {"reshape", "permute", "constant_pad_nd"}


def test_a_map_without_a_batch():
    x = torch.randn(3, 8, 9)
    assert run_checked(STEP, exported(lambda x: F.unfold(x, 3), x), x, tolerance=0).modified


@pytest.mark.parametrize(("size", "step"), [(3, 1), (3, 2), (2, 2), (1, 2)])
def test_windows_along_an_axis(size, step):
    x = torch.randn(2, 3, 8)
    program = exported(lambda x: x.unfold(2, size, step) * 2, x)
    result = run_checked(STEP, program, x, tolerance=0)
    assert "unfold" not in targets(result.program)
