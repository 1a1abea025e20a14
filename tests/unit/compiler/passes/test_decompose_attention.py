import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.decompose_attention import DecomposeAttention
from tests.programs import exported, run_checked, targets

STEP = DecomposeAttention()
ATTENTION = "scaled_dot_product_attention"


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (3, 5, 4), (1, 1, 5, 4)])
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"is_causal": True}])
def test_attention_becomes_products(shape, options):
    inputs = [torch.randn(shape) for _ in range(3)]
    program = exported(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), *inputs)
    result = run_checked(STEP, program, *inputs)
    assert ATTENTION not in targets(result.program)
    assert targets(result.program).count("bmm") == 2


def test_other_lengths_and_an_added_mask():
    inputs = [torch.randn(2, 3, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 6)]
    inputs.append(torch.randn(5, 7))
    program = exported(lambda *given: F.scaled_dot_product_attention(*given), *inputs)
    assert run_checked(STEP, program, *inputs).modified


class Masked(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.ones(5, 5).tril().bool())

    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x, self.mask)


def test_a_constant_mask_of_truth_values():
    x = torch.randn(2, 3, 5, 4)
    assert run_checked(STEP, exported(Masked(), x), x).modified


def test_a_computed_mask_stays_and_is_noted():
    x = torch.randn(2, 5, 4)
    program = exported(lambda x: F.scaled_dot_product_attention(x, x, x, x @ x.mT > 0), x)
    result = run_checked(STEP, program, x)
    assert not result.modified
    assert "boolean mask is computed" in result.notes[0]
