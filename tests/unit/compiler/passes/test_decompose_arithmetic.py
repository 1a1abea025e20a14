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
        (lambda x: x**7, {"mul"}),
        (lambda x: x**-3, {"mul", "div"}),
        (lambda x: x**0.4545, {"log", "mul", "exp"}),
        (lambda x: 2.5**x, {"mul", "exp"}),
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


def test_computed_masks_high_powers_and_whole_numbers_stay():
    program = exported(lambda x: torch.where(x > 1, x, x * 2) + x**65, X)
    assert not run_checked(STEP, program, X).modified
    whole = torch.arange(6)
    assert not run_checked(STEP, exported(lambda x: x**2, whole), whole).modified


def test_powers_of_zero_stay_what_they_are():
    x = torch.tensor([0.0, 1e-30, 2.0])
    run_checked(STEP, exported(lambda x: x**2.2, x), x)


class Powers(torch.nn.Module):
    def __init__(self, exponents):
        super().__init__()
        self.register_buffer("exponents", torch.tensor(exponents))

    def forward(self, x):
        return x**self.exponents


def test_constant_whole_exponents_become_products():
    x = torch.randn(3, 5)
    result = run_checked(STEP, exported(Powers([0.0, 1, 2, 5, 8]), x), x)
    assert set(targets(result.program)) == {"mul", "add"}


@pytest.mark.parametrize("exponents", [[0.5, 1.0], [-1.0, 2.0], [1.0, 200.0]])
def test_other_constant_exponents_stay(exponents):
    x = torch.rand(3, 2) / 2 + 0.5
    assert not run_checked(STEP, exported(Powers(exponents), x), x).modified


def test_a_one_hot_code_is_a_comparison():
    x = torch.randint(0, 5, (2, 3))
    result = run_checked(STEP, exported(lambda x: torch.nn.functional.one_hot(x, 5), x), x)
    assert "one_hot" not in targets(result.program)
