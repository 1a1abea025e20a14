"""Planted faults are found: the pass, the operator, the layer."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import operator

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compare import Tolerance
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.onnx import backend as onnx_backend
from edge_pipeline.compiler.bisect.search import bisect
from edge_pipeline.compiler.passes.merge_duplicates import MergeDuplicates
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.program import Editor, layer_of
from tests.fakes.faults import (
    CHANNELS,
    GOOD,
    GRID,
    Net,
    Rewrite,
    aten,
    find,
    fold_norm,
    lower,
    lower_patches,
    shifted,
)
from tests.programs import exported


def test_nothing_leaves_tolerance(net):
    assert find(net, GOOD, onnx_backend) is None


@pytest.mark.parametrize("block", ["first", "second", "third"])
def test_wrong_epsilon(net, block):
    passes = (fold_norm(1e-3, f"{block}.norm"), fold_norm(1e-5), *GOOD[1:])
    finding = find(net, passes)
    assert (finding.stage, finding.step) == ("pass", "fold_batch_norm")
    assert finding.operator == "add"
    assert finding.layer == f"{block}.norm"
    assert finding.source.startswith("_native_batch_norm")
    assert "relative error" in finding.complaint


def test_wrong_epsilon_everywhere_is_found_where_it_is_first(net):
    finding = find(net, (fold_norm(1e-3), *GOOD[1:]))
    assert finding.layer == "first.norm"


def test_swapped_patch_axes(net):
    finding = find(net, (fold_norm(1e-5), lower_patches((0, 1, 4, 3, 2, 5)), MergeDuplicates()))
    assert (finding.step, finding.operator) == ("lower_patchwise", "mul")
    assert finding.layer == "patches"
    assert finding.source.startswith("mul ")


@pytest.mark.parametrize("block", ["first", "third"])
def test_lost_halo(net, block):
    passes = (fold_norm(1e-5), lower(True, "second.conv"), lower(False, f"{block}.conv"))
    finding = find(net, passes)
    assert (finding.step, finding.operator) == ("lower_convolution", "add")
    assert finding.layer == f"{block}.conv"
    assert finding.source.startswith("conv2d ")


def test_lost_halo_between_two_that_are_lowered_together():
    """Nothing that survives stands between the two, so only their layers tell them apart."""
    torch.manual_seed(0)
    convs = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for _ in range(3)]
    x = torch.randn(1, CHANNELS, 12, 12)
    program = exported(nn.Sequential(*convs), x)

    class Lower(Rewrite):
        def run(self, program):
            editor = Editor(program)
            for node in editor.calls(self.target):
                operands, function = shifted(layer_of(node) != "1")(editor, node)
                editor.replace(node, function, operands, self.name)
            return editor.finish()

    step = Lower("lower_convolution", aten.conv2d.default, None)
    finding = bisect(program, (x,), (step,), None, EmitOptions("f", ("x",), ("y",)), None)
    assert finding.layer == "1"


def test_a_fault_below_the_tolerance_is_none(net):
    passes = (fold_norm(1.1e-5), *GOOD[1:])
    assert find(net, passes, tolerance=Tolerance(1e-2)) is None
    assert find(net, passes, tolerance=Tolerance(1e-9)).step == "fold_batch_norm"


def test_values_that_are_no_numbers(net):
    def rewrite(editor, node):
        return [node.args[0]], lambda x: x / torch.zeros_like(x)

    finding = find(net, (Rewrite("divide", aten.relu.default, rewrite, "second"),))
    assert finding.step == "divide"
    assert "not finite" in finding.complaint


def test_a_pass_that_edits_in_place(net):
    """As folding batch norm into the convolution does: its weights change, and the norm goes."""

    class Fold:
        name, why = "fold_in_place", "to try bisect"

        def __init__(self, epsilon):
            self.epsilon = epsilon

        def run(self, program):
            editor = Editor(program)
            for node in editor.calls(operator.getitem):
                conv = node.args[0].args[0]
                weight, bias, mean, variance = map(editor.constant, node.args[0].args[1:5])
                epsilon = self.epsilon if layer_of(node).startswith("second") else 1e-5
                scale = weight / torch.sqrt(variance + epsilon)
                kernel = editor.constant(conv.args[1]) * scale[:, None, None, None]
                shift = bias - mean * scale
                new = [
                    editor.add_constant(v, f"{conv.name}_{i}")
                    for i, v in enumerate((kernel, shift))
                ]
                conv.args = (conv.args[0], *new, *conv.args[3:])
                editor.substitute(node, conv, "folded")
            return editor.finish()

    assert find(net, (Fold(1e-5), MergeDuplicates())) is None
    finding = find(net, (Fold(1e-3), MergeDuplicates()))
    assert (finding.step, finding.operator, finding.layer) == (
        "fold_in_place",
        "conv2d",
        "second.conv",
    )
    assert finding.source.startswith("_native_batch_norm")


def test_own_passes_agree(net):
    assert find(net, passes_for("executorch"), tolerance=Tolerance(1e-6)) is None


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(["first", "second", "third"]), st.floats(-3, -1), st.integers(0, 99))
def test_any_epsilon_is_found_where_it_is(block, exponent, seed):
    torch.manual_seed(seed)
    inputs = (torch.randn(1, 3, 8, 8), torch.randn(1, 2, GRID, GRID))
    program = exported(Net().eval(), *inputs)
    passes = (fold_norm(1e-5, "head"), fold_norm(10**exponent, f"{block}.norm"), fold_norm(1e-5))
    finding = find((program, inputs), passes)
    assert finding is None or finding.layer == f"{block}.norm"
    assert finding is not None or exponent < -1.5
