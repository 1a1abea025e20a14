import re

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.lowering import patchwise
from edge_pipeline.compiler.passes.fold_batch_norm import FoldBatchNorm
from edge_pipeline.compiler.passes.lower_patchwise import LowerPatchwise
from edge_pipeline.compiler.program import layer_of, run_program
from edge_pipeline.models.base import build_model
from edge_pipeline.models.layers.patchwise import PatchwiseConv2d, merge, split
from tests.programs import exported, run_checked, targets
from tests.selection import examples

SMALL = {"in_channels": 3, "signal_channels": 4, "patch": 4, "groups": 2}
ALGORITHMS = ["taps", "convolution"]
ROUNDING = 3e-6


def prepared(grid=(2, 3), **options):
    """A block without normalisation, and its inputs."""
    model = build_model("patchwise_block", SMALL | options, seed=2)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.startswith("bn") and value.is_floating_point():
                value.uniform_(0.5, 1.5, generator=generator)
    patch, channels = model.options.patch, model.options.in_channels
    inputs = (
        torch.randn(1, channels, grid[0] * patch, grid[1] * patch, generator=generator),
        torch.randn(1, model.options.signal_channels, *grid, generator=generator),
    )
    return FoldBatchNorm().run(exported(model, *inputs)).program, inputs


@examples(10)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    patch=st.integers(2, 6),
    out=st.integers(1, 5),
    kernel=st.sampled_from([1, 3]),
    halo=st.sampled_from(["block", "layer"]),
    strip=st.sampled_from([1, 2000, 2 << 20]),
)
def test_a_block_becomes_batched_products(algorithm, grid, patch, out, kernel, halo, strip):
    program, inputs = prepared(grid, patch=patch, out_channels=out, kernel=kernel, halo=halo)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patchwise, "_STRIP_BYTES", strip)
        result = run_checked(LowerPatchwise(algorithm), program, *inputs, tolerance=ROUNDING)
    found = targets(result.program)
    assert "bmm" in found
    assert "unfold" not in found
    # One is the weight mapper's.
    assert algorithm == "convolution" or found.count("conv2d") == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("halo", ["block", "layer"])
def test_no_tensor_has_more_than_five_dimensions(algorithm, halo):
    program, inputs = prepared((4, 3), halo=halo)
    lowered = run_checked(LowerPatchwise(algorithm), program, *inputs, tolerance=ROUNDING).program
    ranks = [node.meta["val"].dim() for node in lowered.graph.nodes if "val" in node.meta]
    assert max(ranks) <= 5


def test_no_operator_is_repeated_for_each_patch():
    counts = []
    for grid in [(2, 2), (4, 5)]:
        program, inputs = prepared(grid)
        lowered = run_checked(LowerPatchwise("taps"), program, *inputs, tolerance=ROUNDING).program
        counts.append(targets(lowered).count("bmm"))
    assert counts == [2, 2]


def test_what_is_lowered_keeps_the_layers_names():
    program, inputs = prepared()
    result = run_checked(LowerPatchwise("convolution"), program, *inputs, tolerance=ROUNDING)
    (note,) = result.notes
    assert "2x3 patches with a halo of 1 go through pw1, bn1, dw, bn2, pw2, bn3" in note
    products = [n for n in result.program.graph.nodes if "bmm" in str(n.target)]
    assert [layer_of(node) for node in products] == ["pw1", "pw2"]
    depthwise = [n for n in result.program.graph.nodes if "conv2d" in str(n.target)][-1]
    assert layer_of(depthwise) == "dw"


def planted(name, function):
    """Whether the lowered block is off by more than rounding when `name` is broken."""
    program, inputs = prepared()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(patchwise, name, function)
        broken = LowerPatchwise("taps").run(program).program
    found, expected = (run_program(p, inputs)[0] for p in (broken, program))
    return float((found - expected).abs().max()) > 1e-2


def test_a_lost_halo_is_caught():
    def lost(blocks, halo):
        return F.pad(blocks, (halo, halo))

    assert planted("_beside", lost)


def test_a_swapped_patch_axis_is_caught():
    put = patchwise._put

    def swapped(patches, rows, columns):
        back = patches.values.reshape(rows, columns, *patches.values.shape[1:]).flip(0, 1)
        values = back.reshape(patches.values.shape)
        return put(patchwise.replace(patches, values=values), rows, columns)

    assert planted("_put", swapped)


class Written(nn.Module):
    """A point-wise patch-wise convolution around which `cut` and `put` stand."""

    def __init__(self, cut, put, layer=None, between=None):
        super().__init__()
        self.layer = layer or PatchwiseConv2d(3, 2)
        self.cut, self.put, self.between = cut, put, between

    def forward(self, x, weight):
        patches = self.layer(self.cut(x), weight)
        return self.put(self.between(patches) if self.between else patches)


GRID = (2, 3)
INPUTS = (torch.rand(1, 3, 8, 12), torch.randn(6, 6))


def cut_by_views(x):
    apart = x.reshape(3, 2, 4, 3, 4).permute(1, 3, 0, 2, 4)
    return apart.reshape(6, 3, 4, 4)


def put_by_transposing(patches):
    rows = patches.reshape(2, 3, 2, 4, 4).transpose(1, 2).transpose(2, 3)
    return rows.reshape(2, 2, 12, 4).transpose(0, 1).reshape(1, 2, 8, 3 * 4)


def plain_cut(x):
    return split(x, GRID, 0)


def plain_put(patches):
    return merge(patches, GRID)


@pytest.mark.parametrize(
    ("cut", "put"),
    [
        (cut_by_views, plain_put),
        (plain_cut, put_by_transposing),
        (lambda x: plain_cut(x.transpose(2, 3).reshape(1, 3, 8, 12)), plain_put),
    ],
    ids=["views", "transposing", "a map that was moved before"],
)
def test_cutting_and_putting_may_be_written_in_any_way(cut, put):
    program = exported(Written(cut, put), *INPUTS)
    assert run_checked(LowerPatchwise("taps"), program, *INPUTS).modified


@pytest.mark.parametrize(
    ("cut", "put"),
    [
        (
            lambda x: cut_by_views(x).reshape(2, 3, 3, 4, 4).transpose(0, 1).reshape(6, 3, 4, 4),
            plain_put,
        ),
        (plain_cut, lambda p: merge(p, (3, 2)).reshape(1, 2, 8, 12)),
        (lambda x: plain_cut(x).flip(0), plain_put),
        (lambda x: plain_cut(x).transpose(2, 3), plain_put),
    ],
    ids=["column by column", "put by columns", "shuffled", "transposed patches"],
)
def test_what_only_looks_like_patches_is_left(cut, put):
    program = exported(Written(cut, put), *INPUTS)
    assert not run_checked(LowerPatchwise("taps"), program, *INPUTS).modified


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (torch.sigmoid, "sigmoid .* is not supported on patches"),
        (lambda p: p.transpose(2, 3).clamp(0, 6), "moves the pixels"),
        (lambda p: p.clamp(0, 6) + p, "is not supported on patches|used by others"),
    ],
)
def test_an_unknown_operator_on_patches_is_told(between, words):
    program = exported(Written(plain_cut, plain_put, between=between), *INPUTS)
    result = run_checked(LowerPatchwise("taps"), program, *INPUTS)
    assert not result.modified
    assert any(re.search(words, note) for note in result.notes)


def test_a_dense_kernel_is_told():
    layer = PatchwiseConv2d(3, 2, 3)
    inputs = (INPUTS[0], torch.randn(6, layer.weights))
    program = exported(Written(lambda x: split(x, GRID, 1), plain_put, layer), *inputs)
    result = run_checked(LowerPatchwise("taps"), program, *inputs)
    assert not result.modified
    assert "3x3 over 3 channels" in result.notes[0]


@pytest.mark.parametrize("limits", [(None, 1.0), (-0.5, None), (-0.25, 0.5)])
def test_any_limits_are_kept(limits):
    program = exported(Written(plain_cut, plain_put, between=lambda p: p.clamp(*limits)), *INPUTS)
    assert run_checked(LowerPatchwise("taps"), program, *INPUTS).modified
