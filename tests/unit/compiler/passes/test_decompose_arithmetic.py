import pytest
import torch

from edge_pipeline.compiler.passes.decompose_arithmetic import DecomposeArithmetic
from tests.programs import exported, run_checked, targets

STEP = DecomposeArithmetic()
X = torch.linspace(0.2, 3.0, 12).reshape(3, 4)
MASK = torch.ones(3, 4).tril(-1).bool()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x**2, {"mul"}),
        (lambda x: x**3, {"mul"}),
        (lambda x: x**4.0, {"mul"}),
        (lambda x: x**0.5, {"sqrt"}),
        (lambda x: x**-0.5, {"rsqrt"}),
        (torch.square, {"mul"}),
        (torch.log1p, {"add", "log"}),
        (torch.expm1, {"exp", "sub"}),
        (lambda x: x.clamp_min(1.0), {"clamp"}),
        (lambda x: x.clamp_max(1), {"clamp"}),
        (lambda x: torch.rsub(x, 2.0), {"neg", "add"}),
        (lambda x: torch.addcmul(x, x, x, value=0.5), {"mul", "add"}),
        (lambda x: torch.addcdiv(x, x, x + 1), {"add", "div", "mul"}),
        (lambda x: torch.lerp(x, x * 2, 0.25), {"mul", "sub", "add"}),
        (lambda x: torch.add(x, x.sqrt(), alpha=0.5), {"sqrt", "mul", "add"}),
        (lambda x: torch.sub(x, x.sqrt(), alpha=3), {"sqrt", "mul", "add"}),
        (lambda x: x.reciprocal(), {"div"}),
    ],
)
def test_a_form_becomes_the_plain_one(function, expected):
    result = run_checked(STEP, exported(function, X), X)
    assert set(targets(result.program)) == expected


class Masked(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("mask", MASK)

    def forward(self, x):
        return self.function(x, self.mask)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, mask: torch.where(mask, x, x * 2),
        lambda x, mask: x.masked_fill(mask, -3.0),
        lambda x, mask: torch.softmax(x.masked_fill(mask, float("-inf")), 0),
    ],
)
def test_a_constant_mask_becomes_products(function):
    program = exported(Masked(function), X)
    result = run_checked(STEP, program, X[:, :4])
    assert not {"where", "masked_fill"} & set(targets(result.program))


def test_computed_masks_other_powers_and_whole_numbers_stay():
    program = exported(lambda x: torch.where(x > 1, x, x * 2) + x**0.3, X)
    assert not run_checked(STEP, program, X).modified
    whole = torch.arange(6)
    assert not run_checked(STEP, exported(lambda x: x**2, whole), whole).modified
