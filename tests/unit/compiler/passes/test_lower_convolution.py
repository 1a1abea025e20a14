import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.choice import choose
from edge_pipeline.compiler.lowering.convolution import ConvGeometry, ConvPlan
from edge_pipeline.compiler.lowering.cost_model import (
    CONSTANT,
    BackendCosts,
    Call,
    load_costs,
)
from edge_pipeline.compiler.lowering.padding import Padding
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.errors import CompileError
from tests.programs import exported, run_checked, targets
from tests.selection import examples

LOWER = LowerConvolution("executorch")


class Predicted(nn.Module):
    """A layer whose weights are an input, under a name of its own."""

    def __init__(self, **arguments):
        super().__init__()
        self.hyper = self.Layer(arguments)

    class Layer(nn.Module):
        def __init__(self, arguments):
            super().__init__()
            self.arguments = arguments

        def forward(self, x, weight):
            return torch.conv2d(x, weight, **self.arguments)

    def forward(self, x, weight):
        return self.hyper(x, weight)


@examples(15)
@given(
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.sampled_from([1, 3, 5]),
    size=st.tuples(st.integers(5, 12), st.integers(5, 12)),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 2),
    bias=st.booleans(),
    reflect=st.booleans(),
)
def test_a_computed_weight_leaves_no_convolution(
    channels, kernel, size, stride, dilation, groups, bias, reflect
):
    pad, (n_in, n_out) = dilation * (kernel // 2), (groups * n for n in channels)

    def layer(x, weight, *biases):
        if reflect:
            x = F.pad(x, (pad,) * 4, mode="reflect")
        padding = 0 if reflect else pad
        b = biases[0] if biases else None
        return torch.conv2d(x, weight * 2, b, stride, padding, dilation, groups)

    inputs = [torch.rand(1, n_in, *size), torch.randn(n_out, n_in // groups, kernel, kernel)]
    inputs += [torch.randn(n_out)] if bias else []
    result = run_checked(LOWER, exported(layer, *inputs), *inputs, tolerance=3e-6)
    found = targets(result.program)
    assert not {"conv2d", "convolution", "reflection_pad2d"} & set(found)
    assert ("mul" if groups == n_in == n_out else "bmm") in found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_plan_that_is_given_is_followed_and_noted(algorithm, bias):
    inputs = [torch.rand(1, 3, 9, 8), torch.randn(4, 3, 3, 3)] + [torch.randn(4)] * bias
    program = exported(lambda x, w, *b: torch.conv2d(x, w, *b), *inputs)
    step = LowerConvolution("executorch", plan=ConvPlan(algorithm, 0))
    result = run_checked(step, program, *inputs, tolerance=3e-6)
    assert algorithm in result.notes[0]
    # With the product or after it; never both.
    outside = sum(name == "add" for name in targets(result.program))
    expected = {"im2col": 0, "stacked_columns": 2, "stacked_rows": 2}.get(algorithm)
    if expected is not None:
        assert outside == expected


@pytest.mark.parametrize(("n_in", "n_out"), [(16, 3), (6, 6), (2, 2)])
def test_a_constant_one_is_lowered_where_the_costs_say_so(n_in, n_out):
    x = torch.rand(1, n_in, 32, 32)
    result = run_checked(LOWER, exported(nn.Conv2d(n_in, n_out, 3, padding=1), x), x)
    costs = load_costs("x86_epyc").backends["executorch"]
    geometry = ConvGeometry(Padding(1, 1, "zeros"))
    call = Call((32, 32), (n_out, n_in, 3, 3), geometry, bias=True)
    assert result.modified == (choose(costs, call, constant=True) != CONSTANT)


def test_padding_that_others_use_stays_for_them():
    def layer(x, weight):
        around = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return torch.conv2d(around, weight) + around.mean()

    inputs = (torch.rand(1, 3, 6, 6), torch.randn(4, 3, 3, 3))
    result = run_checked(LOWER, exported(layer, *inputs), *inputs, tolerance=3e-6)
    assert "pad" in targets(result.program)


def test_the_samples_of_a_batch_that_share_weights_are_lowered_one_by_one():
    inputs = (torch.rand(3, 4, 9, 9), torch.randn(4, 4, 3, 3))
    result = run_checked(LOWER, exported(Predicted(), *inputs), *inputs, tolerance=3e-6)
    assert "conv2d" not in targets(result.program)


def test_all_that_cannot_be_lowered_are_refused_at_once():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Three(), Three()

        def forward(self, x, weight):
            return self.second(self.first(x, weight), weight)

    class Three(nn.Module):
        def forward(self, x, weight):
            return F.conv3d(x, weight * 2, padding=1)

    inputs = (torch.rand(1, 2, 4, 4, 4), torch.randn(2, 2, 3, 3, 3))
    with pytest.raises(CompileError) as caught:
        LOWER.run(exported(Two(), *inputs))
    heading, *lines = str(caught.value).splitlines()
    assert heading == "executorch does not support these computed weights:"
    assert [line.split(" (")[0].strip() for line in lines] == ["first", "second"]
    assert all("test_lower_convolution.py:" in line for line in lines)
    assert all("conv3d has computed weights; write it as conv2d" in line for line in lines)
    assert "--filters" not in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "inputs", "words"),
    [
        (
            lambda x, w: F.conv_transpose2d(x, w * 2),
            (torch.rand(1, 4, 9, 9), torch.randn(4, 2, 3, 3)),
            "conv_transpose2d",
        ),
        (
            lambda x, w: F.conv1d(x, w * 2),
            (torch.rand(1, 4, 9), torch.randn(4, 4, 3)),
            "conv1d",
        ),
    ],
)
def test_without_raising_another_kind_is_refused(layer, inputs, words):
    with pytest.raises(CompileError, match=f"a {words} has computed weights; .*raise_convolution"):
        LOWER.run(exported(layer, *inputs))


def test_a_transposed_one_with_constant_weights_stays():
    x = torch.rand(1, 4, 9, 9)
    program = exported(nn.ConvTranspose2d(4, 2, 2, stride=2), x)
    assert not run_checked(LOWER, program, x).modified


def test_a_backend_without_measured_costs_is_refused():
    inputs = (torch.rand(1, 4, 9, 9), torch.randn(4, 4, 3, 3))
    with pytest.raises(
        CompileError, match=r"hyper \(.*\): .*no algorithm is measured for x86_epyc"
    ):
        LowerConvolution("abacus").run(exported(Predicted(), *inputs))


def test_the_costs_of_the_device_decide(monkeypatch):
    def only(algorithm):
        each = {"per_gflop": 1, "per_near_gb": 1, "per_far_gb": 1, "per_operator": 1}
        fields = {"cache_bytes": 1, "lanes": 1, "forms": {algorithm: each}, "tools": {}}
        quality = {"median_error": 0, "p90_error": 0, "held_out_layers": 1, "best_found": 1}
        quality["within_10_percent"] = 1
        return BackendCosts.model_validate(fields | {"quality": quality})

    inputs = (torch.rand(1, 4, 9, 9), torch.randn(4, 4, 3, 3))
    program = exported(Predicted(), *inputs)
    for algorithm in ALGORITHMS:
        costs = type("Costs", (), {"backends": {"executorch": only(algorithm)}})
        module = "edge_pipeline.compiler.passes.lower_convolution"
        monkeypatch.setattr(f"{module}.load_costs", lambda device, costs=costs: costs)
        assert algorithm in LOWER.on("a_phone", constants=True).run(program).notes[0]
