"""Planted faults are found: the pass, the operator, the layer."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import dataclasses
import operator
from types import SimpleNamespace

import numpy as np
import onnx
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from torch import nn

from edge_pipeline.compare import Tolerance
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.onnx import backend as onnx_backend
from edge_pipeline.compiler.bisect.search import bisect
from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.passes.merge_duplicates import MergeDuplicates
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.program import Editor, layer_of
from edge_pipeline.errors import CompileError, RuntimeFailure
from edge_pipeline.runtime.onnx import open_session
from tests.programs import exported

aten = torch.ops.aten
CHANNELS, GRID = 6, 4
NORM = "_native_batch_norm_legit_no_training"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.05, 0.5)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Patches(nn.Module):
    """A weight for every patch and channel, from a signal of one value a patch."""

    def __init__(self) -> None:
        super().__init__()
        self.mapper = nn.Conv2d(2, CHANNELS, 1)

    def forward(self, x, signal):
        weight = self.mapper(signal)  # [1, C, rows, columns]
        n, c, height, width = x.shape
        patches = x.view(n, c, GRID, height // GRID, GRID, width // GRID)
        return (patches * weight[:, :, :, None, :, None]).reshape(n, c, height, width)


class Net(nn.Module):
    """What this package compiles, in small: normalisation, patches, convolutions, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, CHANNELS, 1)
        self.first = Block()
        self.patches = Patches()
        self.second = Block()
        self.third = Block()
        self.tail = nn.Conv2d(2 * CHANNELS, 3, 1)

    def forward(self, x, signal):
        x = self.head(x)
        y = self.second(self.patches(self.first(x), signal))
        return self.tail(torch.cat([self.third(y), x], 1))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(3)
    model = Net().eval()
    inputs = (torch.randn(1, 3, 16, 16), torch.randn(1, 2, GRID, GRID))
    return exported(model, *inputs), inputs


class Rewrite:
    """A pass that rewrites the calls of an operator, all or those of one layer."""

    why = "to try bisect"

    def __init__(self, name, target, function, layer=""):
        self.name = name
        self.target = target
        self.function = function
        self.layer = layer

    def run(self, program):
        editor = Editor(program)
        for node in editor.calls(self.target):
            if layer_of(node).startswith(self.layer):
                operands, function = self.function(editor, node)
                editor.replace(node, function, operands, self.name)
        return editor.finish()


def normalise(epsilon):
    """Batch norm as a product and a sum, with another epsilon than the layer's."""

    def rewrite(editor, node):
        x, weight, bias, mean, variance = node.args[0].args[:5]

        def function(x, weight, bias, mean, variance):
            scale = weight / torch.sqrt(variance + epsilon)
            shift = bias - mean * scale
            return x * scale[:, None, None] + shift[:, None, None]

        return [x, weight, bias, mean, variance], function

    return rewrite


def fold_norm(epsilon, layer=""):
    return Rewrite("fold_batch_norm", operator.getitem, normalise(epsilon), layer)


def shifted(halo):
    """A 3x3 convolution as nine shifted 1x1 ones; without halo, the border repeats."""

    def rewrite(editor, node):
        def function(x, weight):
            height, width = x.shape[2:]
            mode = {"mode": "constant"} if halo else {"mode": "replicate"}
            padded = nn.functional.pad(x, (1, 1, 1, 1), **mode)
            total = torch.zeros_like(x)
            for row in range(3):
                for column in range(3):
                    window = padded[:, :, row : row + height, column : column + width]
                    total = total + torch.conv2d(window, weight[:, :, row, column][..., None, None])
            return total

        return [node.args[0], node.args[1]], function

    return rewrite


def lower(halo, layer=""):
    return Rewrite("lower_convolution", aten.conv2d.default, shifted(halo), layer)


def patch_weights(axes):
    """The weights of patches laid out anew; swapped axes have the same shape."""

    def rewrite(editor, node):
        patches, weight = node.args

        def function(patches, weight):
            return patches * weight.permute(axes)

        return [patches, weight], function

    return rewrite


def lower_patches(axes):
    return Rewrite("lower_patchwise", aten.mul.Tensor, patch_weights(axes), "patches")


GOOD = (fold_norm(1e-5), lower_patches((0, 1, 2, 3, 4, 5)), MergeDuplicates())


def find(net, passes, backend=None, options=None, **kwargs):
    program, inputs = net
    options = options or EmitOptions("forward", ("x", "signal"), ("y",))
    return bisect(program, inputs, passes, backend, options, open_session, **kwargs)


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


class Broken:
    """ONNX, written from another program than the one it was given."""

    FREE_SIZES, PRECISIONS = False, ("fp32",)

    def __init__(self, step):
        self.step = step
        self.emitted = 0

    def checked(self):
        return "verified"

    def require(self):
        return {}

    def emit(self, program, options):
        self.emitted += 1
        return onnx_backend.emit(self.step.run(program).program, options)


@pytest.mark.parametrize("block", ["first", "second"])
def test_fault_of_a_backend(net, block):
    backend = Broken(fold_norm(1e-2, f"{block}.norm"))
    finding = find(net, (), backend)
    assert finding.stage == "backend"
    assert (finding.operator, finding.layer) == (NORM, f"{block}.norm")
    assert finding.source == f"{NORM} {finding.node}"
    assert finding.before == ()
    assert backend.emitted <= 7


def test_what_cannot_be_compiled_alone_is_named(net):
    class Picky(Broken):
        def emit(self, program, options):
            last = [n for n in program.graph.nodes if n.op == "call_function"][-1]
            if options.outputs != ("y",) and layer_of(last).startswith("second.conv"):
                raise CompileError("not this one")
            return super().emit(program, options)

    finding = find(net, (), Picky(fold_norm(1e-2, "second.norm")))
    assert finding.layer == "second.norm"
    assert all(name.split()[0] in ("conv2d",) for name in finding.before)


@pytest.mark.parametrize("moment", ["loading", "running"])
@pytest.mark.parametrize("layer", ["first.norm", "patches.mapper", "third.conv"])
def test_a_failure_of_the_runtime_is_bisected(net, layer, moment):
    """A runtime that cannot run one layer cannot run any part that has it, nor the whole."""
    failing = False

    class Recording(Broken):
        def emit(self, program, options):
            nonlocal failing
            operators = [n for n in program.graph.nodes if n.op == "call_function"]
            failing = any(layer_of(node) == layer for node in operators)
            self.emitted += 1
            return onnx_backend.emit(program, options)

    class Session:
        def __init__(self, session):
            self.session = session

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.session.close()

        def run(self, inputs):
            if failing:
                raise RuntimeFailure("it stopped at an instruction")
            return self.session.run(inputs)

    def opener(path, spec, threads):
        if failing and moment == "loading":
            raise RuntimeFailure("it stopped at an instruction")
        return Session(open_session(path, spec, threads))

    program, inputs = net
    options = EmitOptions("forward", ("x", "signal"), ("y",))
    backend = Recording(None)
    finding = bisect(program, inputs, (), backend, options, opener)
    assert (finding.stage, finding.layer, finding.before) == ("backend", layer, ())
    assert finding.complaint == "the runtime fails: it stopped at an instruction"
    assert backend.emitted <= 7


class Quantising(Broken):
    """ONNX with 8-bit inputs of convolutions; one scale is a hundredth of what it must be."""

    PRECISIONS = ("int8",)

    def __init__(self, saturated):
        self.saturated = saturated
        self.emitted = 0

    def emit(self, program, options):
        self.emitted += 1
        emitted = onnx_backend.emit(program, dataclasses.replace(options, precision="fp32"))
        model = onnx.load_from_string(emitted.files[emitted.file])
        convolutions = [n for n in program.graph.nodes if n.target is aten.conv2d.default]
        nodes, index = [], 0
        for node in model.graph.node:
            if node.op_type == "Conv":
                layer = layer_of(convolutions[index])
                reach = 8.0 / (100 if layer == self.saturated else 1)
                nodes += self._quantised(model, node, reach / 127)
                index += 1
            nodes.append(node)
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        files = dict(emitted.files) | {emitted.file: model.SerializeToString()}
        return dataclasses.replace(emitted, files=files)

    def _quantised(self, model, node, scale):
        name = node.input[0]
        made = f"{name}_for_{node.name}"
        for suffix, value in (("scale", np.float32(scale)), ("zero", np.int8(0))):
            tensor = numpy_helper.from_array(np.asarray(value), f"{made}_{suffix}")
            model.graph.initializer.append(tensor)
        extra = [f"{made}_scale", f"{made}_zero"]
        node.input[0] = made
        return [
            helper.make_node("QuantizeLinear", [name, *extra], [f"{made}_q"]),
            helper.make_node("DequantizeLinear", [f"{made}_q", *extra], [made]),
        ]


INT8 = EmitOptions("forward", ("x", "signal"), ("y",), precision="int8")


def test_eight_bits_are_no_fault(net):
    assert find(net, (), Quantising("none"), INT8) is None


@pytest.mark.parametrize("layer", ["third.conv", "tail"])
def test_saturated_scale(net, layer):
    finding = find(net, (), Quantising(layer), INT8)
    assert (finding.stage, finding.operator, finding.layer) == ("backend", "conv2d", layer)
    assert finding.complaint


@pytest.mark.slow
def test_fault_in_executorch(net):
    pytest.importorskip("executorch.exir", reason="the extra executorch is not installed")
    from edge_pipeline.compiler.backends.executorch import xnnpack as executorch
    from edge_pipeline.runtime import executorch as runtime

    def tripled(editor, node):
        return [node.args[0]], lambda x: torch.relu(x) * 1.01

    torch.manual_seed(5)
    x = torch.randn(1, CHANNELS, 12, 12)
    program = exported(nn.Sequential(Block(), Block(), Block()), x)
    step = Rewrite("fault", aten.relu.default, tripled, "1")
    options = EmitOptions("forward", ("x",), ("y",))
    backend = SimpleNamespace(emit=lambda p, o: executorch.emit(step.run(p).program, o))
    passes = (fold_norm(1e-5), FoldConstants())
    finding = bisect(program, (x,), passes, backend, options, runtime.open_session)
    assert (finding.operator, finding.layer) == ("relu", "1")
    good = bisect(program, (x,), passes, executorch, options, runtime.open_session)
    assert good is None
