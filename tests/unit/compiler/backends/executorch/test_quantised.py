"""Programs that XNNPACK loads only after the repairs of their int8 form."""

import numpy as np
import pytest

pytest.importorskip("executorch.exir", reason="the executorch extra is not installed")

import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
import torch.nn.functional as F  # noqa: N812
from torch import fx, nn

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.backends.executorch import pt2e, xnnpack
from edge_pipeline.compiler.backends.executorch.quantised import quantise_pads, separate_readers
from edge_pipeline.compiler.passes.own_constants import OwnConstants
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import layer_of, run_program
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.executorch import open_session
from tests.programs import exported

SIZE = (1, 3, 12, 16)
ATEN = torch.ops.aten
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default
PRODUCTS = ("aten.conv2d.default", "aten.linear.default")


class Padded(nn.Module):
    """Slices of a padded map, as those of a layer with a kernel per pixel."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        y = F.pad(self.first(x), (1, 1, 1, 1))
        return self.last(y[..., 2:] + y[..., :-2])


class Twice(nn.Module):
    """Features of two maps by the same layers, whose inputs have different ranges."""

    def __init__(self):
        super().__init__()
        self.start, self.shared = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        y = self.start(x)
        return self.shared(y).relu() + self.shared(5 * y + 3).relu()


class Shared(nn.Module):
    """A map that an operator in int8 and one in float32 read."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        y = self.first(x)
        return self.last(torch.minimum(y, torch.cat([y[:, 2:], y[:, :2]], 1)))


class Normalised(nn.Module):
    """Normalisations, whose means and variances are written as products."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.last, self.head = nn.LayerNorm(16), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(self.last(self.norm(self.first(x)).relu()))


def prepared(module, *, without=()):
    torch.manual_seed(0)
    x = torch.rand(SIZE)
    source = exported(module().eval(), x)
    steps = [s for s in passes_for("executorch", precision="int8") if type(s) not in without]
    return run_passes(source, steps, [x])


def samples():
    torch.manual_seed(1)
    return tuple((torch.rand(SIZE),) for _ in range(3))


def relative_error(program, folder):
    """Compile a program in int8, run it in ExecuTorch, and compare it with its float32 form."""
    given = samples()
    options = EmitOptions("forward", ("x",), ("y",), precision="int8", samples=given)
    emitted = xnnpack.emit(program, options)
    assert emitted.delegation.outside == {}
    (folder / emitted.file).write_bytes(emitted.files[emitted.file])
    expected = run_program(program, given[0])[0].numpy()
    spec = ProgramSpec(
        name="forward",
        file=emitted.file,
        inputs=(TensorSpec(name="x", shape=SIZE, meaning="x"),),
        outputs=(TensorSpec(name="y", shape=expected.shape, meaning="y"),),
        macs=0,
        flops=0,
        delegation=emitted.delegation,
        reference="r",
    )
    with open_session(folder / emitted.file, spec, 1) as session:
        found = session.run({"x": given[0][0].numpy()})["y"]
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("module", [Padded, Twice, Shared])
def test_it_loads_and_is_close_to_float(module, tmp_path):
    assert 1e-4 < relative_error(prepared(module), tmp_path) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "repair"), [(Padded, "quantise_pads"), (Shared, "separate_readers")]
)
def test_each_repair_is_still_necessary(module, repair, tmp_path, monkeypatch):
    """If this fails after an update of ExecuTorch, the repair can be removed."""
    monkeypatch.setattr(pt2e, repair, lambda module: None)
    with pytest.raises(RuntimeFailure, match="XnnpackBackend"):
        relative_error(prepared(module), tmp_path)


@pytest.mark.slow
def test_copies_of_shared_weights_are_still_necessary(tmp_path):
    with pytest.raises(RuntimeFailure, match="XnnpackBackend"):
        relative_error(prepared(Twice, without=(OwnConstants,)), tmp_path)


def converted(*, value=0.0):
    """A graph as PT2E writes it: a map in int8 that a padding and two other operators read."""
    graph = fx.Graph()
    scale = (0.05, 3, -128, 127, torch.int8)
    narrow = graph.call_function(QUANTIZE, (graph.placeholder("x"), *scale))
    wide = graph.call_function(DEQUANTIZE, (narrow, *scale))
    padded = graph.call_function(ATEN.constant_pad_nd.default, (wide, [1, 2], value))
    part = graph.call_function(ATEN.slice.Tensor, (wide, 1, 0, 2))
    back = graph.call_function(DEQUANTIZE, (graph.call_function(QUANTIZE, (part, *scale)), *scale))
    halves = [graph.call_function(ATEN.mul.Tensor, (node, 0.5)) for node in (padded, wide, wide)]
    graph.output((*halves, back))
    return fx.GraphModule(nn.Module(), graph)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_only_a_padding_with_zero_is_quantised_and_values_stay(value):
    x, module = torch.randn(3, 4), converted(value=value)
    expected = module(x)
    quantise_pads(module)
    assert all(torch.equal(a, b) for a, b in zip(module(x), expected, strict=True))
    (padded,) = module.graph.find_nodes(op="call_function", target=ATEN.constant_pad_nd.default)
    assert [user.target is QUANTIZE for user in padded.users] == [value == 0.0]


def test_only_operators_in_int8_get_conversions_of_their_own():
    x, module = torch.randn(3, 4), converted()
    quantise_pads(module)
    expected = module(x)
    separate_readers(module)
    assert all(torch.equal(a, b) for a, b in zip(module(x), expected, strict=True))
    nodes = module.graph.nodes
    (cut,) = (node for node in nodes if node.target is ATEN.slice.Tensor)
    (padded,) = (node for node in nodes if node.target is ATEN.constant_pad_nd.default)
    assert list(cut.args[0].users) == [cut]
    assert list(padded.args[0].users) == [padded]
    first, second = [n for n in nodes if n.target is ATEN.mul.Tensor][1:]
    assert first.args[0] is second.args[0]


def test_statistics_stay_float_and_all_operators_keep_their_layers():
    program = prepared(Normalised)
    found, notes = pt2e.quantise(program, samples())
    assert notes == ()
    operators = [node for node in found.graph.nodes if node.op == "call_function"]
    named = [node for node in program.graph.nodes if node.op == "call_function"]
    assert {layer_of(node) for node in operators} == {layer_of(node) for node in named}
    packed = [n.args[1].name for n in operators if str(n.target) in PRODUCTS]
    assert len(packed) > 4
    assert [name for name in packed if name.startswith("dequantize")] == [packed[0], packed[-1]]
    weights = [layer_of(n) for n in operators if "dequantize_per_channel" in str(n.target)]
    assert weights == ["first", "head"]
