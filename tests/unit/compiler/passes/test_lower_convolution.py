import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.errors import CompileError
from tests.programs import exported, run_checked, targets


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


@settings(max_examples=10)
@given(
    n_in=st.integers(1, 7),
    n_out=st.integers(1, 7),
    kernel=st.sampled_from([1, 3, 5]),
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    bias=st.booleans(),
    reflect=st.booleans(),
)
def test_a_computed_weight_leaves_no_convolution(n_in, n_out, kernel, size, bias, reflect):
    pad = kernel // 2

    def layer(x, weight, *biases):
        if reflect:
            x = F.pad(x, (pad,) * 4, mode="reflect")
        return torch.conv2d(x, weight * 2, *biases, padding=0 if reflect else pad)

    inputs = [torch.rand(1, n_in, *size), torch.randn(n_out, n_in, kernel, kernel)]
    inputs += [torch.randn(n_out)] if bias else []
    result = run_checked(LowerConvolution(), exported(layer, *inputs), *inputs, tolerance=3e-6)
    found = targets(result.program)
    assert not {"conv2d", "convolution", "pad"} & set(found)
    assert "bmm" in found


@pytest.mark.parametrize(("n_out", "lowered"), [(2, True), (3, False)])
def test_a_constant_one_is_lowered_only_where_it_is_narrow(n_out, lowered):
    x = torch.rand(1, 6, 8, 8)
    result = run_checked(LowerConvolution(), exported(nn.Conv2d(6, n_out, 3, padding=1), x), x)
    assert result.modified == lowered


def test_a_narrow_constant_one_with_a_stride_stays():
    x = torch.rand(1, 6, 8, 8)
    program = exported(nn.Conv2d(6, 1, 3, stride=2), x)
    assert not run_checked(LowerConvolution(), program, x).modified


def test_padding_that_others_use_stays_for_them():
    def layer(x, weight):
        around = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return torch.conv2d(around, weight) + around.mean()

    inputs = (torch.rand(1, 3, 6, 6), torch.randn(4, 3, 3, 3))
    result = run_checked(LowerConvolution(), exported(layer, *inputs), *inputs, tolerance=3e-6)
    assert "pad" in targets(result.program)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"stride": 2}, "stride 2x2"),
        ({"dilation": (1, 2)}, "dilation 1x2"),
        ({"groups": 2}, "groups 2"),
    ],
)
def test_what_the_forms_do_not_cover_is_refused_with_the_layer(arguments, words):
    inputs = (torch.rand(1, 4, 9, 9), torch.randn(4, 4 // arguments.get("groups", 1), 3, 3))
    program = exported(Predicted(**arguments), *inputs)
    with pytest.raises(CompileError, match=f"hyper: .*{words}.*--filters folded"):
        LowerConvolution().run(program)


def test_a_batch_is_refused():
    inputs = (torch.rand(2, 4, 9, 9), torch.randn(4, 4, 3, 3))
    with pytest.raises(CompileError, match="batch 2"):
        LowerConvolution().run(exported(Predicted(), *inputs))
