"""The exports of the tests are those of torch, and change nothing that the next one reads."""

import re
import sys
import traceback
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="exports are torch's")

import torch
import torch._export.utils as export_utils
import torch.fx.graph_module as graph_module
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch._subclasses import fake_impls
from torch.export import exported_program

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.registry import BACKENDS
from tests.programs import exported
from tests.quick_export import make_exports_quick

BRIDGE = "litert_torch.backend.jax_bridge._wrap"

OVERRIDE = "_override_composite_implicit_decomp"


class Composite(nn.Module):
    """Operators that torch composes of others: layers, norms, padding, an upsampling."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU6())
        self.mixed = nn.Linear(4, 3)

    def forward(self, x):
        y = self.layers(F.pad(x, (1, 1, 1, 1), mode="reflect"))
        y = self.mixed(y.movedim(1, -1)).softmax(-1).chunk(3, -1)[0]
        y = y.matmul(y.mT).flatten(1).view(1, 1, -1, y.shape[1])
        return F.interpolate(y, scale_factor=2.0, mode="bilinear").clamp(0, 1)


def tables():
    """The kernels of all operators that exports change, and the rules for fake tensors."""
    operators = exported_program._collect_all_valid_cia_ops()
    return {op: dict(op.py_kernels) for op in operators}, dict(fake_impls.op_implementations_dict)


def export():
    torch.manual_seed(0)
    return exported(Composite(), torch.rand(1, 3, 6, 8))


def test_a_quick_export_is_that_of_torch(monkeypatch):
    for _ in range(2):  # the second one takes kept kernels
        quick = export()
    monkeypatch.setattr(
        exported_program, OVERRIDE, exported_program._override_composite_implicit_decomp.of_torch
    )
    plain = export()
    assert str(quick.graph) == str(plain.graph)
    assert quick.graph_signature == plain.graph_signature
    values = ([str(node.meta.get("val")) for node in one.graph.nodes] for one in (quick, plain))
    assert next(values) == next(values)


def test_the_collected_operators_are_those_of_torch():
    collect = exported_program._collect_all_valid_cia_ops
    assert collect() == collect() == collect.of_torch() != set()
    with torch.library._scoped_library("quick_export", "DEF") as library:
        library.define("halved(Tensor x) -> Tensor")
        library.impl("halved", lambda x: x / 2, "CompositeImplicitAutograd")
        added = torch.ops.quick_export.halved.default
        assert collect() == collect.of_torch()
        assert added in collect()
    assert added not in collect()


def test_the_operators_are_during_and_after_it_as_torch_leaves_them(monkeypatch):
    """Read within the override and after it, with a decomposition of its own for one operator."""
    first = next(iter(sorted(exported_program._collect_all_valid_cia_ops(), key=str)))
    decompositions = exported_program._split_decomp_table_to_cia_and_python_decomp({})[0]
    quick = exported_program._override_composite_implicit_decomp

    def names(override, changed):
        with override(decompositions | changed):
            during = {
                op: [(k, v is changed.get(op)) for k, v in t.items()]
                for op, t in tables()[0].items()
            }
            rules = set(tables()[1])
        return during, rules

    own = {first: lambda *_: NotImplemented}
    with quick(decompositions):
        pass
    before = tables()
    for changed in ({}, own, {}):
        assert names(quick, changed) == names(quick.of_torch, changed)
        assert tables() == before


def test_kernels_of_an_operator_that_changed_are_made_anew(monkeypatch):
    """A planted fault: another package registers a kernel between two exports."""
    decompositions = exported_program._split_decomp_table_to_cia_and_python_decomp({})[0]
    operator = next(iter(decompositions))
    quick = exported_program._override_composite_implicit_decomp
    with quick(decompositions):
        pass
    key = torch._C.DispatchKey.PrivateUse2
    added = dict(operator.py_kernels) | {key: None}
    monkeypatch.setattr(operator, "py_kernels", added)
    with quick(decompositions):
        assert key in operator.py_kernels
    assert operator.py_kernels == {**added}


def traced(function):
    return torch.fx.symbolic_trace(function)


def test_graphs_of_one_source_compute_with_their_own_values():
    first, second = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))
    graphs = traced(first), traced(second)
    assert graphs[0].code == graphs[1].code
    x = torch.rand(3, 2)
    for network, graph in zip((first, second), graphs, strict=True):
        assert torch.equal(graph(x), network(x))
    assert not torch.equal(graphs[0](x), graphs[1](x))


class Wrong(nn.Module):
    def forward(self, x):
        return (x + 1).reshape(2, 7)


def test_an_error_in_a_graph_is_shown_as_by_torch(monkeypatch):
    def shown():
        graph = traced(Wrong())
        with pytest.raises(RuntimeError, match="invalid") as caught:
            graph.forward(torch.rand(3))
        assert caught.traceback[-1].frame.code.name == "forward"
        lines = traceback.format_tb(caught.tb)[1:]
        return re.sub(r"eval_with_key>[.][0-9]+", "eval_with_key>", "".join(lines))

    quick = [shown(), shown()]  # the second graph takes kept code
    execute = graph_module._exec_with_source.of_torch
    monkeypatch.setattr(graph_module, "_exec_with_source", execute)
    assert [shown()] * 2 == quick
    assert "eval_with_key" in quick[0]


def test_a_new_composite_operator_is_looked_up():
    export_utils._materialize_cpp_cia_ops()
    with torch.library._scoped_library("quick_lookup", "DEF") as library:
        library.define("halved(Tensor x) -> Tensor")
        library.impl("halved", lambda x: x / 2, "CompositeImplicitAutograd")
        assert "halved" not in vars(torch.ops.quick_lookup)
        export_utils._materialize_cpp_cia_ops()
        assert "halved" in vars(torch.ops.quick_lookup)


@pytest.fixture
def bridge(monkeypatch):
    """A substitute for the converter's module; it counts what it lowers."""
    lowered = []

    def lower(function, args, kwargs, ir_input_names=None):
        def text():
            lowered.append((function, args))
            return f"{function} of {args}"

        return text, [*args]

    found = SimpleNamespace(
        _lower_to_ir_text=lower,
        _stablehlo_to_vhlo=str.encode,
        get_cache_fingerprint=lambda key: None if isinstance(key[1][0], list) else key[:2],
        lowered=lowered,
    )
    monkeypatch.setitem(sys.modules, BRIDGE, found)
    make_exports_quick()
    make_exports_quick()
    return found


def test_equal_operators_are_lowered_once_and_numbers_of_other_types_apart(bridge):
    for _ in range(2):
        for argument in (1, 1.0, True, "axis"):
            text, inputs = bridge._lower_to_ir_text("scale", (argument,), {})
            assert (text(), inputs) == (f"scale of ({argument!r},)", [argument])
    assert len(bridge.lowered) == 4


def test_what_has_no_key_is_lowered_each_time(bridge):
    for _ in range(2):
        text, _ = bridge._lower_to_ir_text("scale", ([1],), {})
        assert text() == "scale of ([1],)"
    assert len(bridge.lowered) == 2


def test_litert_writes_the_bytes_of_its_own_lowering(monkeypatch):
    pytest.importorskip("litert_torch", reason="the litert extra is not installed")
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Conv2d(3, 2, 1), nn.Tanh())
    options = EmitOptions("forward", ["x"], ["y"])

    def converted():
        program = exported(layers, torch.rand(1, 2, 5, 6))
        return BACKENDS.load("litert").emit(program, options).files

    converted()
    make_exports_quick()  # the converter is imported now
    first, second = converted(), converted()
    bridge = sys.modules[BRIDGE]
    monkeypatch.setattr(bridge, "_lower_to_ir_text", bridge._lower_to_ir_text.of_litert)
    monkeypatch.setattr(bridge, "_stablehlo_to_vhlo", bridge._stablehlo_to_vhlo.__wrapped__)
    assert first == second == converted()
