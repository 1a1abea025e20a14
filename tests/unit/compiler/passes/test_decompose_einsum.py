import pytest
import torch

from edge_pipeline.compiler.passes.decompose_einsum import DecomposeEinsum
from tests.programs import exported, run_checked, targets


@pytest.mark.parametrize(
    ("equation", "first", "second"),
    [
        ("bti,oi->bto", (2, 3, 4), (5, 4)),
        ("ij,jk->ik", (3, 4), (4, 5)),
        ("ij,jk->ki", (3, 4), (4, 5)),
        ("bchw,bdhw->bcd", (2, 3, 4, 5), (2, 6, 4, 5)),
        ("nhqk,nkhd->nqhd", (2, 3, 4, 5), (2, 5, 3, 6)),
        ("i,j->ij", (3,), (4,)),
        ("i, i ->", (3,), (3,)),
        ("bi,bi->b", (2, 3), (2, 3)),
    ],
)
def test_a_product_of_two_becomes_a_batched_one(equation, first, second):
    inputs = (torch.randn(first), torch.randn(second))
    program = exported(lambda x, y: torch.einsum(equation, x, y), *inputs)
    result = run_checked(DecomposeEinsum(), program, *inputs)
    assert "einsum" not in targets(result.program)
    assert "bmm" in targets(result.program)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ii->i", [(3, 3)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("ij,k->ik", [(2, 3), (4,)]),
        ("...i,ij->...j", [(2, 3), (3, 4)]),
    ],
)
def test_others_stay_and_are_noted(equation, shapes):
    inputs = tuple(torch.randn(shape) for shape in shapes)
    program = exported(lambda *given: torch.einsum(equation, *given), *inputs)
    if "einsum" in targets(program):
        result = run_checked(DecomposeEinsum(), program, *inputs)
        assert not result.modified
        assert equation in result.notes[0]
