"""Faults of backends and runtimes are found: the operator and the layer."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import dataclasses
from types import SimpleNamespace

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.onnx import backend as onnx_backend
from edge_pipeline.compiler.bisect.search import bisect
from edge_pipeline.compiler.passes.fold_constants import FoldConstants
from edge_pipeline.compiler.program import layer_of
from edge_pipeline.errors import CompileError, RuntimeFailure
from edge_pipeline.runtime.onnx import open_session
from tests.fakes.faults import CHANNELS, NORM, Block, Rewrite, aten, find, fold_norm
from tests.programs import exported
from tests.selection import fast_or_slow


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


@pytest.mark.parametrize("block", ["first", pytest.param("second", marks=pytest.mark.slow)])
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


FAILURES = [
    (layer, moment)
    for layer in ("first.norm", "patches.mapper", "third.conv")
    for moment in ("loading", "running")
]


@pytest.mark.parametrize(
    ("layer", "moment"),
    fast_or_slow(
        FAILURES,
        [("first.norm", "loading"), ("patches.mapper", "running")],
        uncovered=("third.conv",),
    ),
)
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


@pytest.mark.parametrize("layer", ["third.conv", pytest.param("tail", marks=pytest.mark.slow)])
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
