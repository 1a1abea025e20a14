from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes import fold_batch_norm
from edge_pipeline.compiler.passes.fold_batch_norm import FoldBatchNorm
from edge_pipeline.compiler.pipeline import run_passes
from edge_pipeline.errors import CompileError
from edge_pipeline.models.base import build_model
from tests.programs import exported, run_checked, targets
from tests.selection import examples

BLOCK = {"in_channels": 4, "out_channels": 4, "signal_channels": 8, "groups": 2, "patch": 4}


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def trained(module, seed=0):
    """`module` with statistics that a wrong fold would show, a variance near epsilon among them."""
    generator = torch.Generator().manual_seed(seed)
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(generator=generator)
            norm.running_var.uniform_(0.02, 2, generator=generator)
            norm.running_var[0] = 1e-4
            norm.running_mean[0] *= 0.01  # or subtracting it is all rounding, folded or not
            if norm.affine:
                with torch.no_grad():
                    norm.weight.normal_(generator=generator)
                    norm.bias.normal_(generator=generator)
    return module.eval()


def operators(program):
    """How often each operator is called."""
    return Counter(
        str(getattr(node.target, "overloadpacket", node.target.__name__)).removeprefix("aten.")
        for node in program.graph.nodes
        if node.op == "call_function"
    )


def fold(module, *inputs, tolerance=3e-6):
    return run_checked(
        FoldBatchNorm(), exported(trained(module), *inputs), *inputs, tolerance=tolerance
    )


@given(
    kind=st.sampled_from([nn.Conv2d, nn.ConvTranspose2d]),
    n_in=st.integers(1, 3),
    n_out=st.integers(1, 3),
    groups=st.integers(1, 3),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    bias=st.booleans(),
    affine=st.booleans(),
)
@examples(12)
def test_any_convolution_takes_it_in(kind, n_in, n_out, groups, kernel, stride, bias, affine):
    n_in, n_out = n_in * groups, n_out * groups
    layer = kind(n_in, n_out, kernel, stride, groups=groups, bias=bias)
    x = torch.randn(1, n_in, 7, 6, generator=torch.Generator().manual_seed(1))
    result = fold(nn.Sequential(layer, nn.BatchNorm2d(n_out, affine=affine), nn.ReLU()), x)
    assert len(targets(result.program)) == 2
    assert not result.program.state_dict


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), (2, 3, 9)),
        (nn.ConvTranspose1d(4, 6, 3, groups=2), nn.BatchNorm1d(6), (2, 4, 9)),
        (nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), (1, 3, 5, 5, 5)),
        (nn.Conv2d(3, 4, 3, padding="same"), nn.BatchNorm2d(4), (1, 3, 5, 5)),
    ],
)
def test_other_ranks(layer, norm, shape):
    result = fold(nn.Sequential(layer, norm), torch.randn(shape))
    assert len(targets(result.program)) == 1
    assert result.notes == ("1: folded batch norm into the convolution 0",)


def test_an_export_that_was_not_decomposed():
    module, x = (
        trained(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))),
        torch.randn(1, 3, 5, 5),
    )
    program = torch.export.export(module, (x,))
    assert targets(program) == ["conv2d", "batch_norm"]
    assert targets(run_checked(FoldBatchNorm(), program, x).program) == ["conv2d"]


def test_two_layers_with_one_weight_keep_their_own():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), *map(nn.BatchNorm2d, (3, 3))

        def forward(self, x):
            return self.second(self.conv(self.first(self.conv(x))))

    assert targets(fold(Tied(), torch.randn(1, 3, 5, 5)).program) == ["conv2d", "conv2d"]


def test_a_convolution_with_another_user_is_left_and_the_norm_made_depth_wise():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            y = self.conv(x)
            return y + self.norm(y)

    result = fold(Shared(), torch.randn(1, 3, 5, 5))
    assert targets(result.program) == ["conv2d", "conv2d", "add"]
    assert any("has other users" in note and note.startswith("norm:") for note in result.notes)


def test_a_norm_of_its_own():
    x = torch.randn(2, 3, 5, 5)
    assert targets(fold(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)), x).program) == [
        "relu",
        "conv2d",
    ]
    x = torch.randn(4, 3)
    assert targets(fold(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(3)), x).program) == [
        "relu",
        "mul",
        "add",
    ]


def test_training_mode_stays():
    class Training(nn.Module):
        def forward(self, x):
            return nn.functional.batch_norm(x, None, None, training=True)

    result = run_checked(
        FoldBatchNorm(), exported(Training(), torch.rand(2, 3, 4, 4)), torch.rand(2, 3, 4, 4)
    )
    assert not result.modified


@pytest.mark.parametrize(
    "options", [{}, {"halo": "layer"}, {"kernel": 1}, {"in_channels": 3}, {"expand": 3}]
)
def test_patch_wise_convolutions_have_it_in_their_mapper(options):
    block = build_model("patchwise_block", BLOCK | options)
    inputs = torch.randn(1, (BLOCK | options)["in_channels"], 8, 12), torch.randn(1, 8, 2, 3)
    before = exported(trained(block), *inputs)
    result = run_checked(FoldBatchNorm(), before, *inputs, tolerance=3e-6)
    norms = 1 if options.get("kernel") == 1 else 3
    count, found = operators(before), operators(result.program)
    assert count.pop("_native_batch_norm_legit_no_training") == count.pop("getitem") == norms
    count["add"] += norms
    assert found == count
    assert not any(name.startswith("bn") for name in result.program.state_dict)
    assert sum("into the weight mapper" in note for note in result.notes) == norms


class Mapped(nn.Module):
    """A weight and a bias a patch from one mapper; `spare` uses what the bias comes from, too."""

    def __init__(self, *, spare=False, linear=False, mapper_bias=True):
        super().__init__()
        self.mapper = (
            nn.Linear(5, 4 * 3 + 4, bias=mapper_bias)
            if linear
            else nn.Conv2d(5, 4 * 3 + 4, 1, bias=mapper_bias)
        )
        self.norm, self.spare = nn.BatchNorm2d(4), spare

    def forward(self, x, signal):
        # x: [patches, 3, h, w], signal: [1, 5, 1, patches]
        if isinstance(self.mapper, nn.Linear):
            each = self.mapper(signal[0, :, 0].T)
        else:
            each = self.mapper(signal).permute(0, 2, 3, 1).reshape(len(x), -1)
        weight = each[:, :12].reshape(-1, 3, 1, 1)
        y = torch.conv2d(
            x.reshape(1, -1, *x.shape[2:]), weight, each[:, 12:].reshape(-1), groups=len(x)
        )
        y = self.norm(y.reshape(len(x), 4, *x.shape[2:]))
        return y + each[0, -1] if self.spare else y


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("mapper_bias", [False, True])
def test_a_bias_a_patch_takes_the_shift_into_the_mapper(linear, mapper_bias):
    inputs = torch.randn(6, 3, 4, 4), torch.randn(1, 5, 1, 6)
    result = fold(Mapped(linear=linear, mapper_bias=mapper_bias), *inputs)
    assert "add" not in targets(result.program)
    assert result.notes[-1].endswith("folded batch norm into the weight mapper")


def test_a_mapper_that_serves_something_else_is_left():
    inputs = torch.randn(6, 3, 4, 4), torch.randn(1, 5, 1, 6)
    result = fold(Mapped(spare=True), *inputs)
    assert any("the weight mapper's outputs also serve" in note for note in result.notes)


@pytest.mark.parametrize("fault", ["epsilon", "mean", "order"])
def test_a_planted_fault_is_caught_and_the_pass_named(monkeypatch, fault):
    right = fold_batch_norm.scale_and_shift

    def wrong(gamma, beta, mean, variance, epsilon):
        if fault == "epsilon":
            return right(gamma, beta, mean, variance, 1e-3)
        if fault == "mean":
            return right(gamma, beta, -mean, variance, epsilon)
        scale, shift = right(gamma, beta, mean, variance, epsilon)
        return scale.flip(0), shift

    inputs = torch.randn(1, 4, 8, 12), torch.randn(1, 8, 2, 3)
    convolution = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
    for module, arguments in (
        (convolution, inputs[:1]),
        (build_model("patchwise_block", BLOCK), inputs),
    ):
        program = exported(trained(module), *arguments)
        run_passes(program, [FoldBatchNorm()], arguments)
        with monkeypatch.context() as patch:
            patch.setattr(fold_batch_norm, "scale_and_shift", wrong)
            with pytest.raises(CompileError, match="the pass fold_batch_norm changed output 0"):
                run_passes(program, [FoldBatchNorm()], arguments)


class Attended(nn.Module):
    """A convolution whose weight, and bias, are mixtures by what the whole picture shows."""

    def __init__(self, bias, groups, by_sample=False):
        super().__init__()
        self.groups, self.by_sample = groups, by_sample
        self.kernels = nn.Parameter(0.3 * torch.randn(3, 4 * (4 // groups) * 9))
        self.biases = nn.Parameter(torch.randn(3, 4)) if bias == "computed" else None
        self.bias = nn.Parameter(torch.randn(4)) if bias == "constant" else None
        self.attention = nn.Linear(4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        share = self.attention(x.mean((2, 3))).softmax(-1)
        weight = (share @ self.kernels).view(4, 4 // self.groups, 3, 3)
        bias = self.bias if self.biases is None else (share @ self.biases)[0]
        y = torch.conv2d(x, weight, bias, padding=1, stride=2, groups=self.groups)
        return self.norm(y.view(x.shape[0], 4, 4, 4) if self.by_sample else y)


@pytest.mark.parametrize("bias", ["none", "constant", "computed"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("by_sample", [False, True])
def test_a_weight_that_is_computed_for_the_whole_picture_is_scaled(bias, groups, by_sample):
    result = fold(Attended(bias, groups, by_sample), torch.rand(1, 4, 8, 8))
    counts = operators(result.program)
    assert counts["conv2d"] == 1
    assert not any("batch_norm" in name for name in counts)
    (convolution,) = (n for n in result.program.graph.nodes if "conv2d" in str(n.target))
    assert all(user.op == "output" for user in convolution.users)
    assert "the weight that is computed for the whole input" in result.notes[0]
