import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.passes.raise_convolution import RaiseConvolution
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = RaiseConvolution()
PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@examples(15)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=PAIR,
    dilation=PAIR,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    extra=st.integers(0, 2),
    groups=st.sampled_from([1, 2, 4]),
    bias=st.booleans(),
    batch=st.integers(1, 2),
)
def test_a_transposed_one_of_any_kind_becomes_conv2d(
    kernel, stride, dilation, padding, extra, groups, bias, batch
):
    extra = min(extra, max(*stride, *dilation) - 1)
    output_padding = tuple(min(extra, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    size = (5, 6)
    reached = [
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(
            size, stride, padding, dilation, kernel, output_padding, strict=True
        )
    ]
    if min(reached) < 1:
        return

    def network(x, weight, *biases):
        b = biases[0] if biases else None
        how = (stride, padding, output_padding, groups, dilation)
        return F.conv_transpose2d(x, weight * 2, b, *how)

    inputs = [torch.randn(batch, 4, *size), torch.randn(4, 3, *kernel)]
    inputs += [torch.randn(3 * groups)] if bias else []
    result = run_checked(STEP, exported(network, *inputs), *inputs, tolerance=2e-6)
    assert "conv_transpose2d" not in targets(result.program)
    assert "conv2d" in targets(result.program)
    assert max(n.meta["val"].dim() for n in result.program.graph.nodes if "val" in n.meta) <= 6


@pytest.mark.parametrize("padding", [0, 2, "same", "valid"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_one_axis_becomes_two(padding, kernel):
    inputs = (torch.randn(1, 4, 9), torch.randn(6, 2, kernel), torch.randn(6))
    program = exported(lambda x, w, b: F.conv1d(x, w * 2, b, padding=padding, groups=2), *inputs)
    result = run_checked(STEP, program, *inputs, tolerance=2e-6)
    assert "conv1d" not in targets(result.program)
    lowered = LowerConvolution("executorch").run(result.program)
    assert "conv2d" not in targets(lowered.program)


@pytest.mark.parametrize("kernel", [2, 3, (1, 4)])
def test_padding_by_name_keeps_the_size(kernel):
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    inputs = (torch.randn(1, 4, 9, 8), torch.randn(4, 4, rows, columns))
    program = exported(lambda x, w: F.conv2d(x, w * 2, padding="same", dilation=2), *inputs)
    result = run_checked(STEP, program, *inputs, tolerance=2e-6)
    assert "conv2d" in targets(result.program)


def test_a_map_without_a_batch_gets_one():
    inputs = (torch.randn(4, 9, 8), torch.randn(4, 4, 3, 3))
    program = exported(lambda x, w: F.conv2d(x, w * 2), *inputs)
    assert run_checked(STEP, program, *inputs, tolerance=2e-6).modified


def test_a_transposed_one_of_one_axis():
    inputs = (torch.randn(1, 4, 9), torch.randn(4, 3, 4))
    program = exported(lambda x, w: F.conv_transpose1d(x, w * 2, stride=2, padding=1), *inputs)
    assert run_checked(STEP, program, *inputs, tolerance=2e-6).modified


@pytest.mark.parametrize("transposed", [False, True])
def test_the_general_operator_is_read_by_its_arguments(transposed):
    inputs = (torch.randn(1, 4, 9, 9), torch.randn(4, 4, 3, 3))
    extra = [1, 1] if transposed else [0, 0]

    def network(x, w):
        how = ([2, 2], [1, 1], [1, 1], transposed, extra, 1)
        return torch.ops.aten.convolution.default(x, w * 2, None, *how)

    result = run_checked(STEP, exported(network, *inputs), *inputs, tolerance=2e-6)
    assert "convolution" not in targets(result.program)


def test_constant_weights_and_three_transposed_axes_stay():
    x = torch.randn(1, 4, 9, 9)
    program = exported(torch.nn.ConvTranspose2d(4, 2, 2, stride=2), x)
    assert not run_checked(STEP, program, x).modified
    inputs = (torch.randn(1, 2, 4, 4, 4), torch.randn(2, 2, 3, 3, 3))
    program = exported(lambda x, w: F.conv_transpose3d(x, w * 2), *inputs)
    assert not run_checked(STEP, program, *inputs).modified


@examples(12)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
    groups=st.sampled_from([1, 2]),
    bias=st.booleans(),
)
def test_three_axes_become_planes(kernel, stride, dilation, padding, groups, bias):
    inputs = [torch.randn(2, 4, 5, 6, 5), torch.randn(4, 4 // groups, *kernel)]
    inputs += [torch.randn(4)] if bias else []

    def network(x, weight, *biases):
        b = biases[0] if biases else None
        return F.conv3d(x, weight * 2, b, stride, padding, dilation, groups)

    result = run_checked(STEP, exported(network, *inputs), *inputs, tolerance=2e-6)
    assert "conv3d" not in targets(result.program)


@pytest.mark.parametrize("kernel", [2, 3])
def test_three_axes_are_padded_by_name(kernel):
    inputs = (torch.randn(1, 2, 4, 6, 5), torch.randn(3, 2, *[kernel] * 3))
    program = exported(lambda x, w: F.conv3d(x, w * 2, padding="same"), *inputs)
    result = run_checked(STEP, program, *inputs, tolerance=2e-6)
    assert "conv3d" not in targets(result.program)


def test_constant_volumes_are_raised_if_requested():
    x = torch.randn(1, 2, 4, 5, 5)
    program = exported(torch.nn.Conv3d(2, 3, (1, 3, 3), padding=(0, 1, 1)), x)
    assert not run_checked(STEP, program, x).modified
    result = run_checked(RaiseConvolution(volumes=True), program, x, tolerance=2e-6)
    assert "conv3d" not in targets(result.program)
